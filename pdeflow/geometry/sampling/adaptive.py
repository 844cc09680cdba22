"""Points where the residual is large: a distribution by the residual (RAD), and retain-resample-release (R3).

Wu, Zhu, Tan, Kartha and Lu, Comput. Methods Appl. Mech. Eng. 403 (2023) 115671, eq. (2) (RAD); Daw, Bu, Wang,
Perdikaris and Karpatne, ICML (2023), Algorithm 1 (R3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.sampling.point_set import PointSet

Residual = Callable[[Tensor], Tensor]
"""Residual at coordinates (n, d), or (n, d + 1) with the time last; returns (n,) or (n, C)."""


class Adaptive(Protocol):
    """How a sampler replaces its interior points."""

    def __call__(
        self,
        draw: Callable[[int], PointSet],
        count: int,
        residual: Residual,
        previous: PointSet | None,
        generator: torch.Generator,
    ) -> PointSet:
        """Return `count` points; `draw(n)` gives n uniform ones, `previous` are those of the last round."""


def residual_size(residual: Residual, points: PointSet) -> Tensor:
    """Return the Euclidean norm of the residual at each point, shape (n,), float64, detached.

    Args:
        residual: The residual.
        points: Where to evaluate it.

    Raises:
        UsageError: If it gives another number of values, or values that are not finite.
    """
    value = residual(points.coordinates()).detach().double()
    if value.shape[:1] != (len(points),) or value.ndim > 2 or not bool(value.isfinite().all()):
        raise UsageError(
            f"the residual must return {len(points)} finite values or rows, got shape {tuple(value.shape)} with "
            f"{int((~value.isfinite()).sum())} not finite"
        )
    return value.abs() if value.ndim == 1 else value.norm(dim=1)


@dataclass(frozen=True)
class RAD:
    """Draw from p ∝ ε^k / E[ε^k] + c, with weights that keep Σ w f unbiased for the integral of any f.

    Attributes:
        k: Power of the residual ε, dimensionless; larger is greedier.
        c: Share of uniform points, relative; 0 starves regions of small residual and makes weights unbounded.
        pool: Candidates per point.
    """

    k: float = 1.0
    c: float = 1.0
    pool: int = 8

    def __post_init__(self) -> None:
        if self.k < 0 or self.c < 0 or self.pool < 1:
            raise UsageError(
                f"RAD needs k >= 0, c >= 0 and pool >= 1, got {self.k}, {self.c} and {self.pool}"
            )

    def probability(self, size: Tensor) -> Tensor:
        """Return the probability of each candidate.

        Args:
            size: Residual ε, shape (n,), not negative.

        Returns:
            Shape (n,), sums to one; uniform where all residuals vanish.

        Reference: Wu et al., eq. (2).
        """
        power = size.pow(self.k)
        mean = power.mean()
        relative = power / mean if float(mean) > 0 else torch.ones_like(power)
        density = relative + self.c
        return density / density.sum()

    def __call__(
        self,
        draw: Callable[[int], PointSet],
        count: int,
        residual: Residual,
        previous: PointSet | None,
        generator: torch.Generator,
    ) -> PointSet:
        """Draw `count` points of a pool by systematic sampling; w = (weight in the pool) / (n p).

        Args:
            draw: Gives uniform points.
            count: Number of points n.
            residual: The residual.
            previous: Not used.
            generator: Source of randomness.

        Raises:
            UsageError: If the residual returns something else than finite values.
        """
        pool = draw(self.pool * count)
        probability = self.probability(residual_size(residual, pool))
        total = probability.cumsum(dim=0)
        start = torch.rand(1, generator=generator, dtype=torch.float64)
        marks = (torch.arange(count) + start) / count * total[-1]
        chosen = torch.searchsorted(total, marks, right=True).clamp(max=len(pool) - 1)
        points = pool.subset(chosen)
        return replace(points, w=points.w / (count * probability[chosen]))


@dataclass(frozen=True)
class R3:
    """Retain the points whose residual exceeds the mean, draw the others anew.

    The weights stay equal: points gather where the residual is large, on purpose, and Σ w f is biased towards there.
    """

    def __call__(
        self,
        draw: Callable[[int], PointSet],
        count: int,
        residual: Residual,
        previous: PointSet | None,
        generator: torch.Generator,
    ) -> PointSet:
        """Return retained points followed by fresh ones.

        Args:
            draw: Gives uniform points.
            count: Number of points.
            residual: The residual.
            previous: Points of the last round; None draws all anew.
            generator: Not used beyond `draw`.

        Raises:
            UsageError: If the residual returns something else than finite values.
        """
        fresh = draw(count)
        if previous is None:
            return fresh
        size = residual_size(residual, previous)
        kept = previous.subset(size > size.mean())
        return kept.concat(fresh.subset(torch.arange(count - len(kept))))
