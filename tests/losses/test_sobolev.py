"""Relative H1 and H^s: exact for trigonometric fields with spectral derivatives, second order with differences."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.geometry import Grid
from pdeflow.losses import RelativeH1, RelativeHs, relative_h1, relative_hs, relative_l2

K = 6 * math.pi


def waves(n: int, location: str = "periodic", length: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return u = sin(kx) + 0.1 cos(2kx) and v = sin(kx), constant along y, shape (1, 1, n, 6)."""
    shift, count = {"periodic": (0.0, n), "cell": (0.5, n), "node": (0.0, n - 1)}[location]
    x = (torch.arange(n, dtype=torch.float64) + shift) / count * length
    x = x[None, None, :, None].expand(1, 1, n, 6)
    k = K / length
    return torch.sin(k * x) + 0.1 * torch.cos(2 * k * x), torch.sin(k * x)


def exact(length: float = 1.0) -> float:
    k = K / length
    return 0.1 * math.sqrt((1 + 4 * k**2) / (1 + k**2))


@pytest.mark.parametrize("n", [32, 33])
@pytest.mark.parametrize("length", [1.0, 2.5])
def test_spectral_derivative_is_exact_for_band_limited_fields(n, length):
    ratio = relative_h1(*waves(n, length=length), (length, 1.0), periodic=True, derivative="spectral")
    assert ratio.item() == pytest.approx(exact(length), rel=1e-12)


@pytest.mark.parametrize(("location", "periodic"), [("periodic", True), ("cell", False), ("node", False)])
def test_differences_converge_at_second_order(location, periodic):
    place = "node" if location == "node" else "cell"
    # cell and periodic sampling integrate trigonometric squares exactly; nodes do so up to first order
    errors = [_gradient_error(n, location, periodic=periodic, place=place) for n in (128, 256, 512)]
    rates = [math.log2(a / b) for a, b in pairwise(errors)]
    assert rates == pytest.approx([2.0, 2.0], abs=0.1)


def _gradient_error(n, location, *, periodic, place):
    u, v = waves(n, location)
    ours = relative_h1(u, v, periodic=periodic, location=place).item()
    shift, count = {"periodic": (0.0, n), "cell": (0.5, n), "node": (0.0, n - 1)}[location]
    x = (torch.arange(n, dtype=torch.float64) + shift) / count
    slope_e, slope_v = -0.2 * K * torch.sin(2 * K * x), K * torch.cos(K * x)
    top = (u - v)[0, 0, :, 0].square().sum() + slope_e.square().sum()
    bottom = v[0, 0, :, 0].square().sum() + slope_v.square().sum()
    return abs(ours - (top / bottom).sqrt().item())


def test_gradient_at_zero_error_is_zero():
    v = torch.randn(2, 1, 8, 8)
    u = v.clone().requires_grad_()
    RelativeH1()(u, v).backward()
    assert torch.isfinite(u.grad).all()
    assert not u.grad.any()


def test_refuses_what_it_cannot_mean():
    v = torch.ones(2, 1, 8, 8)
    with pytest.raises(ValueError, match="periodic=True"):
        relative_h1(v, v, derivative="spectral")
    with pytest.raises(ValueError, match="2 positive side lengths"):
        relative_h1(v, v, (1.0,))
    with pytest.raises(ValueError, match="3 points"):
        relative_h1(v[..., :2], v[..., :2])
    with pytest.raises(ValueError, match="sample 0"):
        relative_h1(v, 0 * v)


def test_h1_norm_of_a_sine_is_exact_with_spectral_derivatives_and_nearly_so_with_differences():
    x = torch.arange(64, dtype=torch.float64) / 64
    v = torch.sin(K * x)[None, None, :, None].expand(1, 1, 64, 64)
    one = torch.ones_like(v)  # ‖1‖ = 1 in H1, so that the ratio is the norm of v
    exact = math.sqrt((1 + K**2) / 2)
    assert relative_h1(one + v, one, periodic=True, derivative="spectral").item() == pytest.approx(exact, rel=1e-12)
    assert relative_h1(one + v, one, periodic=True).item() / exact == pytest.approx(0.986, abs=1e-3)
    assert relative_hs(one + v, one, 1).item() == pytest.approx(exact, rel=1e-12)


def spectral_gradient(w, extent):
    parts = []
    for axis, length in enumerate(extent, start=2):
        n = w.shape[axis]
        k = (torch.fft.fftfreq(n, 1 / n, dtype=w.dtype) * 2j * math.pi / length).reshape(-1, *[1] * (w.ndim - 1 - axis))
        parts.append(torch.fft.ifft(torch.fft.fft(w, dim=axis) * k, dim=axis).real)
    return torch.cat(parts, dim=1)


odd_grids = st.lists(st.sampled_from([3, 5, 9]), min_size=1, max_size=3)  # no wave without a partner
orders = st.floats(-3, 3)


def random_fields(grid, seed, count=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 2, 2, *grid, generator=generator, dtype=torch.float64)


def squares(e, v, s, extent, **options):
    """Return ‖e‖²_s / ‖v‖²_s, where e may have the channels of several fields like v."""
    return sum(relative_hs(v + part, v, s, extent, **options).square() for part in e.split(v.shape[1], dim=1))


