"""Which facets cells have and which cells they join, numbered as scikit-fem numbers them: in lexicographic order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pdeflow.geometry.reference_cells import ReferenceCell


@dataclass(frozen=True, eq=False)
class Topology:
    """Facets of a mesh.

    Attributes:
        facets: Vertex ids of each facet, ascending, rows in lexicographic order, shape (F, kf).
        oriented: The same vertices in the order of the first cell: the normal points out of it, (F, kf).
        facet_cells: The cells of each facet, lower id first; -1 when there is no second one, (F, 2).
        cell_facets: Facet ids of each cell, one column per local facet, (m, local facets).
        shared: Facets with more than two cells (the mesh is not a manifold there), ids.
    """

    facets: Tensor
    oriented: Tensor
    facet_cells: Tensor
    cell_facets: Tensor
    shared: Tensor


def row_keys(rows: np.ndarray, n: int) -> np.ndarray:
    """Map rows of vertex ids below n to integers whose order is the lexicographic order of the rows."""
    key = rows[:, 0].astype(np.int64)
    for column in range(1, rows.shape[1]):
        if column > 1:  # ranks keep the product below 2^63
            key = np.unique(key, return_inverse=True)[1]
        key = key * n + rows[:, column]
    return key


def topology(cells: Tensor, reference: ReferenceCell, n: int) -> Topology:
    """Number the facets of cells and find the cells on both sides.

    Args:
        cells: Vertex ids, shape (m, k).
        reference: The reference cell.
        n: Number of vertices.
    """
    local = np.asarray(reference.facets)
    candidates = cells.numpy()[:, local].reshape(-1, local.shape[1])  # cell by cell
    ascending = np.sort(candidates, axis=1)
    _, first, inverse, counts = np.unique(
        row_keys(ascending, max(n, 1)), return_index=True, return_inverse=True, return_counts=True
    )
    owner = np.arange(len(candidates)) // len(local)
    last = np.empty(len(first), dtype=np.int64)
    last[inverse] = np.arange(len(candidates))  # the last occurrence wins
    second = np.where(last == first, -1, owner[last])
    pairs = np.stack([owner[first], second], axis=1)
    return Topology(
        facets=torch.from_numpy(ascending[first]),
        oriented=torch.from_numpy(candidates[first]),
        facet_cells=torch.from_numpy(pairs),
        cell_facets=torch.from_numpy(inverse.reshape(-1, len(local)).astype(np.int64)),
        shared=torch.from_numpy(np.flatnonzero(counts > 2)),
    )
