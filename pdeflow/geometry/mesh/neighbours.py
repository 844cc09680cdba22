"""Edges and neighbourhoods of a mesh: graphs for message passing, stencils and sparsity patterns."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from scipy.spatial import cKDTree
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.mesh.protocol import MeshLike
from pdeflow.geometry.mesh.topology import row_keys


def edges(mesh: MeshLike) -> Tensor:
    """Return each edge once, lower vertex first, in lexicographic order, shape (2, M)."""
    local = np.asarray(mesh.reference.edges)
    pairs = np.sort(mesh.cells.numpy()[:, local].reshape(-1, 2), axis=1)
    _, first = np.unique(row_keys(pairs, max(mesh.n_points, 1)), return_index=True)
    return torch.from_numpy(np.ascontiguousarray(pairs[first].T))


def adjacency(mesh: MeshLike, k_ring: int = 1) -> sparse.csr_array:
    """Return the pattern of vertex pairs joined through at most k_ring cells.

    Args:
        mesh: The mesh.
        k_ring: Number of cells that may lie between two vertices.

    Returns:
        Ones, shape (n, n), symmetric, without the diagonal, column indices ascending.

    Raises:
        UsageError: If k_ring is below 1.
    """
    if k_ring < 1:
        raise UsageError(f"k_ring must be at least 1, got {k_ring}")
    m, k = mesh.cells.shape
    row_ends = np.arange(0, m * k + 1, k, dtype=np.int32)
    entries = (np.ones(m * k, dtype=np.int32), mesh.cells.numpy().ravel().astype(np.int32), row_ends)
    incidence = sparse.csr_array(entries, shape=(m, mesh.n_points))
    step = (incidence.T @ incidence).tocsr()
    reach = step
    for _ in range(k_ring - 1):
        reach.data[:] = 1  # only the pattern counts, and counts could overflow
        reach = (reach @ step).tocsr()
    pairs = reach.tocoo()
    keep = pairs.row != pairs.col
    values = np.ones(int(keep.sum()))
    pattern = sparse.csr_array((values, (pairs.row[keep], pairs.col[keep])), shape=reach.shape)
    pattern.sort_indices()
    return pattern


def knn(mesh: MeshLike, k: int) -> Tensor:
    """Return the k nearest other points of every point, nearest first, shape (n, k).

    Raises:
        UsageError: If there are not k other points.
    """
    n = mesh.n_points
    if not 1 <= k < n:
        raise UsageError(f"k must be between 1 and {n - 1} for a mesh of {n} points, got {k}")
    points = mesh.points.numpy()
    found = cKDTree(points).query(points, k=k + 1)[1]
    own = found == np.arange(n)[:, None]
    own[~own.any(axis=1), -1] = True  # among more than k coincident points it may miss itself
    return torch.from_numpy(found[~own].reshape(n, k).astype(np.int64))
