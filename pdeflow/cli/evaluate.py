"""`pdeflow evaluate`: errors of a trained operator in physical units, its PDE residual, and what its error estimate is worth."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pdeflow.cli import experiment
from pdeflow.cli.exit_codes import OK
from pdeflow.cli.training_data import training_data
from pdeflow.errors import DataError, UsageError

METRICS = ("rel_l2", "rel_h1", "max_error", "residual", "energy_error")
LABELS = {"residual": "relative residual"}
"""Names of metrics in the printed table, where they are not those of the file."""
MOST_FRAMES = 6
"""Frames whose error is printed at most, so that they stay on one line."""


def main(argv: list[str], command: str = "evaluate") -> int:
    """Evaluate a trained operator.

    Args:
        argv: RUN or RUN/STAGE, --data DIR, --split NAME.
        command: Its name.

    Returns:
        Exit code.
    """
    rest = [word for word in argv if word not in ("-q", "-v")]
    data, split = experiment.take(rest, "--data"), experiment.take(rest, "--split") or "test"
    trust = experiment.take(rest, "--trust")
    if len(rest) != 1 or rest[0].startswith("-"):
        raise UsageError(
            f"expected one run folder: pdeflow evaluate RUN [--data DIR] [--split test], got {rest}"
        )
    print(evaluate(rest[0], data, split, [trust] if trust else []))
    return OK


def evaluate(run: str | Path, data: str | None = None, split: str = "test", trust: Sequence[str] = ()) -> str:
    """Compare predictions with a dataset's solutions, estimate their errors, write them down and draw them.

    The own test split goes to RUN/evaluate and RUN/figures, anything else to RUN/evaluate.DATA.SPLIT, so that nothing is lost.

    Args:
        run: RUN or RUN/STAGE.
        data: Dataset; by default the one the operator was trained on.
        split: Which part of it.
        trust: Further prefixes of class paths that may be instantiated.

    Returns:
        Lines for people.

    Raises:
        UsageError: If the dataset is not there.
        DataError: If the run holds no trained operator, or dataset and network do not fit.
    """
    from pdeflow.data import PDEDataset
    from pdeflow.run_folder import load, write_json
    from pdeflow.tasks.accuracy import accuracy, no_estimate

    trained = load(run, kind="operator", trust=trust)
    root = Path(data) if data else training_data(trained.stage, "--data")
    if root is None:
        raise UsageError(f"the settings of {trained.stage} name no dataset; name one with --data DIR")
    dataset = PDEDataset(root, split)
    a, u = dataset.tensors()
    start = time.perf_counter()
    try:
        prediction = trained.predict(a)
    except ValueError as error:
        raise DataError(f"{root} does not fit the network of {trained.stage}: {error}") from error
    seconds = (time.perf_counter() - start) / max(len(a), 1)
    exact = exact_fields(dataset)
    values = accuracy(dataset.problem, dataset.grid, *exact, prediction, dataset.scalars)
    summary = {
        "stage": trained.stage.name, "data": str(root), "split": split, "count": len(a),
        "metrics": {name: statistics(values[name]) for name in METRICS if name in values},
        **errors_by_frame(prediction, exact[1], dataset.times),
        "effectivity": effectivity(values.get("effectivity")),
        "no_estimate": no_estimate(dataset.problem, dataset.grid, exact[0], dataset.scalars) or None, "seconds_per_sample": seconds,
    }  # fmt: skip
    own = data is None and split == "test"
    folder = trained.stage.parent / ("evaluate" if own else f"evaluate.{root.resolve().name}.{split}")
    write_json(folder / "summary.json", summary)
    write_samples(folder / "samples.csv", values)
    figures = (trained.stage.parent if own else folder) / "figures"
    pictures = draw(figures, trained, dataset, a, u, prediction, values)
    return lines(summary) + "\n  " + ", ".join(map(str, pictures))


def exact_fields(dataset: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs and solutions in the precision of the file, since an error estimate needs the stored system."""
    return type(dataset)(dataset.root, dataset.split, dtype=torch.float64).tensors()


def statistics(values: np.ndarray) -> dict[str, float]:
    """Return mean, median, 95 % quantile and worst of a per-sample error."""
    return {
        "mean": float(values.mean()), "median": float(np.median(values)),
        "q95": float(np.quantile(values, 0.95)), "worst": float(values.max()),
    }  # fmt: skip


def errors_by_frame(prediction: torch.Tensor, u: torch.Tensor, times: Sequence[float]) -> dict[str, list[Any]]:
    """Return an evolution's mean relative L2 error at every time, None where a solution is zero; of a steady problem nothing."""
    from pdeflow.tasks.accuracy import frame_errors

    if len(times) < 2:
        return {}
    means = frame_errors(prediction, u, len(times)).mean(0).tolist()
    return {"times": [float(t) for t in times], "rel_l2_by_frame": [None if np.isnan(mean) else mean for mean in means]}


def effectivity(values: np.ndarray | None) -> dict[str, float] | None:
    """Return mean and range of estimated over true error, and the share of samples between 0.9 and 1.1."""
    if values is None:
        return None
    inside = np.mean((values >= 0.9) & (values <= 1.1))
    return {
        "mean": float(values.mean()),
        "min": float(values.min()),
        "max": float(values.max()),
        "within_0.9_1.1": float(inside),
    }


def write_samples(path: Path, values: dict[str, np.ndarray]) -> None:
    """Write one line per sample."""
    from pdeflow.report.canvas import save_numbers

    rows = zip(*values.values(), strict=True)
    save_numbers(path, ("sample", *values), [(i, *map(float, row)) for i, row in enumerate(rows)])


