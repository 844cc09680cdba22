"""Pictures of how a dataset was solved: residuals, iterations along the chains, and the race of the solvers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from pdeflow.report.canvas import LINE_COLOURS, label_axes, line_style, new_figure, save_figure, save_numbers

SHOWN = 8
"""Solvers of a race that are drawn: the fastest ones."""


def plot_solves(
    path: str | Path, residuals: np.ndarray, iterations: np.ndarray, places: np.ndarray, rtol: float | None = None,
    verdict: str = "relative residual",
) -> Path:  # fmt: skip
    """Draw the distribution of the residuals and, where they differ, the iterations along the chains.

    Args:
        path: PNG to write; the iterations by place go to the ``.csv`` beside it.
        residuals: One per sample, shape (N,).
        iterations: One per sample, shape (N,).
        places: Place of each sample in its chain, shape (N,).
        rtol: Tolerance, drawn as a line.
        verdict: What the residuals are.

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
        label_axes(axes, "iterations along the chains", "place in the chain", "iterations")
    save_numbers(path, ("place", "mean iterations"), zip(order.tolist(), means.tolist(), strict=True))
    return save_figure(figure, path)


def _residuals(axes: Axes, residuals: np.ndarray, rtol: float | None, verdict: str) -> None:
    """Histogram of the logarithms; exact zeros are drawn at rounding."""
    powers = np.log10(np.maximum(residuals, 1e-17))
    counts, edges = np.histogram(powers, bins=30)
    axes.stairs(counts, edges, fill=True, color=LINE_COLOURS[0], alpha=0.85)
    if rtol is not None:
        axes.axvline(np.log10(rtol), color="0.3", linestyle="--", label="tolerance")
    label_axes(axes, verdict, "power of ten", "samples")


def plot_race(path: str | Path, seconds: Mapping[str, float], titles: Sequence[str] | None = None) -> Path:
    """Draw the seconds per sample of the solvers of a race, the fastest on top.

    Args:
        path: PNG to write; all times go to the ``.csv`` beside it.
        seconds: Seconds per sample by solver.
        titles: Names to show, in the order of `seconds`.

    Returns:
        The path written.

    Raises:
        ValueError: If there is no solver.
    """
    if not seconds:
        raise ValueError("seconds: expected at least one solver, found none.")
    names = list(titles or (word.replace("_", " ") for word in seconds))
    ranked = sorted(zip(names, seconds.values(), strict=True), key=lambda item: item[1])
    shown = ranked[:SHOWN]
    figure = new_figure(6.4, 0.32 * len(shown) + 1.0)
    axes = figure.subplots()
    places = range(len(shown))
    colours = [LINE_COLOURS[0], *["0.7"] * (len(shown) - 1)]
    bars = axes.barh(places, [1e3 * s for _, s in shown], color=colours)
    axes.bar_label(bars, fmt=lambda value: f" {value:.3g}", fontsize=8)
    axes.set_yticks(places, [name for name, _ in shown], fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    label_axes(axes, "race on the first samples", "milliseconds per sample", "", legend=False)
    save_numbers(path, ("solver", "seconds per sample"), ranked)
    return save_figure(figure, path)
