"""Train through a simulator that has no derivatives: SPSA and PolyStep, which only call the loss.

SPSA: Spall, IEEE Trans. Autom. Control 37 (1992) 332, with normal directions (Malladi et al., NeurIPS 2023, definition 1).
PolyStep: softmax weights of the corners as in the package of that name; costs are divided by their spread (our choice).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

from pdeflow import seeds

Closure = Callable[[], Any]


class _DerivativeFree(Optimizer):
    """Parameters as one vector, whose loss can be asked for."""

    def __init__(self, params: ParamsT, options: dict[str, Any], seed: int) -> None:
        super().__init__(params, {**options, "seed": seed, "steps": 0})
        if len(self.param_groups) != 1:
            raise ValueError(f"{type(self).__name__} takes one parameter group, got {len(self.param_groups)}")
        self.points: list[Tensor] = self.param_groups[0]["params"]
        if any(p.is_complex() for p in self.points):
            raise ValueError(f"{type(self).__name__} needs real parameters; pass torch.view_as_real of complex ones")
        self.size = sum(p.numel() for p in self.points)

    def _normal(self, rows: int) -> Tensor:
        """Draw directions, shape (rows, size), that depend on seed and step alone, so that a resumed run draws the same."""
        group = self.param_groups[0]
        group["steps"] += 1
        generator = seeds.generator(group["seed"], seeds.NOISE, group["steps"])
        return torch.randn(rows, self.size, generator=generator, dtype=self.points[0].dtype)

    def _theta(self) -> Tensor:
        return torch.cat([p.detach().flatten().to(self.points[0].dtype).cpu() for p in self.points])

    def _set(self, theta: Tensor) -> None:
        for p, part in zip(self.points, theta.split([p.numel() for p in self.points]), strict=True):
            p.copy_(part.reshape(p.shape))

    def _loss(self, closure: Closure, theta: Tensor, move: Tensor) -> float:
        self._set(theta + move)
        try:
            loss = float(closure())
        finally:
            self._set(theta)
        if not math.isfinite(loss):
            raise ValueError(f"the loss is {loss}; lower lr or radius, or return a large finite loss where the simulator fails")
        return loss


class SPSA(_DerivativeFree):
    """θ ← θ - lr ĝ, ĝ the mean over directions z of (L(θ + ε z) - L(θ - ε z)) / (2 ε) z, with z normal.

    ĝ is unbiased for a quadratic loss; its variance grows with the number of parameters, so train few: adapters, coefficients.

    Args:
        params: Real parameters, one group.
        lr: Learning rate; for convergence it must fall, as a torch scheduler makes it.
        radius: ε, in units of the parameters.
        directions: Directions per step, two losses each.
        seed: Of the directions.

    Raises:
        ValueError: If a setting is out of range, or a loss is not finite.
    """

    def __init__(self, params: ParamsT, lr: float = 1e-2, radius: float = 1e-3, directions: int = 1, seed: int = 0) -> None:
        if lr < 0 or radius <= 0 or directions < 1:
            raise ValueError(f"SPSA needs lr >= 0, radius > 0 and directions >= 1, got {lr}, {radius}, {directions}")
        super().__init__(params, {"lr": lr, "radius": radius, "directions": directions}, seed)

    @torch.no_grad()
    def step(self, closure: Closure) -> float:  # type: ignore[override]
        """Take a step.

        Args:
            closure: Returns the loss, a number; it is called twice per direction and need not be differentiable.

        Returns:
            Mean of the losses that were seen.

        Raises:
            ValueError: If a loss is not finite.
        """
        group, theta = self.param_groups[0], self._theta()
        slope, losses = torch.zeros_like(theta), []
        for z in self._normal(group["directions"]):
            up, down = (self._loss(closure, theta, sign * group["radius"] * z) for sign in (1, -1))
            slope += (up - down) / (2 * group["radius"] * group["directions"]) * z
            losses += [up, down]
        self._set(theta - group["lr"] * slope)
        return sum(losses) / len(losses)


class PolyStep(_DerivativeFree):
    """Ask the corners of randomly turned cross-polytopes for their losses, and move towards the better ones.

    A step draws particles · dimension orthonormal directions; each particle owns `dimension` of them, and its corners v = ±q. It moves
    by lr Σ_v w_v v, w the softmax of -(L(θ + radius v) - mean) / (temperature · spread) over its corners. Unlike SPSA's its step has
    a length of at most lr per particle, whatever the size of the loss.

    Args:
        params: Real parameters, one group.
        lr: Length of a particle's step where one corner takes all the weight.
        radius: Distance of the corners that are asked, over lr.
        temperature: Dimensionless; small follows the best corner, large the slope.
        particles: Polytopes per step.
        dimension: Directions per polytope, two losses each.
        seed: Of the directions.

    Raises:
        ValueError: If a setting is out of range, the directions are more than the parameters, or a loss is not finite.
    """

    def __init__(
        self, params: ParamsT, lr: float = 0.1, radius: float = 1.0, temperature: float = 1.0, particles: int = 1, dimension: int = 4,
        seed: int = 0,
    ) -> None:  # fmt: skip
        settings = {"radius": radius, "temperature": temperature, "particles": particles, "dimension": dimension}
        if lr < 0 or min(settings.values()) <= 0:
            raise ValueError(f"PolyStep needs lr >= 0 and positive {', '.join(settings)}, got {lr} and {tuple(settings.values())}")
        super().__init__(params, {"lr": lr, **settings}, seed)
        if particles * dimension > self.size:
            raise ValueError(f"{particles} particles of {dimension} directions exceed the {self.size} parameters; take fewer")

    @torch.no_grad()
    def step(self, closure: Closure) -> float:  # type: ignore[override]
        """Take a step, as SPSA does; the closure is called 2 · particles · dimension times."""
        group, theta = self.param_groups[0], self._theta()
        count, probe = group["particles"] * group["dimension"], group["lr"] * group["radius"]
        directions = torch.linalg.qr(self._normal(count).T)[0].T
        costs = [self._loss(closure, theta, sign * probe * q) for q in directions for sign in (1, -1)]
        parts = torch.tensor(costs, dtype=theta.dtype).reshape(group["particles"], -1)
        spread = parts.std(1, correction=0, keepdim=True)
        scaled = (parts - parts.mean(1, keepdim=True)) / torch.where(spread == 0, 1.0, spread)
        weights = torch.softmax(-scaled / group["temperature"], 1).reshape(count, 2)
        self._set(theta + group["lr"] * (weights[:, 0] - weights[:, 1]) @ directions)
        return sum(costs) / len(costs)
