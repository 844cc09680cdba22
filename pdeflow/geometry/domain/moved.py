"""Domains moved by a similarity: rotated, enlarged and shifted."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pdeflow.geometry.domain.domain import Domain
from pdeflow.geometry.domain.draw import Bounds, Method
from pdeflow.geometry.domain.results import Hit, Projection


@dataclass(frozen=True, eq=False)
class Moved(Domain):
    """Image of a domain under x → factor · rotation · x + shift; facets and tags stay.

    Attributes:
        original: The domain before.
        rotation: Rotation matrix, shape (d, d).
        factor: Ratio of lengths, positive.
        shift: Translation, shape (d,).
    """

    original: Domain
    rotation: Tensor
    factor: float
    shift: Tensor

    def __post_init__(self) -> None:
        for name in ("exact", "lipschitz", "convex"):
            object.__setattr__(self, name, getattr(self.original, name))

    @property
    def bounds(self) -> Bounds:
        """Box round the moved box; infinite in every axis if the original is unbounded in one."""
        lower, upper = torch.tensor(self.original.bounds, dtype=torch.float64).T
        if not bool((upper - lower).isfinite().all()):
            return ((-math.inf, math.inf),) * len(self.shift)
        centre = self.factor * self.rotation @ (0.5 * (lower + upper)) + self.shift
        half = self.factor * self.rotation.abs() @ (0.5 * (upper - lower))
        return tuple(zip((centre - half).tolist(), (centre + half).tolist(), strict=True))

    @property
    def tags(self) -> tuple[str, ...]:
        """Boundary parts of the original."""
        return self.original.tags

    def _back(self, x: Tensor) -> Tensor:
        return (self._checked(x) - self.shift.to(x)) @ (self.rotation.to(x) / self.factor)

    def _forth(self, y: Tensor) -> Tensor:
        return self.factor * y @ self.rotation.to(y).T + self.shift.to(y)

    def sdf(self, x: Tensor) -> Tensor:
        """Return the original's φ scaled, shape (n,).

        Args:
            x: Points, shape (n, d).

        Raises:
            UsageError: If the points have another dimension.
        """
        return self.factor * self.original.sdf(self._back(x))

    def distance(self, x: Tensor) -> Tensor:
        """Return the distance to the boundary, shape (n,).

        Args:
            x: Points, shape (n, d).
        """
        return self.factor * self.original.distance(self._back(x))

    def distance_lower_bound(self, x: Tensor) -> Tensor:
        """Return the original's lower bound scaled, shape (n,).

        Args:
            x: Points, shape (n, d).

        Raises:
            UsageError: If φ is not exact and its Lipschitz constant is unknown.
        """
        return self.factor * self.original.distance_lower_bound(self._back(x))

    def project(self, x: Tensor) -> Projection:
        """Return the closest boundary points.

        Args:
            x: Points, shape (n, d).
        """
        return self._projection(self.original.project(self._back(x)))

    def _closest(self, x: Tensor, ids: list[int]) -> Projection:
        return self._projection(self.original._closest(self._back(x), ids))

    def _projection(self, found: Projection) -> Projection:
        normal = found.normal @ self.rotation.to(found.normal).T
        return Projection(
            self._forth(found.point), self.factor * found.distance, normal, found.facet, found.tag
        )

    def _intersect(self, x: Tensor, v: Tensor, tmax: float) -> Hit:
        found = self.original._intersect(self._back(x), v @ self.rotation, tmax / self.factor)
        normal = found.normal @ self.rotation.T
        return replace(found, t=self.factor * found.t, point=self._forth(found.point), normal=normal)

    def measure(self) -> float:
        """Return the length, area or volume."""
        return self.factor**self.dim * self.original.measure()

    def _boundary_measure(self, ids: list[int]) -> float:
        return self.factor ** (self.dim - 1) * self.original._boundary_measure(ids)

    def _interior(self, count: int, method: Method, generator: torch.Generator) -> Tensor:
        return self._forth(self.original._interior(count, method, generator))

    def _boundary(self, count: int, ids: list[int], method: Method, generator: torch.Generator) -> Tensor:
        return self._forth(self.original._boundary(count, ids, method, generator))

    def _moved(self, rotation: Tensor, factor: float, shift: Tensor) -> Domain:
        new_shift = factor * rotation @ self.shift + shift
        return Moved(self.original, rotation @ self.rotation, factor * self.factor, new_shift)
