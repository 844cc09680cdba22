"""Constructive solid geometry: union and intersection of domains.

φ = min(φ_A, φ_B) or max(φ_A, φ_B). The sign is exact; |φ| is a lower bound of the distance if those of A and B are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.domain.domain import Bounds, Domain
from pdeflow.geometry.domain.draw import Method, reject
from pdeflow.geometry.domain.results import Hit, Projection, hit, rays, tag_ids

MEASURING_POINTS, STARTING_POINTS = 1 << 14, 1 << 10


@dataclass(frozen=True, eq=False)
class Combination(Domain):
    """Union or intersection of two domains; the boundary parts keep their names, equal names become one part.

    Attributes:
        kind: "union" or "intersection".
        left: First domain A.
        right: Second domain B.
    """

    kind: Literal["union", "intersection"]
    left: Domain
    right: Domain

    exact = False

    def __post_init__(self) -> None:
        if self.left.dim != self.right.dim:
            raise UsageError(f"cannot combine a {self.left.dim}-D domain with a {self.right.dim}-D one")
        constants = [self.left.lipschitz, self.right.lipschitz]
        known = [c for c in constants if c is not None]
        object.__setattr__(self, "lipschitz", max(known) if len(known) == 2 else None)
        object.__setattr__(
            self, "convex", self.kind == "intersection" and self.left.convex and self.right.convex
        )
        if any(low >= high for low, high in self.bounds):
            raise UsageError(
                f"the two domains do not meet: their bounds are {self.left.bounds} and {self.right.bounds}"
            )

    @property
    def _sign(self) -> float:
        return 1.0 if self.kind == "union" else -1.0

    @property
    def _scale(self) -> float:
        return max(self.left._scale, self.right._scale)

    @property
    def _tolerance(self) -> float:
        return 1e-10 * (self._scale or 1.0)

    @cached_property
    def samples(self) -> Tensor:
        """Some boundary points to start searches from, shape (n, d); none if the boundary is infinite."""
        if not 0 < self.boundary_measure() < math.inf:
            return torch.zeros(0, self.dim, dtype=torch.float64)
        return self.sample_boundary(
            STARTING_POINTS, method="sobol", generator=torch.Generator().manual_seed(0)
        )

    @property
    def bounds(self) -> Bounds:
        """The box round both boxes, or what they have in common."""
        outer, inner = (min, max) if self.kind == "union" else (max, min)
        pairs = zip(self.left.bounds, self.right.bounds, strict=True)
        return tuple((outer(a[0], b[0]), inner(a[1], b[1])) for a, b in pairs)

    @property
    def tags(self) -> tuple[str, ...]:
        """Boundary parts of both, each name once."""
        return tuple(dict.fromkeys(self.left.tags + self.right.tags))

    def sdf(self, x: Tensor) -> Tensor:
        """Return min or max of both φ, shape (n,): right sign and zeros, |φ| at most the distance for exact A and B.

        Args:
            x: Points, shape (n, d).
        """
        pick = torch.minimum if self.kind == "union" else torch.maximum
        return pick(self.left.sdf(x), self.right.sdf(x))

    def distance_lower_bound(self, x: Tensor) -> Tensor:
        """Return the smaller lower bound of A and B, or |φ|/lipschitz if that is larger, shape (n,).

        Args:
            x: Points, shape (n, d).

        Raises:
            UsageError: If a Lipschitz constant is unknown.
        """
        self._known_lipschitz()
        return torch.minimum(self.left.distance_lower_bound(x), self.right.distance_lower_bound(x))

    def _on_boundary(self, x: Tensor, other: Domain) -> Tensor:
        """Tell which boundary points of one domain the other one leaves on the boundary of the combination."""
        return self._sign * other.sdf(x) >= -self._tolerance

    def _tag(self, child: Domain, tag: Tensor) -> Tensor:
        """Turn a child's tag ids into those of the combination."""
        return torch.tensor([self.tags.index(name) for name in child.tags])[tag]

    def _windowed(self, bounds: Bounds) -> Domain:
        return replace(self, left=self.left._windowed(bounds), right=self.right._windowed(bounds))

    @property
    def _pairs(self) -> tuple[tuple[Domain, Domain], ...]:
        left, right = self.left._windowed(self.bounds), self.right._windowed(self.bounds)
        return (left, right), (right, left)

    def project(self, x: Tensor) -> Projection:
        """Return boundary points close to x: the closest of A's, B's and the corner's foot points.

        Args:
            x: Points, shape (n, d).

        Returns:
            The closest points if one of A's or B's nearest points is on the boundary of both; else close ones.
        """
        from pdeflow.geometry.domain.corners import project

        return project(self, x)

    def intersect(self, x: Tensor, direction: Tensor, tmax: float = math.inf) -> Hit:
        """Follow rays from hit to hit of A and B to the first one on the boundary of the combination.

        Args:
            x: Origins, shape (n, d).
            direction: Directions, shape (n, d) or (d,).
            tmax: Longest length to follow.

        Raises:
            UsageError: If shapes differ or a direction is zero.
        """
        x, v = rays(x, direction, self.dim, "domain")
        travelled = torch.zeros(len(x), dtype=torch.float64)
        t, normal = torch.full_like(travelled, math.inf), torch.zeros_like(x)
        tag = torch.zeros(len(x), dtype=torch.int64)
        running = torch.arange(len(x))
        while len(running):
            start = x[running] + travelled[running, None] * v[running]
            hits = [child.intersect(start, v[running]) for child, _ in self._pairs]
            first = hits[1].t < hits[0].t
            length = torch.minimum(hits[0].t, hits[1].t)
            travelled[running] += length
            ahead = length.isfinite() & (travelled[running] <= tmax)
            on = [self._on_boundary(h.point, other) for h, (_, other) in zip(hits, self._pairs, strict=True)]
            done = ahead & torch.where(first, on[1], on[0])
            tags = [self._tag(child, h.tag) for h, (child, _) in zip(hits, self._pairs, strict=True)]
            t[running[done]] = travelled[running[done]]
            normal[running[done]] = torch.where(first[:, None], hits[1].normal, hits[0].normal)[done]
            tag[running[done]] = torch.where(first, tags[1], tags[0])[done]
            running = running[ahead & ~done]
        return hit(x, v, t, normal, tag, tmax)

    def boundary_measure(self, tag: str | None = None) -> float:
        """Return the perimeter or area from the share of A's and B's boundary points that stay (error near 1 %).

        Args:
            tag: Name of a part; all if None.

        Raises:
            UsageError: If the tag is unknown.
        """
        return float(self._parts(tag)[1].sum())

    def _parts(self, tags: str | Sequence[str] | None) -> tuple[list[tuple[int, str]], Tensor]:
        """Return the boundary parts (child number, name) that carry some tags, and the measure left of each."""
        wanted = [self.tags[i] for i in tag_ids(tags, self.tags)]
        parts = [(k, name) for k in (0, 1) for name in self._pairs[k][0].tags if name in wanted]
        left = [self._pairs[k][0].boundary_measure(name) for k, name in parts]
        for i, part in enumerate(parts):
            if 0 < left[i] < math.inf:
                points = self._propose(part, "sobol", torch.Generator().manual_seed(0), MEASURING_POINTS)
                share = float(self._kept(part[0], points).double().mean())
                left[i] = left[i] * share if share else 0.0
        return parts, torch.tensor(left, dtype=torch.float64)

    def _kept(self, k: int, points: Tensor) -> Tensor:
        """Tell which boundary points of a child stay; where both boundaries coincide the left one has them."""
        other = self._pairs[k][1]
        kept = self._on_boundary(points, other)
        return kept & (other.sdf(points).abs() > self._tolerance) if k else kept

    def _propose(
        self, part: tuple[int, str], method: Method, generator: torch.Generator, count: int
    ) -> Tensor:
        return self._pairs[part[0]][0].sample_boundary(count, part[1], method, generator=generator)

    def sample_boundary(
        self,
        count: int,
        tags: str | Sequence[str] | None = None,
        method: Method = "random",
        *,
        generator: torch.Generator,
    ) -> Tensor:
        """Draw points of A's and B's boundaries in proportion to their areas, keeping those on the combination's.

        Args:
            count: Number of points.
            tags: Names of the parts; all if None.
            method: "random" or "sobol".
            generator: Source of randomness.

        Raises:
            UsageError: If a tag is unknown, or nothing is left of the boundary.
        """
        parts, share = self._parts(tags)
        if not bool(share.sum() > 0):
            raise UsageError(f"nothing is left of the boundary {tags or self.tags} in the {self.kind}")
        points = [
            reject(
                n,
                partial(self._propose, part, method, generator),
                partial(self._kept, part[0]),
                f"part {part[1]}",
            )
            for n, part in zip(_apportion(count, share), parts, strict=True)
            if n
        ]
        return torch.cat(points)[torch.randperm(count, generator=generator)]


def _apportion(count: int, share: Tensor) -> list[int]:
    """Split a count in proportion to shares (largest remainders)."""
    exact = count * share / share.sum()
    numbers = exact.floor()
    rest = count - int(numbers.sum())
    numbers[(exact - numbers).argsort(descending=True)[:rest]] += 1
    return [int(n) for n in numbers]
