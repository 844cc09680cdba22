"""The picture of a training: loss, validation error and learning rate from Lightning's metrics file."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from pdeflow.report.canvas import label_axes, line_style, new_figure, save_figure, save_numbers, say_empty

Metrics = list[dict[str, float]]


def read_metrics(csv_path: str | Path) -> Metrics:
    """Read the ``metrics.csv`` of Lightning's CSVLogger; empty cells are left out of their row.

    Args:
        csv_path: File to read.

    Returns:
        One dict per line with the numbers present in it.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    rows: Metrics = []
    with open(csv_path, newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            row = {}
            for key, text in line.items():
                try:
                    row[key] = float(text)
                except (TypeError, ValueError):
                    continue
            rows.append(row)
    return rows


def _series(rows: Sequence[Mapping[str, float]], key: str) -> tuple[list[float], list[float]]:
    """Values of one key against the optimiser's step (the line's number where no step is logged)."""
    pairs = [(row.get("step", float(i)), row[key]) for i, row in enumerate(rows) if key in row]
    return [p[0] for p in pairs], [p[1] for p in pairs]


def _panel_of(key: str) -> str:
    if key == "lr" or key.startswith(("lr-", "lr/")) or "learning_rate" in key:
        return "learning rate"
    return "loss" if "loss" in key else "validation"


def _draw_panel(
    axes: Axes, rows: Sequence[Mapping[str, float]], names: Sequence[str]
) -> list[tuple[Any, ...]]:
    """Draw series, on a log scale where all values are positive and span a factor of five; return them as rows."""
    table: list[tuple[Any, ...]] = []
    for index, name in enumerate(names):
        steps, values = _series(rows, name)
        mark = "." if len(values) <= 60 else None
        axes.plot(steps, values, label=name, marker=mark, **line_style(index))
        table += [(name, s, v) for s, v in zip(steps, values, strict=True)]
    values = [float(row[2]) for row in table]
    if _panel_of(names[0]) != "learning rate" and min(values) > 0 and max(values) > 5 * min(values):
        axes.set_yscale("log")
        if "iterations" in names[0]:  # whole powers of ten are far apart, and 4 × 10¹ is no number of iterations
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
    return table


def _draw_cap(axes: Axes, table: Sequence[Sequence[Any]], most: float | None) -> None:
    """Draw the count that stands for no convergence as a line, where it occurs."""
    if most is not None and any(row[0].endswith("iterations") and row[2] >= most for row in table):
        axes.axhline(most, color="0.4", linewidth=1.0, label=f"{most:g}: not converged")


def plot_training(
    path: str | Path,
    rows: Sequence[Mapping[str, float]],
    keys: Sequence[str] | None = None,
    most_iterations: float | None = None,
) -> Path:
    """Draw loss, validation error and learning rate of a training against the optimiser's step.

    Args:
        path: PNG to write; the series go to the ``.csv`` beside it.
        rows: Lines of the metrics file, from `read_metrics`.
        keys: Columns to draw; all but epoch and step where None.
        most_iterations: What a solve that does not converge counts, drawn as a line.

    Returns:
        The path written; a panel without data is left out.
    """
    if keys is None:
        keys = list(dict.fromkeys(key for row in rows for key in row if key not in ("epoch", "step")))
    panels: dict[str, list[str]] = {"loss": [], "validation": [], "learning rate": []}
    for key in keys:
        panels[_panel_of(key)].append(key)
    drawn = {title: names for title, names in panels.items() if any(_series(rows, n)[1] for n in names)}
    figure = new_figure(4.0 * max(len(drawn), 1), 3.6)
    figure.set_layout_engine("constrained", wspace=0.06)
    table: list[tuple[Any, ...]] = []
    grid = figure.subplots(1, max(len(drawn), 1), squeeze=False)[0]
    if not drawn:
        say_empty(grid[0], "nothing was logged")
    for axes, (title, names) in zip(grid, drawn.items(), strict=False):
        drawn_rows = _draw_panel(axes, rows, names)
        _draw_cap(axes, drawn_rows, most_iterations)
        table += drawn_rows
        unit = "iterations" if all("iterations" in name for name in names) else "dimensionless"
        label_axes(axes, title, "optimizer step", "" if title == "learning rate" else unit, legend=False)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)  # below: it hides no data
    save_numbers(path, ("quantity", "step", "value"), table)
    return save_figure(figure, path)
