"""Curvilinear and spectral gradients."""

import math

import pytest
import torch
from gradient_cases import gradient_errors, rates

from pdeflow.errors import UsageError
from pdeflow.geometry.gradient import SpectralGradient, gradient
from pdeflow.geometry.gradient.spectral import chebyshev_points
from pdeflow.geometry.grid import Grid
from pdeflow.geometry.mapped_grid import MappedGrid
from pdeflow.geometry.o_grid import o_grid


def sector(n):
    """A stretched quarter ring between radii 1 and 2."""

    def place(t):
        radius, angle = (
            1 + (torch.exp(t[:, 0]) - 1) / (math.e - 1),
            0.5 * math.pi * (t[:, 1] + 0.2 * t[:, 1] ** 2) / 1.2,
        )
        return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)

    return MappedGrid.from_map(place, (n + 1, n + 1))


def trefoil(n, cut=False):
    """An O-grid round a trefoil; the cut repeats the first ray."""
    return o_grid(lambda a: 0.2 + 0.05 * torch.cos(3 * a), (4 * n + cut, n + 1), cut=cut)


def bent_brick(n):
    """A curved block in 3-D."""

    def place(t):
        x, y, z = t.unbind(dim=1)
        return torch.stack([x + 0.2 * torch.sin(y + z), y * (1 + 0.3 * x), z + 0.2 * x * y], dim=1)

    return MappedGrid.from_map(place, (n + 1, n + 1, n + 1))


