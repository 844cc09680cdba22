"""Relative L2: definition, invariance, refusal of zero targets."""

import pytest
import torch

from pdeflow.losses import RelativeL2, relative_l2


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
