"""Refinement: every cell into 2^dim parts, or chosen triangles and lines by longest-edge bisection.

Uniform: Bey, Computing 55 (1995) 355 for tetrahedra, with the shortest inner diagonal. Local: Rivara, Int. J.
Numer. Meth. Eng. 20 (1984) 745: angles never fall below half the smallest angle of the first mesh.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.mesh.bisection import bisect
from pdeflow.geometry.mesh.facets import find_facets
from pdeflow.geometry.mesh.neighbours import edges
from pdeflow.geometry.mesh.protocol import AnyMesh, MeshLike
from pdeflow.geometry.mesh.topology import row_keys
from pdeflow.geometry.reference_cells import REFERENCE_CELLS


def refine(mesh: AnyMesh, cells: Tensor | None = None) -> AnyMesh:
    """Split all cells uniformly, or some cells and what keeps the mesh conforming.

    Args:
        mesh: The mesh.
        cells: Ids of the cells to split, for lines and triangles; all cells when left out.

    Returns:
        The finer mesh; old points keep their ids, and names pass on to the parts. After a uniform step the
        parts of cell i are i · 2^dim, …

    Raises:
        UsageError: If ids are out of range, or cells of another type are to be refined locally.
    """
    if cells is None:
        return _uniform(mesh)
    chosen = torch.unique(torch.as_tensor(cells, dtype=torch.int64).flatten())
    if len(chosen) and not 0 <= int(chosen[0]) <= int(chosen[-1]) < mesh.n_cells:
        raise UsageError(f"cells to refine must be in 0 to {mesh.n_cells - 1}, got {chosen.tolist()[:5]} …")
    if mesh.cell_type not in ("line", "tri"):
        raise UsageError(
            f"local refinement is for lines and triangles; refine() splits all {mesh.cell_type} cells"
        )
    return bisect(mesh, chosen)


class _NewPoints:
    """Ids of the points that a uniform step adds: edge midpoints, then facet and cell centres of Q1 cells."""

    def __init__(self, mesh: MeshLike) -> None:
        self.n = mesh.n_points
        self.edges = edges(mesh).T.numpy()  # (M, 2)
        self.keys = row_keys(self.edges, self.n)
        self.faces = len(mesh.facets) if mesh.cell_type == "hex" else 0
        parts = [mesh.points, mesh.points[torch.from_numpy(self.edges)].mean(dim=1)]
        if self.faces:
            parts.append(mesh.points[mesh.facets].mean(dim=1))
        if mesh.cell_type in ("quad", "hex"):
            parts.append(mesh.points[mesh.cells].mean(dim=1))
        self.points = torch.cat(parts)

    def midpoints(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the ids of the midpoints of the edges from a to b."""
        pairs = np.stack([np.minimum(a, b), np.maximum(a, b)], axis=1)
        return self.n + np.searchsorted(self.keys, row_keys(pairs, self.n))

    def face_centres(self, faces: np.ndarray) -> np.ndarray:
        """Return the ids of the centres of the faces of hexahedra."""
        return self.n + len(self.edges) + faces

    def cell_centres(self, count: int) -> np.ndarray:
        """Return the ids of the centres of all cells."""
        return self.n + len(self.edges) + self.faces + np.arange(count)


def _uniform(mesh: AnyMesh) -> AnyMesh:
    new = _NewPoints(mesh)
    cells = mesh.cells.numpy()
    if mesh.cell_type in ("tri", "tet"):
        children = _split_simplices(cells, new)
    else:
        centres = new.cell_centres(len(cells))
        faces = new.face_centres(mesh.topology.cell_facets.numpy()) if mesh.cell_type == "hex" else None
        children = _split_lattice(mesh.cell_type, cells, new, centres, faces)
    parts = children.shape[1]
    offsets = torch.arange(parts)
    finer = replace(
        mesh,
        points=new.points,
        cells=torch.from_numpy(children.reshape(-1, cells.shape[1])),
        facet_tags={},
        cell_tags={k: (ids[:, None] * parts + offsets).flatten() for k, ids in mesh.cell_tags.items()},
    )
    tags = {name: _facet_parts(mesh, finer, new, ids) for name, ids in mesh.facet_tags.items()}
    return replace(finer, facet_tags=tags)


