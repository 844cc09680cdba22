"""The five reference cells: corners, facets, shape functions and quadrature, in VTK's vertex order.

Zienkiewicz, Taylor, Zhu, The Finite Element Method, 6th ed., Sections 4.3 to 4.12 (P1 and Q1 families).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

CellType = Literal["line", "tri", "quad", "tet", "hex"]

_SQUARE = [[0, 0], [1, 0], [1, 1], [0, 1]]


@dataclass(frozen=True)
class ReferenceCell:
    """Combinatorics of one cell type.

    Attributes:
        name: Cell type.
        corners: Vertices in [0, 1]^dim, k entries.
        facets: Local vertex numbers of each facet; ordered so that the normal points out of the cell.
        edges: Local vertex numbers of each edge.
        facet_type: Type of the facets; "point" for a line.
        meshio: Name of the type in meshio.
        scikit_fem: Class of scikit-fem.
        from_vtk: scikit-fem's vertex i is ours number from_vtk[i].
    """

    name: CellType
    corners: list[list[int]]
    facets: list[list[int]]
    edges: list[list[int]]
    facet_type: str
    meshio: str
    scikit_fem: str
    from_vtk: list[int]

    @property
    def dim(self) -> int:
        """Dimension of the cell itself (a triangle in space has 2)."""
        return len(self.corners[0])

    @property
    def simplex(self) -> bool:
        """Whether the cell is a line, a triangle or a tetrahedron."""
        return len(self.corners) == self.dim + 1

    @property
    def mirror(self) -> list[int]:
        """Vertex order of the mirrored cell: turns an inverted cell into a valid one."""
        return {
            "line": [1, 0],
            "tri": [0, 2, 1],
            "quad": [0, 3, 2, 1],
            "tet": [0, 2, 1, 3],
            "hex": [0, 3, 2, 1, 4, 7, 6, 5],
        }[self.name]

    def shape_functions(self, xi: Tensor) -> Tensor:
        """Evaluate the P1 or Q1 basis at reference points xi, shape (..., dim); returns (..., k)."""
        if self.simplex:
            return torch.cat([1 - xi.sum(-1, keepdim=True), xi], dim=-1)
        corners = xi.new_tensor(self.corners)
        return torch.where(corners > 0, xi[..., None, :], 1 - xi[..., None, :]).prod(-1)

    def shape_gradients(self, xi: Tensor) -> Tensor:
        """Evaluate the gradients of the basis at xi, shape (..., dim); returns (..., k, dim)."""
        if self.simplex:
            rows = torch.cat([-torch.ones(1, self.dim), torch.eye(self.dim)]).to(xi)
            return rows.expand(*xi.shape[:-1], *rows.shape)
        corners = xi.new_tensor(self.corners)
        factors = torch.where(corners > 0, xi[..., None, :], 1 - xi[..., None, :])  # (..., k, dim)
        columns = []
        for axis in range(self.dim):
            others = [j for j in range(self.dim) if j != axis]
            columns.append((2 * corners[:, axis] - 1) * factors[..., others].prod(-1))
        return torch.stack(columns, dim=-1)

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Return points (q, dim) and weights (q,), exact for the mass of P1 and mapped Q1 functions.

        Simplices take the centroid (their Jacobian is constant, and so exact for P1); the others the Gauss
        rule with two points per axis, exact for degree 3 per axis: a trilinear map's determinant has degree 2.
        """
        if self.simplex:
            volume = 1.0 / math.factorial(self.dim)
            xi = torch.full((1, self.dim), 1.0 / (self.dim + 1), dtype=torch.float64)
            return xi, torch.tensor([volume], dtype=torch.float64)
        ends = [0.5 - 0.5 / math.sqrt(3.0), 0.5 + 0.5 / math.sqrt(3.0)]
        xi = torch.tensor(list(itertools.product(ends, repeat=self.dim)), dtype=torch.float64)
        return xi, torch.full((len(xi),), 0.5**self.dim, dtype=torch.float64)


_LINE = ReferenceCell("line", [[0], [1]], [[0], [1]], [[0, 1]], "point", "line", "MeshLine1", [0, 1])
_TRI = ReferenceCell(
    "tri",
    [[0, 0], [1, 0], [0, 1]],
    [[0, 1], [1, 2], [2, 0]],
    [[0, 1], [1, 2], [2, 0]],
    "line",
    "triangle",
    "MeshTri1",
    [0, 1, 2],
)
_QUAD = ReferenceCell(
    "quad",
    _SQUARE,
    [[0, 1], [1, 2], [2, 3], [3, 0]],
    [[0, 1], [1, 2], [2, 3], [3, 0]],
    "line",
    "quad",
    "MeshQuad1",
    [0, 1, 2, 3],
)
_TET = ReferenceCell(
    "tet",
    [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]],
    [[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]],
    [[0, 1], [1, 2], [0, 2], [0, 3], [1, 3], [2, 3]],
    "tri",
    "tetra",
    "MeshTet1",
    [0, 1, 2, 3],
)
_HEX = ReferenceCell(
    "hex",
    [[*xy, z] for z in (0, 1) for xy in _SQUARE],
    [[0, 3, 2, 1], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]],
    [[0, 1], [1, 2], [2, 3], [3, 0], [4, 5], [5, 6], [6, 7], [7, 4], [0, 4], [1, 5], [2, 6], [3, 7]],
    "quad",
    "hexahedron",
    "MeshHex1",
    [0, 4, 3, 1, 7, 5, 2, 6],
)
REFERENCE_CELLS: dict[str, ReferenceCell] = {c.name: c for c in (_LINE, _TRI, _QUAD, _TET, _HEX)}
