"""Pictures of meshes and of fields on meshes and on curvilinear grids, in the plane; the panels are in `mesh_panels`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pdeflow.report.canvas import new_figure, save_figure, save_numbers
from pdeflow.report.colours import limits
from pdeflow.report.mesh_panels import (
    WIDE,
    checked_mesh,
    explain_colours,
    frame,
    proportion,
    show_grid_field,
    show_mesh,
    show_mesh_field,
)

MeshSample = tuple[Any, Any, str, Any] | tuple[Any, Any]
"""(points (n, 2), cells (m, k), cell_type, values (n,) or (m,)), or (mesh, values)."""


def parts_of(sample: MeshSample) -> tuple[Any, Any, str, Any]:
    """Return points, cells, type and values of a sample, given with a mesh or without."""
    if len(sample) == 2:
        mesh, values = sample
        return mesh.points, mesh.cells, mesh.cell_type, values
    return sample


def plot_mesh(
    path: str | Path,
    points: Any,
    cells: Any,
    cell_type: str,
    parts: Mapping[str, Any] | None = None,
    title: str = "",
) -> Path:
    """Draw a mesh with its named boundary parts.

    Args:
        path: PNG to write; the number of facets of each part goes to the ``.csv`` beside it.
        points: Vertices, shape (n, 2), in length units.
        cells: Vertex numbers, shape (m, k).
        cell_type: "line", "tri" or "quad".
        parts: Vertex numbers of the facets of each named part, shape (f, 2).
        title: Text above; by default the numbers of cells and vertices.

    Returns:
        The path written.

    Raises:
        ValueError: If the mesh is not in the plane, or cells do not fit the type.
    """
    points, cells = checked_mesh(points, cells, cell_type)
    width, height = _panel_size(points, 5.2)
    figure = new_figure(width, height + (0.9 if parts else 0.6))
    axes = figure.subplots()
    show_mesh(axes, points, cells, cell_type, parts=parts)
    axes.set_title(title or f"{len(cells)} cells ({cell_type}), {len(points)} vertices", fontsize=10)
    rows: list[tuple[object, ...]] = [("vertices", len(points)), ("cells", len(cells))]
    if parts:
        lines, names = axes.get_legend_handles_labels()
        figure.legend(
            lines, names, loc="outside lower center", ncols=min(len(names), 5), fontsize=8, frameon=False
        )
        rows += [(f"facets {name}", len(np.asarray(facets).reshape(-1, 2))) for name, facets in parts.items()]
    save_numbers(path, ("what", "count"), rows)
    return save_figure(figure, path)


def plot_mesh_samples(
    path: str | Path,
    samples: Sequence[MeshSample],
    names: Sequence[str] | None = None,
    name: str = "u",
    unit: str = "dimensionless",
    count: int = 4,
    edges: bool = False,
) -> Path:
    """Draw one field on the meshes of several samples, with one colour scale.

    Args:
        path: PNG to write; ranges of every sample go to the ``.csv`` beside it.
        samples: (mesh, values) of each sample, or (points, cells, cell_type, values).
        names: Title of each panel; by default "u, sample 0" and so on.
        name: Name of the field.
        unit: Its unit, written beside the colour bar.
        count: Number of samples to draw at most.
        edges: Whether to draw the edges of the cells.

    Returns:
        The path written.

    Raises:
        ValueError: If there is no sample, or shapes do not fit together.
    """
    drawn = [parts_of(sample) for sample in list(samples)[:count]]
    if not drawn:
        raise ValueError("samples: expected at least one, found none.")
    titles = list(names or [f"{name}, sample {i}" for i in range(len(drawn))])
    span = limits(*(sample[3] for sample in drawn))
    around = np.concatenate([np.asarray(sample[0], dtype=float) for sample in drawn])
    panels = panels_for(around, len(drawn))
    for axes, (points, cells, kind, values), title in zip(panels, drawn, titles, strict=False):
        image = show_mesh_field(axes, points, cells, kind, values, span, bar=False, edges=edges)
        axes.set_title(title, fontsize=10)
        frame(axes, around)
        axes.label_outer()
    explain_colours(panels[-1], image, f"{name} ({unit})", around)
    return _save_ranges(
        path, panels[0], [(t, np.asarray(s[3], dtype=float)) for t, s in zip(titles, drawn, strict=False)]
    )


def plot_grid_field(
    path: str | Path,
    coordinates: Any,
    fields: Mapping[str, Any],
    periodic: Sequence[bool] = (False, False),
    unit: str = "dimensionless",
    edges: bool = False,
) -> Path:
    """Draw fields on one curvilinear grid, a panel and a colour scale for each.

    Args:
        path: PNG to write; ranges of every field go to the ``.csv`` beside it.
        coordinates: Node positions, shape (nx, ny, 2), in length units, indexing "ij".
        fields: Node values by name, each (nx, ny); a name may carry its unit.
        periodic: Whether the last node of each axis is joined to the first.
        unit: Unit written beside the colour bars.
        edges: Whether to draw the grid lines.

    Returns:
        The path written.

    Raises:
        ValueError: If there is no field, or shapes do not fit together.
    """
    if not fields:
        raise ValueError("fields: expected at least one, found none.")
    panels = panels_for(np.asarray(coordinates, dtype=float).reshape(-1, 2), len(fields), bars=True)
    for axes, (title, values) in zip(panels, fields.items(), strict=True):
        span = limits(values)
        show_grid_field(axes, coordinates, values, span, periodic=periodic, unit=unit, edges=edges)
        axes.set_title(title, fontsize=10)
    return _save_ranges(path, panels[0], [(t, np.asarray(v, dtype=float)) for t, v in fields.items()])


def _panel_size(points: np.ndarray, longest: float) -> tuple[float, float]:
    """Inches of a panel whose longer side has a given length."""
    ratio = proportion(points)
    return (longest, max(longest / ratio, 0.6)) if ratio > 1 else (max(longest * ratio, 1.0), longest)


def panels_for(points: np.ndarray, count: int, bars: bool = False) -> list[Axes]:
    """Make panels for fields on one box: side by side, four a row, or stacked where they are wide.

    Args:
        points: What a panel shows, shape (n, 2).
        count: Number of panels.
        bars: Whether each panel has a colour bar of its own, rather than the last one for all.

    Returns:
        The axes, of one figure.
    """
    wide = proportion(points) >= WIDE
    columns = 1 if wide else min(count, 4)
    rows = -(-count // columns)
    width, height = _panel_size(points, 7.5 if wide else 2.6)
    beside, below = (0.5, 1.25 if bars else 0.6) if wide else (1.05 if bars else 0.35, 0.5)
    last = (0.0, 0.6) if wide else (0.9, 0.0)  # room for a colour bar at the last panel only
    figure = new_figure(
        columns * (width + beside) + (0.0 if bars else last[0]),
        rows * (height + below) + (0.0 if bars else last[1]),
    )
    figure.get_layout_engine().set(w_pad=0.08)  # type: ignore[union-attr, call-arg]
    axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for spare in axes[count:]:
        spare.set_axis_off()
    return axes[:count]


def _save_ranges(path: str | Path, axes: Axes, fields: Sequence[tuple[str, np.ndarray]]) -> Path:
    """Write the ranges of the fields and the figure of the axes."""
    save_numbers(
        path,
        ("field", "min", "mean", "max"),
        [(t, float(v.min()), float(v.mean()), float(v.max())) for t, v in fields],
    )
    return save_figure(axes.figure, path)  # type: ignore[arg-type]
