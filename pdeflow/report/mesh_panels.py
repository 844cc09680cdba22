"""One panel of a picture: a mesh, or a field on a mesh or on a curvilinear grid, in the plane.

Values at points are shaded linearly on triangles (Gouraud); a quadrilateral is cut in four at its centre, whose value is
the mean of the corners, so that no diagonal shows. A piecewise constant field (`PhaseScale`) is not interpolated: every point
has the colour of the corner in whose share of the cell it lies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator
from matplotlib.tri import Triangulation

from pdeflow.report.canvas import FIELD_COLOURS, LINE_COLOURS, add_colour_bar, label_colours, number
from pdeflow.report.colours import PhaseScale, Span, as_norm

CORNERS = {"line": 2, "tri": 3, "quad": 4}
WIDE = 2.5
"""Width over height from which a panel has its colour bar below instead of on the right."""


def show_mesh(
    axes: Axes,
    points: Any,
    cells: Any,
    cell_type: str,
    *,
    parts: Mapping[str, Any] | None = None,
    colour: str = "0.45",
) -> None:
    """Draw the edges of a mesh, and named boundary parts in colours of their own.

    Args:
        axes: Where to draw.
        points: Vertices, shape (n, 2), in length units.
        cells: Vertex numbers, shape (m, k).
        cell_type: "line", "tri" or "quad".
        parts: Vertex numbers of the facets of each named part, shape (f, 2).
        colour: Colour of the edges.

    Raises:
        ValueError: If the mesh is not in the plane, or cells do not fit the type.
    """
    points, cells = checked_mesh(points, cells, cell_type)
    width = float(np.clip(12 / np.sqrt(len(cells)), 0.2, 0.6))  # many cells need thin edges
    axes.add_collection(LineCollection(list(points[_edges(cells)]), colors=colour, linewidths=width))
    for index, (name, facets) in enumerate((parts or {}).items()):
        lines = list(points[np.asarray(facets, dtype=np.int64).reshape(-1, 2)])
        shade = LINE_COLOURS[index % len(LINE_COLOURS)]
        axes.add_collection(LineCollection(lines, colors=shade, linewidths=2.2, label=name, capstyle="round"))
    frame(axes, points)


def show_mesh_field(
    axes: Axes,
    points: Any,
    cells: Any,
    cell_type: str,
    values: Any,
    span: Span,
    *,
    colours: str = FIELD_COLOURS,
    unit: str = "dimensionless",
    bar: bool = True,
    edges: bool = False,
) -> ScalarMappable:
    """Draw a field on a mesh: shaded for values at points, one colour per cell for values at cells.

    Args:
        axes: Where to draw.
        points: Vertices, shape (n, 2), in length units.
        cells: Vertex numbers, shape (m, k).
        cell_type: "tri" or "quad".
        values: Shape (n,) at points, or (m,) at cells; where n = m they are taken at points.
        span: Lowest and highest value of the colour scale, or another scale.
        colours: Name of the colour map.
        unit: Label of the colour bar.
        bar: Whether to draw the colour bar.
        edges: Whether to draw the edges of the cells on top.

    Returns:
        The coloured artist.

    Raises:
        ValueError: If shapes do not fit together.
    """
    points, cells = checked_mesh(points, cells, cell_type)
    values = np.asarray(values, dtype=float).ravel()
    if cell_type == "line" or len(values) not in (len(points), len(cells)):
        raise ValueError(
            f"values: expected {len(points)} at points or {len(cells)} at cells of type tri or quad, "
            f"found {len(values)} on {cell_type} cells."
        )
    image: ScalarMappable
    norm, flat = as_norm(span), len(values) != len(points)
    if isinstance(norm, PhaseScale) and not flat:
        corners, values, flat = _shares(points, cells), values[cells].ravel(), True
    elif flat:
        corners = points[cells]
    if not flat:
        where, triangles, at = _triangles(points, cells, values)
        surface = Triangulation(where[:, 0], where[:, 1], triangles)
        image = axes.tripcolor(surface, at, shading="gouraud", cmap=colours, norm=norm)
    else:
        image = PolyCollection(list(corners), array=values, cmap=colours, norm=norm, edgecolors="face")
        image.set_linewidth(0.5)  # closes the hairlines that antialiasing leaves between neighbours
        axes.add_collection(image)
    if edges:
        axes.add_collection(
            LineCollection(list(points[_edges(cells)]), colors="white", linewidths=0.25, alpha=0.5)
        )
    frame(axes, points)
    if bar:
        explain_colours(axes, image, unit, points)
    return image


def show_grid_field(
    axes: Axes,
    coordinates: Any,
    values: Any,
    span: Span,
    *,
    periodic: Sequence[bool] = (False, False),
    colours: str = FIELD_COLOURS,
    unit: str = "dimensionless",
    bar: bool = True,
    edges: bool = False,
) -> ScalarMappable:
    """Draw node values on a curvilinear grid with indexing "ij".

    Args:
        axes: Where to draw.
        coordinates: Node positions, shape (nx, ny, 2), in length units.
        values: Shape (nx, ny).
        span: Lowest and highest value of the colour scale, or another scale.
        periodic: Whether the last node of each axis is joined to the first, as on a ring.
        colours: Name of the colour map.
        unit: Label of the colour bar.
        bar: Whether to draw the colour bar.
        edges: Whether to draw the grid lines on top.

    Returns:
        The coloured artist.

    Raises:
        ValueError: If shapes do not fit together.
    """
    x, v = np.asarray(coordinates, dtype=float), np.asarray(values, dtype=float)
    if x.ndim != 3 or x.shape[-1] != 2 or v.shape != x.shape[:-1]:
        raise ValueError(
            f"coordinates, values: expected (nx, ny, 2) and (nx, ny), found {x.shape} and {v.shape}."
        )
    for axis, wraps in enumerate(periodic):
        if wraps:
            x = np.concatenate([x, np.take(x, [0], axis=axis)], axis=axis)
            v = np.concatenate([v, np.take(v, [0], axis=axis)], axis=axis)
    norm = as_norm(span)
    shading: Any = "nearest" if isinstance(norm, PhaseScale) else "gouraud"
    image = axes.pcolormesh(x[..., 0], x[..., 1], v, shading=shading, cmap=colours, norm=norm)
    if edges:
        lines = [*x, *x.transpose(1, 0, 2)]
        axes.add_collection(LineCollection(lines, colors="white", linewidths=0.25, alpha=0.5))
    frame(axes, x.reshape(-1, 2))
    if bar:
        explain_colours(axes, image, unit, x.reshape(-1, 2))
    return image


def explain_colours(axes: Axes, image: ScalarMappable, label: str, points: np.ndarray) -> None:
    """Draw a colour bar: as high as the panel beside it, or under a panel that is much wider than high.

    Args:
        axes: Axes of the field.
        image: Artist whose colours are explained.
        label: Name and unit of the values.
        points: What the panel shows, shape (n, 2), for its proportions.
    """
    wide = proportion(points) >= WIDE
    if not wide and proportion(points) > 1 / WIDE:
        add_colour_bar(axes, image, label)
        return
    bar = axes.figure.colorbar(image, ax=axes, location="bottom" if wide else "right", aspect=60, pad=0.02)
    axis = bar.ax.xaxis if wide else bar.ax.yaxis
    if type(bar.norm) is Normalize:
        axis.set_major_locator(MaxNLocator(7))
    label_colours(bar, label)


def proportion(points: np.ndarray) -> float:
    """Return width over height of the box around points, shape (n, 2)."""
    width, height = np.ptp(points, axis=0)
    return float(width / height) if height > 0 else float("inf")


def checked_mesh(points: Any, cells: Any, cell_type: str) -> tuple[np.ndarray, np.ndarray]:
    """Return points and cells as arrays.

    Args:
        points: Vertices, shape (n, 2).
        cells: Vertex numbers, shape (m, k).
        cell_type: "line", "tri" or "quad".

    Raises:
        ValueError: If the mesh is not in the plane, is empty, or cells do not fit the type.
    """
    points, cells = np.asarray(points, dtype=float), np.asarray(cells, dtype=np.int64)
    if points.ndim != 2 or points.shape[1] != 2 or cell_type not in CORNERS:
        raise ValueError(
            f"only meshes of lines, triangles and quadrilaterals in the plane are drawn, found points "
            f"{points.shape} and {cell_type} cells; write a .vtu file for others."
        )
    if cells.ndim != 2 or cells.shape[1] != CORNERS[cell_type] or len(cells) == 0:
        raise ValueError(
            f"cells: expected (m, {CORNERS[cell_type]}) with m >= 1 for {cell_type}, found {cells.shape}."
        )
    return points, cells


def _edges(cells: np.ndarray) -> np.ndarray:
    """Every edge once, shape (e, 2)."""
    if cells.shape[1] == 2:
        return cells
    pairs = np.stack([cells, np.roll(cells, -1, axis=1)], axis=-1).reshape(-1, 2)
    return np.unique(np.sort(pairs, axis=1), axis=0)


def _triangles(
    points: np.ndarray, cells: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut quadrilaterals in four at their centres: (points, triangles, values)."""
    if cells.shape[1] == 3:
        return points, cells, values
    centre = len(points) + np.arange(len(cells))
    triangles = np.concatenate(
        [np.stack([cells[:, k], cells[:, (k + 1) % 4], centre], axis=1) for k in range(4)]
    )
    points = np.concatenate([points, points[cells].mean(axis=1)])
    return points, triangles, np.concatenate([values, values[cells].mean(axis=1)])