@settings(max_examples=25)
@given(odd_grids, orders, st.integers(0, 9))
def test_one_order_more_adds_the_gradient(grid, s, seed):
    extent = [1.0, 2.5, 0.7][: len(grid)]
    e, v, _ = random_fields(grid, seed)
    of_v = 1 + squares(spectral_gradient(v, extent), v, s, extent)  # ‖v‖²_{s+1} / ‖v‖²_s
    of_e = squares(e, v, s, extent) + squares(spectral_gradient(e, extent), v, s, extent)
    torch.testing.assert_close(squares(e, v, s + 1, extent) * of_v, of_e, rtol=1e-9, atol=0)


@settings(max_examples=25)
@given(odd_grids, st.integers(0, 9))
def test_order_zero_is_l2_and_order_one_is_h1(grid, seed):
    u, v, _ = random_fields(grid, seed)
    torch.testing.assert_close(relative_hs(u, v, 0), relative_l2(u, v))
    torch.testing.assert_close(relative_hs(u, v, 1), relative_h1(u, v, periodic=True, derivative="spectral"))


@pytest.mark.parametrize("grid", [(8,), (6, 8), (4, 5, 6)])
def test_order_zero_is_l2_on_even_grids_too(grid):
    u, v, _ = random_fields(grid, 0)
    torch.testing.assert_close(relative_hs(u, v, 0), relative_l2(u, v))


@settings(max_examples=25)
@given(odd_grids, orders, st.integers(0, 9))
def test_homogeneous_norm_of_a_gradient_is_that_of_one_order_more(grid, s, seed):
    e, v, w = random_fields(grid, seed)
    extent = [1.5] * len(grid)
    of_e, of_w = (squares(spectral_gradient(x, extent), v, s, extent, homogeneous=True) for x in (e, w))
    torch.testing.assert_close(squares(e, w, s + 1, extent, homogeneous=True), of_e / of_w, rtol=1e-8, atol=0)


def test_h_minus_one_of_a_gradient_is_the_l2_norm_of_the_field_less_its_mean():
    x = torch.arange(32, dtype=torch.float64) / 32
    w = (torch.sin(K * x) + 0.3 * torch.cos(2 * K * x)).reshape(1, 1, 32)
    one = torch.cos(2 * math.pi * x).reshape(1, 1, 32)
    ratio = relative_hs(one + spectral_gradient(w, [1.0]), one, -1, homogeneous=True)
    torch.testing.assert_close(ratio, 2 * math.pi * w.square().mean(2).sqrt()[:, 0] / one.square().mean(2).sqrt()[:, 0])


@given(orders, orders)
def test_the_ratio_grows_with_the_order_for_an_error_finer_than_the_target(s, t):
    s, t = sorted((s, t))
    x = torch.arange(32, dtype=torch.float64) / 32
    v, e = (torch.sin(2 * math.pi * k * x).reshape(1, 1, 32) for k in (1, 5))
    assert relative_hs(v + e, v, s).item() <= relative_hs(v + e, v, t).item() * (1 + 1e-12)
    expected = ((1 + (10 * math.pi) ** 2) / (1 + (2 * math.pi) ** 2)) ** (s / 2)
    assert RelativeHs(s)(v + e, v).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("homogeneous", [False, True])
def test_gradient_of_hs_at_zero_error_is_zero(homogeneous):
    v = torch.randn(2, 1, 8, 8)
    u = v.clone().requires_grad_()
    RelativeHs(-1.0, homogeneous=homogeneous)(u, v).backward()
    assert not u.grad.any()


def test_a_constant_target_has_no_homogeneous_norm():
    v = torch.ones(3, 1, 8)
    with pytest.raises(ValueError, match="sample 0 of the batch"):
        relative_hs(2 * v, v, 1, homogeneous=True)


def test_losses_take_extent_periodicity_and_location_from_a_grid():
    torch.manual_seed(0)
    u, v = torch.randn(2, 1, 8, 12, dtype=torch.float64), torch.randn(2, 1, 8, 12, dtype=torch.float64)
    extent = [2.0, 0.5]
    bounds = ((-1.0, 1.0), (0.0, 0.5))
    nodes, torus = Grid((8, 12), bounds, (False, False), "node"), Grid((8, 12), bounds, (True, True))
    for grid, options in ((nodes, {"location": "node"}), (torus, {"periodic": True})):
        loss = RelativeH1()
        loss.fit_grid(grid)
        assert torch.equal(loss(u, v), relative_h1(u, v, extent, **options).mean())
    given = RelativeH1([1.0, 1.0], periodic=False, location="cell")
    given.fit_grid(torus)
    assert torch.equal(given(u, v), relative_h1(u, v).mean())
    loss = RelativeHs(0.5)
    loss.fit_grid(torus)
    assert torch.equal(loss(u, v), relative_hs(u, v, 0.5, extent).mean())


def test_losses_for_periodic_fields_refuse_other_grids():
    grid = Grid((8, 8), ((0.0, 1.0),) * 2, (True, False))
    with pytest.raises(ValueError, match="use RelativeH1"):
        RelativeHs(1.0).fit_grid(grid)
    with pytest.raises(ValueError, match="use 'fd2'"):
        RelativeH1(derivative="spectral").fit_grid(grid)
