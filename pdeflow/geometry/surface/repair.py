"""Checks and repairs of triangle surfaces: closed, coherently oriented outward, no triangle without area."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order, connected_components
from torch import Tensor

from pdeflow.errors import DataError, UsageError

THIN = 1e-13
"""A triangle has no area if twice its area is below THIN times the square of its longest edge, dimensionless."""


def check_surface(vertices: Tensor, faces: Tensor) -> None:
    """Refuse what has no inside.

    Args:
        vertices: Shape (v, 3).
        faces: Shape (m, 3), int64.

    Raises:
        UsageError: If shapes or vertex ids do not fit.
        DataError: If a coordinate is not finite, a triangle has no area, an edge belongs to one triangle only,
            neighbours are oriented against each other, or all triangles point inward.
    """
    _check_arrays(vertices, faces)
    thin = degenerate_faces(vertices, faces)
    if len(thin):
        raise DataError(
            f"{len(thin)} of {len(faces)} triangles have no area: {_listed(thin)}; use TriSurface.clean(vertices, faces)"
        )
    forward, backward, ends = _edge_counts(faces)
    odd = np.flatnonzero((forward + backward) % 2)
    if len(odd):
        raise DataError(
            f"the surface is not watertight: {len(odd)} boundary edges, the first between vertices {ends[odd[0], 0]} and "
            f"{ends[odd[0], 1]}; use TriSurface.clean(vertices, faces) if vertices repeat, else close it with trimesh.repair"
        )
    twisted = np.flatnonzero(forward != backward)
    if len(twisted):
        raise DataError(
            f"neighbours are oriented against each other at {len(twisted)} edges, the first between vertices "
            f"{ends[twisted[0], 0]} and {ends[twisted[0], 1]}; use TriSurface.clean(vertices, faces)"
        )
    volume = enclosed_volume(vertices, faces)
    if volume <= 0:
        raise DataError(
            f"the triangles point inward (volume {volume:.3g}); pass faces.flip(1) or use TriSurface.clean(vertices, faces)"
        )


def _check_arrays(vertices: Tensor, faces: Tensor) -> None:
    if (
        vertices.ndim != 2
        or vertices.shape[1] != 3
        or faces.ndim != 2
        or faces.shape[1] != 3
        or not len(faces)
    ):
        raise UsageError(
            f"a surface needs vertices (v, 3) and faces (m, 3), got {tuple(vertices.shape)} and {tuple(faces.shape)}"
        )
    if int(faces.min()) < 0 or int(faces.max()) >= len(vertices):
        raise UsageError(
            f"faces name vertices {int(faces.min())} to {int(faces.max())} but there are {len(vertices)}"
        )
    if not bool(vertices.isfinite().all()):
        row = int((~vertices.isfinite().all(dim=1)).nonzero()[0])
        raise DataError(f"vertex {row} has the coordinates {vertices[row].tolist()}; all must be finite")


def _listed(ids: Tensor) -> str:
    return ", ".join(str(i) for i in ids[:5].tolist()) + (", …" if len(ids) > 5 else "")


def enclosed_volume(vertices: Tensor, faces: Tensor) -> float:
    """Return the signed volume Σ a·(b×c)/6, positive if the triangles point outward."""
    a, b, c = (vertices - vertices.mean(dim=0))[faces].unbind(1)
    return float((a * torch.linalg.cross(b, c)).sum() / 6)


def degenerate_faces(vertices: Tensor, faces: Tensor) -> Tensor:
    """Return the ids of the triangles without area, ascending, int64."""
    a, b, c = vertices[faces].unbind(1)
    longest = torch.stack([(b - a).norm(dim=1), (c - b).norm(dim=1), (a - c).norm(dim=1)]).amax(dim=0)
    twice = torch.linalg.cross(b - a, c - a).norm(dim=1)
    return (twice <= THIN * longest.square()).nonzero().squeeze(1)


def _edge_counts(faces: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how often each edge is run through upwards and downwards, and its vertices (edges, 2)."""
    edges = faces.numpy()[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    ends, which = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True)
    up = edges[:, 0] < edges[:, 1]
    which = which.reshape(-1)
    return np.bincount(which[up], minlength=len(ends)), np.bincount(which[~up], minlength=len(ends)), ends


