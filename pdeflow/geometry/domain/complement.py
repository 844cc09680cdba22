"""Complements of domains."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from pdeflow.geometry.domain.domain import Domain
from pdeflow.geometry.domain.draw import Bounds, Method
from pdeflow.geometry.domain.results import Hit, Projection

Found = TypeVar("Found", Projection, Hit)


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
    def length_scale(self) -> float:
        """That of the domain left out."""
        return self.inner.length_scale

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
        return _turned(self.inner.project(x))

    def _closest(self, x: Tensor, ids: list[int]) -> Projection:
        return _turned(self.inner._closest(x, ids))

    def _intersect(self, x: Tensor, v: Tensor, tmax: float) -> Hit:
        return _turned(self.inner._intersect(x, v, tmax))

    def _windowed(self, bounds: Bounds) -> Domain:
        return Complement(self.inner._windowed(bounds))

    def _boundary_measure(self, ids: list[int]) -> float:
        return self.inner._boundary_measure(ids)

    def _boundary(self, count: int, ids: list[int], method: Method, generator: torch.Generator) -> Tensor:
        return self.inner._boundary(count, ids, method, generator)

    def __invert__(self) -> Domain:
        return self.inner


def _turned(found: Found) -> Found:
    return replace(found, normal=-found.normal)
