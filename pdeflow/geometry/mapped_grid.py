"""Structured grids on curved regions: nodes (i, j, …) at given places, with periodic axes and joined faces (seams).

Thompson, Warsi and Mastin, Numerical Grid Generation (1985), chapters II and III (O- and C-type grids, metrics).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.gradient.curvilinear import curvilinear
from pdeflow.geometry.gradient.operator import GradientOperator
from pdeflow.geometry.grid import Grid
from pdeflow.geometry.index_box import face_nodes, flatten_field, unflatten_field
from pdeflow.geometry.index_stencil import IndexStencil, Seam, index_stencil
from pdeflow.geometry.mesh import CellType, Mesh
from pdeflow.geometry.structured_mesh import structured_mesh


@dataclass(frozen=True, eq=False)
class MappedGrid:
    """Structured grid of d axes in d-dimensional space, indexing "ij".

    Attributes:
        coords: Node positions, shape (*shape, d), float64, in length units.
        periodic: Whether each axis wraps around, from the last node back to the first; all False when left out.
        tags: Names of further sets of flat node ids; the faces "x0-", "x0+", … that are neither periodic nor all
            seam are named in any case.
        seams: Faces whose nodes coincide with those of another face.
        translation: Shift of space after one turn along each periodic axis, shape (axes, d); zeros for a ring.
    """

    coords: Tensor
    periodic: tuple[bool, ...] = ()
    tags: Mapping[str, Tensor] = field(default_factory=dict)
    seams: tuple[Seam, ...] = ()
    translation: Tensor = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        coords = torch.as_tensor(self.coords, dtype=torch.float64).contiguous()
        ndim = coords.ndim - 1
        if ndim < 1 or coords.shape[-1] != ndim or min(coords.shape[:-1]) < 2:
            raise UsageError(
                f"a mapped grid needs coordinates (*shape, d) with d axes of 2 nodes or more, got {tuple(coords.shape)}"
            )
        if not bool(torch.isfinite(coords).all()):
            place = tuple(torch.nonzero(~torch.isfinite(coords))[0].tolist())
            raise UsageError(f"the grid's coordinate {place} is not finite")
        periodic = tuple(bool(p) for p in self.periodic) or (False,) * ndim
        shift = self.translation if self.translation is not None else torch.zeros(ndim, ndim)
        shift = torch.as_tensor(shift, dtype=torch.float64)
        if len(periodic) != ndim or tuple(shift.shape) != (ndim, ndim):
            raise UsageError(
                f"a grid of {ndim} axes needs as many periodic flags and translations ({ndim}, {ndim}), got "
                f"{periodic} and {tuple(shift.shape)}"
            )
        for name, value in (("coords", coords), ("periodic", periodic), ("translation", shift)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "seams", tuple(self.seams))
        object.__setattr__(self, "tags", self._all_tags())
        self._check_seams()
        self._check_folds()

    @classmethod
    def from_map(
        cls,
        function: Callable[[Tensor], Tensor],
        shape: Sequence[int],
        periodic: Sequence[bool] = (),
        tags: Mapping[str, Tensor] | None = None,
    ) -> MappedGrid:
        """Place nodes by a map of the unit cube.

        Args:
            function: Takes points of [0, 1]^d, shape (n, d), and returns their places, shape (n, d).
            shape: Nodes per axis; parameter i / (n - 1), or i / n along a periodic axis.
            periodic: Axes at whose ends the map takes the same values up to a translation, which is found from it.
            tags: As the attribute.

        Returns:
            The grid.

        Raises:
            UsageError: If the grid is folded, or the map returns another shape.
        """
        wraps = tuple(periodic) or (False,) * len(tuple(shape))
        unit = Grid(tuple(shape), ((0.0, 1.0),) * len(wraps), wraps, "node").coordinates()
        places = function(unit.reshape(-1, len(wraps)))
        if tuple(places.shape) != (unit.shape[:-1].numel(), len(wraps)):
            raise UsageError(f"the map must return points (n, {len(wraps)}), got {tuple(places.shape)}")
        middle = torch.full((1, len(wraps)), 0.5, dtype=torch.float64)
        shift = torch.zeros(len(wraps), len(wraps), dtype=torch.float64)
        for axis in (k for k, p in enumerate(wraps) if p):
            ends = middle.repeat(2, 1)
            ends[:, axis] = torch.tensor([0.0, 1.0])
            shift[axis] = function(ends).diff(dim=0)[0]
        shift[shift.abs() < 1e-12 * places.abs().max()] = 0.0  # a ring closes up to rounding
        return cls(places.reshape(unit.shape), wraps, tags or {}, translation=shift)

    @classmethod
    def from_grid(cls, grid: Grid) -> MappedGrid:
        """Take over the points of a uniform grid; a periodic axis is a translation by the side of the box."""
        shift = torch.diag(torch.tensor([high - low for low, high in grid.bounds], dtype=torch.float64))
        return cls(grid.coordinates(), grid.periodic, translation=shift)

    @property
    def shape(self) -> tuple[int, ...]:
        """Nodes per axis."""
        return tuple(self.coords.shape[:-1])

    @property
    def size(self) -> int:
        """Number of nodes."""
        return math.prod(self.shape)

    @property
    def ndim(self) -> int:
        """Number of axes d."""
        return len(self.shape)

    @property
    def dim(self) -> int:
        """Number of coordinates, equal to the number of axes."""
        return self.coords.shape[-1]

    @property
    def location(self) -> Literal["node"]:
        """Where values sit: "node"."""
        return "node"

    def coordinates(self) -> Tensor:
        """Return the node positions, shape (*shape, d), float64."""
        return self.coords

    def flatten(self, u: Tensor) -> Tensor:
        """Turn a field (..., channels, *shape) into point values (..., size, channels).

        Raises:
            UsageError: If the last axes are not those of the grid.
        """
        return flatten_field(u, self.shape)

    def unflatten(self, u: Tensor) -> Tensor:
        """Turn point values (..., size, channels) into a field (..., channels, *shape).

        Raises:
            UsageError: If the last axes are not (size, channels).
        """
        return unflatten_field(u, self.shape)

    def index_difference(self, axis: int, order: int = 2) -> IndexStencil:
        """Return the differences along an axis per unit of its index, across periodic ends and seams.

        Raises:
            UsageError: If the order is odd or the axis has fewer than order + 1 nodes.
        """
        return index_stencil(self.shape, self.periodic, self.seams, axis, order)

    def jacobian(self, order: int = 2) -> Tensor:
        """Return the derivative of coordinate l by index k in [..., k, l], shape (*shape, d, d).

        Raises:
            UsageError: As `index_difference`.
        """
        points = self.coords.reshape(-1, self.dim)
        rows = []
        for axis in range(self.ndim):
            part = self.index_difference(axis, order)
            steps = points[part.index] - points[:, None] + part.wraps[..., None] * self.translation[axis]
            rows.append((part.weight[..., None] * steps).sum(dim=1))
        return torch.stack(rows, dim=1).reshape(*self.shape, self.ndim, self.dim)

    def weights(self) -> Tensor:
        """Return quadrature weights |det J| times trapezoid factors, shape (*shape,); order 2 on smooth maps.

        Both copies of a seam node carry half of the weight.

        Raises:
            UsageError: If an axis has fewer than 3 nodes.
        """
        weights = torch.linalg.det(self.jacobian()).abs()
        for k, wraps in enumerate(self.periodic):
            if not wraps:
                weights.select(k, 0).mul_(0.5)
                weights.select(k, self.shape[k] - 1).mul_(0.5)
        return weights

    def gradient(self, order: int = 2) -> GradientOperator:
        """Return the curvilinear gradient of an even order; see `gradient.curvilinear`.

        Raises:
            UsageError: As `gradient.curvilinear.curvilinear`.
        """
        return curvilinear(self, order)

    def to_mesh(self, cell: CellType | None = None) -> Mesh:
        """Mesh the region with seam nodes merged; see `structured_mesh.structured_mesh`.

        Raises:
            UsageError: As `structured_mesh.structured_mesh`.
        """
        return structured_mesh(self, cell)[0]

    def closed_coordinates(self) -> Tensor:
        """Return the positions with the first layer of each periodic axis repeated at its end (and translated)."""
        coords = self.coords
        for axis in (k for k, p in enumerate(self.periodic) if p):
            coords = torch.cat([coords, coords.narrow(axis, 0, 1) + self.translation[axis]], dim=axis)
        return coords

    def _all_tags(self) -> dict[str, Tensor]:
        tags = {}
        joined = torch.zeros(self.size, dtype=torch.bool)
        for seam in self.seams:
            joined[seam.pairs.flatten()] = True
        for face, ids in face_nodes(self.shape, self.periodic).items():
            axis = int(face[1:-1])
            free = ~joined[ids].reshape(self.shape[:axis] + self.shape[axis + 1 :])
            for k in range(free.ndim):  # the end nodes of a seam still belong to the face beside it
                near = free.clone()
                near.narrow(k, 1, free.shape[k] - 1).logical_or_(free.narrow(k, 0, free.shape[k] - 1))
                near.narrow(k, 0, free.shape[k] - 1).logical_or_(free.narrow(k, 1, free.shape[k] - 1))
                free = near
            if bool(free.any()):
                tags[face] = ids[free.flatten()]
        return tags | {name: torch.as_tensor(ids, dtype=torch.int64) for name, ids in self.tags.items()}

    def _check_seams(self) -> None:
        faces = face_nodes(self.shape, self.periodic)
        points = self.coords.reshape(-1, self.dim)
        extent = float((points.amax(dim=0) - points.amin(dim=0)).amax())
        for seam in self.seams:
            for face, column in ((seam.first, 0), (seam.second, 1)):
                if face not in faces or not bool(torch.isin(seam.pairs[:, column], faces[face]).all()):
                    raise UsageError(
                        f"column {column} of a seam must hold nodes of face '{face}' of {list(faces)}"
                    )
            gap = (points[seam.pairs[:, 0]] - points[seam.pairs[:, 1]]).norm(dim=1)
            worst = int(gap.argmax())
            if float(gap[worst]) > 1e-8 * extent:
                raise UsageError(
                    f"seam nodes {seam.pairs[worst].tolist()} are {float(gap[worst]):.3g} apart; pair nodes that coincide"
                )

    def _check_folds(self) -> None:
        determinants = self._corner_determinants()
        sign = 1.0 if float(determinants.sum()) >= 0 else -1.0
        bad = (determinants * sign < -1e-12 * determinants.abs().max()).any(dim=-1)
        if bool(bad.any()):
            place = tuple(torch.nonzero(bad)[0].tolist())
            raise UsageError(
                f"the grid is folded: its Jacobian changes sign in {int(bad.sum())} of {bad.numel()} cells, first in "
                f"cell {place}; move the nodes of that cell"
            )

    def _corner_determinants(self) -> Tensor:
        """Return det of the cell edges at the 2^d corners of every cell, shape (*cells, 2^d)."""
        coords = self.closed_coordinates()
        counts = [n - 1 for n in coords.shape[:-1]]

        def corner(bits: Sequence[int]) -> Tensor:
            return coords[tuple(slice(bit, bit + n) for bit, n in zip(bits, counts, strict=True))]

        columns = []
        for bits in itertools.product((0, 1), repeat=self.ndim):
            edges = [
                corner([*bits[:k], 1, *bits[k + 1 :]]) - corner([*bits[:k], 0, *bits[k + 1 :]])
                for k in range(self.ndim)
            ]
            columns.append(torch.linalg.det(torch.stack(edges, dim=-2)))
        return torch.stack(columns, dim=-1)
