"""Polygons with holes: exact signed distance by a grid of candidate edges, signs by crossings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from pdeflow.errors import DataError, UsageError
from pdeflow.geometry.candidates import CandidateGrid
from pdeflow.geometry.domain.crossing import CrossingTest
from pdeflow.geometry.domain.domain import Domain
from pdeflow.geometry.domain.draw import Bounds, Method, cube, pieces
from pdeflow.geometry.domain.polygon_check import check_loops, edges, name_edges, signed_area
from pdeflow.geometry.domain.polygon_file import read_loops
from pdeflow.geometry.domain.results import Hit, Projection, hit
from pdeflow.geometry.segments import first_crossing, segment_table


@dataclass(frozen=True, eq=False)
class Polygon(Domain):
    """Region inside a simple closed loop and outside its holes.

    Edge i of a loop joins its vertices i and i + 1; edges are counted through the outer loop, then the holes. Boundary
    parts are "outer", "hole0", "hole1", … unless `edge_tags` names some edges.

    Attributes:
        vertices: Outer loop, shape (n, 2), any orientation; stored counter-clockwise.
        holes: Loops inside it, shape (k, 2) each; stored clockwise.
        edge_tags: Boundary part → edge ids, in the order the loops were given in.
    """

    vertices: Tensor
    holes: tuple[Tensor, ...] = ()
    edge_tags: Mapping[str, Sequence[int]] = field(default_factory=dict)
    _partial: dict[tuple[int, ...], tuple[Tensor, CandidateGrid]] = field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        loops = [torch.as_tensor(loop, dtype=torch.float64) for loop in (self.vertices, *self.holes)]
        check_loops(loops)
        turned = [(signed_area(loop) > 0) != (k == 0) for k, loop in enumerate(loops)]
        tags, names = name_edges([len(loop) for loop in loops], turned, self.edge_tags)
        loops = [loop.flip(0) if turn else loop.clone() for loop, turn in zip(loops, turned, strict=True)]
        kept = {name: (tags == i).nonzero()[:, 0].tolist() for i, name in enumerate(names)}
        object.__setattr__(self, "vertices", loops[0])
        object.__setattr__(self, "holes", tuple(loops[1:]))
        object.__setattr__(self, "edge_tags", {name: ids for name, ids in kept.items() if ids})

    @classmethod
    def load(cls, path: str | Path) -> Polygon:
        """Read a polygon from the line elements of an .obj file; the largest loop is the outer one.

        Args:
            path: File.

        Raises:
            UsageError: If there is no such file.
            DataError: If the lines do not close, or the loops do not bound a region.
        """
        loops = read_loops(path)
        try:
            return cls(loops[0], tuple(loops[1:]))
        except UsageError as error:
            raise DataError(f"{Path(path).name}: {error}") from None

    @cached_property
    def loops(self) -> tuple[Tensor, ...]:
        """Outer loop and holes."""
        return (self.vertices, *self.holes)

    @cached_property
    def bounds(self) -> Bounds:
        """(lower, upper) per axis."""
        lower, upper = self.vertices.amin(dim=0).tolist(), self.vertices.amax(dim=0).tolist()
        return ((lower[0], upper[0]), (lower[1], upper[1]))

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """Names of the boundary parts."""
        return tuple(self.edge_tags)

    @cached_property
    def edge_tag(self) -> Tensor:
        """Index into `tags` of every edge, shape (m,), int64."""
        tag = torch.empty(sum(map(len, self.loops)), dtype=torch.int64)
        for i, ids in enumerate(self.edge_tags.values()):
            tag[list(ids)] = i
        return tag

    @cached_property
    def table(self) -> Tensor:
        """Segment table of the edges, shape (5, m)."""
        return segment_table(*edges(self.loops))

    @cached_property
    def edge_normal(self) -> Tensor:
        """Outward unit normals of the edges, shape (m, 2)."""
        normal = torch.stack([self.table[3], -self.table[2]], dim=1)
        return normal / normal.norm(dim=1, keepdim=True)

    @cached_property
    def candidates(self) -> CandidateGrid:
        """Candidate lists of all edges."""
        return CandidateGrid.build(self.table)

    @cached_property
    def _crossing(self) -> CrossingTest:
        return CrossingTest.build(self.table)

    @cached_property
    def _cell_side(self) -> Tensor:
        """Side of each cell of the candidate grid: −1 inside, +1 outside, 0 if an edge may pass."""
        grid = self.candidates
        centres = grid.centres()
        clear = grid.centre_distance > 0.500001 * grid.width.norm()
        side = torch.zeros(len(centres), dtype=torch.float64)
        side[clear] = torch.where(self._crossing.inside(centres[clear]), -1.0, 1.0).double()
        return side

    def side(self, x: Tensor) -> Tensor:
        """Return −1 inside and +1 outside, shape (n,), without distances; points on an edge may go either way.

        Args:
            x: Points, shape (n, 2).
        """
        x = self._checked(x).detach().double()
        cell, within = self.candidates.cell(x)
        side = torch.where(within, self._cell_side[cell], 1.0)
        mixed = (side == 0).nonzero()[:, 0]
        side[mixed] = torch.where(self._crossing.inside(x[mixed]), -1.0, 1.0).double()
        return side

    def sdf(self, x: Tensor) -> Tensor:
        """Return the exact signed distance, shape (n,), float64; twice differentiable off edges and medial axis.

        Args:
            x: Points, shape (n, 2).

        Raises:
            UsageError: If the points have another dimension.
        """
        return self.side(x) * self.distance(x)

    def distance(self, x: Tensor) -> Tensor:
        """Return the exact distance to the boundary, shape (n,), float64.

        Args:
            x: Points, shape (n, 2).

        Raises:
            UsageError: If the points have another dimension.
        """
        x = self._checked(x).double()
        return (x - self.candidates.closest(x)[0]).norm(dim=1)

    def distance_lower_bound(self, x: Tensor) -> Tensor:
        """Return a lower bound of the distance by one table look-up, shape (n,); sharp far from the boundary.

        Args:
            x: Points, shape (n, 2).

        Raises:
            UsageError: If the points have another dimension.
        """
        return self.candidates.lower_bound(self._checked(x).double())

    def project(self, x: Tensor) -> Projection:
        """Return the closest boundary points; facets are edges.

        Args:
            x: Points, shape (n, 2).

        Raises:
            UsageError: If the points have another dimension.
        """
        x = self._checked(x).double()
        point, t, edge = self.candidates.closest(x)
        off = x - point
        distance = off.norm(dim=1)
        corner = ((t == 0) | (t == 1)) & (distance > 1e-12 * self.diameter)
        away = off * (self.side(x) / distance.clamp(min=1e-300))[:, None]
        normal = torch.where(corner[:, None], away, self.edge_normal[edge])
        return Projection(point, distance, normal, edge, self.edge_tag[edge])

    def _closest(self, x: Tensor, ids: list[int]) -> Projection:
        wanted, x = tuple(sorted(ids)), x.double()
        if wanted not in self._partial:
            edge = self._edges(ids)
            self._partial[wanted] = (edge, CandidateGrid.build(self.table[:, edge].contiguous()))
        edges_left, grid = self._partial[wanted]
        point, _, edge = grid.closest(x)
        edge = edges_left[edge]
        return Projection(point, (x - point).norm(dim=1), self.edge_normal[edge], edge, self.edge_tag[edge])

    def _intersect(self, x: Tensor, v: Tensor, tmax: float) -> Hit:
        t, edge = first_crossing(x, v, self.table, 1e-12 * self.diameter)
        return hit(x, v, t, self.edge_normal[edge], self.edge_tag[edge], tmax)

    def measure(self) -> float:
        """Return the area, by the shoelace formula."""
        return sum(signed_area(loop) for loop in self.loops)

    def _edges(self, ids: list[int]) -> Tensor:
        return torch.isin(self.edge_tag, torch.tensor(ids)).nonzero()[:, 0]

    def _boundary_measure(self, ids: list[int]) -> float:
        return float(self.table[2:4, self._edges(ids)].norm(dim=0).sum())

    def _boundary(self, count: int, ids: list[int], method: Method, generator: torch.Generator) -> Tensor:
        start, edge = self.table[:4, self._edges(ids)].split(2)
        k, t = pieces(cube(count, 1, method, generator)[:, 0], edge.norm(dim=0))
        return (start[:, k] + t * edge[:, k]).T.contiguous()

    def _moved(self, rotation: Tensor, factor: float, shift: Tensor) -> Domain:
        loops = [factor * loop @ rotation.T + shift for loop in self.loops]
        return Polygon(loops[0], tuple(loops[1:]), self.edge_tags)
