"""Predictions on an interval: lines of inputs, of target and prediction, and of their difference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pdeflow.report.canvas import label_axes, line_style, new_figure, save_figure, save_numbers
from pdeflow.report.fields import drawn_inputs
from pdeflow.report.ranked_errors import error_label, error_rows, ranked_samples


def plot_line_predictions(
    path: str | Path,
    x: np.ndarray,
    inputs: Mapping[str, np.ndarray],
    target: np.ndarray,
    prediction: np.ndarray,
    errors_rel: np.ndarray,
    unit: str = "dimensionless",
    title: str = "",
    name: str = "",
    shown: tuple[str, np.ndarray] | None = None,
) -> Path:
    """Draw inputs, target with prediction, and signed error of the best, the median and the worst sample.

    Args:
        path: PNG to write; indices and errors of the rows go to the ``.csv`` beside it.
        x: Points, shape (n,), in length units of the domain.
        inputs: Input fields by name, each of shape (N, n); of more than four the first four are drawn.
        target: Solutions, shape (N, n).
        prediction: Predicted solutions, shape (N, n).
        errors_rel: Relative error of every sample, shape (N,), by which the rows are chosen.
        unit: Unit of the fields.
        title: Title of the figure.
        name: Name of the solution.
        shown: Of an evolution the time of the frame that is drawn, such as "t = 1", and its relative error of every sample.

    Returns:
        The path written.

    Raises:
        ValueError: If shapes do not fit together.
    """
    fields, count = {**inputs, "target": target, "prediction": prediction}, len(errors_rel)
    wrong = {label: np.shape(values) for label, values in fields.items() if np.shape(values) != (count, len(x))}
    if wrong:
        raise ValueError(f"fields: expected shape {(count, len(x))} of samples and points, found {wrong}.")
    chosen, (drawn, rest) = ranked_samples(errors_rel), drawn_inputs(inputs)
    figure = new_figure(3.4 * (len(drawn) + 2), 6.9)
    figure.suptitle(", ".join(filter(None, (title, rest))), fontsize=10)
    for line, (rank, i) in zip(figure.subplots(3, len(drawn) + 2, sharex=True), chosen.items(), strict=True):
        for axes, (label, values) in zip(line, drawn.items(), strict=False):
            axes.plot(x, values[i], **line_style(0))
            label_axes(axes, f"input {label}" if rank == "best" else "", "x" if rank == "worst" else "", unit)
        for k, (label, values) in enumerate((("target", target), ("prediction", prediction))):
            line[-2].plot(x, values[i], label=label, **line_style(k))
        line[-1].plot(x, prediction[i] - target[i], **line_style(1))
        for axes, label in ((line[-2], f"{name}: target and prediction"), (line[-1], "prediction − target")):
            label_axes(axes, label if rank == "best" else "", "x" if rank == "worst" else "", unit, legend=rank == "best")
        line[0].set_ylabel(f"{error_label(rank, i, errors_rel, shown)}\n{unit}", fontsize=9)
    save_numbers(path, *error_rows(chosen, errors_rel, shown))
    return save_figure(figure, path)
