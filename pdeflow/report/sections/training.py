"""Report sections on the trained networks and on how they were trained, from the summaries of the fit stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pdeflow.report.elements import heading, note, pairs, plain
from pdeflow.report.run_files import RunFiles, settings_name
from pdeflow.report.tables import html_table

NO_FIT = "No network was trained in this run (no fit stage)."


def models(run: RunFiles) -> str:
    """Return what each trained network is: class, arguments, real parameters, optimizer.

    Args:
        run: Files of the run.

    Returns:
        HTML.
    """
    parts = []
    for stage, summary in run.summaries("fit").items():
        facts = {
            "network": settings_name(summary.get("network")),
            **{f"network, {key}": plain(value) for key, value in (summary.get("network_args") or {}).items()},
            "real parameters": summary.get("parameters"),
            "task": settings_name(summary.get("task")),
            "optimizer": plain(summary.get("optimizer")),
            "device": summary.get("device"),
        }
        parts.append(heading(stage) + pairs(facts))
    return "".join(parts) or note(NO_FIT)


def training(run: RunFiles) -> str:
    """Return wall time, throughput and best epoch of every training, with its curves.

    Args:
        run: Files of the run.

    Returns:
        HTML.
    """
    summaries = run.summaries("fit")
    if not summaries:
        return note(NO_FIT)
    header = ("stage", "epochs", "steps", "seconds", "steps per second", "best by", "value", "at epoch")
    parts = [html_table(header, [_row(stage, summary) for stage, summary in summaries.items()])]
    parts += [
        run.picture(
            f"training_{stage}",
            f"Training of {stage}: loss, validation and learning rate, where logged, against the optimizer's step.",
        )
        for stage in summaries
    ]
    return "".join(parts)


def _row(stage: str, summary: Mapping[str, Any]) -> tuple[object, ...]:
    steps, seconds, best = summary.get("steps"), summary.get("seconds"), summary.get("best") or {}
    rate = steps / seconds if steps and seconds else None
    value, most = best.get("value"), best.get("most_iterations")
    capped = value is not None and most is not None and value >= most
    ends = (best.get("metric"), f"more than {most} (not converged)" if capped else value, best.get("epoch"))
    return (stage, summary.get("epochs"), steps, seconds, rate, *ends)
