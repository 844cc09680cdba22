"""What optimizers that search along lines or need residual vectors ask of a trainer."""

from __future__ import annotations

import torch
from lightning import Trainer

from pdeflow.errors import UsageError

PRECISIONS = ("32-true", "64-true")


def needs_residuals(optimizer: torch.optim.Optimizer) -> bool:
    """Whether `step` wants a closure that returns residual vectors instead of a loss (attribute `requires_residual`)."""
    return bool(getattr(optimizer, "requires_residual", False))


def searches_lines(optimizer: torch.optim.Optimizer) -> bool:
    """Whether an optimizer compares losses or gradients of several points, so that a changed gradient corrupts its step."""
    exact = needs_residuals(optimizer) or getattr(optimizer, "needs_exact_gradients", False)
    return bool(exact) or isinstance(optimizer, torch.optim.LBFGS)


def check_protocol(optimizer: torch.optim.Optimizer, trainer: Trainer) -> None:
    """Refuse trainer settings that would corrupt the steps of an optimizer.

    Args:
        optimizer: Any optimizer; first-order ones take every setting.
        trainer: The trainer that will run it.

    Raises:
        UsageError: If gradients would be clipped, accumulated or rounded, or a residual optimizer would run on several devices.
    """
    if not searches_lines(optimizer):
        return
    found = {
        "gradient_clip_val": trainer.gradient_clip_val if trainer.gradient_clip_val else None,
        "accumulate_grad_batches": trainer.accumulate_grad_batches if trainer.accumulate_grad_batches > 1 else None,
        "precision": trainer.precision if trainer.precision not in PRECISIONS else None,
        "devices": trainer.world_size if needs_residuals(optimizer) and trainer.world_size > 1 else None,
    }
    wrong = [f"{name}={value}" for name, value in found.items() if value is not None]
    if wrong:
        raise UsageError(
            f"{type(optimizer).__name__} needs exact gradients for its line search, got {' and '.join(wrong)}; "
            f"leave {'it' if len(wrong) == 1 else 'them'} out of trainer"
        )
