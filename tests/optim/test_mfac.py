"""M-FAC against the dense inverse of the same Fisher matrix."""

import copy

import pytest
import torch

from pdeflow.optim import MFAC


def gradients(count, p):
    return torch.randn(count, p, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def dense(window, damping):
    p = window.shape[1]
    return torch.linalg.inv(damping * torch.eye(p, dtype=window.dtype) + window.T @ window / len(window))


@pytest.mark.parametrize("steps", [1, 5, 8, 21])
@pytest.mark.parametrize("damping", [1e-4, 1.0])
def test_the_inverse_is_that_of_the_last_window_of_gradients(steps, damping):
    theta, found = torch.zeros(12, dtype=torch.float64, requires_grad=True), gradients(steps, 12)
    optimizer = MFAC([theta], window=8, damping=damping, lr=0.1)
    for g in found:
        before, theta.grad = theta.detach().clone(), g.clone()
        optimizer.step()
    inverse, x = dense(found[-8:], damping), gradients(30, 12)[-1]
    assert torch.allclose(optimizer.inverse_times(x), inverse @ x, rtol=1e-8, atol=1e-8 * float((inverse @ x).norm()))
    assert torch.allclose(before - theta.detach(), 0.1 * inverse @ found[-1], rtol=1e-7, atol=1e-9)


def test_large_damping_is_gradient_descent_and_bad_gradients_are_left_out():
    theta = torch.ones(4, dtype=torch.float64, requires_grad=True)
    optimizer = MFAC([theta], lr=1e6, damping=1e6, weight_decay=0.0)
    theta.grad = torch.arange(4, dtype=torch.float64)
    optimizer.step()
    assert torch.allclose(theta.detach(), 1 - torch.arange(4, dtype=torch.float64), atol=1e-4)
    theta.grad = torch.full((4,), float("nan"), dtype=torch.float64)
    before = theta.detach().clone()
    with pytest.warns(UserWarning, match="gradient of the network is not finite; it is left out"):
        optimizer.step()
    for _ in range(8):
        optimizer.step()
    assert torch.equal(theta, before)
    with pytest.raises(ValueError, match="not finite for 10 steps; lower lr"):
        optimizer.step()


def test_a_saved_state_continues_bit_by_bit():
    runs = []
    for split in (False, True):
        theta = torch.zeros(6, dtype=torch.float64, requires_grad=True)
        optimizer = MFAC([theta], window=4)
        for k, g in enumerate(gradients(10, 6)):
            if split and k == 5:
                state, optimizer = copy.deepcopy(optimizer.state_dict()), MFAC([theta], window=4)
                optimizer.load_state_dict(state)
            theta.grad = g.clone()
            optimizer.step()
        runs.append(theta.detach().clone())
    assert torch.equal(*runs)


@pytest.mark.parametrize(
    ("options", "message"), [({"window": 0}, "window"), ({"damping": 0.0}, "damping"), ({"lr": -1.0}, "lr")]
)
def test_bad_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MFAC([torch.zeros(2, requires_grad=True)], **options)
