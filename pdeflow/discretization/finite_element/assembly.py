"""Local matrices as one product: the coefficient with the cell's metric, times a table of the reference cell.

Kirby and Logg, A compiler for variational forms, ACM Trans. Math. Softw. 32 (2006) 417, section 3: the element tensor is
the contraction of a reference tensor with a geometry tensor. Here the quadrature index stays in the contraction, so that
variable coefficients and bilinear cells take the same path.
"""

from __future__ import annotations

import numpy as np

from pdeflow.discretization.finite_element.cell_tables import CellTables


def local_stiffness(space: CellTables, a: np.ndarray) -> np.ndarray:
    """Integrate a ∇φ_i·∇φ_j over each cell.

    Args:
        space: The space.
        a: Scalar (m, q) or symmetric tensor (m, q, d, d); axes of length one are constant.

    Returns:
        Entries i <= j of the local matrices, shape (m, k (k + 1) / 2).
    """
    if space.reduced and a.shape[1] > 1:
        a = cell_means(space, a)
    if a.ndim == 2 and space.reduced:
        return space.unit_stiffness * a
    if a.ndim == 2:
        weighted = space.metric * a[:, :, None]
    else:
        rows, columns = np.triu_indices(space.dim)
        flux = np.einsum("mqae,mqef->mqaf", space.inverse, a)
        pairs = np.einsum("mqpf,mqpf->mqp", flux[:, :, rows], space.inverse[:, :, columns])
        weighted = pairs * space.cell_weights[:, :, None]
    return weighted.reshape(len(space.dofs), -1) @ space.reference.stiffness


def cell_means(space: CellTables, values: np.ndarray) -> np.ndarray:
    """Average values (m, q, …) over each affine cell, shape (m, 1, …)."""
    weights = space.reference.weights / space.reference.weights.sum()
    return np.tensordot(values, weights, axes=(1, 0))[:, None]


def local_mass(space: CellTables, c: np.ndarray) -> np.ndarray:
    """Integrate c φ_i φ_j over each cell; c of shape (m, q); returns the entries i <= j, (m, k (k + 1) / 2)."""
    return (space.measure * c) @ space.reference.mass


def local_convection(space: CellTables, velocity: np.ndarray) -> np.ndarray:
    """Integrate φ_i β·∇φ_j over each cell; β of shape (m, q, d); returns (m, k²)."""
    speed = np.einsum("mqae,mqe->mqa", space.inverse, velocity * space.measure[:, :, None])
    return speed.reshape(len(space.dofs), -1) @ space.reference.convection


def local_load(space: CellTables, f: np.ndarray) -> np.ndarray:
    """Integrate f φ_i over each cell; f of shape (m, q); returns (m, k)."""
    return (space.measure * f) @ space.reference.values
