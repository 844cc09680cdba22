"""Pictures of convergence and accuracy: residuals, training, effectivity, times, spectra, distributions."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pdeflow.report.canvas import LINE_COLOURS, line_style, new_figure, save_figure, save_numbers
from pdeflow.report.tables import format_number, total_seconds

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


def _finish(axes: Axes, title: str, x: str, y: str, legend: bool = True) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3, which="major")
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)


def _empty(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, fontsize=9, color="0.4")
    axes.set_axis_off()


def plot_residuals(
    path: str | Path, histories: Mapping[str, tuple[Sequence[float], float]], rtol: float | None = None
) -> Path:
    """Draw relative residual norms against iteration and against seconds, on a log scale.

    The iterations of one method are spread evenly over its seconds, since only the total is measured.

    Args:
        path: PNG to write; the histories go to the ``.csv`` beside it.
        histories: By method: relative residual norms ||b - A x_k|| / ||b|| for k = 0, 1, …, and its total seconds.
        rtol: Tolerance asked for, drawn as a line, or None.

    Returns:
        The path written.

    Raises:
        ValueError: If there is no history.
    """
    if not histories:
        raise ValueError("histories: expected at least one method, found none.")
    figure = new_figure(10.0, 4.0)
    left, right = figure.subplots(1, 2, sharey=True)
    rows: list[tuple[object, ...]] = []
    for index, (name, (norms, seconds)) in enumerate(histories.items()):
        norms = np.asarray(norms, dtype=float).ravel()
        times = np.linspace(0.0, float(seconds), len(norms))
        shown = np.where(norms > 0, norms, np.nan)
        mark = {"marker": "o", "markersize": 3} if len(norms) <= 30 else {}
        label = f"{name} ({max(len(norms) - 1, 0)} its, {format_number(float(seconds))} s)"
        left.semilogy(np.arange(len(norms)), shown, label=label, **line_style(index), **mark)
        right.semilogy(times, shown, **line_style(index), **mark)
        rows += [(name, k, float(t), float(v)) for k, (t, v) in enumerate(zip(times, norms, strict=True))]
    for axes in (left, right):
        if rtol:
            axes.axhline(rtol, color="0.4", linewidth=1, linestyle=":", label=f"tolerance {rtol:.0e}")
    _finish(left, "per iteration", "iteration", "relative residual (dimensionless)")
    _finish(right, "per second, set-up included where measured", "seconds", "", legend=False)
    save_numbers(path, ("method", "iteration", "seconds", "relative_residual"), rows)
    return save_figure(figure, path)


def _series(rows: Sequence[Mapping[str, float]], key: str) -> tuple[list[float], list[float]]:
    """Values of one key against the optimiser's step (the line's number where no step is logged)."""
    pairs = [(row.get("step", float(i)), row[key]) for i, row in enumerate(rows) if key in row]
    return [p[0] for p in pairs], [p[1] for p in pairs]


def _panel_of(key: str) -> str:
    if key == "lr" or key.startswith(("lr-", "lr/")) or "learning_rate" in key:
        return "learning rate"
    return "loss" if "loss" in key else "validation"


def plot_training(
    path: str | Path, rows: Sequence[Mapping[str, float]], keys: Sequence[str] | None = None
) -> Path:
    """Draw loss, validation error and learning rate of a training against the optimiser's step.

    Args:
        path: PNG to write; the series go to the ``.csv`` beside it.
        rows: Lines of the metrics file, from `read_metrics`.
        keys: Columns to draw; all but epoch and step where None.

    Returns:
        The path written; a panel without data says so.
    """
    if keys is None:
        keys = list(dict.fromkeys(key for row in rows for key in row if key not in ("epoch", "step")))
    panels: dict[str, list[str]] = {"loss": [], "validation": [], "learning rate": []}
    for key in keys:
        panels[_panel_of(key)].append(key)
    figure = new_figure(12.0, 3.7)
    table: list[tuple[object, ...]] = []
    for axes, (title, names) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        drawn = 0
        for name in names:
            steps, values = _series(rows, name)
            if not values:
                continue
            axes.plot(
                steps, values, label=name, marker="." if len(values) <= 60 else None, **line_style(drawn)
            )
            table += [(name, s, v) for s, v in zip(steps, values, strict=True)]
            drawn += 1
        if not drawn:
            _empty(axes, f"no {title} logged")
            continue
        if title != "learning rate" and all(
            v > 0 for line in axes.lines for v in np.asarray(line.get_ydata())
        ):
            axes.set_yscale("log")
        _finish(
            axes, title, "optimizer step", "learning rate" if title == "learning rate" else "dimensionless"
        )
    save_numbers(path, ("quantity", "step", "value"), table)
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
    axes.loglog(ends, ends, color="0.3", linewidth=1, label="estimate = true error")
    axes.loglog(
        true[good], estimate[good], "o", color=LINE_COLOURS[0], markersize=4, alpha=0.75, label="sample"
    )
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    axes.set_aspect("equal")
    title = f"{100 * inside:.0f} % of {good.sum()} samples in the band"
    if not good.all():
        title += f" ({(~good).sum()} left out: zero or not finite)"
    _finish(axes, title, "true error norm (dimensionless)", "estimated error norm (dimensionless)")
    save_numbers(
        path,
        ("sample", "true", "estimate"),
        [(i, float(t), float(e)) for i, (t, e) in enumerate(zip(true, estimate, strict=True))],
    )
    return save_figure(figure, path)


def plot_solver_times(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Draw set-up and solve seconds of every method as stacked bars, with iteration counts; fastest on top.

    Args:
        path: PNG to write; the numbers go to the ``.csv`` beside it.
        rows: Plain dicts as for `solver_rows`; what was skipped is listed in the title.

    Returns:
        The path written.
    """
    ran = sorted(
        (row for row in rows if not row.get("skipped") and math.isfinite(total_seconds(row))),
        key=total_seconds,
    )
    skipped = [str(row.get("name", "?")) for row in rows if row.get("skipped")]
    figure = new_figure(8.0, 1.3 + 0.42 * max(len(ran), 2))
    axes = figure.subplots()
    if ran:
        heights = np.arange(len(ran))
        setup = np.array([float(row.get("seconds_setup") or 0.0) for row in ran])
        solve = np.array([float(row["seconds_solve"]) for row in ran])
        axes.barh(heights, setup, color=LINE_COLOURS[4], label="set-up")
        axes.barh(heights, solve, left=setup, color=LINE_COLOURS[0], label="solve")
        for height, row, total in zip(heights, ran, setup + solve, strict=True):
            note = "" if str(row.get("reason", "converged")).startswith("converged") else f", {row['reason']}"
            text = f"  {format_number(float(total))} s, {format_number(row.get('iterations'))} its{note}"
            axes.text(total, height, text, va="center", fontsize=8)
        axes.set_yticks(heights, [str(row.get("name", "?")) for row in ran])
        axes.set_xlim(0, 1.45 * float((setup + solve).max()) or 1.0)
        axes.invert_yaxis()
        title = "seconds to the tolerance" + (f" (skipped: {', '.join(skipped)})" if skipped else "")
        _finish(axes, title, "seconds", "")
        axes.grid(visible=False, axis="y")
    else:
        _empty(axes, "no timed solve")
    save_numbers(
        path,
        ("method", "iterations", "seconds_setup", "seconds_solve", "residual"),
        [
            tuple(row.get(k) for k in ("name", "iterations", "seconds_setup", "seconds_solve", "residual"))
            for row in rows
        ],
    )
    return save_figure(figure, path)