def _shares(points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Cut every cell into a quadrilateral for each corner, by its centre and the middles of its edges, shape (m k, 4, 2)."""
    corners = points[cells]
    ahead, behind = ((corners + np.roll(corners, turn, axis=1)) / 2 for turn in (-1, 1))
    centre = np.broadcast_to(corners.mean(axis=1, keepdims=True), corners.shape)
    return np.stack([corners, ahead, centre, behind], axis=2).reshape(-1, 4, 2)


def round_ticks(low: float, high: float) -> list[float]:
    """Return few positions on an axis that are short to write: its two ends, or round numbers between them.

    Args:
        low: Lower end.
        high: Upper end.
    """
    ends = [low, high]
    if all(float(f"{end:.2g}") == end for end in ends) or not high > low:
        return ends
    inner = [float(tick) for tick in MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= tick <= high]
    return inner if len(inner) > 1 else ends


def frame(axes: Axes, points: np.ndarray) -> None:
    """Equal scales, a little room around, a few round numbers at each axis, and no box."""
    low, high = points.min(axis=0), points.max(axis=0)
    room = 0.02 * float((high - low).max())
    axes.set_xlim(low[0] - room, high[0] + room)
    axes.set_ylim(low[1] - room, high[1] + room)
    axes.set_aspect("equal")
    for k, axis in enumerate((axes.xaxis, axes.yaxis)):
        ticks = round_ticks(float(low[k]), float(high[k]))
        axis.set_ticks(ticks, [number(tick, 4) for tick in ticks])
    axes.tick_params(labelsize=8, length=0)
    axes.spines[:].set_visible(False)
