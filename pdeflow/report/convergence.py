"""Pictures of a solver comparison: residual histories, and seconds with set-up apart."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

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
from pdeflow.report.tables import format_number, is_failed, switch_text, total_seconds

WIDE = 10
"""Ratio of the largest to the smallest count, or time, from which an axis is logarithmic."""
GREY = "0.7"


def plot_residuals(
    path: str | Path, histories: Mapping[str, Sequence[Any]], rtol: float | None = None, *, title: str = "",
    remarks: Mapping[str, str] | None = None, switches: Mapping[str, int] | None = None, absent: Sequence[str] = (),
) -> Path:  # fmt: skip
    """Draw relative residual norms against iteration and against seconds, on a log scale.

    The iterations of one method are spread evenly over its seconds, since only the total is measured. Where the methods that
    reach the tolerance differ ten times or more, an axis is logarithmic; the iterations then begin at 1. A method without iterations, such as a
    factorization, is a vertical line at its total seconds.

    Args:
        path: PNG to write; the histories go to the ``.csv`` beside it.
        histories: By method: relative residual norms ||b - A x_k|| / ||b|| for k = 0, 1, …, its total seconds, and
            optionally how many of these were set-up, at whose end its line then starts.
        rtol: Tolerance asked for, drawn as a line, or None.
        title: What was solved.
        remarks: By method, what its label says beside iterations and seconds.
        switches: By method, the iteration at which another one took over: a mark on its line.
        absent: What the legend says about methods that are not drawn, a line each.

    Returns:
        The path written.

    Raises:
        ValueError: If there is no history.
    """
    if not histories:
        raise ValueError("histories: expected at least one method, found none.")
    absent = [textwrap.fill(line, 150, subsequent_indent="    ") for line in absent]
    columns = 1 if any(len(line) > 70 for line in absent) else 2
    lines = math.ceil((len(histories) + 1) / columns) + sum(line.count("\n") + 1 for line in absent) / columns
    figure = new_figure(10.0, 3.9 + 0.2 * lines)
    left, right = figure.subplots(1, 2, sharey=True)
    rows = _draw_all((left, right), histories, remarks or {}, switches or {})
    for axes in (left, right) if rtol else ():
        axes.axhline(rtol, color="0.4", linewidth=1, linestyle=":", label=f"tolerance {rtol:.0e}")
    for line in absent:
        left.plot([], [], " ", label=line)
    _label((left, right), histories, rtol)
    if title:
        figure.suptitle(textwrap.fill(title, 130), fontsize=9)
    legend_below(left, columns)
    save_numbers(path, ("method", "iteration", "seconds", "relative_residual"), rows)
    return save_figure(figure, path)


def _label(panels: tuple[Axes, Axes], histories: Mapping[str, Sequence[Any]], rtol: float | None) -> None:
    """Choose the scales of both panels by the lengths of the histories, and name the axes."""
    left, right = panels
    ends = [(np.ravel(norms)[-1], len(np.ravel(norms)) - 1, float(seconds)) for norms, seconds, *_ in histories.values()]
    word = " (logarithmic)"
    first = _spread(left, [(norm, count) for norm, count, _ in ends if count > 1], rtol, 1.0)
    second = _spread(right, [(norm, seconds) for norm, _, seconds in ends if seconds > 0], rtol, None)
    label_axes(left, "per iteration", "iteration" + word * first, "relative residual (dimensionless)", legend=False)
    label_axes(right, "per second, set-up included where measured", "seconds" + word * second, "", legend=False)


def _draw_all(
    panels: tuple[Axes, Axes], histories: Mapping[str, Sequence[Any]], remarks: Mapping[str, str], switches: Mapping[str, int]
) -> list[tuple[object, ...]]:  # fmt: skip
    """Draw every method in both panels; return what the csv holds: method, iteration, seconds, relative residual."""
    rows: list[tuple[object, ...]] = []
    for index, (name, (norms, seconds, *setup)) in enumerate(histories.items()):
        norms = np.asarray(norms, dtype=float).ravel()
        times = np.linspace(float(setup[0] if setup else 0.0), float(seconds), len(norms))
        facts = [f"{format_number(float(seconds))} s", *([remarks[name]] if name in remarks else [])]
        _draw(panels, name, norms, times, facts, index, switches.get(name))
        rows += [(name, k, float(t), float(v)) for k, (t, v) in enumerate(zip(times, norms, strict=True))]
    return rows


def _draw(
    panels: tuple[Axes, Axes], name: str, norms: np.ndarray, times: np.ndarray, facts: list[str], index: int, switch: int | None
) -> None:  # fmt: skip
    """Draw one method in both panels."""
    left, right = panels
    style = line_style(index)
    if len(norms) < 3:
        right.axvline(times[-1], **style)
        left.plot([], [], label=f"{name} ({', '.join(facts)})", **style)
        return
    shown = np.where(norms > 0, norms, np.nan)
    mark = {"marker": "o", "markersize": 3} if len(norms) <= 30 else {}
    label = f"{name} ({', '.join([f'{len(norms) - 1} its', *facts])})"
    left.semilogy(np.arange(len(norms)), shown, label=label, **style, **mark)
    right.semilogy(times, shown, **style, **mark)
    if switch is not None and switch < len(norms):
        for axes, x in ((left, float(switch)), (right, float(times[switch]))):
            axes.plot([x], [shown[switch]], marker="X", markersize=9, color=style["color"], markeredgecolor="white", linestyle="")


def _spread(axes: Axes, ends: Sequence[tuple[float, float]], rtol: float | None, begin: float | None) -> bool:
    """Make the axis logarithmic where the methods that reach the tolerance differ widely; a failed one is shown for thrice their length.

    Args:
        axes: The panel.
        ends: Last residual, and iterations or total seconds, of each method.
        rtol: Tolerance, or None.
        begin: Where a logarithmic axis begins; by default at a twentieth of the quickest method.

    Returns:
        Whether it is logarithmic, with ticks at 1, 2 and 5 times a power of ten.
    """
    axes.set_yscale("log")
    every = [value for _, value in ends] or [1.0]
    values = [value for norm, value in ends if rtol is None or norm <= 1.01 * rtol] or every
    high = 1.15 * min(max(every), 3 * max(values))
    if max(values) < WIDE * min(values):
        axes.set_xlim(0.0, high)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=begin is not None))
        return False
    low = 0.05 * min(values) if begin is None else begin
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high < 1000 * low else (1,)
    ticks = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlim(0.95 * low, high)
    return True


def plot_solver_times(path: str | Path, rows: Sequence[Mapping[str, Any]], title: str = "") -> Path:
    """Draw set-up and solve seconds of every method as stacked bars, with iteration counts; fastest on top.

    Methods that failed follow in grey, a bar longer than all others cut off, and then those that were skipped.

    Args:
        path: PNG to write; the numbers go to the ``.csv`` beside it.
        rows: Plain dicts as for `solver_rows`; a method that was skipped keeps a line that says why.
        title: What was solved.

    Returns:
        The path written.
    """
    timed = [row for row in rows if not row.get("skipped") and math.isfinite(total_seconds(row))]
    ran = sorted(timed, key=lambda row: (is_failed(row), total_seconds(row)))
    skipped = [row for row in rows if row.get("skipped")]
    figure = new_figure(8.0, 1.4 + 0.36 * max(len(ran) + len(skipped), 2))
    axes = figure.subplots()
    if ran:
        _bars(axes, ran, skipped)
        legend_below(axes, 3)
    else:
        say_empty(axes, "no timed solve")
    if title:
        figure.suptitle(textwrap.fill(title, 110), fontsize=8)
    columns = ("name", "iterations", "seconds_setup", "seconds_solve", "residual")
    save_numbers(path, ("method", *columns[1:]), [tuple(row.get(k) for k in columns) for row in rows])
    return save_figure(figure, path)


def _bars(axes: Axes, ran: Sequence[Mapping[str, Any]], skipped: Sequence[Mapping[str, Any]]) -> None:
    """Draw the bars of what ran, the failed ones last, and a line for what was skipped."""
    good = [row for row in ran if not is_failed(row)] or ran
    end = max(total_seconds(row) / (1 - 0.012 * (4 + len(_bar_note(row, total_seconds(row))))) for row in good) or 1.0
    colours = {"set-up": LINE_COLOURS[4], "solve": LINE_COLOURS[0], "failed": GREY}
    named: set[str] = set()
    for height, row in enumerate(ran):
        setup, total = float(row.get("seconds_setup") or 0.0), total_seconds(row)
        parts = [("failed", 0.0, total)] if is_failed(row) else [("set-up", 0.0, setup), ("solve", setup, total)]
        for part, start, stop in parts:
            label = None if part in named else part
            axes.barh(height, stop - start, left=start, color=colours[part], label=label)
            named.add(part)
        inside = is_failed(row) and total > 0.3 * end
        axes.text(0.0 if inside else total, height, f"  {_bar_note(row, total)}", va="center", fontsize=8)
    for height, row in enumerate(skipped, len(ran)):
        text = textwrap.fill(f"skipped: {str(row['skipped']).removeprefix('skipped: ')}", 90, max_lines=2, placeholder=" …")
        axes.text(0.0, height, f"  {text}".replace("\n", "\n  "), va="center", fontsize=7 if "\n" in text else 8, color="0.4")
    names = [str(row.get("name", "?")) for row in (*ran, *skipped)]
    axes.set_yticks(range(len(names)), [textwrap.fill(name, 32) for name in names])
    axes.set_xlim(0, end)
    axes.set_ylim(len(names) - 0.4, -0.6)
    label_axes(axes, "seconds until each method stopped", "seconds", "", legend=False)
    axes.grid(visible=False, axis="y")


def _bar_note(row: Mapping[str, Any], total: float) -> str:
    parts = [f"{format_number(total)} s"]
    if row.get("iterations") and row.get("method") != "direct":
        parts.append(f"{format_number(row['iterations'])} its")
    if row.get("switched_at") is not None:
        parts.append(switch_text(row))
    return ", ".join([*parts, str(row.get("reason"))] if is_failed(row) else parts)
