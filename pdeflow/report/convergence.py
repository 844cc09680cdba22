"""Pictures of a solver comparison: residual histories, and seconds with set-up apart."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pdeflow.report.canvas import (
    LINE_COLOURS,
    label_axes,
    legend_below,
    line_style,
    new_figure,
    save_figure,
    save_numbers,
    say_empty,
)
from pdeflow.report.tables import format_number, total_seconds

LINEAR_ITERATIONS = 20


def plot_residuals(
    path: str | Path, histories: Mapping[str, Sequence[Any]], rtol: float | None = None
) -> Path:
    """Draw relative residual norms against iteration and against seconds, on a log scale.

    The iterations of one method are spread evenly over its seconds, since only the total is measured. Where the
    methods differ widely, the iteration axis is logarithmic beyond 20, so that the quick ones stay visible.

    Args:
        path: PNG to write; the histories go to the ``.csv`` beside it.
        histories: By method: relative residual norms ||b - A x_k|| / ||b|| for k = 0, 1, …, its total seconds, and
            optionally how many of these were set-up, at whose end its line then starts.
        rtol: Tolerance asked for, drawn as a line, or None.

    Returns:
        The path written.

    Raises:
        ValueError: If there is no history.
    """
    if not histories:
        raise ValueError("histories: expected at least one method, found none.")
    figure = new_figure(10.0, 3.8 + 0.2 * math.ceil((len(histories) + 1) / 2))
    left, right = figure.subplots(1, 2, sharey=True)
    rows: list[tuple[object, ...]] = []
    longest = []
    for index, (name, (norms, seconds, *setup)) in enumerate(histories.items()):
        norms = np.asarray(norms, dtype=float).ravel()
        longest.append(max(len(norms) - 1, 0))
        times = np.linspace(float(setup[0] if setup else 0.0), float(seconds), len(norms))
        shown = np.where(norms > 0, norms, np.nan)
        mark = {"marker": "o", "markersize": 3} if len(norms) <= 30 else {}
        label = f"{name} ({longest[-1]} its, {format_number(float(seconds))} s)"
        left.semilogy(np.arange(len(norms)), shown, label=label, **line_style(index), **mark)
        right.semilogy(times, shown, **line_style(index), **mark)
        rows += [(name, k, float(t), float(v)) for k, (t, v) in enumerate(zip(times, norms, strict=True))]
    for axes in (left, right) if rtol else ():
        axes.axhline(rtol, color="0.4", linewidth=1, linestyle=":", label=f"tolerance {rtol:.0e}")
    x = "iteration" + (" (logarithmic beyond 20)" if _compress(left, longest) else "")
    label_axes(left, "per iteration", x, "relative residual (dimensionless)", legend=False)
    label_axes(right, "per second, set-up included where measured", "seconds", "", legend=False)
    right.set_xlim(left=0.0)
    legend_below(left, 2)
    save_numbers(path, ("method", "iteration", "seconds", "relative_residual"), rows)
    return save_figure(figure, path)


def _compress(axes: Axes, longest: Sequence[int]) -> bool:
    """Make the iteration axis logarithmic beyond 20 where the longest history is ten times the shortest."""
    iterative = [n for n in longest if n > 0]
    if not iterative or max(iterative) < max(10 * min(iterative), 4 * LINEAR_ITERATIONS):
        return False
    axes.set_xscale("symlog", linthresh=LINEAR_ITERATIONS, linscale=1.0)
    top = max(iterative)
    ticks = [0, 10, *(t for t in (20, 50, 100, 200, 500, 1000, 2000, 5000, 10**4, 10**5) if t <= 1.1 * top)]
    axes.set_xticks(ticks, [str(t) for t in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlim(-0.5, 1.15 * top)
    return True


def plot_solver_times(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Draw set-up and solve seconds of every method as stacked bars, with iteration counts; fastest on top.

    Args:
        path: PNG to write; the numbers go to the ``.csv`` beside it.
        rows: Plain dicts as for `solver_rows`; a method that was skipped keeps a line that says why.

    Returns:
        The path written.
    """
    ran = sorted(
        (row for row in rows if not row.get("skipped") and math.isfinite(total_seconds(row))),
        key=total_seconds,
    )
    skipped = [row for row in rows if row.get("skipped")]
    count = len(ran) + len(skipped)
    figure = new_figure(8.0, 1.3 + 0.36 * max(count, 2))
    axes = figure.subplots()
    if ran:
        setup = np.array([float(row.get("seconds_setup") or 0.0) for row in ran])
        solve = np.array([float(row["seconds_solve"]) for row in ran])
        heights = np.arange(len(ran))
        axes.barh(heights, setup, color=LINE_COLOURS[4], label="set-up")
        axes.barh(heights, solve, left=setup, color=LINE_COLOURS[0], label="solve")
        for height, (row, total) in enumerate(zip(ran, setup + solve, strict=True)):
            axes.text(total, height, f"  {_bar_note(row, float(total))}", va="center", fontsize=8)
        for height, row in enumerate(skipped, len(ran)):
            text = textwrap.shorten(f"skipped: {row['skipped']}", 80, placeholder=" …")
            axes.text(0.0, height, f"  {text}", va="center", fontsize=8, color="0.4")
        names = [str(row.get("name", "?")) for row in (*ran, *skipped)]
        axes.set_yticks(range(count), [textwrap.fill(name, 32) for name in names])
        axes.set_xlim(0, 1.4 * float((setup + solve).max()) or 1.0)
        axes.set_ylim(count - 0.4, -0.6)
        label_axes(axes, "seconds until each method stopped", "seconds", "", legend=False)
        axes.grid(visible=False, axis="y")
        legend_below(axes, 2)
    else:
        say_empty(axes, "no timed solve")
    columns = ("name", "iterations", "seconds_setup", "seconds_solve", "residual")
    save_numbers(path, ("method", *columns[1:]), [tuple(row.get(k) for k in columns) for row in rows])
    return save_figure(figure, path)


def _bar_note(row: Mapping[str, Any], total: float) -> str:
    parts = [f"{format_number(total)} s"]
    if row.get("iterations"):
        parts.append(f"{format_number(row['iterations'])} its")
    reason = str(row.get("reason", "converged"))
    return ", ".join(parts if reason.startswith("converged") else [*parts, reason])