@pytest.mark.parametrize("build", [sector, trefoil, lambda n: trefoil(n, cut=True)])
@pytest.mark.parametrize("order", [2, 4])
def test_curvilinear_gradients_have_their_order_at_every_node_of_a_curved_grid(build, order):
    errors = []
    for n in (16, 32, 64, 128)[order // 4 :]:  # the fourth order shows on finer grids
        grid = build(n)
        points = grid.coordinates().reshape(-1, 2)
        errors.append(gradient_errors(grid.gradient(order), points, grid.weights().flatten()))
    assert rates([e[0] for e in errors])[-1] == pytest.approx(order, abs=0.15 if order == 2 else 0.25)
    assert rates([e[1] for e in errors])[-1] > order - 0.3  # largest error, ends and seams included


def test_curvilinear_gradients_in_three_dimensions_have_order_two():
    errors = []
    for n in (8, 16, 32):
        grid = bent_brick(n)
        errors.append(
            gradient_errors(grid.gradient(), grid.coords.reshape(-1, 3), grid.weights().flatten())[0]
        )
    assert rates(errors)[-1] == pytest.approx(2.0, abs=0.15)


def test_kinks_of_an_o_grid_in_a_square_cost_one_order_on_the_diagonals_only():
    errors = []
    for n in (16, 32, 64):
        grid = o_grid(0.2, (4 * n, n + 1), outer="square")
        errors.append(gradient_errors(grid.gradient(), grid.coords.reshape(-1, 2), grid.weights().flatten()))
    assert rates([e[0] for e in errors])[-1] == pytest.approx(1.5, abs=0.15)
    assert rates([e[1] for e in errors])[-1] == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("build", [sector, trefoil, lambda n: trefoil(n, cut=True), bent_brick])
def test_curvilinear_gradients_are_exact_on_linear_functions_and_vanish_on_constants(build):
    grid = build(8)
    slope = torch.arange(1.0, 1 + grid.dim, dtype=torch.float64)
    operator = grid.gradient()
    g = operator(grid.coords.reshape(-1, grid.dim) @ slope[:, None])[:, 0]
    torch.testing.assert_close(g, slope.expand_as(g), atol=1e-12, rtol=0)
    assert not operator(torch.ones(grid.size, 1, dtype=torch.float64)).any()


def test_a_seam_gives_one_gradient_at_both_copies_equal_to_that_of_the_periodic_grid():
    cut, ring = trefoil(8, cut=True), trefoil(8)
    assert cut.shape == (33, 9)
    u = torch.randn(ring.size, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64).reshape(
        32, 9
    )
    on_cut = cut.gradient()(torch.cat([u, u[:1]]).reshape(-1, 1)).reshape(33, 9, 2)
    on_ring = ring.gradient()(u.reshape(-1, 1)).reshape(32, 9, 2)
    torch.testing.assert_close(on_cut[:-1], on_ring, atol=1e-12, rtol=0)
    torch.testing.assert_close(on_cut[-1], on_ring[0], atol=1e-12, rtol=0)


@pytest.mark.parametrize("location", ["cell", "node"])
@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("order", [2, 4])
def test_uniform_grids_differentiate_polynomials_or_waves_at_the_order(location, periodic, order):
    def wave(grid):
        x, y = grid.coordinates().unbind(dim=-1)
        u = torch.sin(math.pi * x) * torch.cos(math.pi * y)  # of period 2
        return u, math.pi * torch.cos(math.pi * x) * torch.cos(math.pi * y)

    errors = []
    for n in (16, 32, 64):
        grid = Grid.uniform((n, n + 1), [(-1.0, 1.0), (0.0, 2.0)], periodic=periodic, location=location)
        u, derivative = wave(grid)
        errors.append(
            float((grid.gradient(order)(u.reshape(-1, 1))[:, 0, 0] - derivative.flatten()).abs().max())
        )
    assert rates(errors)[-1] == pytest.approx(order, abs=0.2)
    grid = Grid.uniform((7, 6), [(0.0, 2.0), (1.0, 2.0)], location=location)
    x, y = grid.coordinates().reshape(-1, 2).unbind(dim=1)
    g = grid.gradient(order)((x**order - y)[:, None])[:, 0]
    torch.testing.assert_close(g[:, 0], order * x ** (order - 1), atol=1e-11, rtol=0)  # exact for its degree


@pytest.mark.parametrize("n", [15, 16])
@pytest.mark.parametrize("location", ["cell", "node"])
def test_the_fourier_gradient_is_exact_for_resolved_waves(n, location):
    grid = Grid.uniform((n, n + 3), [(0.0, 3.0), (-1.0, 1.0)], periodic=True, location=location)
    x, y = grid.coordinates().reshape(-1, 2).unbind(dim=1)
    k, m = 2 * math.pi * 5 / 3, math.pi * 3
    u = torch.sin(k * x + m * y)[:, None]
    g = gradient(grid, "spectral")(u)[:, 0]
    wave = torch.cos(k * x + m * y)
    torch.testing.assert_close(g, torch.stack([k * wave, m * wave], dim=1), atol=1e-11, rtol=0)
    complex_wave = torch.exp(1j * (k * x + m * y))[:, None]
    torch.testing.assert_close(gradient(grid, "spectral")(complex_wave)[:, 0, 0], 1j * k * complex_wave[:, 0])


def test_the_spectral_gradient_on_chebyshev_points_is_exact_for_polynomials_and_its_transpose_is_backward():
    spectral = SpectralGradient((9, 8), ((0.0, 2.0), (0.0, 2 * math.pi)), ("chebyshev", "fourier"))
    x = chebyshev_points(9, 0.0, 2.0)[:, None]
    y = (torch.arange(8, dtype=torch.float64) * math.pi / 4)[None]
    u = (x**8 * torch.cos(2 * y)).reshape(-1, 1).requires_grad_()
    g = spectral(u)
    expected = torch.stack([8 * x**7 * torch.cos(2 * y), -2 * x**8 * torch.sin(2 * y)], dim=-1)
    torch.testing.assert_close(g.detach().reshape(9, 8, 2), expected, atol=1e-9, rtol=0)
    cotangent = torch.randn(g.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (backward,) = torch.autograd.grad(g, u, cotangent)
    torch.testing.assert_close(spectral.adjoint(cotangent), backward, atol=1e-10, rtol=0)
    for axis in range(2):
        matrix = torch.from_numpy(spectral.csr(axis).toarray())
        torch.testing.assert_close(matrix @ u.detach(), g.detach()[..., axis], atol=1e-10, rtol=0)


def test_grids_without_a_gradient_are_refused_with_the_reason():
    with pytest.raises(UsageError, match="axis 1 has 2; refine"):
        Grid.unit((5, 2)).gradient()
    with pytest.raises(UsageError, match="even order of 2 or more, got 3"):
        Grid.unit((5, 5)).gradient(order=3)
    with pytest.raises(UsageError, match="periodic grid"):
        gradient(Grid.unit((5, 5)), "spectral")
    double = torch.stack(
        torch.meshgrid(torch.tensor([0.0, 1, 1, 1, 2]), torch.arange(5.0), indexing="ij"), dim=-1
    )
    with pytest.raises(UsageError, match=r"parallel at 5 of 25 nodes, first at \(2, 0\)"):
        MappedGrid(double).gradient()
