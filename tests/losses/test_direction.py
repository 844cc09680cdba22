"""Modules for settings files give the values of their functions, and say when they need a solution."""

import pytest
import torch

from pdeflow.losses import Energy, LogEnergy, MinimalResidual, Residual
from pdeflow.losses.energy import energy_loss, log_energy_loss, minimal_residual_loss, residual_loss


def test_each_module_is_its_function():
    generator = torch.Generator().manual_seed(0)
    root, f, x = (torch.randn(*shape, dtype=torch.float64, generator=generator) for shape in ((6, 6), (3, 6), (3, 6)))
    A = root @ root.T + torch.eye(6, dtype=torch.float64)
    Af, b = f @ A, x @ A
    assert torch.equal(Energy()(f, Af, b, x), energy_loss(f, Af, b, x))
    assert torch.equal(LogEnergy()(f, Af, b, x), log_energy_loss(f, Af, b, x))
    assert torch.equal(Residual()(f, Af, b), residual_loss(f, Af, b))
    assert torch.equal(MinimalResidual()(f, Af, b), minimal_residual_loss(f, Af, b))
    for loss in (Energy(), LogEnergy()):
        assert loss.needs_solution
        with pytest.raises(ValueError, match="use Residual or MinimalResidual"):
            loss(f, Af, b)
