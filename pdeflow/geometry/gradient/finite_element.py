"""Gradients of the P1 or Q1 interpolant: per cell ("cell"), or averaged to the points ("avg").

Zienkiewicz and Zhu, The superconvergent patch recovery, Part 1, Int. J. Numer. Meth. Engng 33 (1992) 1331, section 2.2
(the L² projection, here with the lumped mass matrix).
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.gradient.least_squares import padded
from pdeflow.geometry.gradient.operator import GradientOperator
from pdeflow.geometry.layouts import MeshLayout


def basis_gradients(mesh: MeshLayout, xi: Tensor) -> tuple[Tensor, Tensor]:
    """Evaluate the gradients of the nodal basis in every cell.

    Args:
        mesh: MeshLayout whose cells fill the space.
        xi: Points of the reference cell, shape (q, d).

    Returns:
        Gradients, shape (m, q, k, d), and the Jacobian determinants, shape (m, q).

    Raises:
        UsageError: If the mesh is a surface or a cell has no volume.
    """
    if mesh.dim != mesh.cell_dim:
        raise UsageError(
            f"gradients need cells that fill the space, got {mesh.cell_type} cells in {mesh.dim}-D"
        )
    local = mesh.reference.shape_gradients(xi)  # (q, k, d)
    jacobian = torch.einsum("mkx,qkl->mqxl", mesh.points[mesh.cells], local)
    determinant = torch.linalg.det(jacobian)
    flat = torch.nonzero(determinant == 0)
    if len(flat):
        raise UsageError(f"cell {int(flat[0, 0])} has no volume; remove it before taking gradients")
    return torch.linalg.solve(jacobian.mT[:, :, None], local[None, ..., None]).squeeze(-1), determinant


def cell_gradient(mesh: MeshLayout) -> GradientOperator:
    """Return the gradient of the interpolant at the middle of each cell: one row per cell.

    Exact on linear functions; for simplices it is the gradient everywhere in the cell.

    Raises:
        UsageError: As `basis_gradients`.
    """
    corners = torch.tensor(mesh.reference.corners, dtype=torch.float64)
    gradients, _ = basis_gradients(mesh, corners.mean(dim=0, keepdim=True))
    coeff = gradients[:, 0, 1:].contiguous()  # Σ_k ∇φ_k = 0 gives the first vertex
    return GradientOperator(
        mesh.cells[:, 1:].contiguous(), coeff, mesh.cells[:, 0].contiguous(), mesh.n_points, 1
    )


def averaged_gradient(mesh: MeshLayout) -> GradientOperator:
    """Project the gradient of the interpolant on the nodal basis: (G u)_i = ∫ φ_i ∇u_h / ∫ φ_i.

    On simplices, the average over the cells around a point weighted by their measure. Exact on linear functions;
    order 2 in the interior of regular meshes, 1 at the boundary.

    Raises:
        UsageError: As `basis_gradients`.

    Reference: Zienkiewicz and Zhu (1992), section 2.2.
    """
    xi, weight = mesh.reference.quadrature()
    gradients, determinant = basis_gradients(mesh, xi)
    measure = determinant.abs() * weight  # (m, q)
    values = mesh.reference.shape_functions(xi)  # (q, k)
    local = torch.einsum("mq,qi,mqjd->mijd", measure, values, gradients)
    mass = torch.zeros(mesh.n_points, dtype=torch.float64)
    mass.index_add_(0, mesh.cells.flatten(), (measure @ values).flatten())
    k = mesh.cells.shape[1]
    row = mesh.cells[:, :, None].expand(-1, k, k)
    column = mesh.cells[:, None, :].expand(-1, k, k)
    off_diagonal = row != column
    local = local[off_diagonal] / mass[row[off_diagonal], None]
    return _gather(row[off_diagonal].numpy(), column[off_diagonal].numpy(), local.numpy(), mesh.n_points)


def _gather(row: np.ndarray, column: np.ndarray, data: np.ndarray, n: int) -> GradientOperator:
    """Sum entries (e, d) of equal row and column and pad the rows to one length."""
    matrices = [sparse.csr_array((part, (row, column)), shape=(n, n)) for part in data.T]
    for matrix in matrices:
        matrix.sum_duplicates()  # sorts the columns too: one pattern for all derivatives
    index, mask = padded(matrices[0])
    coeff = torch.zeros(*index.shape, len(matrices), dtype=torch.float64)
    coeff[mask] = torch.from_numpy(np.stack([matrix.data for matrix in matrices], axis=1))
    return GradientOperator.at_points(index, coeff, 1)
