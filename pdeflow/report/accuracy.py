"""Pictures of accuracy and trust: error distribution, and estimated against true error (effectivity).

Effectivity: Ainsworth and Oden, A Posteriori Error Estimation in Finite Element Analysis (2000), section 1.3.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator

from pdeflow.report.canvas import (
    LINE_COLOURS,
    label_axes,
    legend_below,
    line_style,
    new_figure,
    save_figure,
    save_numbers,
    scale_ticks,
)


def plot_error_distribution(path: str | Path, rel_l2: np.ndarray) -> Path:
    """Draw the distribution of the relative error over the samples, with median, 95 % quantile and worst.

    Args:
        path: PNG to write; the sorted errors go to the ``.csv`` beside it.
        rel_l2: Relative L2 error of every sample, shape (N,).

    Returns:
        The path written.

    Raises:
        ValueError: If no error is finite.
    """
    every = np.asarray(rel_l2, dtype=float).ravel()
    errors = np.sort(every[np.isfinite(every)])
    if errors.size == 0:
        raise ValueError("rel_l2: expected at least one finite error, found none.")
    figure = new_figure(6.0, 3.8)
    axes = figure.subplots()
    axes.hist(100 * errors, bins=min(40, max(8, errors.size // 4)), color=LINE_COLOURS[5], edgecolor="white")
    marks = {"median": np.median(errors), "95 %": np.quantile(errors, 0.95), "worst": errors[-1]}
    for index, (name, value) in enumerate(marks.items()):
        style = line_style(index) | {"color": ("#000000", LINE_COLOURS[0], LINE_COLOURS[1])[index]}
        axes.axvline(100 * value, label=f"{name}: {100 * value:.3g} %", **style)
    lost = every.size - errors.size
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    title = f"{errors.size} samples" + (f", {lost} not finite" if lost else "")
    label_axes(axes, title, "relative L2 error (%)", "samples", legend=False)
    legend_below(axes, 3)
    save_numbers(path, ("rank", "rel_l2"), [(i, float(v)) for i, v in enumerate(errors)])
    return save_figure(figure, path)


def plot_effectivity(path: str | Path, true: np.ndarray, estimate: np.ndarray) -> Path:
    """Scatter estimated against true error norms, with the line y = x and the band of effectivity 0.9 to 1.1.

    Args:
        path: PNG to write; both norms of every sample go to the ``.csv`` beside it.
        true: True error norms, shape (N,), positive.
        estimate: Estimated error norms, shape (N,), positive.

    Returns:
        The path written.

    Raises:
        ValueError: If the shapes differ or no pair is positive and finite.
    """
    true, estimate = np.asarray(true, dtype=float).ravel(), np.asarray(estimate, dtype=float).ravel()
    if true.shape != estimate.shape:
        raise ValueError(f"true and estimate: expected equal lengths, found {true.size} and {estimate.size}.")
    good = np.isfinite(true) & np.isfinite(estimate) & (true > 0) & (estimate > 0)
    if not good.any():
        raise ValueError("true and estimate: expected positive finite norms, found none.")
    ratio = estimate[good] / true[good]
    inside = float(np.mean((ratio >= 0.9) & (ratio <= 1.1)))
    both = np.concatenate([true[good], estimate[good]])
    ends = np.array([both.min() / 1.3, both.max() * 1.3])
    figure = new_figure(5.2, 4.8)
    axes = figure.subplots()
    axes.fill_between(ends, 0.9 * ends, 1.1 * ends, color="0.85", label="effectivity 0.9 to 1.1")
    if ends[1] > 10 * ends[0]:
        axes.set(xscale="log", yscale="log")
    axes.plot(ends, ends, color="0.3", linewidth=1, label="estimate = true error")
    axes.plot(
        true[good], estimate[good], "o", color=LINE_COLOURS[0], markersize=4, alpha=0.75, label="sample"
    )
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    axes.set_aspect("equal")
    title = f"{100 * inside:.0f} % of {good.sum()} samples in the band"
    if not good.all():
        title += f" ({(~good).sum()} left out: zero or not finite)"
    norms = ["true error norm (dimensionless)", "estimated error norm (dimensionless)"]
    if axes.get_xscale() == "linear":
        factors = [scale_ticks(axis, *ends) for axis in (axes.xaxis, axes.yaxis)]
        norms = [f"{norm}, {factor}".rstrip(", ") for norm, factor in zip(norms, factors, strict=True)]
    label_axes(axes, title, norms[0], norms[1])
    save_numbers(
        path,
        ("sample", "true", "estimate"),
        [(i, float(t), float(e)) for i, (t, e) in enumerate(zip(true, estimate, strict=True))],
    )
    return save_figure(figure, path)
