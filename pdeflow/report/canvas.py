"""Blank figures, field panels and atomic writing: what every picture of the report shares.

The object interface of matplotlib with the Agg canvas is used throughout, so no display is needed, no global state
is kept, and a figure is freed with its last reference.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

DOTS_PER_INCH = 120
FIELD_COLOURS = "viridis"
ERROR_COLOURS = "RdBu_r"
# Okabe and Ito's palette, distinguishable with the common kinds of colour blindness; line style varies as well.
LINE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINE_STYLES = ("-", "--", "-.", ":")

Extent = tuple[float, float, float, float]


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure with an Agg canvas and constrained layout.

    Args:
        width: Width in inches.
        height: Height in inches.

    Returns:
        The figure; axes are added with ``figure.subplots``.
    """
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def line_style(index: int) -> dict[str, object]:
    """Give colour and dash of line number index; 28 combinations before one repeats.

    Args:
        index: Number of the line, from 0.

    Returns:
        Keywords for ``Axes.plot``.
    """
    return {
        "color": LINE_COLOURS[index % len(LINE_COLOURS)],
        "linestyle": LINE_STYLES[index % len(LINE_STYLES)],
        "linewidth": 1.6,
    }


def limits(*fields: np.ndarray) -> tuple[float, float]:
    """Common colour limits of several fields, ignoring what is not finite.

    Args:
        *fields: Arrays of any shape.

    Returns:
        Lowest and highest finite value; (0, 1) where there is none, widened where they are equal.
    """
    values = np.concatenate([np.asarray(field, dtype=float).ravel() for field in fields])
    values = values[np.isfinite(values)]
    if values.size == 0:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    if low == high:
        pad = 0.5 * abs(low) or 0.5
        return low - pad, high + pad
    return low, high


def symmetric_limits(*fields: np.ndarray) -> tuple[float, float]:
    """Common colour limits centred at zero, for signed errors.

    Args:
        *fields: Arrays of any shape.

    Returns:
        (-m, m) with m the largest finite absolute value, or 1 where all are zero.
    """
    largest = limits(*(np.abs(np.asarray(field, dtype=float)) for field in fields), np.zeros(1))[1]
    return -largest, largest


def show_field(
    axes: Axes,
    field: np.ndarray,
    span: tuple[float, float],
    *,
    extent: Extent = (0, 1, 0, 1),
    colours: str = FIELD_COLOURS,
    unit: str = "dimensionless",
    bar: bool = True,
) -> AxesImage:
    """Draw one field with x to the right and y upwards, equal aspect, and a colour bar with its unit.

    Args:
        axes: Where to draw.
        field: Values, shape (nx, ny): the first axis is x.
        span: Lowest and highest value of the colour scale.
        extent: (x low, x high, y low, y high) in length units of the domain.
        colours: Name of the colour map.
        unit: Unit written beside the colour bar.
        bar: Whether to draw the colour bar.

    Returns:
        The image, so that a caller may share or inspect its limits.
    """
    image = axes.imshow(
        np.asarray(field, dtype=float).T,
        origin="lower",
        extent=extent,
        cmap=colours,
        vmin=span[0],
        vmax=span[1],
        aspect="equal",
        interpolation="nearest",
    )
    axes.set_xticks([extent[0], extent[1]])
    axes.set_yticks([extent[2], extent[3]])
    axes.tick_params(labelsize=8)
    if bar:
        colour_bar = axes.figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
        colour_bar.formatter.set_powerlimits((-2, 3))
        colour_bar.ax.tick_params(labelsize=8)
        colour_bar.set_label(unit, fontsize=8)
    return image


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG: aside first, then renamed, so a reader never meets half a picture.

    Args:
        figure: Figure made by `new_figure`.
        path: File to write; its folder is made.

    Returns:
        The path written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    figure.savefig(
        aside, format="png", dpi=DOTS_PER_INCH, facecolor="white", metadata={"Software": "pdeflow"}
    )
    os.replace(aside, path)
    return path


def save_numbers(path: str | Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """Write the numbers behind a picture beside it, as comma-separated values with the same stem.

    Args:
        path: The picture's file; its suffix is replaced by ``.csv``.
        header: Names of the columns.
        rows: Values; floats are written with ten significant digits.

    Returns:
        The path of the csv file.
    """
    path = Path(path).with_suffix(".csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with open(aside, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for row in rows:
            writer.writerow([f"{v:.10g}" if isinstance(v, float | np.floating) else v for v in row])
    os.replace(aside, path)
    return path
