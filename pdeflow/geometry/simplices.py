"""Segments, triangles and tetrahedra as arrays of corners: measures and uniformly distributed points.

Devroye, Non-Uniform Random Variate Generation (1986), section V.2: spacings of sorted uniforms are uniform barycentrics.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pdeflow.errors import UsageError

if TYPE_CHECKING:
    from pdeflow.geometry.mesh.mesh import Mesh

SPLITS: dict[str, tuple[tuple[int, ...], ...]] = {
    "line": ((0, 1),),
    "tri": ((0, 1, 2),),
    "quad": ((0, 1, 2), (0, 2, 3)),
    "tet": ((0, 1, 2, 3),),
    "hex": ((0, 1, 2, 6), (0, 2, 3, 6), (0, 3, 7, 6), (0, 7, 4, 6), (0, 4, 5, 6), (0, 5, 1, 6)),
}
"""Vertices of the simplices that make up a cell, in VTK's order, positively oriented."""


def split_cells(cells: Tensor, cell_type: str) -> tuple[Tensor, Tensor]:
    """Split cells into simplices.

    Args:
        cells: Vertex ids, shape (m, k), VTK's order.
        cell_type: "line", "tri", "quad", "tet" or "hex".

    Returns:
        Vertex ids of the simplices, shape (s, cell dimension + 1), and the cell of each, shape (s,).
    """
    split = torch.tensor(SPLITS[cell_type])
    return cells[:, split].view(-1, split.shape[1]), torch.arange(len(cells)).repeat_interleave(len(split))


def simplex_measure(corners: Tensor) -> Tensor:
    """Return lengths, areas or volumes of simplices with corners (m, k + 1, d), shape (m,)."""
    edges = corners[:, 1:] - corners[:, :1]
    k, d = edges.shape[1:]
    if k == d:
        return torch.linalg.det(edges).abs() / math.factorial(k)
    if k == 1:
        return edges[:, 0].norm(dim=1)
    return torch.linalg.det(edges @ edges.mT).clamp(min=0).sqrt() / math.factorial(k)


def points_in_simplices(corners: Tensor, u: Tensor) -> Tensor:
    """Map the unit cube to points of simplices, uniformly by measure if the points of the cube are uniform.

    Args:
        corners: Shape (m, k + 1, d).
        u: Points of [0, 1)^(k+1), shape (n, k + 1): the first coordinate chooses the simplex, the others the place.

    Returns:
        Points, shape (n, d).

    Raises:
        UsageError: If all simplices together have no measure.

    Reference: Devroye, theorem V.2.1.
    """
    total = simplex_measure(corners).cumsum(dim=0)
    if not len(total) or not float(total[-1]) > 0:
        raise UsageError(f"cannot draw points: the {len(corners)} simplices have no measure")
    which = torch.searchsorted(total, u[:, 0].contiguous() * total[-1], right=True).clamp(max=len(total) - 1)
    marks = torch.cat(
        [torch.zeros_like(u[:, :1]), u[:, 1:].sort(dim=1).values, torch.ones_like(u[:, :1])], dim=1
    )
    return (marks.diff(dim=1)[:, :, None] * corners[which]).sum(dim=1)


def mesh_simplices(mesh: Mesh) -> Tensor:
    """Return the corners (s, cell dimension + 1, d) of the simplices that make up the cells of a mesh."""
    return mesh.points[split_cells(mesh.cells, mesh.cell_type)[0]]
