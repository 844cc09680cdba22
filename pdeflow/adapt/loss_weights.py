"""Choose the weights of the terms of a loss by what they do to a validation error, in one run of first-order steps.

LV-HBA: Yao et al., Constrained bi-level optimization: proximal Lagrangian value function approach, ICLR 2024 (arXiv 2401.16164),
algorithm 1; in each step λ uses the new θ, since with the old one it oscillates to the edge of its box.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Function = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Rates:
    """Step sizes of LV-HBA, those of its authors' example by default.

    Args:
        outer: α, of x and y.
        inner: η, of θ and λ.
        z: β, of z.
        proximal: γ₁ and γ₂; θ - y and λ - z cost their square over twice it.
        penalty: c₀; the upper function counts 1 / (c₀ (k + 1)^0.3) at step k, the lower one 1.
        box: Bound on |λ| and |z|.

    Raises:
        ValueError: If one is not positive.
    """

    outer: float = 0.008
    inner: float = 0.01
    z: float = 0.02
    proximal: float = 10.0
    penalty: float = 0.025
    box: float = 1000.0

    def __post_init__(self) -> None:
        if min(vars(self).values()) <= 0:
            raise ValueError(f"the rates of LV-HBA must be positive, got {vars(self)}")


@dataclass(frozen=True)
class BilevelState:
    """Where LV-HBA stands: `x`, `y`, the lower solution `theta`, multipliers `lam` and their proximal centre `z`, and `steps`."""

    x: Tensor
    y: Tensor
    theta: Tensor
    lam: Tensor
    z: Tensor
    steps: int = 0

    @classmethod
    def start(cls, x: Tensor, y: Tensor, constraints: int = 0) -> BilevelState:
        """Begin at x, shape (n,), and y, shape (m,), with some number of lower constraints."""
        none = torch.zeros(constraints, dtype=y.dtype, device=y.device)
        return cls(x.detach(), y.detach(), y.detach(), none, none)


def lv_hba_step(
    state: BilevelState, upper: Function, lower: Function, constraint: Function | None = None, *, rates: Rates | None = None,
    equality: bool = False, project: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
) -> BilevelState:  # fmt: skip
    """Take a step towards min F(x, y) over y that minimise f(x, ·) under g(x, ·) <= 0.

    Args:
        state: Where to start; it is not changed.
        upper: F, a scalar of x and y.
        lower: f, a scalar.
        constraint: g, shape (constraints,), or None.
        rates: Step sizes.
        equality: Whether the constraints are g = 0.
        project: Maps x and y to the nearest with g(x, y) <= 0, or to another set that is convex and known.

    Returns:
        The next state.

    Reference: arXiv 2401.16164, algorithm 1.
    """
    r, floor = rates or Rates(), -math.inf if equality else 0.0
    x, y, theta, lam, z = state.x, state.y, state.theta, state.lam, state.z
    value = lower if constraint is None else (lambda a, b: lower(a, b) + lam @ constraint(a, b))
    theta = theta - r.inner * (_gradients(value, x, theta)[1] + (theta - y) / r.proximal)
    if constraint is not None:
        with torch.no_grad():
            ascent = constraint(x, theta) - (lam - z) / r.proximal
        lam = (lam + r.inner * ascent).clamp(max(floor, -r.box), r.box)
    penalty = r.penalty * (state.steps + 1) ** 0.3
    both = _gradients(lambda a, b: upper(a, b) / penalty + lower(a, b), x, y)
    new_x = x - r.outer * (both[0] - _gradients(value, x, theta)[0])
    new_y = y - r.outer * (both[1] - (y - theta) / r.proximal)
    if project is not None:
        new_x, new_y = project(new_x, new_y)
    z = (z + r.z * (lam - z) / r.proximal).clamp(max(floor, -r.box), r.box)
    return BilevelState(new_x, new_y, theta, lam, z, state.steps + 1)


def tune_loss_weights(
    terms: Callable[[Tensor], Tensor], validation: Callable[[Tensor], Tensor], y: Tensor, steps: int, *, rates: Rates | None = None
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Train parameters on a weighted sum of losses, whose weights lower a validation loss.

    Args:
        terms: Losses of the parameters, shape (n,), such as residual, boundary and data; of comparable size.
        validation: Scalar loss on what the terms have not seen.
        y: Parameters, flat, shape (m,).
        steps: Steps of LV-HBA.
        rates: Step sizes.

    Returns:
        The weights, positive with mean one, shape (n,), and the parameters.

    Raises:
        ValueError: If there are fewer than two terms, or the losses cease to be finite.
    """
    count = terms(y.detach()).numel()
    if count < 2:
        raise ValueError(f"weights need at least two losses to choose between, got {count}")
    state = BilevelState.start(torch.zeros(count, dtype=y.dtype, device=y.device), y)
    for _ in range(steps):
        state = lv_hba_step(state, lambda x, y: validation(y), lambda x, y: _weights(x) @ terms(y), rates=rates)
    if not (state.y.isfinite().all() and state.x.isfinite().all()):
        raise ValueError("LV-HBA diverged; lower the rates or scale the losses to about one")
    return _weights(state.x), state.y


def _weights(x: Tensor) -> Tensor:
    return len(x) * torch.softmax(x, 0)


def _gradients(function: Function, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    a, b = x.detach().requires_grad_(), y.detach().requires_grad_()
    with torch.enable_grad():
        value = function(a, b)
    found = torch.autograd.grad(value, (a, b), allow_unused=True, materialize_grads=True)
    return found[0], found[1]