def radial_spectrum(fields: np.ndarray) -> np.ndarray:
    """Power of the discrete Fourier transform, summed over rings of integer wavenumber, mean over the samples.

    Args:
        fields: Values, shape (N, nx, ny).

    Returns:
        Power by ring |k| = 0, 1, …, min(nx, ny) // 2, dimensionless; Parseval: all rings would add to mean(field²).

    Raises:
        ValueError: If the array is not (N, nx, ny).
    """
    fields = np.asarray(fields, dtype=float)
    if fields.ndim != 3 or len(fields) == 0:
        raise ValueError(f"fields: expected shape (N, nx, ny) with N >= 1, found {fields.shape}.")
    nx, ny = fields.shape[1:]
    power = np.zeros((nx, ny))
    for field in fields:  # one at a time: the transform is complex and twice as large
        power += np.abs(np.fft.fft2(field) / (nx * ny)) ** 2 / len(fields)
    kx, ky = np.fft.fftfreq(nx, 1 / nx), np.fft.fftfreq(ny, 1 / ny)
    ring = np.rint(np.hypot(kx[:, None], ky[None, :])).astype(int)
    return np.bincount(ring.ravel(), weights=power.ravel())[: min(nx, ny) // 2 + 1]


def plot_spectrum(path: str | Path, target: np.ndarray, prediction: np.ndarray) -> Path:
    """Draw the radial power spectra of target, prediction and error: where the network loses the fine scales.

    Args:
        path: PNG to write; the spectra go to the ``.csv`` beside it.
        target: Solutions, shape (N, nx, ny).
        prediction: Predictions, same shape.

    Returns:
        The path written.

    Raises:
        ValueError: If the shapes differ.
    """
    target, prediction = np.asarray(target, dtype=float), np.asarray(prediction, dtype=float)
    if target.shape != prediction.shape:
        raise ValueError(
            f"target and prediction: expected equal shapes, found {target.shape}, {prediction.shape}."
        )
    spectra = {
        "target": radial_spectrum(target),
        "prediction": radial_spectrum(prediction),
        "error": radial_spectrum(prediction - target),
    }
    figure = new_figure(6.0, 4.2)
    axes = figure.subplots()
    for index, (name, power) in enumerate(spectra.items()):
        axes.semilogy(
            np.arange(len(power)), np.where(power > 0, power, np.nan), label=name, **line_style(index)
        )
    _finish(
        axes,
        "radial power spectrum, mean over samples",
        "wavenumber |k| (waves per domain length)",
        "power (dimensionless)",
    )
    save_numbers(
        path,
        ("wavenumber", *spectra),
        [(k, *map(float, v)) for k, v in enumerate(zip(*spectra.values(), strict=True))],
    )
    return save_figure(figure, path)


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
        axes.axvline(100 * value, label=f"{name}: {100 * value:.2g} %", **style)
    lost = every.size - errors.size
    _finish(
        axes,
        f"{errors.size} samples" + (f", {lost} not finite" if lost else ""),
        "relative L2 error (%)",
        "samples",
    )
    save_numbers(path, ("rank", "rel_l2"), [(i, float(v)) for i, v in enumerate(errors)])
    return save_figure(figure, path)
