"""Which points lie inside closed polygons, by counting the edges that a horizontal ray crosses.

Shimrat, Comm. ACM 5 (1962), Algorithm 112, with half-open edges: an odd number of crossings means inside.
Edges are filed by horizontal strips, so that a point meets those of its strip only; the answer is the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pdeflow.geometry.segments import PAIRS_AT_ONCE

STRIPS = 256


@dataclass(frozen=True, eq=False)
class CrossingTest:
    """Edges filed by the strips of equal height they reach into.

    Attributes:
        table: Segment table, shape (5, m).
        lower: Lower end of the lowest strip.
        height: Height of a strip.
        first: Where each strip's list begins, shape (strips + 1,), int64.
        lists: Concatenated edge ids, int64.
    """

    table: Tensor
    lower: float
    height: float
    first: Tensor
    lists: Tensor

    @classmethod
    def build(cls, table: Tensor) -> CrossingTest:
        """File the edges of closed polygons.

        Args:
            table: Segment table of all edges, shape (5, m).
        """
        ends = torch.stack([table[1], table[1] + table[3]])
        lower, upper = float(ends.min()), float(ends.max())
        count = min(table.shape[1], STRIPS)
        height = (upper - lower) / count
        low, high = ((end - lower) / height for end in (ends.amin(dim=0), ends.amax(dim=0)))
        low_strip = (low - 1e-9).floor().clamp(0, count - 1).long()  # widened: rounding must not lose an edge
        reach = (high + 1e-9).floor().clamp(0, count - 1).long() - low_strip + 1
        edge = torch.arange(table.shape[1]).repeat_interleave(reach)
        strip = low_strip[edge] + torch.arange(len(edge)) - (reach.cumsum(0) - reach)[edge]
        first = torch.zeros(count + 1, dtype=torch.int64)
        torch.cumsum(torch.bincount(strip, minlength=count), 0, out=first[1:])
        return cls(table, lower, height, first, edge[strip.argsort(stable=True)])

    def inside(self, x: Tensor) -> Tensor:
        """Return whether an odd number of edges lies to the right of each point.

        Args:
            x: Points, shape (n, 2); those on an edge may go either way.

        Returns:
            Mask, shape (n,).
        """
        x = x.detach()
        count = len(self.first) - 1
        strip = (x[:, 1] - self.lower).div(self.height).clamp(-1, count).floor().long()
        inner = ((strip >= 0) & (x[:, 1] <= self.lower + count * self.height)).nonzero()[:, 0]
        strip = strip[inner].clamp(max=count - 1)
        start = self.first[strip]
        length = self.first[strip + 1] - start
        odd = torch.zeros(len(x), dtype=torch.bool)
        step = max(PAIRS_AT_ONCE // max(int(length.max()) if len(length) else 1, 1), 1)
        for i in range(0, len(inner), step):
            part = slice(i, i + step)
            point = torch.arange(len(inner[part])).repeat_interleave(length[part])
            rank = torch.arange(len(point)) - (length[part].cumsum(0) - length[part])[point]
            edge = self.table[:, self.lists[start[part][point] + rank]]
            hits = crosses(x[inner[part]][point], edge)
            odd[inner[part]] = torch.bincount(point[hits], minlength=len(inner[part])) % 2 == 1
        return odd


def crosses(x: Tensor, edge: Tensor) -> Tensor:
    """Return whether the ray from each point in the direction of the first axis crosses each edge; broadcasts.

    Args:
        x: Points, shape (…, 2).
        edge: Columns of a segment table, shape (5, …).
    """
    a0, a1, e0, e1 = edge[:4]
    spans = (a1 > x[..., 1]) != (a1 + e1 > x[..., 1])
    return spans & ((e0 * (x[..., 1] - a1) > e1 * (x[..., 0] - a0)) == (e1 > 0))