def cleaned(vertices: Tensor, faces: Tensor, tol: float = 0.0) -> tuple[Tensor, Tensor]:
    """Merge vertices, remove triangles without area or repeated, and orient the rest coherently and outward.

    A sliver whose corners are distinct but collinear is removed by flipping its longest edge, so that no gap opens.
    Components that are coherent keep their orientation: an inward one inside another is a cavity.

    Args:
        vertices: Shape (v, 3).
        faces: Shape (m, 3), int64.
        tol: Vertices in the same cell of a lattice of this width, in length units, are merged; 0 merges equal ones.

    Returns:
        Vertices in use and faces.

    Raises:
        UsageError: If shapes or vertex ids do not fit.
    """
    _check_arrays(vertices, faces)
    keys = (vertices / tol).round() if tol > 0 else vertices + 0.0  # -0.0 becomes 0.0
    _, first, inverse = np.unique(keys.numpy(), axis=0, return_index=True, return_inverse=True)
    vertices, faces = vertices[first], torch.from_numpy(inverse.reshape(-1))[faces]
    faces = faces[(faces != faces.roll(1, dims=1)).all(dim=1)]
    _, once = np.unique(np.sort(faces.numpy(), axis=1), axis=0, return_index=True)
    faces = _flip_slivers(vertices, faces[np.sort(once)])
    faces = _coherent(faces)
    used, faces = torch.unique(faces, return_inverse=True)
    vertices = vertices[used]
    return vertices, faces if enclosed_volume(vertices, faces) >= 0 else faces.flip(1)


def _flip_slivers(vertices: Tensor, faces: Tensor) -> Tensor:
    """Replace collinear triangles and their neighbours across the longest edge by the other diagonal."""
    for _ in range(len(faces)):
        thin = degenerate_faces(vertices, faces)
        if not len(thin):
            break
        sliver = int(thin[0])
        corners = faces[sliver]
        side = int((vertices[corners] - vertices[corners.roll(-1)]).norm(dim=1).argmax())
        a, b, apex = corners.roll(-side).tolist()  # the longest edge runs from a to b
        beside = (((faces == a) | (faces == b)).sum(dim=1) == 2).nonzero().squeeze(1)
        beside = beside[beside != sliver]
        keep = torch.ones(len(faces), dtype=torch.bool)
        keep[sliver] = False
        if len(beside) == 1:
            keep[beside] = False
            across = next(v for v in faces[beside[0]].tolist() if v not in (a, b))
            pair = torch.tensor([[a, across, apex], [across, b, apex]])
            faces = torch.cat([faces[keep], pair[[len(set(row)) == 3 for row in pair.tolist()]]])
        else:
            faces = faces[keep]
    return faces


def _coherent(faces: Tensor) -> Tensor:
    """Turn triangles so that neighbours agree, starting in each component from the triangle of lowest id."""
    m = len(faces)
    edges = faces.numpy()[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    owner, up = np.repeat(np.arange(m), 3), edges[:, 0] < edges[:, 1]
    _, which, counts = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(which.reshape(-1), kind="stable")
    start = np.concatenate([[0], np.cumsum(counts)[:-1]])[counts == 2]  # edges of two triangles
    one, two = order[start], order[start + 1]
    disagree = 1.0 + (up[one] == up[two])  # 2: run through in the same direction, one of them is turned
    graph = sparse.csr_array((disagree, (owner[one], owner[two])), shape=(m, m))
    graph = graph.maximum(graph.T).tocsr()
    turned = np.zeros(m, dtype=bool)
    _, component = connected_components(graph, directed=False)
    for seed in np.unique(component, return_index=True)[1]:
        visit, parent = breadth_first_order(graph, seed, directed=False)
        later = visit[1:]
        flips = (
            np.asarray(graph[later, parent[later]]).reshape(-1) == 2.0
            if len(later)
            else np.zeros(0, dtype=bool)
        )
        for child, flip in zip(later, flips, strict=True):
            turned[child] = turned[parent[child]] ^ flip
    return torch.where(torch.from_numpy(turned)[:, None], faces.flip(1), faces)
