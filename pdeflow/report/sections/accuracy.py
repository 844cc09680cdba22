"""Report sections on the accuracy of predictions and on what their error estimate is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pdeflow.report.elements import heading, note, pairs, paragraph
from pdeflow.report.run_files import RunFiles
from pdeflow.report.tables import html_table

NO_EVALUATION = "No trained operator was evaluated in this run (no evaluate stage)."
METRICS = {
    "rel_l2": "relative L2 error",
    "rel_h1": "relative H1 error",
    "max_error": "largest pointwise error",
    "residual": "relative residual of the discrete system",
    "energy_error": "energy norm of the algebraic error",
}
WHAT_IT_ESTIMATES = (
    "The estimate is of the algebraic error against the discrete problem: the distance, in the energy norm, between the "
    "prediction and the exact solution of the linear system on this grid. It takes one multigrid cycle on the residual "
    "and needs no reference solution. It says nothing about the discretization error (how far the grid's solution is "
    "from the PDE's) or about the model."
)


def accuracy(run: RunFiles) -> str:
    """Return the table of errors and the pictures of best, median and worst sample.

    Args:
        run: Files of the run.

    Returns:
        HTML.
    """
    summaries = run.summaries("evaluate")
    if not summaries:
        return note(NO_EVALUATION)
    parts = [(heading(stage) if len(summaries) > 1 else "") + _errors(s) for stage, s in summaries.items()]
    parts += [
        run.picture(
            "predictions",
            "Best, median and worst sample by relative L2 error; target and prediction share their colours.",
        ),
        run.picture(
            "error_distribution", "Relative L2 error over the samples, with median, 95 % quantile and worst."
        ),
        run.picture(
            "spectrum",
            "Power by wavenumber: where the error meets the target, the network resolves nothing finer.",
        ),
    ]
    return "".join(parts)


def _errors(summary: Mapping[str, Any]) -> str:
    metrics = summary.get("metrics") or {}
    columns = ("mean", "median", "q95", "worst")
    rows = [(METRICS.get(k, k), *(v.get(c) for c in columns)) for k, v in metrics.items()]
    text = f"{summary.get('count', '?')} samples of the split {summary.get('split', '?')} of {summary.get('data', '?')}"
    seconds = summary.get("seconds_per_sample")
    text += f"; one prediction takes {1e3 * float(seconds):.3g} ms." if seconds is not None else "."
    return paragraph(text) + html_table(("error", "mean", "median", "95 %", "worst"), rows)


def trust(run: RunFiles) -> str:
    """Return what the error estimate means, its effectivity, and the pictures that compare it with true errors.

    Args:
        run: Files of the run.

    Returns:
        HTML.
    """
    parts = [paragraph(WHAT_IT_ESTIMATES)]
    summaries = run.summaries("evaluate")
    if not summaries:
        return "".join((*parts, note(NO_EVALUATION)))
    for summary in summaries.values():
        effectivity = summary.get("effectivity")
        if not effectivity:
            parts.append(note("The error estimate was not compared with true errors."))
            continue
        share = effectivity.get("within_0.9_1.1")
        facts = {f"effectivity, {key}": effectivity.get(key) for key in ("min", "mean", "max")}
        facts["samples within 0.9 to 1.1"] = None if share is None else f"{100 * share:.0f} %"
        parts.append(pairs(facts))
    parts += [
        paragraph("Effectivity is the estimated over the true error norm; 1 is perfect.", "soft"),
        run.picture("effectivity", "Estimated against true error norm, one point per sample."),
        run.picture("error_estimate", "True and estimated error of the worst sample, on one colour scale."),
    ]
    return "".join(parts)