def draw(
    figures: Path,
    trained: Any,
    dataset: Any,
    a: torch.Tensor,
    u: torch.Tensor,
    prediction: torch.Tensor,
    values: dict[str, np.ndarray],
) -> list[Path]:
    """Draw predictions, error distribution, spectrum, and the error estimate of the worst sample.

    Args:
        figures: Folder of the pictures.
        trained: What `load` returned.
        dataset: The data.
        a: Inputs, shape (N, C, *grid).
        u: Solutions, same grid.
        prediction: Predictions.
        values: Per-sample numbers.

    Returns:
        The pictures.
    """
    from pdeflow.report import (
        plot_effectivity,
        plot_error_distribution,
        plot_error_estimate_fields,
        plot_line_predictions,
        plot_predictions,
        plot_spectrum,
    )  # fmt: skip
    from pdeflow.report.cut import middle_slice, where_cut
    from pdeflow.report.obstacles import mask_solids, solid_cells

    pictures = [plot_error_distribution(figures / "error_distribution.png", values["rel_l2"])]
    if "effectivity" in values:
        path = figures / "effectivity.png"
        pictures.append(plot_effectivity(path, values["energy_error"], values["estimated_error"]))
    grid, path = dataset.grid, figures / "predictions.png"
    fields = dict(zip(dataset.inputs, a.transpose(0, 1).numpy(), strict=True))
    u, prediction, notes, options = last_frame(dataset, u, prediction)
    if grid.ndim == 1:
        lines_of = (grid.axis(0).numpy(), fields, u.numpy(), prediction.numpy(), values["rel_l2"])
        return [*pictures, plot_line_predictions(path, *lines_of, title=", ".join(notes), **options)]
    solid = solid_cells(dataset.problem, grid, fields, dataset.scalars)
    inputs = {label: middle_slice(mask_solids(field, solid), grid) for label, field in fields.items()}
    target, guess = (middle_slice(mask_solids(w.numpy(), solid), grid) for w in (u, prediction))
    extent: Any = tuple(end for ends in grid.bounds[:2] for end in ends)
    title = ", ".join(filter(None, (where_cut(grid), "grey: obstacles" if solid is not None else "", *notes)))
    pictures.append(plot_predictions(path, inputs, target, guess, values["rel_l2"], extent, title=title, **options))
    if grid.ndim == 2:
        pictures.append(plot_spectrum(figures / "spectrum.png", u.numpy(), prediction.numpy()))
    if "effectivity" in values:
        worst, path = int(np.argmax(values["rel_l2"])), figures / "error_estimate.png"
        numbers = {name: column[worst : worst + 1] for name, column in dataset.scalars.items()}
        _, estimate = trained.predict(a[worst : worst + 1], error=True, scalars=numbers)
        estimated = mask_solids(estimate[0, 0].numpy(), None if solid is None else solid[worst])
        error, ratio = (guess - target)[worst], values["effectivity"][worst]
        pictures.append(plot_error_estimate_fields(path, error, middle_slice(estimated, grid), ratio, extent, title=title))
    return pictures


def last_frame(
    dataset: Any, u: torch.Tensor, prediction: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, list[str], dict[str, Any]]:
    """Choose what is drawn of the first output: of an evolution the last frame, which is the hardest.

    Args:
        dataset: The data.
        u: Solutions, shape (N, C, *grid).
        prediction: Predictions, same shape.

    Returns:
        Solutions and predictions, shape (N, *grid), notes for the title, and as options of the picture the name of the field and,
        of an evolution, the frame's own relative errors.
    """
    from pdeflow.tasks.accuracy import frame_errors

    frame, name = len(dataset.times) - 1, dataset.outputs[0]
    target, guess = u[:, frame], prediction[:, frame]
    if not frame:
        return target, guess, [], {"name": name}
    when = f"t = {dataset.times[frame]:.3g}"
    errors = frame_errors(guess[:, None], target[:, None], 1)[:, 0].numpy()
    note = f"the first relative error is that of all {frame + 1} frames, the second that of the frame shown"
    return target, guess, [note], {"name": f"{name} at {when}", "shown": (when, errors)}


def lines(summary: dict[str, Any]) -> str:
    """Return the table of errors and the verdict on the estimate."""
    from pdeflow.report import text_table

    header = ("metric", "mean", "median", "95 %", "worst")
    rows = [
        (LABELS.get(name, name), *(m[key] for key in ("mean", "median", "q95", "worst")))
        for name, m in summary["metrics"].items()
    ]
    text = f"evaluate: {summary['count']} samples of {summary['data']} ({summary['split']}), stage {summary['stage']}\n"
    text += "\n".join("  " + line for line in text_table(header, rows).splitlines())
    text += frame_line(summary.get("times", ()), summary.get("rel_l2_by_frame", ()))
    found = summary["effectivity"]
    if found is None:
        return text + f"\n  no error estimate: {summary['no_estimate']}"
    return text + (
        f"\n  estimated / true algebraic error {found['min']:.2f} … {found['max']:.2f}; "
        f"{100 * found['within_0.9_1.1']:.0f} % of the samples in 0.9 … 1.1"
    )


def frame_line(times: Sequence[float], errors: Sequence[float | None]) -> str:
    """Return a line with the errors of at most six frames, evenly chosen from the first to the last; nothing without frames."""
    if not len(times):
        return ""
    chosen = np.unique(np.linspace(0, len(times) - 1, MOST_FRAMES).round().astype(int))
    found = (f"t = {times[k]:.3g}: " + ("undefined" if (error := errors[k]) is None else f"{error:.2g}") for k in chosen)
    return "\n  rel_l2 by frame: " + ", ".join(found)
