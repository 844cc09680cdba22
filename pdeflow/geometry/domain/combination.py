"""Constructive solid geometry: union and intersection of domains.

φ = min(φ_A, φ_B) or max(φ_A, φ_B). The sign is exact; |φ| is a lower bound of the distance if those of A and B are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.domain import corners
from pdeflow.geometry.domain.domain import Domain
from pdeflow.geometry.domain.draw import Bounds, Method, reject
from pdeflow.geometry.domain.protocol import Kind, Region
from pdeflow.geometry.domain.results import Hit, Projection, hit

MEASURING_POINTS, STARTING_POINTS = 1 << 14, 1 << 10


@dataclass(frozen=True, eq=False)
class Combination(Domain):
    """Union or intersection of two domains; the boundary parts keep their names, equal names become one part.

    Attributes:
        kind: "union" or "intersection".
        left: First domain A.
        right: Second domain B.
    """

    kind: Kind
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
    def length_scale(self) -> float:
        """The larger one of A and B."""
        return max(self.left.length_scale, self.right.length_scale)

    @property
    def tolerance(self) -> float:
        """|φ| up to which a point counts as one of the boundary, in length units."""
        return 1e-10 * (self.length_scale or 1.0)

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

    def stays(self, x: Tensor, other: Region) -> Tensor:
        """Tell which boundary points of one domain the other one leaves on the boundary of the combination.

        Args:
            x: Boundary points of A or B, shape (n, d).
            other: The other one.
        """
        return self._sign * other.sdf(x) >= -self.tolerance

    def tag_of(self, child: Region, tag: Tensor) -> Tensor:
        """Turn a child's tag ids into those of the combination.

        Args:
            child: A or B.
            tag: Its tag ids, shape (n,).
        """
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
        return corners.project(self, x)

    def _intersect(self, x: Tensor, v: Tensor, tmax: float) -> Hit:
        """Go from hit to hit of A and B to the first one on the boundary of the combination."""
        travelled = torch.zeros(len(x), dtype=torch.float64)
        t, normal = torch.full_like(travelled, math.inf), torch.zeros_like(x)
        tag = torch.zeros(len(x), dtype=torch.int64)
        running = torch.arange(len(x))
        while len(running):
            start = x[running] + travelled[running, None] * v[running]
            hits = [child._intersect(start, v[running], math.inf) for child, _ in self._pairs]
            first = hits[1].t < hits[0].t
            length = torch.minimum(hits[0].t, hits[1].t)
            travelled[running] += length
            ahead = length.isfinite() & (travelled[running] <= tmax)
            on = [self.stays(h.point, other) for h, (_, other) in zip(hits, self._pairs, strict=True)]
            done = ahead & torch.where(first, on[1], on[0])
            tags = [self.tag_of(child, h.tag) for h, (child, _) in zip(hits, self._pairs, strict=True)]
            t[running[done]] = travelled[running[done]]
            normal[running[done]] = torch.where(first[:, None], hits[1].normal, hits[0].normal)[done]
            tag[running[done]] = torch.where(first, tags[1], tags[0])[done]
            running = running[ahead & ~done]
        return hit(x, v, t, normal, tag, tmax)

    def _boundary_measure(self, ids: list[int]) -> float:
        """Return the measure from the share of A's and B's boundary points that stay (error near 1 %)."""
        return float(self._parts(ids)[1].sum())

    def _parts(self, ids: list[int]) -> tuple[list[tuple[int, str]], Tensor]:
        """Return the boundary parts (child number, name) that carry some tags, and the measure left of each."""
        wanted = [self.tags[i] for i in ids]
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
        kept = self.stays(points, other)
        return kept & (other.sdf(points).abs() > self.tolerance) if k else kept

    def _propose(
        self, part: tuple[int, str], method: Method, generator: torch.Generator, count: int
    ) -> Tensor:
        return self._pairs[part[0]][0].sample_boundary(count, part[1], method, generator=generator)

    def _boundary(self, count: int, ids: list[int], method: Method, generator: torch.Generator) -> Tensor:
        """Draw points of A's and B's boundaries in proportion to their areas, keeping those that stay."""
        parts, share = self._parts(ids)
        if not bool(share.sum() > 0):
            names = ", ".join(self.tags[i] for i in ids)
            raise UsageError(f"nothing is left of the boundary {names} in the {self.kind}")
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
