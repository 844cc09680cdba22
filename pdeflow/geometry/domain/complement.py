"""Complements of domains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pdeflow.geometry.domain.domain import Bounds, Domain
from pdeflow.geometry.domain.draw import Method
from pdeflow.geometry.domain.results import Hit, Projection


@dataclass(frozen=True, eq=False)
class Complement(Domain):
    """R^d without a domain; boundary parts are the domain's, normals turn round.

    Attributes:
        inner: What is left out.
    """

    inner: Domain

    def __post_init__(self) -> None:
        object.__setattr__(self, "exact", self.inner.exact)
        object.__setattr__(self, "lipschitz", self.inner.lipschitz)

    @property
    def _scale(self) -> float:
        return self.inner._scale

    @property
    def bounds(self) -> Bounds:
        """Infinite."""
        return ((-math.inf, math.inf),) * self.inner.dim

    @property
    def tags(self) -> tuple[str, ...]:
        """Boundary parts of the domain left out."""
        return self.inner.tags

    def sdf(self, x: Tensor) -> Tensor:
        """Return −φ of the domain left out, shape (n,).

        Args:
            x: Points, shape (n, d).
        """
        return -self.inner.sdf(x)

    def distance(self, x: Tensor) -> Tensor:
        """Return the distance to the boundary, shape (n,).

        Args:
            x: Points, shape (n, d).
        """
        return self.inner.distance(x)

    def distance_lower_bound(self, x: Tensor) -> Tensor:
        """Return the lower bound of the domain left out, shape (n,).

        Args:
            x: Points, shape (n, d).

        Raises:
            UsageError: If φ is not exact and its Lipschitz constant is unknown.
        """
        return self.inner.distance_lower_bound(x)

    def project(self, x: Tensor) -> Projection:
        """Return the closest boundary points.

        Args:
            x: Points, shape (n, d).
        """
        found = self.inner.project(x)
        return replace(found, normal=-found.normal)

    def closest(self, x: Tensor, tags: str | Sequence[str] | None = None) -> Projection:
        """Return the closest points on some parts of the boundary.

        Args:
            x: Points, shape (n, d).
            tags: Names of the parts; all if None.

        Raises:
            UsageError: If a tag is unknown.
        """
        found = self.inner.closest(x, tags)
        return replace(found, normal=-found.normal)

    def intersect(self, x: Tensor, direction: Tensor, tmax: float = math.inf) -> Hit:
        """Follow rays to the boundary.

        Args:
            x: Origins, shape (n, d).
            direction: Directions, shape (n, d) or (d,).
            tmax: Longest length to follow.

        Raises:
            UsageError: If shapes differ or a direction is zero.
        """
        found = self.inner.intersect(x, direction, tmax)
        return replace(found, normal=-found.normal)

    def _windowed(self, bounds: Bounds) -> Domain:
        return Complement(self.inner._windowed(bounds))

    def measure(self) -> float:
        """Return infinity."""
        return math.inf

    def boundary_measure(self, tag: str | None = None) -> float:
        """Return the perimeter or area of the domain left out.

        Args:
            tag: Name of a part; all if None.

        Raises:
            UsageError: If the tag is unknown.
        """
        return self.inner.boundary_measure(tag)

    def sample_boundary(
        self,
        count: int,
        tags: str | Sequence[str] | None = None,
        method: Method = "random",
        *,
        generator: torch.Generator,
    ) -> Tensor:
        """Draw points of the boundary.

        Args:
            count: Number of points.
            tags: Names of the parts; all if None.
            method: "random" or "sobol".
            generator: Source of randomness.

        Raises:
            UsageError: If a tag is unknown.
        """
        return self.inner.sample_boundary(count, tags, method, generator=generator)

    def __invert__(self) -> Domain:
        return self.inner
