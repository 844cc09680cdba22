"""Domains moved by a similarity: rotated, enlarged and shifted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.domain.domain import Bounds, Domain
from pdeflow.geometry.domain.draw import Method
from pdeflow.geometry.domain.results import Hit, Projection, check_points


def rotation_matrix(rotation: float | Tensor, dim: int) -> Tensor:
    """Return a rotation of R^dim as a matrix.

    Args:
        rotation: Angle in radians (2-D only) or matrix, shape (dim, dim).
        dim: Dimension.

    Returns:
        Matrix, shape (dim, dim), float64.

    Raises:
        UsageError: If it is no rotation of R^dim.
    """
    matrix = torch.as_tensor(rotation, dtype=torch.float64)
    if matrix.ndim == 0 and dim == 2:
        c, s = math.cos(matrix), math.sin(matrix)
        return torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    if matrix.shape != (dim, dim):
        raise UsageError(
            f"a rotation in {dim}-D must be a matrix ({dim}, {dim}), got shape {tuple(matrix.shape)}"
        )
    defect = float((matrix @ matrix.T - torch.eye(dim, dtype=torch.float64)).abs().max())
    if not (defect < 1e-10 and torch.linalg.det(matrix) > 0):
        raise UsageError(
            f"a rotation matrix must be orthogonal with determinant 1; |R Rᵀ − I| is {defect:.2g}"
        )
    return matrix


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
        check_points(x, len(self.shift), "domain")
        return (x - self.shift.to(x)) @ (self.rotation.to(x) / self.factor)

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

    def closest(self, x: Tensor, tags: str | Sequence[str] | None = None) -> Projection:
        """Return the closest points on some parts of the boundary.

        Args:
            x: Points, shape (n, d).
            tags: Names of the parts; all if None.

        Raises:
            UsageError: If a tag is unknown.
        """
        return self._projection(self.original.closest(self._back(x), tags))

    def _projection(self, found: Projection) -> Projection:
        normal = found.normal @ self.rotation.to(found.normal).T
        return Projection(
            self._forth(found.point), self.factor * found.distance, normal, found.facet, found.tag
        )

    def intersect(self, x: Tensor, direction: Tensor, tmax: float = math.inf) -> Hit:
        """Follow rays to the boundary.

        Args:
            x: Origins, shape (n, d).
            direction: Directions, shape (n, d) or (d,).
            tmax: Longest length to follow.

        Raises:
            UsageError: If shapes differ or a direction is zero.
        """
        turned = direction.double() @ self.rotation
        found = self.original.intersect(self._back(x), turned, tmax / self.factor)
        normal = found.normal @ self.rotation.T
        return replace(found, t=self.factor * found.t, point=self._forth(found.point), normal=normal)

    def measure(self) -> float:
        """Return the length, area or volume."""
        return self.factor**self.dim * self.original.measure()

    def boundary_measure(self, tag: str | None = None) -> float:
        """Return the perimeter or surface area.

        Args:
            tag: Name of a part; all if None.

        Raises:
            UsageError: If the tag is unknown.
        """
        return self.factor ** (self.dim - 1) * self.original.boundary_measure(tag)

    def sample_interior(self, count: int, method: Method = "random", *, generator: torch.Generator) -> Tensor:
        """Draw uniformly distributed points.

        Args:
            count: Number of points.
            method: "random" or "sobol".
            generator: Source of randomness.

        Raises:
            UsageError: If the domain is unbounded.
        """
        return self._forth(self.original.sample_interior(count, method, generator=generator))

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
            UsageError: If a tag is unknown or the boundary is unbounded.
        """
        return self._forth(self.original.sample_boundary(count, tags, method, generator=generator))

    def _moved(self, rotation: Tensor, factor: float, shift: Tensor) -> Domain:
        new_shift = factor * rotation @ self.shift + shift
        return Moved(self.original, rotation @ self.rotation, factor * self.factor, new_shift)
