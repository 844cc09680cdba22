"""Shape quality of cells: 1 for the regular one, 0 for a degenerate one, negative for an inverted one.

Knupp, Algebraic mesh quality metrics, SIAM J. Sci. Comput. 23 (2001) 193 (mean ratio); for triangles it is
4 √3 A / Σ l², for tetrahedra 12 (3 V)^(2/3) / Σ l².
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pdeflow.geometry.mesh.measures import jacobians, signed_measure
from pdeflow.geometry.mesh.protocol import MeshLike


def quality(mesh: MeshLike) -> Tensor:
    """Return the mean ratio of every cell, dimensionless, shape (m,).

    Returns:
        At most 1; quadrilaterals and hexahedra take the worst of their corners; every line that has a length
        is 1. Cells that do not fill the space (surfaces) have no sign.
    """
    if mesh.cell_type == "line":
        return torch.sign(signed_measure(mesh))
    if not mesh.reference.simplex:
        return corner_quality(mesh)
    corners = mesh.points[mesh.cells]
    pairs = torch.tensor(mesh.reference.edges)
    squares = (corners[:, pairs[:, 1]] - corners[:, pairs[:, 0]]).square().sum(dim=(1, 2))
    size = signed_measure(mesh)
    if mesh.cell_type == "tri":
        ratio = 4 * math.sqrt(3) * size
    else:
        ratio = 12 * torch.sign(size) * (3 * size.abs()) ** (2 / 3)
    return torch.where(squares > 0, ratio / squares, 0.0)


def corner_jacobians(mesh: MeshLike) -> tuple[Tensor, Tensor]:
    """Return the Jacobians at the corners of the cells and their determinants, (m, k, d, dim) and (m, k)."""
    xi = torch.tensor(mesh.reference.corners, dtype=torch.float64)
    jacobian = jacobians(mesh.points[mesh.cells], mesh.cell_type, xi)
    if mesh.cell_dim < mesh.dim:
        return jacobian, torch.linalg.det(jacobian.mT @ jacobian).clamp(min=0).sqrt()
    return jacobian, torch.linalg.det(jacobian)


def corner_quality(mesh: MeshLike) -> Tensor:
    """Return the least d |det J|^(2/d) / |J|² over the corners of each cell, with the sign of det J, (m,)."""
    jacobian, determinant = corner_jacobians(mesh)
    squares = jacobian.square().sum(dim=(-2, -1))
    ratio = mesh.cell_dim * torch.sign(determinant) * determinant.abs() ** (2 / mesh.cell_dim)
    return torch.where(squares > 0, ratio / squares, 0.0).amin(dim=1)
