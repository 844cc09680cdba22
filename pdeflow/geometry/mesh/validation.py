"""Checks of a mesh that came from elsewhere: one clear line on the first thing that is wrong."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pdeflow.errors import DataError
from pdeflow.geometry.mesh.measures import centroids, oriented_measures, signed_measure
from pdeflow.geometry.mesh.protocol import MeshLike
from pdeflow.geometry.mesh.quality import corner_jacobians

FLAT = 1e-14
"""A cell is degenerate when its measure is below FLAT times the power of its longest diagonal."""

_MEASURE = {1: "length", 2: "area", 3: "volume"}


def validate(mesh: MeshLike) -> None:
    """Check numbers, ids, orientation, convexity, overlaps and tags.

    Raises:
        DataError: On the first defect: what is wrong, the ids, and what to do.
    """
    checks: tuple[Callable[[MeshLike], None], ...] = (
        _check_numbers,
        _check_vertex_ids,
        _check_degenerate,
        _check_orientation,
        _check_facets,
        _check_tags,
        _check_unused,
    )
    for check in checks:
        check(mesh)


def degenerate(mesh: MeshLike) -> Tensor:
    """Return which cells repeat a vertex or have no measure, shape (m,) bool."""
    ordered = mesh.cells.sort(dim=1).values
    repeated = (ordered[:, 1:] == ordered[:, :-1]).any(dim=1)
    corners = mesh.points[mesh.cells]
    span = (corners.amax(dim=1) - corners.amin(dim=1)).norm(dim=1)
    return repeated | (signed_measure(mesh).abs() <= FLAT * span**mesh.cell_dim)


def _short(value: float) -> str:
    digits, _, exponent = f"{value:.1e}".partition("e")
    return f"{digits}e{int(exponent)}"


def _listed(ids: Tensor, noun: str) -> str:
    """Say "cell 17 is", or "cells 3, 8, 9 and 4 more are"."""
    if len(ids) == 1:
        return f"{noun} {int(ids[0])} is"
    head = ", ".join(str(int(i)) for i in ids[:3])
    rest = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
    return f"{noun}s {head}{rest} are"


def _check_numbers(mesh: MeshLike) -> None:
    bad = torch.nonzero(~torch.isfinite(mesh.points).all(dim=1)).flatten()
    if len(bad):
        raise DataError(
            f"{_listed(bad, 'point')} not finite (NaN or infinite); repair the file that they come from"
        )
    if mesh.n_cells == 0:
        raise DataError(f"the mesh has {mesh.n_points} points but no {mesh.cell_type} cells")


def _check_vertex_ids(mesh: MeshLike) -> None:
    low, high = int(mesh.cells.min()), int(mesh.cells.max())
    if low < 0 or high >= mesh.n_points:
        wrong = (mesh.cells < 0) | (mesh.cells >= mesh.n_points)
        cell = int(torch.nonzero(wrong.any(dim=1))[0])
        value = int(mesh.cells[cell][wrong[cell]][0])
        raise DataError(
            f"cell {cell} names vertex {value} but the mesh has {mesh.n_points} points (ids 0 to "
            f"{mesh.n_points - 1}); check whether the file counts from 1"
        )


def _check_degenerate(mesh: MeshLike) -> None:
    bad = torch.nonzero(degenerate(mesh)).flatten()
    if len(bad):
        raise DataError(
            f"{_listed(bad, 'cell')} degenerate (no {_MEASURE[mesh.cell_dim]}); call mesh.cleaned()"
        )


def _check_orientation(mesh: MeshLike) -> None:
    size = signed_measure(mesh)
    bad = torch.nonzero(size < 0).flatten()
    if len(bad):
        worst = f"{_MEASURE[mesh.cell_dim]} {_short(float(size[bad[0]]))}"
        raise DataError(
            f"{_listed(bad, 'cell')} inverted ({worst}); reorder its vertices or call mesh.oriented()"
            if len(bad) == 1
            else f"{_listed(bad, 'cell')} inverted (the first has {worst}); reorder their vertices or call "
            f"mesh.oriented()"
        )
    if mesh.reference.simplex or mesh.cell_dim < mesh.dim:
        return
    determinant = corner_jacobians(mesh)[1]
    tangled = torch.nonzero((determinant < -FLAT * size[:, None]).any(dim=1)).flatten()
    if len(tangled):
        corner = int(determinant[tangled[0]].argmin())
        value = _short(float(determinant[tangled[0], corner]))
        raise DataError(
            f"{_listed(tangled, 'cell')} not convex (Jacobian {value} at vertex "
            f"{int(mesh.cells[tangled[0], corner])}); move the vertex or mesh with triangles"
        )


def _check_facets(mesh: MeshLike) -> None:
    shared = mesh.topology.shared
    if len(shared) and mesh.cell_dim == mesh.dim:
        vertices = mesh.facets[shared[0]].tolist()
        raise DataError(
            f"the facet with vertices {vertices} belongs to more than two cells; cells overlap or are listed "
            f"twice: call mesh.cleaned()"
        )
    if mesh.cell_dim < mesh.dim:
        return
    inner = torch.nonzero(mesh.facet_cells[:, 1] >= 0).flatten()
    normal = oriented_measures(mesh)[0][inner]
    away = centroids(mesh)[mesh.facet_cells[inner, 1]] - mesh.points[mesh.facets[inner]].mean(dim=1)
    folded = torch.nonzero((normal * away).sum(dim=1) <= 0).flatten()
    if len(folded):
        first, second = mesh.facet_cells[inner[folded[0]]].tolist()
        raise DataError(
            f"cells {first} and {second} overlap (both on one side of their common facet; {len(folded)} such "
            f"pairs); mesh the region again"
        )


def _check_tags(mesh: MeshLike) -> None:
    counts = (("facet", mesh.facet_tags, len(mesh.facets)), ("cell", mesh.cell_tags, mesh.n_cells))
    for kind, tags, count in counts:
        for name, ids in tags.items():
            if len(ids) and not 0 <= int(ids[0]) <= int(ids[-1]) < count:
                wrong = int(ids[0]) if int(ids[0]) < 0 else int(ids[-1])
                raise DataError(f"{kind} tag '{name}' names {kind} {wrong} but the mesh has {count} {kind}s")


def _check_unused(mesh: MeshLike) -> None:
    used = torch.zeros(mesh.n_points, dtype=torch.bool)
    used[mesh.cells.reshape(-1)] = True
    bad = torch.nonzero(~used).flatten()
    if len(bad):
        raise DataError(f"{_listed(bad, 'point')} used by no cell; call mesh.cleaned()")
