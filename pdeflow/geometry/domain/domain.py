"""Regions of space given by a signed distance φ, negative inside, and the queries that every one of them answers.

Shapes with closed formulas override the numerical defaults of `implicit.py`. Public methods check their
arguments; the private ones named after them take checked ones: unit directions v, and numbers of tags as ids.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.domain import arguments, implicit
from pdeflow.geometry.domain.arguments import check_points, rays, rotation_matrix, tag_ids, vector
from pdeflow.geometry.domain.draw import Bounds, Method, cube_stream, in_bounds, reject
from pdeflow.geometry.domain.protocol import Operations
from pdeflow.geometry.domain.results import Hit, Projection

UNKNOWN_LIPSCHITZ = (
    "domain.exact is False and lipschitz is unknown; pass lipschitz=... or call .redistance(h)"
)


class Domain(ABC):
    """Open set Ω ⊂ R^d with named boundary parts.

    Attributes:
        exact: Whether |φ(x)| is the distance to the boundary; if not, φ has the right sign and zeros only.
        lipschitz: Lipschitz constant of φ, dimensionless, so that |φ|/lipschitz ≤ distance; None if unknown.
        convex: Whether Ω is known to be convex.
        operations: What `|`, `&`, `~`, moves, `offset` and `redistance` make, the same for all domains.
    """

    operations: ClassVar[Operations[Domain]]

    exact: bool = True
    lipschitz: float | None = 1.0
    convex: bool = False

    @property
    @abstractmethod
    def bounds(self) -> Bounds:
        """(lower, upper) per axis of a box that contains Ω, in length units; infinite where Ω is unbounded."""

    @property
    @abstractmethod
    def tags(self) -> tuple[str, ...]:
        """Names of the boundary parts."""

    @abstractmethod
    def sdf(self, x: Tensor) -> Tensor:
        """Return φ at the points x, shape (n, d), as shape (n,); negative inside, differentiable in x."""

    @property
    def dim(self) -> int:
        """Space dimension d."""
        return len(self.bounds)

    @property
    def diameter(self) -> float:
        """Diagonal of `bounds`, in length units."""
        return math.hypot(*(high - low for low, high in self.bounds))

    @property
    def length_scale(self) -> float:
        """Length that tolerances are relative to; zero if the shape has none."""
        return self.diameter

    def inside(self, x: Tensor, tol: float = 0.0) -> Tensor:
        """Return whether φ(x) ≤ tol.

        Args:
            x: Points, shape (n, d).
            tol: Width of the layer outside that still counts; 1e-12 · diameter takes in rounded boundary points.
        """
        return self.sdf(x) <= tol

    def distance(self, x: Tensor) -> Tensor:
        """Return the distance to the boundary, shape (n,); if not exact, that to the point `project` finds.

        Args:
            x: Points, shape (n, d).
        """
        return self.sdf(x).abs() if self.exact else self.project(x).distance

    def distance_lower_bound(self, x: Tensor) -> Tensor:
        """Return a number between zero and the distance to the boundary, cheap to compute, shape (n,).

        Args:
            x: Points, shape (n, d).

        Raises:
            UsageError: If φ is not exact and its Lipschitz constant is unknown.
        """
        return self.sdf(x).abs() / (1.0 if self.exact else self._known_lipschitz())

    def _known_lipschitz(self) -> float:
        if self.lipschitz is None:
            raise UsageError(UNKNOWN_LIPSCHITZ)
        return self.lipschitz

    def _checked(self, x: Tensor) -> Tensor:
        return check_points(x, self.dim)

    def project(self, x: Tensor) -> Projection:
        """Return the closest boundary points; if not exact, boundary points x is orthogonal to.

        Args:
            x: Points, shape (n, d).
        """
        return implicit.foot_point(self, x)

    def closest(self, x: Tensor, tags: str | Sequence[str] | None = None) -> Projection:
        """Return the closest points on some parts of the boundary; normals are those of the part.

        Args:
            x: Points, shape (n, d).
            tags: Names of the parts; all if None.

        Raises:
            UsageError: If a tag is unknown, or this shape cannot tell its parts apart.
        """
        return self._closest(self._checked(x), tag_ids(tags, self.tags))

    def _closest(self, x: Tensor, ids: list[int]) -> Projection:
        self._whole(ids, "finds closest points on")
        return self.project(x)

    def _whole(self, ids: list[int], does: str) -> None:
        if len(ids) != len(self.tags):
            raise UsageError(f"{type(self).__name__} {does} its whole boundary only; leave out tags")

    def intersect(self, x: Tensor, direction: Tensor, tmax: float = math.inf) -> Hit:
        """Follow rays to the first boundary point ahead; the start itself does not count.

        Args:
            x: Origins, shape (n, d).
            direction: Directions of any length, shape (n, d) or (d,).
            tmax: Longest length to follow, in length units.

        Raises:
            UsageError: If shapes differ, a direction is zero, or φ is neither exact nor Lipschitz.
        """
        return self._intersect(*rays(x, direction, self.dim), tmax)

    def _intersect(self, x: Tensor, v: Tensor, tmax: float) -> Hit:
        return implicit.sphere_trace(self, x, v, tmax)

    def measure(self) -> float:
        """Return the length, area or volume; by 2^16 Sobol points where there is no formula (error near 1e-4)."""
        return implicit.measure(self)

    def boundary_measure(self, tag: str | None = None) -> float:
        """Return the perimeter or surface area (1 per end point in 1-D); sampled where there is no formula.

        Args:
            tag: Name of the part; all if None.

        Raises:
            UsageError: If the tag is unknown, or this shape cannot tell its parts apart.
        """
        return self._boundary_measure(tag_ids(tag, self.tags))

    def _boundary_measure(self, ids: list[int]) -> float:
        self._whole(ids, "measures")
        return implicit.boundary_measure(self)

    def sample_interior(self, count: int, method: Method = "random", *, generator: torch.Generator) -> Tensor:
        """Draw uniformly distributed points of Ω.

        Args:
            count: Number of points n.
            method: "random" or "sobol" (scrambled, low discrepancy).
            generator: Source of randomness.

        Returns:
            Points, shape (n, d), float64.

        Raises:
            UsageError: If Ω is unbounded, fills less than 1e-4 of its bounds, or the generator is a seed.
        """
        return self._interior(count, method, arguments.check_generator(generator))

    def _interior(self, count: int, method: Method, generator: torch.Generator) -> Tensor:
        draw = cube_stream(self.dim, method, generator)
        return reject(
            count, lambda n: in_bounds(draw(n), self.bounds), self.inside, f"the {type(self).__name__}"
        )

    def sample_boundary(
        self,
        count: int,
        tags: str | Sequence[str] | None = None,
        method: Method = "random",
        *,
        generator: torch.Generator,
    ) -> Tensor:
        """Draw points of the boundary, uniformly by length or area; `project` gives their normals and tags.

        Args:
            count: Number of points n.
            tags: Names of the parts; all if None.
            method: "random" or "sobol".
            generator: Source of randomness.

        Returns:
            Points, shape (n, d), float64.

        Raises:
            UsageError: If a tag is unknown, the boundary is unbounded or empty, or this shape cannot tell its parts apart.
        """
        return self._boundary(count, tag_ids(tags, self.tags), method, arguments.check_generator(generator))

    def _boundary(self, count: int, ids: list[int], method: Method, generator: torch.Generator) -> Tensor:
        self._whole(ids, "samples")
        return implicit.sample_boundary(self, count, method, generator)

    def __or__(self, other: Domain) -> Domain:
        return self.operations.combination("union", self, other)

    def __and__(self, other: Domain) -> Domain:
        return self.operations.combination("intersection", self, other)

    def __sub__(self, other: Domain) -> Domain:
        return self & ~other

    def __invert__(self) -> Domain:
        return self.operations.complement(self)

    def translate(self, shift: Sequence[float]) -> Domain:
        """Return Ω moved by a vector.

        Args:
            shift: d coordinates, in length units.

        Raises:
            UsageError: If the vector has another dimension.
        """
        return self._moved(torch.eye(self.dim, dtype=torch.float64), 1.0, vector(shift, self.dim))

    def rotate(self, rotation: float | Tensor, centre: Sequence[float] | None = None) -> Domain:
        """Return Ω turned about a point.

        Args:
            rotation: Angle in radians, counter-clockwise (2-D), or a matrix, shape (d, d).
            centre: Fixed point; the origin if None.

        Raises:
            UsageError: If the matrix is no rotation of R^d.
        """
        matrix, fixed = rotation_matrix(rotation, self.dim), vector(centre, self.dim)
        return self._moved(matrix, 1.0, fixed - matrix @ fixed)

    def scale(self, factor: float, centre: Sequence[float] | None = None) -> Domain:
        """Return Ω enlarged about a point.

        Args:
            factor: Ratio of lengths, positive, dimensionless.
            centre: Fixed point, d coordinates; the origin if None.

        Raises:
            UsageError: If the factor is not positive.
        """
        if not 0 < factor < math.inf:
            raise UsageError(f"a scale factor must be positive and finite, got {factor}")
        return self._moved(
            torch.eye(self.dim, dtype=torch.float64), factor, (1 - factor) * vector(centre, self.dim)
        )

    def offset(self, width: float) -> Domain:
        """Return {φ < width}: grown for positive widths, shrunk for negative ones.

        Args:
            width: Distance between the boundaries, in length units.
        """
        return self.operations.offset(self, float(width))

    def redistance(self, h: float) -> Domain:
        """Return Ω with the distance to its boundary resampled by segments of length h (2-D; error O(h²)).

        Args:
            h: Sampling width, in length units; thinner parts are lost.

        Raises:
            UsageError: If Ω is not 2-D, unbounded, or without boundary at this width.
        """
        return self.operations.redistanced(self, arguments.mesh_size(h))

    def _windowed(self, bounds: Bounds) -> Domain:
        """Return Ω with a finite boundary near the bounds; half-spaces override this."""
        return self

    def _moved(self, rotation: Tensor, factor: float, shift: Tensor) -> Domain:
        """Return {factor · rotation · x + shift}; shapes that stay of their kind override this."""
        return self.operations.moved(self, rotation, factor, shift)
