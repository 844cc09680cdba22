"""Blank figures, field panels and atomic writing: what every picture of the report shares.

The object interface of matplotlib with the Agg canvas is used throughout, so no display is needed, no global state
is kept, and a figure is freed with its last reference.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import AsinhNorm, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from pdeflow.report.colours import PhaseScale, Span, as_norm, plain

DOTS_PER_INCH = 120
FIELD_COLOURS = "viridis"
MASK_COLOUR = "0.6"
"""Grey of masked cells, which no colour map of fields or errors has."""
ERROR_COLOURS = "RdBu_r"
# Okabe and Ito's palette, distinguishable with the common kinds of colour blindness; line style varies as well.
LINE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
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


def line_style(index: int) -> dict[str, Any]:
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


def show_field(
    axes: Axes,
    field: np.ndarray,
    span: Span,
    *,
    extent: Extent = (0, 1, 0, 1),
    colours: str = FIELD_COLOURS,
    unit: str = "dimensionless",
    bar: bool = True,
) -> AxesImage:
    """Draw one field with x to the right and y upwards, equal aspect, and a colour bar with its unit; masked cells are grey.

    Args:
        axes: Where to draw.
        field: Values, shape (nx, ny), the first axis is x; a masked array leaves out cells, such as those in obstacles.
        span: Lowest and highest value of the colour scale, or another scale.
        extent: (x low, x high, y low, y high) in length units of the domain.
        colours: Name of the colour map.
        unit: Unit written beside the colour bar.
        bar: Whether to draw the colour bar.

    Returns:
        The image, so that a caller may share or inspect its limits.
    """
    image = axes.imshow(
        plain(field).T,
        origin="lower",
        extent=extent,
        cmap=colours,
        norm=as_norm(span),
        aspect="equal",
        interpolation="nearest",
    )
    mask = np.ma.getmaskarray(field).T
    if mask.any():  # an image of its own, since a value that is not finite must stay blank
        grey = np.ma.masked_array(mask.astype(float), ~mask)
        axes.imshow(grey, origin="lower", extent=extent, cmap=ListedColormap([MASK_COLOUR]), aspect="equal", interpolation="nearest")
    axes.set_xticks([extent[0], extent[1]])
    axes.set_yticks([extent[2], extent[3]])
    axes.tick_params(labelsize=8)
    if bar:
        add_colour_bar(axes, image, unit)
    return image


def add_colour_bar(axes: Axes, image: ScalarMappable, label: str) -> None:
    """Draw a colour bar exactly as high as the field beside it; a power of ten goes into its label.

    Args:
        axes: Axes of the field.
        image: Image whose colours are explained.
        label: Name and unit of the values.
    """
    bar = axes.figure.colorbar(image, cax=axes.inset_axes((1.04, 0.0, 0.05, 1.0)))
    label_colours(bar, label)


def label_colours(bar: Colorbar, label: str) -> None:
    """Give a colour bar its label and ticks: the values of a piecewise constant field, or numbers without a common power of ten.

    Args:
        bar: The colour bar.
        label: Name and unit of the values.
    """
    bar.ax.tick_params(which="both", labelsize=8)
    norm, factor = bar.norm, ""
    if isinstance(norm, PhaseScale):
        ends = np.asarray(norm.boundaries)
        bar.set_ticks(list((ends[1:] + ends[:-1]) / 2), labels=[number(value, 4) for value in norm.values])
        bar.minorticks_off()
    elif isinstance(norm, AsinhNorm):
        values = [0.0 if abs(value) < 1e-9 else float(value) for value in norm.inverse(np.linspace(0, 1, 5))]
        bar.set_ticks(values, labels=[number(value, 2) for value in values])
        bar.minorticks_off()
    elif type(norm) is Normalize:
        factor = scale_ticks(bar.long_axis, *bar.mappable.get_clim())
    bar.set_label(f"{label}, {factor}" if factor else label, fontsize=8)


def number(value: float, digits: int = 6) -> str:
    """Return a number for a picture, with the minus sign that matplotlib's own ticks have.

    Args:
        value: The number.
        digits: Significant digits at most.
    """
    return f"{value:.{digits}g}".replace("-", "−")


def scale_ticks(axis: Axis, low: float, high: float) -> str:
    """Take a common power of ten out of the tick labels of very small or large values.

    Args:
        axis: Axis whose tick labels are set.
        low: Lowest value shown.
        high: Highest value shown.

    Returns:
        Text for the label, as "× 10⁻³", or "" where the ticks stand as they are.
    """
    largest = max(abs(low), abs(high))
    power = math.floor(math.log10(largest)) if largest > 0 else 0
    if -2 < power < 4:
        return ""
    axis.set_major_formatter(lambda value, position: number(value / 10.0**power))
    return f"× 10{str(power).translate(SUPERSCRIPTS)}"


def label_axes(axes: Axes, title: str, x: str, y: str, legend: bool = True) -> None:
    """Give axes a title, labels, a light grid and small ticks, and a legend where lines are named.

    Args:
        axes: Axes to finish.
        title: Title.
        x: Label of the horizontal axis, with its unit.
        y: Label of the vertical axis, with its unit.
        legend: Whether to draw the legend inside the axes.
    """
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(which="both", labelsize=8)
    axes.grid(alpha=0.3, which="major")
    axes.set_axisbelow(True)
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)


def legend_below(axes: Axes, columns: int) -> None:
    """Draw the legend of axes under the whole figure, where it hides no data.

    Args:
        axes: Axes with named lines or bars.
        columns: Number of columns.
    """
    lines, names = axes.get_legend_handles_labels()
    axes.figure.legend(lines, names, loc="outside lower center", ncols=columns, fontsize=8, frameon=False)


def say_empty(axes: Axes, text: str) -> None:
    """Write in empty axes why they are empty.

    Args:
        axes: Axes without data.
        text: One short sentence.
    """
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, fontsize=9, color="0.4")
    axes.set_axis_off()


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG with all of its labels: aside first, then renamed, so a reader never meets half a picture.

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
        aside, format="png", dpi=DOTS_PER_INCH, facecolor="white", metadata={"Software": "pdeflow"},
        bbox_inches="tight", pad_inches=0.08,
    )  # fmt: skip
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
