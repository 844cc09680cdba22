"""Report sections on the problem and on its data set, from the data set's manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pdeflow.data.manifest import place
from pdeflow.report.elements import heading, note, pairs, paragraph, plain
from pdeflow.report.run_files import RunFiles
from pdeflow.report.tables import format_number, html_table

NO_DATA = "This run has no readable data set of its own (generate/manifest.json)."


def problem(run: RunFiles) -> str:
    """Return the equation, the domain, and the parameters.

    Args:
        run: Files of the run.

    Returns:
        HTML.
    """
    manifest = run.manifest()
    if manifest is None:
        solved = next(iter(run.summaries("solve").values()), {}).get("system")
        return ("" if run.only_solved else note(NO_DATA)) + (paragraph(str(solved), "equation") if solved else "")
    settings = manifest.get("problem") or {}
    grid = manifest.get("grid") or {}
    bounds = " × ".join(
        f"({format_number(low)}, {format_number(high)})" for low, high in grid.get("bounds") or ()
    )
    facts = {
        "class": settings.get("class_path"),
        "domain": bounds or None,
        "grid": f"{place(manifest)}, values at {grid.get('location', 'cell')}s" if grid.get("shape") else None,
        "mesh": place(manifest) if "mesh" in manifest else None,
        **{name: plain(value) for name, value in (settings.get("init_args") or {}).items()},
    }
    units = {str(f.get("units") or "dimensionless") for f in (manifest.get("fields") or {}).values()}
    text = f"Units of the fields: {', '.join(sorted(units)) or 'dimensionless'}; lengths are in units of the domain."
    equation = paragraph(str(manifest.get("equation") or "no equation recorded"), "equation")
    return equation + pairs(facts) + paragraph(text, "soft")


def data(run: RunFiles) -> str:
    """Return counts, value ranges, the cost of generation and the residuals that were reached.

    Args:
        run: Files of the run.

    Returns:
        HTML.
    """
    manifest = run.manifest()
    if manifest is None:
        used = {str(s["data"]) for s in run.summaries("evaluate").values() if s.get("data")}
        return note(NO_DATA + (f" The evaluation read {', '.join(sorted(used))}." if used else ""))
    splits, counted = manifest.get("splits") or {}, manifest.get("counted") or "iterations"
    counts = [
        (name, s.get("count"), s.get("first_id"), len(s.get("shards") or ())) for name, s in splits.items()
    ]
    total = sum(int(s.get("count") or 0) for s in splits.values())
    columns = ("min", "mean", "max", "std")
    ranges = [
        (name, f.get("role"), f.get("dtype"), f.get("units") or "dimensionless", *(f.get(c) for c in columns))
        for name, f in (manifest.get("fields") or {}).items()
    ]
    return "".join(
        (
            html_table(("split", "samples", "first id", "files"), counts),
            heading("Values"),
            html_table(("field", "role", "stored as", "unit", *columns), ranges),
            heading("How it was made"),
            pairs(_cost(manifest, total)),
            run.picture(
                "samples", "The first training samples: inputs and solutions, one colour scale per field."
            ),
            run.picture(
                "data_histograms", "How the values of each quantity are distributed over the training samples."
            ),
            run.picture("solves", f"How far each training sample was solved, and with how many {counted} along its chain."),
            run.picture("race", "The solvers that suit this problem, timed on the first samples; the fastest was used.")
            if (manifest.get("race") or {}).get("seconds_per_sample")
            else "",
        )
    )


def _cost(manifest: Mapping[str, Any], total: int) -> dict[str, Any]:
    seconds, size, counted = manifest.get("seconds"), manifest.get("bytes"), manifest.get("counted") or "iterations"
    residual = manifest.get("residual") or {}
    verdict = manifest.get("verdict") or "true relative residual"
    return {
        "solver": manifest.get("solver"),
        "relative tolerance asked for": manifest.get("rtol"),
        f"{verdict}, median": residual.get("median"),
        f"{verdict}, largest": residual.get("max"),
        **{f"{counted}, {key}": value for key, value in _iterations(manifest.get("iterations")).items()},
        **_sorting(manifest.get("sorting") or {}),
        "seconds": seconds,
        "milliseconds per sample": 1e3 * seconds / total if seconds and total else None,
        "size": f"{format_number(size / 1e6)} MB" if size else None,
        "seed": manifest.get("seed"),
    }


def _iterations(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {} if value is None else {"all": value}


def _sorting(gain: Mapping[str, Any]) -> dict[str, Any]:
    """What the order of the samples brought, for a sorted dataset."""
    found = {"distance of neighbours, as a share of that without sorting": gain.get("neighbour_distance")} if gain else {}
    unsorted = gain.get("unsorted_iterations") or ()
    if unsorted:
        found[f"iterations without sorting, mean of {len(unsorted)} samples"] = sum(unsorted) / len(unsorted)
    return found
