"""A domain from any function that is negative inside: level sets, neural networks, formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.domain.domain import Domain
from pdeflow.geometry.domain.draw import Bounds


@dataclass(frozen=True, eq=False)
class SdfDomain(Domain):
    """Ω = {fn < 0}; its boundary has the tag "boundary".

    Attributes:
        fn: Maps points (n, d) to values (n,), negative inside; differentiable by autograd.
        bounds: (lower, upper) per axis of a box that contains Ω, in length units.
        lipschitz: Lipschitz constant of fn; 1 if exact, None if unknown (then there are no lower bounds of distances).
        exact: Whether |fn| is the distance to the boundary.
    """

    fn: Callable[[Tensor], Tensor]
    bounds: Bounds = ()  # checked below: the base class declares a property of this name
    lipschitz: float | None = None
    exact: bool = False

    def __post_init__(self) -> None:
        bounds = tuple((float(low), float(high)) for low, high in self.bounds)
        if not bounds or not all(low < high for low, high in bounds):
            raise UsageError(f"bounds must be (lower, upper) per axis with lower < upper, got {self.bounds}")
        if self.lipschitz is not None and not 0 < self.lipschitz < math.inf:
            raise UsageError(f"a Lipschitz constant must be positive and finite, got {self.lipschitz}")
        object.__setattr__(self, "bounds", bounds)
        if self.exact and self.lipschitz is None:
            object.__setattr__(self, "lipschitz", 1.0)

    @property
    def tags(self) -> tuple[str, ...]:
        """The one boundary part."""
        return ("boundary",)

    def sdf(self, x: Tensor) -> Tensor:
        """Return fn at the points.

        Args:
            x: Points, shape (n, d).

        Returns:
            Values, shape (n,).

        Raises:
            UsageError: If the points have another dimension, or fn returns another shape.
        """
        value = self.fn(self._checked(x))
        if not isinstance(value, torch.Tensor) or value.shape != x.shape[:1]:
            raise UsageError(
                f"fn must map points ({len(x)}, {self.dim}) to values ({len(x)},), got {_shape(value)}"
            )
        return value


def _shape(value: object) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
