"""Facets and cells of a mesh by name or by vertices, names for facets, and the boundary as a mesh."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.mesh.protocol import AnyMesh, MeshLike
from pdeflow.geometry.mesh.topology import row_keys


def facets_named(mesh: MeshLike, tag: str | None = None) -> Tensor:
    """Return the ids of the facets with a name, or of all boundary facets for None.

    Raises:
        UsageError: If the mesh has no such tag.
    """
    return mesh.boundary_facets if tag is None else _named(mesh.facet_tags, tag, "facet")


def cells_named(mesh: MeshLike, tag: str) -> Tensor:
    """Return the ids of the cells with a name.

    Raises:
        UsageError: If the mesh has no such tag.
    """
    return _named(mesh.cell_tags, tag, "cell")


def _named(tags: Mapping[str, Tensor], tag: str, kind: str) -> Tensor:
    if tag not in tags:
        names = ", ".join(f"'{name}'" for name in tags) or f"no {kind} tags"
        raise UsageError(f"unknown tag '{tag}'; the mesh has {names}")
    return tags[tag]


def boundary_nodes(mesh: MeshLike, tag: str | None = None) -> Tensor:
    """Return the ids of the vertices of a tag's facets, of the whole boundary for None, ascending.

    A corner belongs to two sides: where two conditions meet, the caller decides which one holds there.

    Raises:
        UsageError: If the mesh has no such tag.
    """
    return torch.unique(mesh.facets[facets_named(mesh, tag)])


def tag_facets(mesh: AnyMesh, choices: Mapping[str, Callable[[Tensor], Tensor] | Tensor]) -> AnyMesh:
    """Name facets.

    Args:
        mesh: The mesh.
        choices: For each name a predicate of the midpoints of the boundary facets, (F_b, d) to (F_b,) bool,
            or facet ids.

    Returns:
        A mesh with these names beside the old ones.

    Raises:
        UsageError: If a predicate returns something else.
    """
    midpoints = mesh.points[mesh.facets[mesh.boundary_facets]].mean(dim=1)  # (F_b, d)
    tags = dict(mesh.facet_tags)
    for name, choice in choices.items():
        if not callable(choice):
            tags[name] = torch.as_tensor(choice, dtype=torch.int64)
            continue
        mask = torch.as_tensor(choice(midpoints))
        if mask.dtype != torch.bool or mask.shape != midpoints.shape[:1]:
            raise UsageError(
                f"the predicate of tag '{name}' must return {len(midpoints)} booleans, one per boundary facet, "
                f"got {mask.dtype} of shape {tuple(mask.shape)}"
            )
        tags[name] = mesh.boundary_facets[mask]
    return replace(mesh, facet_tags=tags)


def boundary(mesh: AnyMesh) -> AnyMesh:
    """Return the boundary as a mesh of lines, triangles or quadrilaterals.

    Returns:
        Cells in the order of `boundary_facets`, normals outward (counter-clockwise loops in the plane); points
        in the order of `boundary_nodes()`; facet tags become cell tags.

    Raises:
        UsageError: If the cells are lines: their boundary is points.
    """
    if mesh.reference.facet_type == "point":
        raise UsageError("the boundary of a line mesh is points; use boundary_facets or boundary_nodes()")
    vertices = mesh.topology.oriented[mesh.boundary_facets]
    used, cells = torch.unique(vertices, return_inverse=True)
    place = torch.full((len(mesh.facets),), -1, dtype=torch.int64)
    place[mesh.boundary_facets] = torch.arange(len(vertices))
    tags = {name: place[ids][place[ids] >= 0] for name, ids in mesh.facet_tags.items()}
    return type(mesh)(mesh.points[used], cells, mesh.reference.facet_type, {}, tags)  # type: ignore[arg-type]


def find_facets(mesh: MeshLike, vertices: np.ndarray) -> np.ndarray:
    """Return the ids of facets given by their vertices, any order, shape (q, kf); -1 where there is none."""
    known = mesh.facets.numpy()
    wanted = np.sort(vertices, axis=1)
    keys = row_keys(np.concatenate([known, wanted]), max(mesh.n_points, 1))
    known_keys, wanted_keys = keys[: len(known)], keys[len(known) :]
    order = np.argsort(known_keys)
    place = np.minimum(np.searchsorted(known_keys[order], wanted_keys), len(known) - 1)
    found = order[place]
    return np.where(known_keys[found] == wanted_keys, found, -1)
