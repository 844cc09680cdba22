"""Relative H1: exact for trigonometric fields with spectral derivatives, second order with differences."""

import math
from itertools import pairwise

import pytest
import torch

from pdeflow.losses import RelativeH1, relative_h1

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
