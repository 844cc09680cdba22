"""How far a Gauss-Newton step goes: a line search at fixed damping, Levenberg-Marquardt, or gradient-normalised smoothness.

Müller and Zeinhofer, ICML 2023 (grid of steps); Moré, LNM 630 (1978) 105; arXiv 2506.13710.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

DampingRule = Literal["fixed", "lm", "gns"]
LineSearch = Literal["grid", "backtracking", "none"]
GRID = [2.0**-k for k in range(31)]
"""Steps that the line search compares."""
RETRIES = 8
"""Times that a fixed damping is raised tenfold where no step of the line search lowers the loss."""
TRIALS = 40
"""Trial steps of the other rules within one step."""
LEAST = 1e-10
"""Damping with which a retry starts where none was given."""
ARMIJO = 1e-4


@dataclass(frozen=True)
class Model:
    """The loss around one point.

    Attributes:
        loss: L there.
        gradient: g there, shape (P,).
        direction: Descent direction d for a damping λ > 0, shape (P,); the step is -η d.
        loss_at: L after the step -v, infinite where it is not finite.
        gradient_at: Gradient after the step -v, shape (P,).
    """

    loss: float
    gradient: Tensor
    direction: Callable[[float], Tensor]
    loss_at: Callable[[Tensor], float]
    gradient_at: Callable[[Tensor], Tensor]


def fixed(model: Model, group: dict[str, Any], state: dict[str, Any]) -> Tensor | None:
    """Search along the direction of the given damping; where no step helps, of ten times more.

    Args:
        model: The loss.
        group: "damping", "lr", "line_search".
        state: Not used.

    Returns:
        The step v (θ ← θ - v), or None where nothing lowers the loss.
    """
    damping = group["damping"]
    if group["line_search"] == "none":
        return group["lr"] * model.direction(damping)
    search = best_on_grid if group["line_search"] == "grid" else backtrack
    for _ in range(RETRIES):
        d = group["lr"] * model.direction(damping)
        eta = search(model, d)
        if eta:
            return eta * d
        damping = 10 * damping or LEAST
    return None


def best_on_grid(model: Model, d: Tensor) -> float:
    """Return the η of 1, ½, …, 2⁻³⁰ with the smallest L(θ - η d), or 0 where none lowers L."""
    losses = [model.loss_at(eta * d) for eta in GRID]
    best = min(range(len(GRID)), key=losses.__getitem__)
    return GRID[best] if losses[best] < model.loss else 0.0


def backtrack(model: Model, d: Tensor) -> float:
    """Return the first η of 1, ½, … with L(θ - η d) ≤ L - 1e-4 η gᵀd, or 0; Armijo, Pacific J. Math. 16 (1966) 1."""
    slope = float(model.gradient @ d)
    decrease = (eta for eta in GRID if model.loss_at(eta * d) <= model.loss - ARMIJO * eta * slope)
    return next(decrease, 0.0) if slope > 0 else 0.0


def levenberg_marquardt(model: Model, group: dict[str, Any], state: dict[str, Any]) -> Tensor | None:
    """Take the first trial step that lowers the loss: λ becomes λ/3 after it, and 4λ after each that does not.

    Args:
        model: The loss.
        group: First "damping" λ, "lr".
        state: Keeps λ as "damping".

    Returns:
        The step v, or None after TRIALS trials.
    """
    damping = state.get("damping", group["damping"])
    for _ in range(TRIALS):
        step = group["lr"] * model.direction(damping)
        if model.loss_at(step) < model.loss:
            state["damping"] = damping / 3
            return step
        damping *= 4
    state["damping"] = damping
    return None


def gradient_smoothness(model: Model, group: dict[str, Any], state: dict[str, Any]) -> Tensor | None:
    """Take λ = ‖g‖/γ; accept where L - L⁺ ≥ ‖g⁺‖²/(8λ), then double γ; halve it where not.

    Args:
        model: The loss.
        group: First γ as "damping", "lr".
        state: Keeps γ as "damping".

    Returns:
        The step v, or None after TRIALS trials.

    Reference: arXiv 2506.13710.
    """
    gamma, size = state.get("damping", group["damping"]), float(model.gradient.norm())
    for _ in range(TRIALS):
        damping = size / gamma
        step = group["lr"] * model.direction(damping)
        loss = model.loss_at(step)
        if math.isfinite(loss) and model.loss - loss >= float(model.gradient_at(step).square().sum()) / (8 * damping):
            state["damping"] = 2 * gamma
            return step
        gamma /= 2
    state["damping"] = gamma
    return None


RULES: dict[str, Callable[[Model, dict[str, Any], dict[str, Any]], Tensor | None]] = {
    "fixed": fixed, "lm": levenberg_marquardt, "gns": gradient_smoothness,
}  # fmt: skip


def finite_loss(residual: Tensor) -> float:
    """Return ½‖r‖², infinite where it is not finite."""
    loss = float(0.5 * torch.linalg.vector_norm(residual.detach()).square())
    return loss if math.isfinite(loss) else math.inf
