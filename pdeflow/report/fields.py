"""Pictures of fields: samples, predictions with their errors, error estimates, histograms, solutions; masked cells are grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator

from pdeflow.report.canvas import (
    ERROR_COLOURS,
    LINE_COLOURS,
    Extent,
    add_colour_bar,
    label_axes,
    new_figure,
    save_figure,
    save_numbers,
    scale_ticks,
    show_field,
)
from pdeflow.report.colours import as_norm, input_scale, limits, symmetric_limits
from pdeflow.report.ranked_errors import error_label, error_rows, ranked_samples

MOST_INPUTS = 4
"""Inputs that a picture of predictions shows at most, so that its panels stay readable."""
UNIT_SQUARE: Extent = (0.0, 1.0, 0.0, 1.0)


def _batch(name: str, values: np.ndarray) -> np.ndarray:
    values = np.ma.asarray(values).astype(float)
    if values.ndim != 3 or values.shape[0] == 0:
        raise ValueError(f"{name}: expected shape (N, nx, ny) with N >= 1, found {values.shape}.")
    return values


def plot_samples(
    path: str | Path,
    inputs: np.ndarray,
    outputs: np.ndarray,
    names: Sequence[str] = ("a", "u"),
    extent: Extent = UNIT_SQUARE,
    count: int = 4,
    unit: str = "dimensionless",
) -> Path:
    """Draw the first samples of a dataset: inputs above, outputs below, one colour scale per row.

    Args:
        path: PNG to write; ranges of every sample go to the ``.csv`` beside it.
        inputs: Input fields, shape (N, nx, ny).
        outputs: Solution fields, shape (N, mx, my).
        names: Names of input and output.
        extent: (x low, x high, y low, y high) in length units of the domain.
        count: Number of samples to draw at most.
        unit: Unit of both fields, written beside the colour bars.

    Returns:
        The path written.

    Raises:
        ValueError: If an array is not (N, nx, ny) or the numbers of samples differ.
    """
    rows = [_batch("inputs", inputs), _batch("outputs", outputs)]
    if len(rows[0]) != len(rows[1]):
        raise ValueError(
            f"inputs and outputs: expected equally many samples, found {len(rows[0])}, {len(rows[1])}."
        )
    count = min(count, len(rows[0]))
    figure = new_figure(2.0 * count + 1.0, 4.6)
    grid = figure.subplots(2, count, squeeze=False)
    spans = input_scale(rows[0][:count]), as_norm(limits(rows[1][:count]))
    for line, fields, name, span in zip(grid, rows, names, spans, strict=True):
        for index, axes in enumerate(line):
            image = show_field(axes, fields[index], span, extent=extent, bar=False)
            axes.set_title(f"{name}, sample {index}", fontsize=10)
            axes.label_outer()
        add_colour_bar(line[-1], image, f"{name} ({unit})")
    table = [
        (name, i, float(f[i].min()), float(f[i].mean()), float(f[i].max()))
        for name, f in zip(names, rows, strict=True)
        for i in range(count)
    ]
    save_numbers(path, ("field", "sample", "min", "mean", "max"), table)
    return save_figure(figure, path)


def drawn_inputs(inputs: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], str]:
    """Choose the inputs that a picture of predictions has room for.

    Args:
        inputs: Fields by name, of any shape.

    Returns:
        (the first four, a remark where there are more).
    """
    rest = f"{MOST_INPUTS} of {len(inputs)} inputs" if len(inputs) > MOST_INPUTS else ""
    return dict(list(inputs.items())[:MOST_INPUTS]), rest


def plot_predictions(
    path: str | Path,
    a: np.ndarray | Mapping[str, np.ndarray],
    target: np.ndarray,
    prediction: np.ndarray,
    errors_rel: np.ndarray,
    extent: Extent = UNIT_SQUARE,
    unit: str = "dimensionless",
    title: str = "",
    name: str = "",
    shown: tuple[str, np.ndarray] | None = None,
) -> Path:
    """Draw inputs, target, prediction and signed error of the best, the median and the worst sample.

    Target and prediction share their colour limits; each error scale is centred at zero and has its own range.

    Args:
        path: PNG to write; indices and errors of the rows go to the ``.csv`` beside it.
        a: Input fields by name, each of shape (N, mx, my), or the only one; of more than four the first four are drawn.
        target: Solutions, shape (N, nx, ny).
        prediction: Predicted solutions, shape (N, nx, ny).
        errors_rel: Relative error of every sample, shape (N,), by which the rows are chosen.
        extent: (x low, x high, y low, y high) in length units of the domain.
        unit: Unit of the fields.
        title: Title of the figure, such as where fields in three dimensions are cut.
        name: Name of the solution.
        shown: Of an evolution the time of the frame that is drawn, such as "t = 1", and its relative error of every sample.

    Returns:
        The path written.

    Raises:
        ValueError: If shapes do not fit together.
    """
    inputs = {label: _batch(label or "a", values) for label, values in (a.items() if isinstance(a, Mapping) else [("", a)])}
    target, prediction = _batch("target", target), _batch("prediction", prediction)
    errors_rel = np.asarray(errors_rel, dtype=float).ravel()
    if target.shape != prediction.shape or {len(target)} != {len(errors_rel), *map(len, inputs.values())}:
        raise ValueError(
            f"a, target, prediction, errors_rel: shapes {', '.join(str(field.shape) for field in inputs.values())}, "
            f"{target.shape}, {prediction.shape}, {errors_rel.shape} do not fit together."
        )
    chosen, (drawn, rest) = ranked_samples(errors_rel), drawn_inputs(inputs)
    columns = [*(f"input {label}" for label in drawn), f"target {name}", f"prediction {name}", "prediction − target"]
    figure = new_figure(2.85 * len(columns), 6.9)
    figure.suptitle(", ".join(filter(None, (title, rest))), fontsize=10)
    for line, (rank, i) in zip(figure.subplots(3, len(columns)), chosen.items(), strict=True):
        error, span = prediction[i] - target[i], limits(target[i], prediction[i])
        fields = [(field[i], input_scale(field[i])) for field in drawn.values()] + [(target[i], span), (prediction[i], span)]
        for axes, (field, ends) in zip(line, fields, strict=False):
            show_field(axes, field, ends, extent=extent, unit=unit)
        show_field(line[-1], error, symmetric_limits(error), extent=extent, colours=ERROR_COLOURS, unit=unit)
        for axes, label in zip(line, columns, strict=True):
            axes.set_title(label.strip() if rank == "best" else "", fontsize=10)
        line[0].set_ylabel(error_label(rank, i, errors_rel, shown), fontsize=9)
    save_numbers(path, *error_rows(chosen, errors_rel, shown))
    return save_figure(figure, path)


def plot_error_estimate_fields(
    path: str | Path,
    true_error: np.ndarray,
    estimated_error: np.ndarray,
    effectivity: float,
    extent: Extent = UNIT_SQUARE,
    unit: str = "dimensionless",
    title: str = "",
) -> Path:
    """Draw the true error beside the estimated one, on one colour scale, for one sample (by custom the worst).

    Args:
        path: PNG to write.
        true_error: Signed error, shape (nx, ny); a batch of one is accepted.
        estimated_error: Its estimate, same shape.
        effectivity: Estimated over true error norm, dimensionless; 1 is perfect.
        extent: (x low, x high, y low, y high) in length units of the domain.
        unit: Unit of the solution.
        title: Title of the figure, such as where fields in three dimensions are cut.

    Returns:
        The path written.

    Raises:
        ValueError: If the shapes differ or are not those of one field.
    """
    true_error, estimated_error = (np.ma.asarray(field).squeeze() for field in (true_error, estimated_error))
    if true_error.ndim != 2 or true_error.shape != estimated_error.shape:
        raise ValueError(
            f"errors: expected two fields (nx, ny), found {true_error.shape}, {estimated_error.shape}."
        )
    span = symmetric_limits(true_error, estimated_error)
    figure = new_figure(8.0, 3.5)
    figure.suptitle(title, fontsize=10)
    left, right = figure.subplots(1, 2)
    show_field(left, true_error, span, extent=extent, colours=ERROR_COLOURS, unit=unit)
    show_field(right, estimated_error, span, extent=extent, colours=ERROR_COLOURS, unit=unit)
    left.set_title("true error", fontsize=10)
    right.set_title(f"estimated error (effectivity {float(effectivity):.3g})", fontsize=10)
    rows = [
        (name, float(f.min()), float(f.max()), float(np.linalg.norm(f.compressed())))
        for name, f in (("true", true_error), ("estimated", estimated_error))
    ]
    save_numbers(path, ("error", "min", "max", "norm"), rows)
    return save_figure(figure, path)


def plot_histograms(path: str | Path, values: Mapping[str, np.ndarray], bins: int = 40) -> Path:
    """Draw one histogram per quantity; what is not finite is left out and counted in the title.

    Args:
        path: PNG to write; bin edges and counts go to the ``.csv`` beside it.
        values: Arrays of any shape by label, without what is masked; the label should name the unit.
        bins: Number of bins of each histogram.

    Returns:
        The path written.

    Raises:
        ValueError: If there is nothing to draw.
    """
    if not values:
        raise ValueError("values: expected at least one quantity, found none.")
    figure = new_figure(3.6 * len(values) + 0.4, 3.0)
    rows: list[tuple[object, ...]] = []
    for index, (axes, (label, data)) in enumerate(
        zip(figure.subplots(1, len(values), squeeze=False)[0], values.items(), strict=True)
    ):
        flat = np.ma.compressed(data).astype(float)
        finite = flat[np.isfinite(flat)]
        counts, edges = np.histogram(finite, bins=bins)
        axes.stairs(counts, edges, fill=True, color=LINE_COLOURS[index % len(LINE_COLOURS)], alpha=0.85)
        lost = flat.size - finite.size
        title = label + (f" ({lost} not finite)" if lost else "")
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        label_axes(axes, title, scale_ticks(axes.xaxis, edges[0], edges[-1]), "count" if index == 0 else "")
        rows += [
            (label, float(lo), float(hi), int(c))
            for lo, hi, c in zip(edges[:-1], edges[1:], counts, strict=True)
        ]
    save_numbers(path, ("quantity", "low", "high", "count"), rows)
    return save_figure(figure, path)


def plot_solution(
    path: str | Path,
    a: np.ndarray,
    x: np.ndarray,
    extent: Extent = UNIT_SQUARE,
    names: Sequence[str] = ("a", "u"),
    unit: str = "dimensionless",
) -> Path:
    """Draw a coefficient beside the solution computed for it.

    Args:
        path: PNG to write; ranges go to the ``.csv`` beside it.
        a: Coefficient, shape (nx, ny).
        x: Solution, shape (mx, my).
        extent: (x low, x high, y low, y high) in length units of the domain.
        names: Names of the two fields.
        unit: Unit of both fields.

    Returns:
        The path written.

    Raises:
        ValueError: If a field is not two-dimensional.
    """
    pair = [np.ma.asarray(field).astype(float).squeeze() for field in (a, x)]
    if any(field.ndim != 2 for field in pair):
        raise ValueError(f"a, x: expected two fields (nx, ny), found {np.shape(a)}, {np.shape(x)}.")
    figure = new_figure(8.0, 3.5)
    spans = input_scale(pair[0]), as_norm(limits(pair[1]))
    for axes, field, name, title, span in zip(figure.subplots(1, 2), pair, names, ("input", "solution"), spans, strict=True):
        show_field(axes, field, span, extent=extent, unit=unit)
        axes.set_title(f"{title} {name}", fontsize=10)
    rows = [(n, float(f.min()), float(f.mean()), float(f.max())) for n, f in zip(names, pair, strict=True)]
    save_numbers(path, ("field", "min", "mean", "max"), rows)
    return save_figure(figure, path)
