"""Repairs of a mesh: orientation, coincident points, degenerate and repeated cells, unused points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.mesh.facets import find_facets
from pdeflow.geometry.mesh.measures import signed_measure
from pdeflow.geometry.mesh.protocol import AnyMesh
from pdeflow.geometry.mesh.topology import row_keys
from pdeflow.geometry.mesh.validation import degenerate


def oriented(mesh: AnyMesh) -> AnyMesh:
    """Return the mesh with inverted cells reordered; ids and tags stay valid."""
    inverted = signed_measure(mesh) < 0
    if not bool(inverted.any()):
        return mesh
    return replace(
        mesh, cells=torch.where(inverted[:, None], mesh.cells[:, mesh.reference.mirror], mesh.cells)
    )


def cleaned(mesh: AnyMesh, tol: float = 0.0) -> AnyMesh:
    """Merge coincident points, drop degenerate and repeated cells and unused points, orient the rest.

    Args:
        mesh: The mesh; vertex ids must be valid.
        tol: Points closer than tol times the diameter of the mesh are merged, dimensionless; 0 merges equal
            points only.

    Returns:
        The mesh; order of points and cells and all names are kept.

    Raises:
        UsageError: If tol is negative.
    """
    if tol < 0:
        raise UsageError(f"tol must not be negative, got {tol}")
    target = _merge(mesh.points, tol)
    merged = replace(mesh, cells=target[mesh.cells])
    keep = ~degenerate(merged)
    keys = row_keys(merged.cells.sort(dim=1).values.numpy(), max(mesh.n_points, 1))
    first = np.zeros(mesh.n_cells, dtype=bool)
    kept = torch.nonzero(keep).flatten().numpy()
    first[kept[np.unique(keys[kept], return_index=True)[1]]] = True
    return oriented(_selected(mesh, target, torch.from_numpy(first)))


def without_unused_points(mesh: AnyMesh) -> AnyMesh:
    """Return the mesh without the points that no cell uses."""
    return _selected(mesh, torch.arange(mesh.n_points), torch.ones(mesh.n_cells, dtype=torch.bool))


def _merge(points: Tensor, tol: float) -> Tensor:
    """Map each point to the lowest id among those it coincides with."""
    n = len(points)
    extent = float((points.amax(dim=0) - points.amin(dim=0)).norm()) if n else 0.0
    if tol == 0.0:
        _, first, inverse = np.unique(points.numpy(), axis=0, return_index=True, return_inverse=True)
        return torch.from_numpy(first[inverse.reshape(-1)])
    pairs = cKDTree(points.numpy()).query_pairs(tol * extent, output_type="ndarray")
    graph = sparse.coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    groups = connected_components(graph, directed=False)[1]
    return torch.from_numpy(np.unique(groups, return_index=True)[1][groups].astype(np.int64))


def _selected(mesh: AnyMesh, target: Tensor, keep: Tensor) -> AnyMesh:
    """Send vertices to target, keep some cells, renumber the points in use, and carry the names over."""
    cells = target[mesh.cells[keep]]
    used, compact = torch.unique(cells, return_inverse=True)
    if len(used) == mesh.n_points and bool(keep.all()):
        return mesh
    place = torch.full((mesh.n_points,), -1, dtype=torch.int64)
    place[used] = torch.arange(len(used))
    number = torch.where(keep, torch.cumsum(keep, dim=0) - 1, -1)
    cell_tags = {name: number[ids][number[ids] >= 0] for name, ids in mesh.cell_tags.items()}
    bare = replace(mesh, points=mesh.points[used], cells=compact, facet_tags={}, cell_tags=cell_tags)
    if not len(compact):
        return bare
    tags = {}
    for name, ids in mesh.facet_tags.items():
        vertices = place[target[mesh.facets[ids]]]
        found = find_facets(bare, vertices[(vertices >= 0).all(dim=1)].numpy())
        tags[name] = torch.from_numpy(found[found >= 0])
    return replace(bare, facet_tags=tags)
