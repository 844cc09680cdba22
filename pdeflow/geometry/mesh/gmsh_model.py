"""Triangulation of planar regions by Gmsh (GPL, optional): one model per call, started and closed here.

Geuzaine and Remacle, Int. J. Numer. Meth. Eng. 79 (2009) 1309. Gmsh's state is global and not thread-safe: call
from one thread of one process at a time, never from the workers of a DataLoader.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.mesh.facets import find_facets
from pdeflow.geometry.mesh.mesh import Mesh
from pdeflow.geometry.mesh.repair import oriented, without_unused_points

_LINE, _TRIANGLE = 1, 2  # Gmsh's numbers of the element types


def gmsh_available() -> bool:
    """Return whether Gmsh and the system libraries it needs can be imported."""
    try:
        _gmsh()
    except UsageError:
        return False
    return True


def mesh_polygon(
    loops: Sequence[Tensor], h: float, tags: Sequence[str | Sequence[str]] | None = None
) -> Mesh:
    """Triangulate a polygon with holes.

    Args:
        loops: Vertices of the closed outer loop and of each hole, shape (n_i, 2), any orientation, the first
            vertex not repeated.
        h: Edge length aimed at, in length units; every side of the polygon is at least one edge.
        tags: For each loop one name, or one name per side (side i joins vertex i to the next); "outer",
            "hole0", "hole1", … when left out.

    Returns:
        The mesh, counter-clockwise, with the named facets.

    Raises:
        UsageError: If Gmsh cannot be imported, h is not positive, the loops do not bound a region (fewer than three
            vertices, crossing sides, misplaced holes), or names do not fit.
    """
    outlines = [np.asarray(loop, dtype=np.float64) for loop in loops]
    names = _names_of_sides(outlines, h, tags)
    gmsh = _gmsh()
    with _model(gmsh):
        try:
            sides = _add_polygon(gmsh, outlines, h)
            gmsh.model.mesh.generate(2)
        except Exception as error:
            reason = " ".join(str(error).split())
            raise UsageError(
                f"Gmsh cannot mesh the polygon ({reason}); look for sides that nearly touch"
            ) from error
        return _collect(gmsh, sides, names)


def _gmsh() -> Any:
    try:
        import gmsh
    except ImportError as error:
        raise UsageError(
            "this needs Gmsh: pip install 'pdeflow[mesh]', or mesh with the built-in DistMesh"
        ) from error
    except OSError as error:
        raise UsageError(
            f"Gmsh is installed but a system library is missing ({error}); it needs libGLU, libGL, libXrender, "
            f"libXcursor, libXft, libXinerama and libX11, or mesh with the built-in DistMesh"
        ) from error
    return gmsh


def _names_of_sides(
    outlines: Sequence[np.ndarray], h: float, tags: Sequence[str | Sequence[str]] | None
) -> list[list[str]]:
    from pdeflow.geometry.domain.arguments import mesh_size  # the domains build on meshes
    from pdeflow.geometry.domain.polygon_check import check_loops

    mesh_size(h)
    if not outlines:
        raise UsageError("a polygon needs at least one loop of vertices, got none")
    check_loops([torch.from_numpy(outline) for outline in outlines])  # Gmsh may hang on crossing sides
    chosen = tags if tags is not None else ["outer", *(f"hole{i}" for i in range(len(outlines) - 1))]
    if len(chosen) != len(outlines):
        raise UsageError(f"expected one entry of tags per loop, got {len(chosen)} for {len(outlines)} loops")
    names = []
    for i, (outline, entry) in enumerate(zip(outlines, chosen, strict=True)):
        names.append([entry] * len(outline) if isinstance(entry, str) else list(entry))
        if len(names[-1]) != len(outline):
            raise UsageError(f"loop {i} has {len(outline)} sides but {len(names[-1])} names")
    return names


@contextmanager
def _model(gmsh: Any) -> Iterator[None]:
    """Open a model, and Gmsh itself unless the caller has; close what was opened."""
    started = not gmsh.isInitialized()
    if started:
        gmsh.initialize(readConfigFiles=False, interruptible=False)
    previous = "" if started else gmsh.model.getCurrent()
    terminal = gmsh.option.getNumber("General.Terminal")
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.model.add("pdeflow")
        yield
    finally:
        gmsh.model.remove()
        gmsh.option.setNumber("General.Terminal", terminal)
        if started:
            gmsh.finalize()
        elif previous:
            gmsh.model.setCurrent(previous)


def _add_polygon(gmsh: Any, outlines: Sequence[np.ndarray], h: float) -> list[list[int]]:
    """Add the polygon as a plane surface; return the numbers of its sides."""
    geo, sides, rims = gmsh.model.geo, [], []
    for outline in outlines:
        corners = [geo.addPoint(x, y, 0.0, h) for x, y in outline.tolist()]
        sides.append([geo.addLine(a, b) for a, b in zip(corners, corners[1:] + corners[:1], strict=True)])
        rims.append(geo.addCurveLoop(sides[-1]))
    geo.addPlaneSurface(rims)
    geo.synchronize()
    return sides


def _collect(gmsh: Any, sides: list[list[int]], names: list[list[str]]) -> Mesh:
    """Read nodes and triangles of the current model and name the facets on the sides."""
    numbers, coordinates, _ = gmsh.model.mesh.getNodes()
    order = np.argsort(numbers)
    sorted_numbers = np.asarray(numbers)[order]
    points = np.asarray(coordinates).reshape(-1, 3)[order, :2]
    _, nodes = gmsh.model.mesh.getElementsByType(_TRIANGLE)
    if not len(nodes):
        raise UsageError("Gmsh made no triangles; look for sides that nearly touch")
    cells = np.searchsorted(sorted_numbers, np.asarray(nodes).reshape(-1, 3))
    bare = Mesh(torch.from_numpy(points.copy()), torch.from_numpy(cells.astype(np.int64)), "tri")
    tags: dict[str, list[np.ndarray]] = {}
    for loop, loop_names in zip(sides, names, strict=True):
        for side, name in zip(loop, loop_names, strict=True):
            _, ends = gmsh.model.mesh.getElementsByType(_LINE, side)
            pairs = np.searchsorted(sorted_numbers, np.asarray(ends).reshape(-1, 2)).astype(np.int64)
            tags.setdefault(name, []).append(find_facets(bare, pairs))
    found = {name: np.concatenate(ids) for name, ids in tags.items()}
    mesh = bare.tag_facets({name: torch.from_numpy(ids[ids >= 0]) for name, ids in found.items()})
    return oriented(without_unused_points(mesh))
