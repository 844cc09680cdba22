"""A grid of exact candidate lists: which segments can be nearest to some point of a cell.

The list of a cell with centre g, half-widths h and half-diagonal ρ keeps segment k if
d_k ≤ d_j + min(2ρ, Σ_i |n_k − n_j|_i h_i + ρ²/(2 d_j)), with d = dist(g, ·), n its gradient and j the nearest at g.
The second bound follows from d_k(x) ≥ d_k + n_k·(x − g) (convexity) and |x − c_j| ≤ d_j + n_j·(x − g) + ρ²/(2 d_j);
lists shrink with h instead of √h. Lists of a cell's children are filtered from its own, so building is top-down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from torch import Tensor

from pdeflow.geometry.segments import closest_on_segment, nearest_by_brute_force, offsets

WIDER, WIDEST = 8.0, 50.0  # margins of the grids for points farther away; brute force beyond the last
QUERIES_AT_ONCE = 1 << 13  # the working set of one chunk stays in the second-level cache


@dataclass(frozen=True, eq=False)
class CandidateGrid:
    """Nearest-segment queries in the plane by one table look-up and a few point-segment distances.

    Attributes:
        table: Segment table (`segments.segment_table`), shape (5, m).
        lower: Lower corner of the grid, shape (2,).
        width: Cell widths, shape (2,).
        shape: Cells per axis.
        first: Where each cell's list begins in `lists`, shape (cells + 1,), int64; cells run in "ij" order.
        lists: Concatenated candidate lists, segment ids, int32.
        centre_distance: Distance from each cell's centre to the segments, shape (cells,).
        margin: Width of the grid beyond the segments on every side, over their longer extent.
    """

    table: Tensor
    lower: Tensor
    width: Tensor
    shape: tuple[int, int]
    first: Tensor
    lists: Tensor
    centre_distance: Tensor
    margin: float

    @classmethod
    def build(
        cls, table: Tensor, cells: int = 64, margin: float = 0.1, mean: float = 8.0, most: int = 1024
    ) -> CandidateGrid:
        """Build the lists, doubling the resolution until they are short.

        Args:
            table: Segment table, shape (5, m).
            cells: Least number of cells along the longer axis.
            margin: Extra width on every side, as a fraction of the longer extent.
            mean: Mean list length to reach.
            most: Largest number of cells along the longer axis; bounds memory when lists cannot shrink.

        Returns:
            The grid.
        """
        ends = torch.cat([table[0:2], table[0:2] + table[2:4]], dim=1)
        lower, upper = ends.amin(dim=1), ends.amax(dim=1)
        longest = float((upper - lower).max())
        lower, upper = lower - margin * longest, upper + margin * longest
        shape = [max(math.ceil(8 * float(w) / float((upper - lower).max())), 1) for w in upper - lower]
        slack = 1e-13 * longest + 1e-14 * float(ends.abs().max())  # rounding of the distances
        count = shape[0] * shape[1]
        cell = torch.arange(count).repeat_interleave(table.shape[1])
        segment = torch.arange(table.shape[1]).repeat(count)
        while True:
            width = (upper - lower) / table.new_tensor(shape)
            cell, segment, nearest = _filter(cell, segment, table, lower, width, shape, slack)
            if max(shape) >= cells and (len(cell) <= mean * len(nearest) or 2 * max(shape) > most):
                break
            cell, segment = _split(cell, segment, shape)
            shape = [2 * n for n in shape]
        order = cell.argsort(stable=True)
        first = torch.zeros(len(nearest) + 1, dtype=torch.int64)
        torch.cumsum(torch.bincount(cell, minlength=len(nearest)), 0, out=first[1:])
        return cls(table, lower, width, (shape[0], shape[1]), first, segment[order].int(), nearest, margin)

    def to(self, device: torch.device | str) -> CandidateGrid:
        """Return the same grid with its tables on another device.

        Args:
            device: Where queries are going to run.
        """
        tensors = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("shape", "margin")}
        return replace(self, **{name: tensor.to(device) for name, tensor in tensors.items()})

    @property
    def mean_length(self) -> float:
        """Mean number of candidates of a cell."""
        return len(self.lists) / (len(self.first) - 1)

    def centres(self) -> Tensor:
        """Return the centres of all cells, shape (cells, 2), in the order of `first`."""
        steps = [torch.arange(n, dtype=torch.float64, device=self.lower.device) + 0.5 for n in self.shape]
        return self.lower + torch.cartesian_prod(*steps) * self.width

    def cell(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cell of every point, clamped to the grid, and whether the point lies in the grid.

        Args:
            x: Points, shape (n, 2).

        Returns:
            Cell ids, shape (n,), int64, and a mask, shape (n,).
        """
        u0, u1 = ((x[:, k] - self.lower[k]).div_(self.width[k]) for k in (0, 1))
        n0, n1 = self.shape
        within = (u0 >= 0) & (u0 < n0) & (u1 >= 0) & (u1 < n1)
        u0, u1 = u0.nan_to_num_(0.0), u1.nan_to_num_(0.0)  # such points count as outside and keep their NaN
        return u0.clamp_(0, n0 - 1).long().mul_(n1).add_(u1.clamp_(0, n1 - 1).long()), within

    def nearest(self, x: Tensor) -> Tensor:
        """Return the nearest segment of every point, inside the grid or not.

        Args:
            x: Points, shape (n, 2), float64.

        Returns:
            Segment ids, shape (n,), int64.
        """
        x = x.detach()
        cell, within = self.cell(x)
        start = self.first[cell]
        length = self.first[cell + 1] - start
        if bool(within.all()):
            return self._search(x, start, length)
        found = torch.empty_like(cell)
        found[within] = self._search(x[within], start[within], length[within])
        found[~within] = self._nearest_outside(x[~within])
        return found

    def closest(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the closest points on the segments; differentiable in x.

        Args:
            x: Points, shape (n, 2), float64.

        Returns:
            The closest points, shape (n, 2), their parameters t in [0, 1] and segment ids, shape (n,).
        """
        segment = self.nearest(x)
        return *closest_on_segment(x, self.table[:, segment]), segment

    def _nearest_outside(self, x: Tensor) -> Tensor:
        return nearest_by_brute_force(x, self.table) if self.margin > WIDEST else self._wider.nearest(x)

    @cached_property
    def _wider(self) -> CandidateGrid:
        """A grid of the same segments with a larger margin, for points outside this one."""
        grid = CandidateGrid.build(self.table.cpu(), margin=WIDER * self.margin, mean=32.0, most=256)
        return grid.to(self.table.device)

    def _search(self, x: Tensor, start: Tensor, length: Tensor) -> Tensor:
        """Run down the lists of all points together, longest lists first, so that no list is padded."""
        found = torch.empty_like(start)
        order = length.argsort(descending=True)
        for i in range(0, len(x), QUERIES_AT_ONCE):
            part = order[i : i + QUERIES_AT_ONCE]
            x0, x1, head, left = x[part, 0], x[part, 1], start[part], length[part]
            longest = int(left[0])
            running = len(part) - torch.bincount(left, minlength=longest).cumsum(0)  # lists longer than k
            best = torch.full_like(x0, math.inf)
            which = torch.zeros(len(part), dtype=torch.int32, device=x.device)
            for k, m in enumerate(running[:longest].tolist()):
                candidate = self.lists[head[:m] + k]
                d0, d1 = offsets(x0[:m], x1[:m], self.table.index_select(1, candidate))
                square = d0.square_().addcmul_(d1, d1)
                which[:m] = torch.where(square < best[:m], candidate, which[:m])
                torch.minimum(best[:m], square, out=best[:m])
            found[part] = which.long()
        return found

    def lower_bound(self, x: Tensor) -> Tensor:
        """Return a number between zero and the distance to the segments, by one look-up.

        Args:
            x: Points, shape (n, 2).

        Returns:
            max(d_g − |x − g|, 0) inside the grid, the distance to the box of the segments outside, shape (n,).
        """
        cell, within = self.cell(x.detach())
        n1 = self.shape[1]
        centre = self.lower + (torch.stack([cell // n1, cell % n1], dim=1).double() + 0.5) * self.width
        inner = self.centre_distance[cell] - (x - centre).norm(dim=1)
        ends = torch.cat([self.table[0:2], self.table[0:2] + self.table[2:4]], dim=1)
        outer = torch.maximum(ends.amin(dim=1) - x, x - ends.amax(dim=1)).clamp(min=0).norm(dim=1)
        rounding = 1e-15 * (ends.abs().max() + x.detach().abs().amax(dim=1))
        return (torch.where(within, inner, outer) - rounding).clamp(min=0)


def _filter(
    cell: Tensor, segment: Tensor, table: Tensor, lower: Tensor, width: Tensor, shape: list[int], slack: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Drop the (cell, segment) pairs that cannot hold a nearest one; return the rest and the distance at centres."""
    count = shape[0] * shape[1]
    g0 = lower[0] + ((cell // shape[1]).double() + 0.5) * width[0]  # integers + 0.5 would be float32
    g1 = lower[1] + ((cell % shape[1]).double() + 0.5) * width[1]
    d0, d1 = offsets(g0, g1, table.index_select(1, segment))
    d = torch.hypot(d0, d1)
    nearest = d.new_full((count,), math.inf).scatter_reduce_(0, cell, d, "amin")
    first = torch.empty(count, dtype=torch.int64)
    hit = (d == nearest[cell]).nonzero()[:, 0]
    first[cell[hit]] = hit  # any pair that attains the minimum
    n0, n1 = (torch.where(d > 0, r / d, 0.0) for r in (d0, d1))  # 0 is a subgradient on the segment
    half = 0.5 * width
    reach = float(half.norm())
    turn = (n0 - n0[first][cell]).abs() * half[0] + (n1 - n1[first][cell]).abs() * half[1]
    bound = (turn + reach**2 / (2 * nearest[cell])).clamp(max=2 * reach)
    keep = d <= nearest[cell] + bound + slack
    return cell[keep], segment[keep], nearest


def _split(cell: Tensor, segment: Tensor, shape: list[int]) -> tuple[Tensor, Tensor]:
    """Hand the lists of every cell on to its four halves along both axes."""
    i, j = cell // shape[1], cell % shape[1]
    children = [(2 * i + a) * (2 * shape[1]) + 2 * j + b for a in (0, 1) for b in (0, 1)]
    return torch.cat(children), segment.repeat(4)
