"""AdaPreLoRA: its step is the least squares optimum, balanced, and independent of how a product is factored."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pdeflow.adapt.low_rank_adapters import adapters, attach_adapters
from pdeflow.adapt.preconditioned_adapters import AdaPreLoRA, balanced_step, within
from pdeflow.models import FNO

sizes = st.integers(1, 7)
kinds = st.sampled_from([torch.float64, torch.complex128])


def case(m, n, r, kind, seed):
    generator = torch.Generator().manual_seed(seed)
    draw = [torch.randn(shape, dtype=kind, generator=generator) for shape in ((m, r), (r, n), (m, n))]
    weights = [torch.rand(k, dtype=torch.float64, generator=generator) + 0.1 for k in (m, n)]
    return *draw, *weights


@settings(max_examples=40, deadline=None)
@given(m=sizes, n=sizes, r=st.integers(1, 3), kind=kinds, seed=st.integers(0, 1000))
def test_the_step_is_the_weighted_least_squares_optimum(m, n, r, kind, seed):
    a, b, step, p, q = case(m, n, min(r, m, n), kind, seed)
    da, db = balanced_step(a, b, step, p, q)
    weight = (p[:, None] * q).sqrt()
    left = torch.kron(a, torch.eye(n, dtype=kind))  # A dB
    right = torch.kron(torch.eye(m, dtype=kind), b.mT.clone(memory_format=torch.contiguous_format))  # dA B
    design = torch.cat((left, right), 1) * weight.reshape(-1, 1)
    target = (weight * step).reshape(-1)
    solution = torch.linalg.pinv(design) @ target
    best = (design @ solution - target).norm()
    assert (weight * (da @ b + a @ db - step)).norm() == pytest.approx(best.item(), abs=1e-8)


@settings(max_examples=20, deadline=None)
@given(kind=kinds, seed=st.integers(0, 1000))
def test_what_both_factors_can_carry_they_share_equally(kind, seed):
    a, b, step, p, q = case(6, 5, 2, kind, seed)
    da, db = balanced_step(a, b, step, p, q)
    a, b, da, db = p.sqrt()[:, None] * a, b * q.sqrt(), p.sqrt()[:, None] * da, db * q.sqrt()
    on_a, on_b = a @ torch.linalg.pinv(a), torch.linalg.pinv(b) @ b
    torch.testing.assert_close(on_a @ da @ b @ on_b, on_a @ a @ db @ on_b)


@settings(max_examples=20, deadline=None)
@given(kind=kinds, seed=st.integers(0, 1000))
def test_the_change_of_the_product_does_not_depend_on_its_factors(kind, seed):
    a, b, step, p, q = case(6, 5, 2, kind, seed)
    mix = torch.randn(2, 2, dtype=kind, generator=torch.Generator().manual_seed(seed)) + 3 * torch.eye(2)
    da, db = balanced_step(a, b, step, p, q)
    other_a, other_b = a @ mix, torch.linalg.solve(mix, b)
    dother_a, dother_b = balanced_step(other_a, other_b, step, p, q)
    torch.testing.assert_close(da @ b + a @ db, dother_a @ other_b + other_a @ dother_b, atol=1e-8, rtol=1e-8)


def test_full_rank_takes_the_adafactor_step_exactly():
    torch.manual_seed(0)
    layer = nn.Linear(5, 4, bias=False).double()
    adapted = attach_adapters(layer, 4)
    (_, update), = adapters(adapted)
    update.B.data = torch.randn(4, 4, dtype=torch.float64)
    before, x = adapted.weight.detach().clone(), torch.randn(9, 5, dtype=torch.float64)
    optimizer = AdaPreLoRA(adapted, lr=1e-6, eps=1e-12)
    adapted(x).square().sum().backward()
    optimizer.step()
    gradient = 2 * (before @ x.T) @ x
    square = gradient.square()
    expected = gradient / (square.mean(1, keepdim=True) * square.mean(0) / square.mean()).sqrt()
    torch.testing.assert_close((before - adapted.weight) / 1e-6, expected, rtol=1e-4, atol=1e-4)


def test_a_rising_rate_does_not_leap_from_a_small_factor():
    torch.manual_seed(0)
    layer, x = nn.Linear(6, 4, bias=False).double(), torch.randn(20, 6, dtype=torch.float64)
    target = x @ torch.randn(6, 4, dtype=torch.float64)
    adapted = attach_adapters(layer, 2)
    optimizer = AdaPreLoRA(adapted, lr=1e-6)
    losses = []
    for lr in (1e-6, 3e-2, 3e-2, 3e-2):
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        loss = (adapted(x) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)
    length = torch.rand(3, 1, 1) * 5
    short = within(torch.randn(3, 4, 5), length)
    assert (torch.linalg.matrix_norm(short, keepdim=True) <= length * (1 + 1e-6)).all()


def test_momentum_averages_the_gradient_without_bias():
    torch.manual_seed(0)
    x, weights = torch.randn(8, 3, dtype=torch.float64), []
    for momentum in (0.0, 0.9):
        torch.manual_seed(1)
        adapted = attach_adapters(nn.Linear(3, 3).double(), 3)
        optimizer = AdaPreLoRA(adapted, lr=1e-9, momentum=momentum)
        for _ in range(3):  # the gradient hardly changes, so its unbiased mean is itself
            optimizer.zero_grad()
            adapted(x).sin().sum().backward()
            optimizer.step()
        weights.append(adapted.weight - adapted.parametrizations.weight.original)
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-4, atol=1e-15)


def test_gradients_add_up_until_they_are_cleared():
    torch.manual_seed(0)
    adapted = attach_adapters(nn.Linear(3, 2), 1)
    optimizer = AdaPreLoRA(adapted)
    x = torch.randn(4, 3)
    (_, update), = adapters(adapted)
    adapted(x).sum().backward()
    once = update.product_gradient.clone()
    adapted(x).sum().backward()
    torch.testing.assert_close(update.product_gradient, 2 * once)
    optimizer.zero_grad()
    assert update.product_gradient.ndim == 0
    before = adapted.weight.clone()
    optimizer.step()
    assert torch.equal(adapted.weight, before)


def test_it_recovers_a_low_rank_change_of_an_operator():
    torch.manual_seed(0)
    network = FNO([6, 6], hidden_channels=8, n_layers=1)
    x = torch.randn(4, 1, 16, 16)
    with torch.no_grad():
        target = 1.5 * network(x)
    adapted = attach_adapters(network, 2)
    optimizer = AdaPreLoRA(adapted, lr=3e-3)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = (adapted(x) - target).square().mean() / target.square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.02 * losses[0]


def test_misuse_is_told_at_the_door():
    with pytest.raises(ValueError, match="call attach_adapters first"):
        AdaPreLoRA(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="'beta2': 1"):
        AdaPreLoRA(attach_adapters(nn.Linear(2, 2)), beta2=1.0)
    adapted = attach_adapters(nn.Linear(2, 2))
    optimizer = AdaPreLoRA(adapted)
    (adapted(torch.ones(1, 2)) * float("nan")).sum().backward()
    with pytest.raises(ValueError, match="not finite"):
        optimizer.step()
