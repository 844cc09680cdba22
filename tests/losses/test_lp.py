"""Relative L2 and Lp: definition, invariance, refusal of zero targets."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pdeflow.losses import RelativeL2, RelativeLp, relative_l2, relative_lp


def test_scaling_the_target_by_one_plus_delta_costs_delta():
    v = torch.randn(5, 2, 8, 8)
    torch.testing.assert_close(relative_l2(1.25 * v, v), torch.full((5,), 0.25))


def test_does_not_depend_on_units():
    u, v = torch.randn(2, 4, 1, 8)
    torch.testing.assert_close(relative_l2(1e-4 * u, 1e-4 * v), relative_l2(u, v))


def test_loss_is_the_mean_of_the_samples_ratios_not_the_ratio_of_sums():
    v = torch.stack((torch.ones(1, 4), 100 * torch.ones(1, 4)))
    u = torch.stack((2 * torch.ones(1, 4), 100 * torch.ones(1, 4)))
    torch.testing.assert_close(RelativeL2()(u, v), torch.tensor(0.5))


def test_gradient_at_zero_error_is_zero():
    v = torch.randn(2, 1, 8)
    u = v.clone().requires_grad_()
    RelativeL2()(u, v).backward()
    assert not u.grad.any()


def test_a_zero_target_names_its_sample():
    v = torch.ones(20, 1, 3)
    v[17] = 0
    with pytest.raises(ValueError, match="sample 17"):
        relative_l2(torch.ones(20, 1, 3), v)


def test_shapes_are_not_broadcast():
    with pytest.raises(ValueError, match=r"\(2, 1, 3\).*\(2, 3\)"):
        relative_l2(torch.ones(2, 1, 3), torch.ones(2, 3))


exponents = st.one_of(st.floats(1, 20), st.just(math.inf))


@given(exponents, st.floats(-3, 3))
def test_lp_of_a_multiple_and_of_constants(p, delta):
    v = torch.randn(3, 2, 5, 4, dtype=torch.float64)
    torch.testing.assert_close(relative_lp((1 + delta) * v, v, p), torch.full((3,), abs(delta), dtype=torch.float64))
    ones = torch.ones_like(v)
    torch.testing.assert_close(relative_lp(v + ones, v, p) * _norm(v, p), _norm(ones, p))


def _norm(v, p):
    return v.abs().flatten(1).amax(1) if p == math.inf else v.abs().flatten(1).pow(p).sum(1).pow(1 / p)


@given(st.floats(1, 6), st.floats(1, 6))
def test_mean_norms_grow_with_p(p, q):
    p, q = sorted((p, q))
    u, v = torch.rand(2, 4, 1, 30, dtype=torch.float64)
    ones = torch.ones_like(v)
    assert (relative_lp(ones + u, ones, p) <= relative_lp(ones + u, ones, q) * (1 + 1e-12)).all()
    assert (relative_lp(ones + u, ones, q) <= relative_lp(ones + u, ones, math.inf) * (1 + 1e-12)).all()
    assert torch.equal(relative_lp(u, v, 2), relative_l2(u, v))


@given(exponents)
def test_a_sample_weighs_the_same_in_every_batch(p):
    u, v = torch.randn(2, 6, 1, 8, dtype=torch.float64)
    alone = torch.stack([RelativeLp(p)(u[i : i + 1], v[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(RelativeLp(p)(u, v), alone.mean())


def test_exponents_below_one_are_refused():
    with pytest.raises(ValueError, match="p >= 1"):
        RelativeLp(0.5)
    with pytest.raises(ValueError, match="p >= 1"):
        relative_lp(torch.ones(1, 2), torch.ones(1, 2), 0)