def _facet_parts(mesh: MeshLike, finer: MeshLike, new: _NewPoints, ids: Tensor) -> Tensor:
    """Split facets as cells of their own type and find the parts in the finer mesh."""
    vertices, kind = mesh.topology.oriented[ids].numpy(), mesh.reference.facet_type
    if kind == "tri":
        parts = _split_simplices(vertices, new)
    elif kind != "point":
        parts = _split_lattice(kind, vertices, new, new.face_centres(ids.numpy()), None)
    else:
        parts = vertices[:, None]
    return torch.from_numpy(find_facets(finer, parts.reshape(-1, vertices.shape[1])))


def _split_simplices(cells: np.ndarray, new: _NewPoints) -> np.ndarray:
    """Cut triangles in 4, tetrahedra in 8, shape (m, parts, k)."""
    v = list(cells.T)
    k = len(v)
    mid = {(i, j): new.midpoints(v[i], v[j]) for i in range(k) for j in range(i + 1, k)}
    if k == 3:
        a, b, c = mid[0, 1], mid[1, 2], mid[0, 2]
        table = [[v[0], a, c], [a, v[1], b], [c, b, v[2]], [a, b, c]]
        return np.stack([np.stack(row, axis=1) for row in table], axis=1)
    m01, m02, m03, m12, m13, m23 = (mid[e] for e in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)))
    table = [[v[0], m01, m02, m03], [m01, v[1], m12, m13], [m02, m12, v[2], m23], [m03, m13, m23, v[3]]]
    corners = np.stack([np.stack(row, axis=1) for row in table], axis=1)
    # the inner octahedron: a diagonal p-q and the rim of the other four points, in the sense of the cell
    choices = np.stack(
        [
            np.stack(c, axis=1)
            for c in (
                (m02, m13, m01, m12, m23, m03),
                (m01, m23, m02, m03, m13, m12),
                (m03, m12, m01, m02, m23, m13),
            )
        ],
        axis=1,
    )  # (m, 3, 6)
    ends = new.points.numpy()[choices[:, :, :2]]
    shortest = ((ends[:, :, 1] - ends[:, :, 0]) ** 2).sum(axis=2).argmin(axis=1)
    p, q, *rim = choices[np.arange(len(cells)), shortest].T
    inner = [np.stack([p, rim[i], rim[(i + 1) % 4], q], axis=1) for i in range(4)]
    return np.concatenate([corners, np.stack(inner, axis=1)], axis=1)


def _split_lattice(
    kind: str, cells: np.ndarray, new: _NewPoints, centres: np.ndarray, faces: np.ndarray | None
) -> np.ndarray:
    """Cut lines, quadrilaterals or hexahedra along the lattice of their corners, midpoints and centres."""
    reference = REFERENCE_CELLS[kind]
    corners = np.asarray(reference.corners)
    lattice = np.empty((*(3,) * reference.dim, len(cells)), dtype=np.int64)
    lattice[(1,) * reference.dim] = centres
    for local, corner in enumerate(corners):
        lattice[tuple(2 * corner)] = cells[:, local]
    for a, b in reference.edges:
        lattice[tuple(corners[a] + corners[b])] = new.midpoints(cells[:, a], cells[:, b])
    if faces is not None:
        for local, face in enumerate(reference.facets):
            lattice[tuple(corners[face].sum(axis=0) // 2)] = faces[:, local]
    parts = [[lattice[tuple(low + corner)] for corner in corners] for low in corners]
    return np.stack([np.stack(part, axis=1) for part in parts], axis=1)
