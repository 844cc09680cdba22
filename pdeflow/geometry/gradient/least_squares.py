"""Gradients by weighted least squares over the neighbours of each point, of degree 1 ("wls1") or 2 ("wls2").

Mavriplis, Revisiting the least-squares procedure for gradient reconstruction on unstructured meshes, AIAA 2003-3986,
eq. (3)-(5); inverse-distance weights.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from scipy import sparse
from scipy.spatial import cKDTree
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.gradient.operator import GradientOperator
from pdeflow.geometry.layouts import MeshLayout

SINGULAR = 1e-9  # smallest accepted ratio of pivots in scaled coordinates: below it 1e-10 exactness is lost
MAX_RINGS = 6


def least_squares(mesh: MeshLayout, degree: Literal[1, 2] = 2) -> GradientOperator:
    """Fit polynomials to the values within `degree` rings of cells around each point.

    Points with too few neighbours (corners) reach further, ring by ring.

    Args:
        mesh: MeshLayout whose cells fill the space.
        degree: 1 is exact on linear functions, of order 1 to 1.5; 2 is exact on quadratic functions and of order 2
            up to the boundary.

    Returns:
        Operator on the mesh's points.

    Raises:
        UsageError: If the mesh is a surface, has coincident points or too few layers of cells.

    Reference: Mavriplis (2003), eq. (3)-(5).
    """
    if mesh.dim != mesh.cell_dim:
        raise UsageError(
            f"least squares need cells that fill the space, got {mesh.cell_type} cells in {mesh.dim}-D"
        )
    pattern = neighbourhoods(mesh.adjacency(1), rings=degree, least=enough(mesh.dim, degree))
    return fit(mesh.points, *padded(pattern), degree)


def least_squares_cloud(
    points: Tensor, degree: Literal[1, 2] = 2, neighbours: int | None = None
) -> GradientOperator:
    """Fit polynomials to the values at the nearest neighbours of each point of a cloud without cells.

    Args:
        points: Points, shape (n, d).
        degree: As in `least_squares`.
        neighbours: Points per fit; twice the number of unknowns when left out.

    Returns:
        Operator on the points.

    Raises:
        UsageError: If there are fewer points than neighbours, or neighbours that fix no polynomial.
    """
    count = neighbours or max(enough(points.shape[1], degree), 4 * points.shape[1])
    if points.ndim != 2 or points.shape[0] <= count:
        raise UsageError(
            f"fits over {count} neighbours need points (n, d) with n > {count}, got {tuple(points.shape)}"
        )
    points = points.to(torch.float64)
    index = cKDTree(points.numpy()).query(points.numpy(), k=count + 1)[1]
    others = index != np.arange(len(index))[:, None]
    others[others.all(axis=1), -1] = False  # a coincident point took the place of the point itself
    index = torch.from_numpy(index[others].reshape(-1, count).astype(np.int64))
    return fit(points, index, torch.ones_like(index, dtype=torch.bool), degree)


def enough(dim: int, degree: int) -> int:
    """Return how many neighbours a fit needs: one more than its unknowns (degree 1), twice as many (degree 2)."""
    return dim + 1 if degree == 1 else 2 * (dim + dim * (dim + 1) // 2)


def neighbourhoods(adjacency: sparse.csr_array, rings: int, least: int) -> sparse.csr_array:
    """Widen one-ring neighbourhoods to some rings, and further where fewer than `least` points are in reach.

    Args:
        adjacency: Pattern (n, n) of the one-ring neighbours.
        rings: Rings around every point.
        least: Number of neighbours wanted; at most MAX_RINGS rings are searched.

    Returns:
        Pattern without diagonal.
    """
    ones = adjacency.astype(np.int32)
    step = (ones + sparse.eye_array(ones.shape[0], dtype=np.int32, format="csr")).tocsr()
    reach = step
    for _ in range(rings - 1):
        reach = _pattern(reach @ step)
    for _ in range(MAX_RINGS - rings):
        short = np.diff(reach.indptr) <= least  # the diagonal counts as one
        if not short.any():
            break
        widened = sparse.diags_array(short.astype(np.int32), dtype=np.int32).tocsr() @ reach @ step
        reach = _pattern(reach + widened)
    reach = reach.tocoo()
    keep = reach.row != reach.col
    return sparse.csr_array((reach.data[keep], (reach.row[keep], reach.col[keep])), shape=reach.shape)


def _pattern(matrix: sparse.csr_array) -> sparse.csr_array:
    matrix = matrix.tocsr()
    matrix.data[:] = 1
    return matrix


def padded(pattern: sparse.csr_array) -> tuple[Tensor, Tensor]:
    """Turn a sparsity pattern into rows of equal length.

    Returns:
        index (n, K), int64, padded with the row's own number, and mask (n, K), true on real entries.
    """
    counts = np.diff(pattern.indptr)
    mask = np.arange(max(int(counts.max(initial=0)), 1)) < counts[:, None]
    index = np.repeat(np.arange(len(counts))[:, None], mask.shape[1], axis=1)
    index[mask] = pattern.indices
    return torch.from_numpy(index), torch.from_numpy(mask)


def fit(points: Tensor, index: Tensor, mask: Tensor, degree: int) -> GradientOperator:
    """Minimise Σ_k (u_k - u_i - p_i(x_k - x_i))² / |x_k - x_i|² for all points at once by QR in scaled coordinates.

    Args:
        points: Points, shape (n, d).
        index: Neighbours, shape (n, K).
        mask: Which of them are real, shape (n, K).
        degree: 1 or 2.

    Returns:
        Operator of order `degree`: the linear part of p_i.

    Raises:
        UsageError: If points coincide or the neighbours of a point fix no polynomial.
    """
    dim = points.shape[1]
    step = points[index] - points[:, None]  # (n, K, d)
    distance = step.norm(dim=-1)
    coincident = mask & (distance == 0)
    if bool(coincident.any()):
        i, k = torch.nonzero(coincident)[0].tolist()
        raise UsageError(f"points {i} and {int(index[i, k])} coincide; merge them before taking gradients")
    radius = distance.amax(dim=1).clamp(min=torch.finfo(points.dtype).tiny)[:, None]  # (n, 1)
    weight = torch.where(mask, radius / distance.clamp(min=torch.finfo(points.dtype).tiny), 0.0)
    scaled = step / radius[..., None]
    terms = [scaled]
    if degree == 2:
        first, second = torch.triu_indices(dim, dim)
        terms.append(scaled[..., first] * scaled[..., second])
    design = weight[..., None] * torch.cat(terms, dim=-1)  # (n, K, p)
    size = design.norm(dim=1, keepdim=True).clamp(
        min=torch.finfo(points.dtype).tiny
    )  # levels anisotropic cells
    q, r = torch.linalg.qr(design / size)
    _check_pivots(r, design.shape[-1], index, mask, degree)
    wanted = torch.eye(design.shape[-1], dim, dtype=points.dtype) / size.mT  # (n, p, d): the linear part
    rows = torch.linalg.solve_triangular(r.mT, wanted, upper=False)  # R⁻ᵀ E
    coeff = (q @ rows) * (weight / radius)[..., None]  # (n, K, d)
    return GradientOperator.at_points(index, coeff.contiguous(), degree)


def _check_pivots(r: Tensor, unknowns: int, index: Tensor, mask: Tensor, degree: int) -> None:
    pivots = r.diagonal(dim1=-2, dim2=-1).abs()
    bad = torch.nonzero((pivots.amin(dim=1) < SINGULAR) | (mask.sum(dim=1) < unknowns)).flatten()
    if pivots.shape[-1] < unknowns or len(bad):
        i = int(bad[0]) if len(bad) else 0
        curve = "line" if degree == 1 else "line or conic"
        raise UsageError(
            f"the {int(mask[i].sum())} neighbours of point {i} fix no polynomial of degree {degree} (too few, or on one "
            f"{curve}); {len(bad)} of {len(mask)} points are so: refine the mesh, or use "
            f"{'avg' if degree == 1 else 'wls1 or avg'}"
        )
