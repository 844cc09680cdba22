"""The mesh of a mapped grid: cells of its index box, seam nodes merged, rings joined, faces named.

Thompson, Warsi and Mastin, Numerical Grid Generation (1985), chapter II.
"""

from __future__ import annotations

import torch
from scipy import sparse
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.layouts import MappedLayout
from pdeflow.geometry.mesh import CellType, Mesh
from pdeflow.geometry.mesh.build import default_cell_type, structured_cells
from pdeflow.geometry.reference_cells import REFERENCE_CELLS


def structured_mesh(grid: MappedLayout, cell: CellType | None = None) -> tuple[Mesh, Tensor]:
    """Mesh a mapped grid.

    A ring (periodic axis without translation) is joined, nodes paired by seams become one point; a periodic axis
    with a translation gets its closing layer of points. Every tag of the grid names the boundary facets all of
    whose vertices carry it.

    Args:
        grid: Grid of nodes.
        cell: "line", "tri", "quad", "tet" or "hex"; line, quad or hex when left out.

    Returns:
        The mesh, and the point id of every node, shape (*grid.shape,).

    Raises:
        UsageError: If the cell type has another dimension, or a ring fewer than 3 nodes.
    """
    kind = cell or default_cell_type(grid.ndim)
    if kind not in REFERENCE_CELLS or REFERENCE_CELLS[kind].dim != grid.ndim:
        raise UsageError(f"cell type {kind!r} does not fit a grid of {grid.ndim} axes")
    if any(p and n < 3 for p, n in zip(grid.periodic, grid.shape, strict=True)):
        raise UsageError(f"a periodic axis needs 3 nodes to be meshed, got {grid.shape} with {grid.periodic}")
    coords = grid.closed_coordinates()
    inner = tuple(slice(n) for n in grid.shape)
    ids = torch.arange(coords.shape[:-1].numel()).reshape(coords.shape[:-1])
    number, points = _merge(coords.reshape(-1, grid.ndim), ids, _coincident(grid, ids, ids[inner].flatten()))
    mesh = Mesh(points, number[structured_cells(coords.shape[:-1], kind, (False,) * grid.ndim)], kind)
    if float(mesh.signed_measure().sum()) < 0:
        mesh = mesh.oriented()
    return mesh.tag_facets(_facet_tags(mesh, grid, number, ids)), number[ids[inner]]


def _coincident(grid: MappedLayout, ids: Tensor, inner: Tensor) -> Tensor:
    """Pairs of closed-grid ids that are one point: both ends of a ring, and seams, shape (s, 2)."""
    pairs = [inner[seam.pairs] for seam in grid.seams]
    for axis, wraps in enumerate(grid.periodic):
        if wraps and not bool(grid.translation[axis].any()):
            first, last = ids.select(axis, 0), ids.select(axis, ids.shape[axis] - 1)
            pairs.append(torch.stack([first.flatten(), last.flatten()], dim=1))
    return torch.cat([torch.empty(0, 2, dtype=torch.int64), *pairs])


def _merge(points: Tensor, ids: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """Number the classes of coincident points in the order of their first member."""
    total = ids.numel()
    links = sparse.coo_array((torch.ones(len(pairs)).numpy(), pairs.T.numpy()), shape=(total, total))
    label = torch.from_numpy(sparse.csgraph.connected_components(links, directed=False)[1].astype("int64"))
    first = torch.full((int(label.max()) + 1,), total).scatter_reduce(0, label, ids.flatten(), "amin")
    order = torch.argsort(first)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    return rank[label], points[first[order]]


def _facet_tags(mesh: Mesh, grid: MappedLayout, number: Tensor, ids: Tensor) -> dict[str, Tensor]:
    """Boundary facets all of whose vertices are nodes of a tag; closing layers carry the tags of the first one."""
    facets = mesh.facets[mesh.boundary_facets]
    tags = {}
    for name, nodes in grid.tags.items():
        carried = torch.zeros(grid.size, dtype=torch.bool)
        carried[nodes] = True
        layered = carried.reshape(grid.shape)
        for axis in (k for k, p in enumerate(grid.periodic) if p):
            layered = torch.cat([layered, layered.narrow(axis, 0, 1)], dim=axis)
        on_points = torch.zeros(mesh.n_points, dtype=torch.bool)
        on_points[number[ids[layered]]] = True
        tags[name] = mesh.boundary_facets[on_points[facets].all(dim=1)]
    return tags
