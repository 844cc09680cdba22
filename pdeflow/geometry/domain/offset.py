"""Domains grown or shrunk by a distance."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.domain.domain import Domain
from pdeflow.geometry.domain.draw import Bounds


@dataclass(frozen=True, eq=False)
class Offset(Domain):
    """{φ < width}: exact if the original is exact and convex and grows, else with lower bounds of the distance only.

    Attributes:
        original: The domain before.
        width: Distance between the boundaries, in length units; negative shrinks.
    """

    original: Domain
    width: float

    def __post_init__(self) -> None:
        if self.width > 0 and not self.original.exact:
            raise UsageError(
                "growing a domain needs exact distances, but exact is False; call .redistance(h) first"
            )
        keeps = self.original.convex and self.original.exact
        object.__setattr__(self, "exact", keeps and self.width >= 0)
        object.__setattr__(self, "convex", keeps)
        object.__setattr__(self, "lipschitz", self.original.lipschitz)
        if any(low >= high for low, high in self.bounds):
            raise UsageError(
                f"nothing is left: offset {self.width} of a domain with bounds {self.original.bounds}"
            )

    @property
    def bounds(self) -> Bounds:
        """The original's box with its sides moved by the width (not inwards if φ is not a distance)."""
        reach = self.width if self.original.exact else 0.0
        return tuple((low - reach, high + reach) for low, high in self.original.bounds)

    @property
    def tags(self) -> tuple[str, ...]:
        """One boundary part: the original's do not carry over."""
        return ("boundary",)

    def sdf(self, x: Tensor) -> Tensor:
        """Return φ − width, shape (n,).

        Args:
            x: Points, shape (n, d).

        Raises:
            UsageError: If the points have another dimension.
        """
        return self.original.sdf(x) - self.width
