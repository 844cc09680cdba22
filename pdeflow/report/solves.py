"""Pictures of how a dataset was solved: residuals, iterations along the chains, and the race of the solvers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pdeflow.report.canvas import LINE_COLOURS, label_axes, line_style, new_figure, save_figure, save_numbers

SHOWN = 8
"""Solvers of a race that are drawn: the fastest ones."""


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
    """Histogram of the logarithms; exact zeros are drawn at rounding."""
    powers = np.log10(np.maximum(residuals, 1e-17))
    counts, edges = np.histogram(powers, bins=30)
    axes.stairs(counts, edges, fill=True, color=LINE_COLOURS[0], alpha=0.85)
    if rtol is not None:
        axes.axvline(np.log10(rtol), color="0.3", linestyle="--", label="tolerance")
    label_axes(axes, verdict, "power of ten", "samples")


def plot_race(path: str | Path, seconds: Mapping[str, float], slower: Mapping[str, float] | None = None) -> Path:
    """Draw the seconds per sample of the solvers of a race, the fastest on top.

    Args:
        path: PNG to write; all times go to the ``.csv`` beside it.
        seconds: Median seconds per sample by solver, of those that ran to the end.
        slower: Least seconds of a sample by solver, of those that were left behind on the way.

    Returns:
        The path written.

    Raises:
        ValueError: If there is no solver.
    """
    if not seconds:
        raise ValueError("seconds: expected at least one solver, found none.")
    ranked = sorted([(name, s, True) for name, s in seconds.items()], key=lambda item: item[1])
    ranked += sorted([(name, s, False) for name, s in (slower or {}).items()], key=lambda item: item[1])
    shown = ranked[:SHOWN]
    figure = new_figure(6.4, 0.32 * len(shown) + 1.1)
    axes = figure.subplots()
    colours = [LINE_COLOURS[0] if k == 0 else "0.55" if ended else "0.8" for k, (_, _, ended) in enumerate(shown)]
    bars = axes.barh(range(len(shown)), [1e3 * s for _, s, _ in shown], color=colours)
    labels = [f" {1e3 * s:.3g}" + ("" if ended else ", left behind") for _, s, ended in shown]
    axes.bar_label(bars, labels, fontsize=8)
    axes.set_yticks(range(len(shown)), [name for name, _, _ in shown], fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.3)
    label_axes(axes, "race on the first samples", "milliseconds per sample", "", legend=False)
    rows = [(name, s, "yes" if ended else "no") for name, s, ended in ranked]
    save_numbers(path, ("solver", "seconds per sample", "ran to the end"), rows)
    return save_figure(figure, path)
