"""Local refinement of lines and triangles by longest-edge bisection, conforming, names kept.

Rivara, Int. J. Numer. Meth. Eng. 20 (1984) 745, the 4-triangles variant with marked edges.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pdeflow.geometry.mesh.facets import find_facets
from pdeflow.geometry.mesh.neighbours import edges as edges_of
from pdeflow.geometry.mesh.protocol import AnyMesh
from pdeflow.geometry.mesh.topology import row_keys


def bisect(mesh: AnyMesh, chosen: Tensor) -> AnyMesh:
    """Halve the chosen lines, or quarter the chosen triangles and bisect neighbours until the mesh conforms.

    Args:
        mesh: A mesh of lines or triangles.
        chosen: Cell ids.

    Returns:
        The finer mesh; old points keep their ids.
    """
    pairs = edges_of(mesh).T.numpy()  # (M, 2), lexicographic
    local = np.asarray(mesh.reference.edges)
    ends = np.sort(mesh.cells.numpy()[:, local], axis=2)
    edges = np.searchsorted(row_keys(pairs, mesh.n_points), row_keys(ends.reshape(-1, 2), mesh.n_points))
    cell_edges = edges.reshape(mesh.n_cells, len(local))
    marked = np.zeros(len(pairs), dtype=bool)
    marked[cell_edges[chosen.numpy()]] = True
    lengths = np.linalg.norm(np.diff(mesh.points.numpy()[pairs], axis=1)[:, 0], axis=1)
    longest = _longest(cell_edges, lengths)
    base = cell_edges[np.arange(mesh.n_cells), longest]
    while (missing := marked[cell_edges].any(axis=1) & ~marked[base]).any():
        marked[base[missing]] = True
    middle = np.where(marked, mesh.n_points + np.cumsum(marked) - 1, -1)
    points = torch.cat([mesh.points, mesh.points[torch.from_numpy(pairs[marked])].mean(dim=1)])
    split = _split_triangles if mesh.cell_type == "tri" else _split_lines
    cells, parent = split(mesh.cells.numpy(), middle[cell_edges], longest)
    return _with_names(mesh, points, cells, parent, pairs, middle)


def _longest(cell_edges: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the local number of the longest edge; both neighbours break ties alike, by the edge's id."""
    rank = np.empty(len(lengths), dtype=np.int64)
    rank[np.lexsort((np.arange(len(lengths)), lengths))] = np.arange(len(lengths))
    return rank[cell_edges].argmax(axis=1)


def _split_lines(cells: np.ndarray, middle: np.ndarray, longest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    m = middle[:, 0]
    whole = np.flatnonzero(m < 0)
    cut = np.flatnonzero(m >= 0)
    left = np.stack([cells[cut, 0], m[cut]], axis=1)
    right = np.stack([m[cut], cells[cut, 1]], axis=1)
    return _in_order([cells[whole], left, right], [whole, cut, cut])


def _split_triangles(
    cells: np.ndarray, middle: np.ndarray, longest: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rotate the longest edge to the front, then cut by which of the three edges carry a midpoint."""
    rows = np.arange(len(cells))[:, None]
    turn = (longest[:, None] + np.arange(3)) % 3
    a, b, c = cells[rows, turn].T
    p, q, r = middle[rows, turn].T  # midpoints of ab (the longest), bc, ca
    pieces, parents = [], []
    none = np.flatnonzero(p < 0)
    pieces.append(cells[none])
    parents.append(none)
    for has_q in (False, True):
        for has_r in (False, True):
            at = np.flatnonzero((p >= 0) & ((q >= 0) == has_q) & ((r >= 0) == has_r))
            right = [(p, b, q), (p, q, c)] if has_q else [(p, b, c)]
            left = [(a, p, r), (p, c, r)] if has_r else [(a, p, c)]
            if has_q and has_r:  # all three: similar triangles
                left, right = [(a, p, r), (p, b, q)], [(r, q, c), (p, q, r)]
            for piece in left + right:
                pieces.append(np.stack([v[at] for v in piece], axis=1))
                parents.append(at)
    return _in_order(pieces, parents)


def _in_order(pieces: list[np.ndarray], parents: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    parent = np.concatenate(parents)
    order = np.argsort(parent, kind="stable")
    return np.concatenate(pieces)[order], parent[order]


def _with_names(
    mesh: AnyMesh,
    points: Tensor,
    cells: np.ndarray,
    parent: np.ndarray,
    pairs: np.ndarray,
    middle: np.ndarray,
) -> AnyMesh:
    """Give the parts of named cells and facets the names."""
    cell_tags = {
        k: torch.from_numpy(np.flatnonzero(np.isin(parent, v.numpy()))) for k, v in mesh.cell_tags.items()
    }
    finer = replace(mesh, points=points, cells=torch.from_numpy(cells), facet_tags={}, cell_tags=cell_tags)
    facet_tags = {}
    for name, ids in mesh.facet_tags.items():
        vertices = mesh.facets[ids].numpy()
        if mesh.cell_type == "tri":
            m = middle[np.searchsorted(row_keys(pairs, mesh.n_points), row_keys(vertices, mesh.n_points))]
            cut = m >= 0
            halves = [np.stack([vertices[cut, side], m[cut]], axis=1) for side in (0, 1)]
            vertices = np.concatenate([vertices[~cut], *halves])
        facet_tags[name] = torch.from_numpy(find_facets(finer, vertices))
    return replace(finer, facet_tags=facet_tags)
