"""True distances for a domain whose level-set function is not one: its boundary, resampled by short segments.

Triangles of a grid that φ changes sign on hold one segment each (Doi and Koide, IEICE Trans. E74 (1991), marching
tetrahedra, in the plane); its ends are moved to φ = 0 by bisection, so distances are exact up to O(h²).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.candidates import CandidateGrid
from pdeflow.geometry.domain.domain import Domain
from pdeflow.geometry.domain.draw import Bounds, Method, cube, pieces
from pdeflow.geometry.domain.results import Hit, Projection, hit
from pdeflow.geometry.segments import first_crossing, segment_table

MOST_CELLS = 1 << 23


@dataclass(frozen=True, eq=False)
class Redistanced(Domain):
    """The same region with |φ| the distance to its boundary, up to O(h²) (O(h) at corners).

    Attributes:
        original: Domain whose φ gives the sign, 2-D and bounded.
        h: Sampling width, in length units; thinner parts are lost.
    """

    original: Domain
    h: float

    def __post_init__(self) -> None:
        if self.original.dim != 2 or not math.isfinite(self.original.diameter):
            raise UsageError(f"redistance needs a bounded 2-D domain, got bounds {self.original.bounds}")
        cells = (
            math.prod((high - low) / self.h + 2 for low, high in self.original.bounds)
            if self.h > 0
            else math.inf
        )
        if not cells < MOST_CELLS:
            raise UsageError(
                f"redistance needs h > 0 with at most {MOST_CELLS} cells in the bounds, got h = {self.h}"
            )
        if self.table.shape[1] == 0:
            raise UsageError(
                f"no boundary shows at h = {self.h}; lower h or check the bounds {self.original.bounds}"
            )

    @property
    def bounds(self) -> Bounds:
        """(lower, upper) per axis."""
        return self.original.bounds

    @property
    def tags(self) -> tuple[str, ...]:
        """Boundary parts of the original."""
        return self.original.tags

    @cached_property
    def table(self) -> Tensor:
        """Segment table of the resampled boundary, shape (5, m)."""
        axes = [
            torch.arange(low - 0.75 * self.h, high + 1.5 * self.h, self.h, dtype=torch.float64)
            for low, high in self.bounds
        ]
        nodes = torch.cartesian_prod(*axes)
        with torch.no_grad():
            negative = torch.cat([self.original.sdf(part) < 0 for part in nodes.split(1 << 16)])
        node = torch.arange(len(nodes)).reshape(len(axes[0]), len(axes[1]))
        a, b, c, d = (
            part.reshape(-1) for part in (node[:-1, :-1], node[1:, :-1], node[1:, 1:], node[:-1, 1:])
        )
        corner = torch.cat([torch.stack([a, b, c], dim=1), torch.stack([a, c, d], dim=1)])  # (triangles, 3)
        inner = negative[corner]
        corner, inner = (part[inner.any(dim=1) & ~inner.all(dim=1)] for part in (corner, inner))
        lone = (
            (inner != (inner.sum(dim=1, keepdim=True) >= 2)).long().argmax(dim=1)
        )  # differs from the other two
        apex, *others = (corner.gather(1, ((lone + k) % 3)[:, None])[:, 0] for k in range(3))
        ends = [self._between(nodes[apex], nodes[other]) for other in others]
        long_enough = (ends[0] - ends[1]).norm(dim=1) > 1e-12 * self.h
        return segment_table(ends[0][long_enough], ends[1][long_enough])

    @torch.no_grad()
    def _between(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the zero of φ on each segment ab by bisection; φ changes sign on it."""
        start = self.original.sdf(a) < 0
        low, high = torch.zeros(len(a), 1, dtype=torch.float64), torch.ones(len(a), 1, dtype=torch.float64)
        for _ in range(45):
            middle = 0.5 * (low + high)
            same = ((self.original.sdf(a + middle * (b - a)) < 0) == start)[:, None]
            low, high = torch.where(same, middle, low), torch.where(same, high, middle)
        return a + 0.5 * (low + high) * (b - a)

    @cached_property
    def candidates(self) -> CandidateGrid:
        """Candidate lists of the segments."""
        return CandidateGrid.build(self.table)

    @cached_property
    def segment_tag(self) -> Tensor:
        """Number of the original's boundary part that each segment's midpoint is closest to, shape (m,), int64."""
        middle = self.table[:2] + 0.5 * self.table[2:4]
        return self.original.project(middle.T.contiguous()).tag.detach().long()

    def _segments(self, ids: list[int]) -> Tensor:
        return torch.isin(self.segment_tag, torch.tensor(ids)).nonzero()[:, 0]

    def _boundary_measure(self, ids: list[int]) -> float:
        """Return the length of the segments of some parts: error O(h²), and O(h) at each corner."""
        return float(self.table[2:4, self._segments(ids)].norm(dim=0).sum())

    def _boundary(self, count: int, ids: list[int], method: Method, generator: torch.Generator) -> Tensor:
        """Draw points of the segments of some parts, uniformly by length."""
        start, edge = self.table[:4, self._segments(ids)].split(2)
        if not edge.shape[1]:
            names = ", ".join(self.tags[i] for i in ids)
            raise UsageError(f"no boundary {names} shows at h = {self.h}; lower h")
        k, t = pieces(cube(count, 1, method, generator)[:, 0], edge.norm(dim=0))
        return (start[:, k] + t * edge[:, k]).T.contiguous()

    def sdf(self, x: Tensor) -> Tensor:
        """Return the signed distance to the segments, shape (n,); the sign is the original's.

        Args:
            x: Points, shape (n, 2).

        Raises:
            UsageError: If the points have another dimension.
        """
        x = self._checked(x).double()
        sign = torch.where(self.original.sdf(x.detach()) > 0, 1.0, -1.0)
        return sign * (x - self.candidates.closest(x)[0]).norm(dim=1)

    def distance_lower_bound(self, x: Tensor) -> Tensor:
        """Return the distance to the segments less h, at least zero, shape (n,).

        Args:
            x: Points, shape (n, 2).

        Raises:
            UsageError: If the points have another dimension.
        """
        return (self.candidates.lower_bound(self._checked(x).double()) - self.h).clamp(min=0)

    def project(self, x: Tensor) -> Projection:
        """Return the closest points of the segments; facets are segments.

        Args:
            x: Points, shape (n, 2).

        Raises:
            UsageError: If the points have another dimension.
        """
        x = self._checked(x).double()
        point, _, segment = self.candidates.closest(x)
        near = self.original.project(point.detach())
        return Projection(point, (x - point).norm(dim=1), near.normal, segment, near.tag)

    def _intersect(self, x: Tensor, v: Tensor, tmax: float) -> Hit:
        t, _ = first_crossing(x, v, self.table, 1e-12 * self.diameter)
        end = self.original.project(x + torch.where(t.isfinite(), t, 0.0)[:, None] * v)
        return hit(x, v, t, end.normal, end.tag, tmax)
