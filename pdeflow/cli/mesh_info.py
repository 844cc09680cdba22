"""What `pdeflow info` says about a mesh file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from pdeflow.errors import DataError
from pdeflow.geometry import Mesh, Polygon

MEASURE = {1: "length", 2: "area", 3: "volume"}
MOST = 12
"""Most tags that are listed."""


def mesh_lines(path: Path) -> str:
    """Return points, cells, tags, quality, bounding box and size of a mesh, a few aligned lines; or of an .obj of lines.

    Args:
        path: A file that `Mesh.load` reads.

    Raises:
        UsageError: If the format needs meshio, which is missing, or is unknown.
        DataError: If the file is damaged or holds no valid mesh.
    """
    if path.suffix.lower() == ".obj" and _only_lines(path):
        return _polygon_lines(path)
    mesh = Mesh.load(path)
    if not mesh.n_cells:
        raise DataError(f"{path}: the mesh has no cells")
    bounds = zip(mesh.points.amin(dim=0).tolist(), mesh.points.amax(dim=0).tolist(), strict=True)
    good = mesh.quality()
    below = int((good < 0.3).sum())
    return "\n".join([
        f"mesh        {path}",
        f"points      {mesh.n_points:,} in {mesh.dim}-D",
        f"cells       {mesh.n_cells:,} {mesh.cell_type}, {len(mesh.boundary_facets):,} boundary facets",
        f"facet tags  {_counts(mesh.facet_tags)}",
        f"cell tags   {_counts(mesh.cell_tags)}",
        f"quality     min {float(good.min()):.3g}, mean {float(good.mean()):.3g} (1 is regular), {below:,} cells below 0.3",
        f"bounds      {_bounds(bounds)}",
        f"{MEASURE[mesh.cell_dim]:<12}{float(mesh.cell_measure().sum()):.6g}",
    ])  # fmt: skip


def _only_lines(path: Path) -> bool:
    """Whether an .obj file has lines and no faces: a polygon."""
    kinds = {text.split(" ")[0] for text in path.read_text(encoding="utf-8", errors="replace").splitlines()}
    return "l" in kinds and "f" not in kinds


def _polygon_lines(path: Path) -> str:
    polygon = Polygon.load(path)
    edges = ", ".join(str(len(loop)) for loop in polygon.loops)
    return "\n".join([
        f"polygon     {path}",
        f"loops       {len(polygon.loops)}, the outer one first, with {edges} vertices",
        f"bounds      {_bounds(polygon.bounds)}",
        f"perimeter   {polygon.boundary_measure():.6g}",
        f"area        {polygon.measure():.6g}",
        "mesh it     mesh_domain(Polygon.load(path), h)",
    ])  # fmt: skip


def _bounds(bounds: Iterable[tuple[float, float]]) -> str:
    return " × ".join(f"[{low:.6g}, {high:.6g}]" for low, high in bounds)


def _counts(tags: Mapping[str, torch.Tensor]) -> str:
    shown = [f"{name} {len(ids):,}" for name, ids in list(tags.items())[:MOST]]
    more = f", and {len(tags) - MOST} more" if len(tags) > MOST else ""
    return ", ".join(shown) + more or "none"
