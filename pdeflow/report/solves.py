"""Pictures of how a dataset was solved: residuals, iterations along the chains, and the race of the solvers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullFormatter

from pdeflow.report.canvas import LINE_COLOURS, label_axes, line_style, new_figure, save_figure, save_numbers

SHOWN = 8
"""Solvers of a race that are drawn: the fastest ones."""
BINS, LEAST_DECADES = 24, 2.0
"""Bars of the histogram of residuals, and the powers of ten that it spans at least."""


def plot_solves(
    path: str | Path, residuals: np.ndarray, iterations: np.ndarray, places: np.ndarray, rtol: float | None = None,
    verdict: str = "relative residual", unsorted: Sequence[int] = (), counted: str = "iterations",
) -> Path:  # fmt: skip
    """Draw the distribution of the residuals and, where they differ, the iterations along the chains.

    Args:
        path: PNG to write; the iterations by place go to the ``.csv`` beside it.
        residuals: One per sample, shape (N,).
        iterations: One per sample, shape (N,).
        places: Place of each sample in its chain, shape (N,).
        rtol: Tolerance, drawn as a line.
        verdict: What the residuals are.
        unsorted: Iterations of the same solver on samples in the order of their numbers, where the dataset is sorted.
        counted: What the iterations are.

    Returns:
        The path written.

    Raises:
        ValueError: If there is no sample.
    """
    if not len(residuals):
        raise ValueError("residuals: expected at least one sample, found none.")
    along = len(np.unique(iterations)) > 1
    figure = new_figure(8.0 if along else 4.4, 3.0)
    panels = figure.subplots(1, 2 if along else 1, squeeze=False)[0]
    _residuals(panels[0], np.asarray(residuals, dtype=float), rtol, verdict)
    order = np.unique(places)
    means = np.array([iterations[places == place].mean() for place in order])
    if along:
        axes = panels[1]
        axes.plot(places, iterations, ".", color="0.75", markersize=3, zorder=1)
        axes.plot(order, means, label="mean over the chains", **line_style(0))
        if len(unsorted):
            axes.plot(range(len(unsorted)), unsorted, label="not sorted", **line_style(1))
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        label_axes(axes, f"{counted} along the chains", "place in the chain", counted)
    rows = [[place, mean, *unsorted[k : k + 1]] for k, (place, mean) in enumerate(zip(order.tolist(), means.tolist(), strict=True))]
    save_numbers(path, ("place", f"mean {counted}", "not sorted")[: 2 + bool(unsorted)], rows)
    return save_figure(figure, path)


def _residuals(axes: Axes, residuals: np.ndarray, rtol: float | None, verdict: str) -> None:
    """Histogram over a logarithmic axis; exact zeros are drawn at rounding, and a tolerance far above is named, not drawn."""
    powers = np.log10(np.maximum(residuals, 1e-17))
    low, high = float(powers.min()), float(powers.max())
    room = max(LEAST_DECADES - (high - low), 0.0) / 2
    counts, edges = np.histogram(powers, bins=BINS, range=(low - room, high + room))
    axes.stairs(counts, 10.0**edges, fill=True, color=LINE_COLOURS[0], alpha=0.85)
    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    label_axes(axes, verdict, "dimensionless", "samples", legend=False)
    if rtol is None:
        return
    if np.log10(rtol) - edges[-1] < 1.0:
        axes.axvline(rtol, color="0.3", linestyle="--", label=f"tolerance {rtol:.0e}")
        axes.legend(fontsize=8)
    else:  # a line far away would press all bars to the edge
        axes.text(0.98, 0.95, f"tolerance {rtol:.0e} →", transform=axes.transAxes, ha="right", va="top", fontsize=8, color="0.3")


def plot_race(path: str | Path, seconds: Mapping[str, float], slower: Mapping[str, float] | None = None) -> Path:
    """Draw the seconds per sample of the solvers of a race, the winner on top, the others by their times.

    Args:
        path: PNG to write; all times go to the ``.csv`` beside it.
        seconds: Median seconds per sample by solver, of those that ran to the end.
        slower: Least seconds of a sample by solver, of those that were stopped early as too slow.

    Returns:
        The path written.

    Raises:
        ValueError: If there is no solver.
    """
    if not seconds:
        raise ValueError("seconds: expected at least one solver, found none.")
    winner = min(seconds, key=lambda name: seconds[name])
    every = [(name, s, True) for name, s in seconds.items()] + [(name, s, False) for name, s in (slower or {}).items()]
    ranked = sorted(every, key=lambda item: (item[0] != winner, item[1]))
    shown = ranked[:SHOWN]
    figure = new_figure(6.4, 0.32 * len(shown) + 1.1)
    axes = figure.subplots()
    colours = [LINE_COLOURS[0] if k == 0 else "0.55" if ended else "0.8" for k, (_, _, ended) in enumerate(shown)]
    bars = axes.barh(range(len(shown)), [1e3 * s for _, s, _ in shown], color=colours)
    labels = [f" {'' if ended else '≥ '}{1e3 * s:.3g}" for _, s, ended in shown]
    axes.bar_label(bars, labels, fontsize=8)
    axes.set_yticks(range(len(shown)), [name for name, _, _ in shown], fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.3)
    note = "" if all(ended for _, _, ended in shown) else "\nlight, ≥: stopped early as too slow, its fastest sample"
    label_axes(axes, "race on the first samples", f"milliseconds per sample, median{note}", "", legend=False)
    rows = [(name, s, "yes" if ended else "no") for name, s, ended in ranked]
    save_numbers(path, ("solver", "seconds per sample", "ran to the end"), rows)
    return save_figure(figure, path)
