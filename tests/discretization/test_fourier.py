import math

import pytest
import torch

from pdeflow.discretization.fourier import FourierGrid
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid


def grid_of(*shape, side=1.0):
    return Grid.uniform(shape, [(0.0, side)] * len(shape), periodic=True, location="node")


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("shape", [(16,), (15,), (16, 15), (15, 16), (8, 6, 10)])
def test_transform_and_back_is_the_identity_and_keeps_the_mean_square(shape):
    space, u = FourierGrid.of(grid_of(*shape)), random(3, *shape)
    u_hat = space.forward(u)
    torch.testing.assert_close(space.inverse(u_hat), u, atol=1e-14, rtol=0)
    axes = tuple(range(-len(shape), 0))
    torch.testing.assert_close(space.inner(u_hat, u_hat), (u**2).mean(axes), rtol=1e-14, atol=0)


@pytest.mark.parametrize(("axis", "order"), [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 4)])
def test_derivatives_of_a_trigonometric_polynomial_are_exact(axis, order):
    side = 2.5
    space = FourierGrid.of(grid_of(18, 21, side=side))
    x = space.grid.coordinates().requires_grad_()
    unit = 2 * math.pi / side
    u = torch.sin(3 * unit * x[..., 0] + 0.3) * torch.cos(4 * unit * x[..., 1]) + torch.cos(
        7 * unit * x[..., 1]
    )
    expected = u
    for _ in range(order):
        (slope,) = torch.autograd.grad(expected.sum(), x, create_graph=True)
        expected = slope[..., axis]
    found = space.inverse(space.derivative(space.forward(u.detach()), axis, order))
    torch.testing.assert_close(found, expected.detach(), atol=1e-11 * unit**order * 7**order, rtol=0)


def test_laplacian_is_the_sum_of_second_derivatives():
    space, u = FourierGrid.of(grid_of(12, 16, side=3.0)), random(12, 16)
    u_hat = space.forward(u)
    total = space.derivative(u_hat, 0, 2) + space.derivative(u_hat, 1, 2)
    torch.testing.assert_close(space.laplacian(u_hat), total, atol=1e-12, rtol=1e-14)


@pytest.mark.parametrize("n", [16, 18, 15, 21, 48])
def test_products_of_masked_fields_have_no_aliasing(n):
    space, finer = FourierGrid.of(grid_of(n)), FourierGrid.of(grid_of(4 * n))
    a_hat, b_hat = (space.mask * space.forward(random(n, seed=s)) for s in (1, 2))
    found = space.product(a_hat, b_hat)
    a, b = (space.grid.resample(space.inverse(part), (4 * n,)) for part in (a_hat, b_hat))
    exact = (
        space.mask * finer.forward(a * b)[: n // 2 + 1]
    )  # the finer grid carries every mode of the product
    torch.testing.assert_close(found, exact, atol=1e-15, rtol=1e-13)
    plain = space.mask * space.forward(space.inverse(a_hat) * space.inverse(b_hat))
    torch.testing.assert_close(found, plain, atol=1e-15, rtol=1e-13)


def test_without_the_mask_a_product_is_aliased():
    space = FourierGrid.of(grid_of(16))
    x = space.grid.axis(0)
    u = torch.cos(2 * math.pi * 7 * x)  # u² = ½ + ½ cos(2π 14 x), seen on 16 nodes as mode 2
    assert float(space.forward(u * u)[2].abs()) == pytest.approx(0.25)
    assert float(space.product(space.forward(u), space.forward(u)).abs().max()) < 1e-15


def test_velocity_is_divergence_free_and_its_curl_is_the_vorticity():
    space = FourierGrid.of(grid_of(24, 20, side=2.0))
    w_hat = space.mask * space.forward(random(24, 20))
    w_hat[0, 0] = 0
    u, v = space.velocity(w_hat)
    divergence = space.derivative(u, 0) + space.derivative(v, 1)
    curl = space.derivative(v, 0) - space.derivative(u, 1)
    assert float(divergence.abs().max()) < 1e-14
    torch.testing.assert_close(curl, w_hat, atol=1e-14, rtol=1e-12)
    torch.testing.assert_close(-space.laplacian(space.streamfunction(w_hat)), w_hat, atol=1e-14, rtol=1e-12)


def test_advection_equals_velocity_times_gradient_and_conserves_energy_and_enstrophy():
    space = FourierGrid.of(grid_of(24, 30))
    w_hat = space.mask * space.forward(random(24, 30))
    w_hat[0, 0] = 0
    u, v = space.velocity(w_hat)
    direct = space.product(u, space.derivative(w_hat, 0)) + space.product(v, space.derivative(w_hat, 1))
    found = space.advection(w_hat)
    torch.testing.assert_close(found, direct, atol=1e-13, rtol=1e-11)
    size = float(space.inner(found, found).sqrt() * space.inner(w_hat, w_hat).sqrt())
    assert abs(float(space.inner(w_hat, found))) < 1e-14 * size
    assert abs(float(space.inner(space.streamfunction(w_hat), found))) < 1e-14 * size


def test_energy_spectrum_sums_to_half_the_mean_square_and_finds_single_shells():
    space = FourierGrid.of(grid_of(16, 16, side=2 * math.pi))
    u, v = random(2, 16, 16), random(2, 16, 16, seed=1)
    total = space.energy_spectrum(space.forward(u), space.forward(v)).sum(-1)
    torch.testing.assert_close(total, 0.5 * (u**2 + v**2).mean((-2, -1)), rtol=1e-13, atol=0)
    x = space.grid.coordinates()
    shells = space.energy_spectrum(space.forward(torch.cos(3 * x[..., 0] + 4 * x[..., 1])))
    assert float(shells[5]) == pytest.approx(0.25, rel=1e-13)
    assert float(shells.sum() - shells[5]) < 1e-28


def test_float32_fields_stay_float32_and_agree_with_float64():
    grid, u = grid_of(16, 16), random(16, 16)
    single, double = FourierGrid.of(grid, dtype=torch.float32), FourierGrid.of(grid)
    found = single.inverse(single.laplacian(single.forward(u.float())))
    assert found.dtype == torch.float32
    expected = double.inverse(double.laplacian(double.forward(u)))
    assert float((found - expected).abs().max()) < 1e-6 * float(expected.abs().max())


@pytest.mark.parametrize(
    "grid", [Grid.unit((8, 8), periodic=True), Grid.unit((8, 8), location="node")], ids=["cell", "wall"]
)
def test_other_grids_are_refused(grid):
    with pytest.raises(UsageError, match="node grid with periodic axes"):
        FourierGrid.of(grid)
