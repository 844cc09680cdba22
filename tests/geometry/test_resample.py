"""Interpolation between grids: exact for what each method can represent."""

import math

import pytest
import torch
from gradient_cases import rates
from hypothesis import given
from hypothesis import strategies as st

from pdeflow.errors import UsageError
from pdeflow.geometry.gradient.spectral import chebyshev_points
from pdeflow.geometry.grid import Grid
from pdeflow.geometry.resample import resample

SIZES = st.tuples(st.integers(6, 13), st.integers(6, 13))


def wave(grid):
    """A field of modes up to 2 on [0, 3) x [1, 3), shape (2, 1, *shape)."""
    x, y = grid.coordinates().unbind(dim=-1)
    phase = 2 * math.pi * (2 * x / 3 - y / 2)
    return torch.stack([torch.sin(phase) + 0.5, torch.cos(phase + 1)])[:, None]


@given(SIZES, SIZES, st.sampled_from(["cell", "node"]))
def test_fourier_is_exact_for_band_limited_fields(coarse, fine, location):
    grid = Grid.uniform(coarse, [(0.0, 3.0), (1.0, 3.0)], periodic=True, location=location)
    target = Grid.uniform(fine, grid.bounds, periodic=True, location=location)
    torch.testing.assert_close(grid.resample(wave(grid), fine), wave(target), atol=1e-12, rtol=0)
    complex_field = torch.complex(wave(grid)[0], wave(grid)[1])
    expected = torch.complex(wave(target)[0], wave(target)[1])
    torch.testing.assert_close(resample(complex_field, grid, fine), expected, atol=1e-12, rtol=0)


@given(SIZES, SIZES, st.sampled_from(["cell", "node"]), st.integers(0, 99))
def test_fourier_to_a_finer_grid_and_back_gives_any_field_again(coarse, more, location, seed):
    grid = Grid.unit(coarse, periodic=True, location=location)
    fine = tuple(n + m for n, m in zip(coarse, more, strict=True))
    u = torch.randn(1, 2, *coarse, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    there = resample(u, grid, fine)
    back = resample(there, Grid.unit(fine, periodic=True, location=location), coarse)
    torch.testing.assert_close(back, u, atol=1e-12, rtol=0)


@given(SIZES, st.integers(2, 3))
def test_interpolation_keeps_common_points(coarse, factor):
    u = torch.randn(1, 1, *coarse, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ring = Grid.unit(coarse, periodic=True, location="node")
    fine = tuple(factor * n for n in coarse)
    for method in ("fourier", "linear"):
        kept = resample(u, ring, fine, method)[..., ::factor, ::factor]
        torch.testing.assert_close(kept, u, atol=1e-12, rtol=0)
    nodes, fine = Grid.unit(coarse, location="node"), tuple(factor * (n - 1) + 1 for n in coarse)
    for method in ("linear", "chebyshev"):
        kept = resample(u, nodes, fine, method)[..., ::factor, ::factor]
        torch.testing.assert_close(kept, u, atol=1e-12, rtol=0)


@given(SIZES, SIZES, st.sampled_from(["cell", "node"]), st.booleans())
def test_linear_interpolation_stays_in_the_range_and_keeps_linear_functions_inside(
    coarse, fine, location, periodic
):
    grid = Grid.unit(coarse, location=location, periodic=periodic)
    u = torch.rand(3, *coarse, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    new = resample(u, grid, fine, "linear")
    assert float(new.min()) >= float(u.min()) - 1e-15
    assert float(new.max()) <= float(u.max()) + 1e-15
    if not periodic:
        x, places = grid.coordinates(), Grid.unit(fine, location=location).coordinates()
        line = resample(2 * x[..., 0] - x[..., 1], grid, fine, "linear")
        inside = ((places >= x[0, 0]) & (places <= x[-1, -1])).all(dim=-1)
        torch.testing.assert_close(
            line[inside], (2 * places[..., 0] - places[..., 1])[inside], atol=1e-13, rtol=0
        )


def test_linear_interpolation_of_nodes_has_order_two():
    errors = []
    for n in (8, 16, 32):
        grid, fine = (Grid.unit((m + 1, m + 1), location="node") for m in (n, 3 * n))
        exact = fine.coordinates().sin().prod(dim=-1)
        errors.append(
            float(
                (resample(grid.coordinates().sin().prod(dim=-1), grid, fine.shape, "linear") - exact)
                .abs()
                .max()
            )
        )
    assert rates(errors)[-1] == pytest.approx(2.0, abs=0.15)


@given(st.integers(5, 12), st.integers(2, 12))
def test_chebyshev_is_exact_for_polynomials(n, m):
    grid = Grid.uniform((n,), [(0.0, 2.0)], location="node")
    x, fine = chebyshev_points(n, 0.0, 2.0), chebyshev_points(m, 0.0, 2.0)
    torch.testing.assert_close(
        resample(x**4 - x, grid, (m,), "chebyshev"), fine**4 - fine, atol=1e-11, rtol=0
    )


def test_what_does_not_fit_is_refused():
    with pytest.raises(UsageError, match=r"'fourier' for periodic \(False, False\)"):
        resample(torch.zeros(4, 4), Grid.unit((4, 4)), (8, 8))
    with pytest.raises(UsageError, match=r"'chebyshev' for periodic \(True,\)"):
        resample(torch.zeros(4), Grid.unit((4,), periodic=True), (8,), "chebyshev")
    with pytest.raises(UsageError, match="'cubic'"):
        resample(torch.zeros(4), Grid.unit((4,)), (8,), "cubic")
    with pytest.raises(UsageError, match=r"2 new sizes, got \(1, 4, 5\) and \(8, 8\)"):
        resample(torch.zeros(1, 4, 5), Grid.unit((4, 4)), (8, 8), "linear")


def test_gradients_flow_through_and_the_precision_is_kept():
    grid = Grid.unit((6, 6), periodic=True)
    u = torch.rand(2, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    for method in ("fourier", "linear"):
        assert torch.autograd.gradcheck(lambda v, m=method: resample(v, grid, (9, 4), m), (u,))
        assert resample(u.float(), grid, (9, 4), method).dtype == torch.float32
