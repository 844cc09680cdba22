"""The verdict of a run: what was verified, what the error estimate is worth, and which method was fastest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pdeflow.report.tables import format_number, total_seconds

Row = Mapping[str, Any]
LEARNED = ("learn", "neural", "network", "deep", "direction", "dcdm", "fno", "fit.", "nn-")
DIRECT = ("direct", "cholesky", "splu", "superlu", "cholmod", "umfpack", "pardiso")
ORDER = ("green", "amber", "red")


@dataclass(frozen=True)
class Finding:
    """One sentence of the verdict and its colour: green holds, amber is worth knowing, red does not hold."""

    colour: str
    text: str


def is_learned(row: Row) -> bool:
    """Whether a method uses a trained network: the row's own key `learned`, otherwise its name.

    Args:
        row: Plain dict of one solve.

    Returns:
        True for a learned method.
    """
    if "learned" in row:
        return bool(row["learned"])
    return any(word in str(row.get("name", "")).lower() for word in LEARNED)


def is_verified(row: Row, rtol: float | None) -> bool:
    """Whether a solve ran and its relative residual, recomputed, is at most the tolerance.

    Args:
        row: Plain dict of one solve; `residual` is ||b - A x|| / ||b||, dimensionless.
        rtol: Tolerance; without one the reason has to say "converged".

    Returns:
        True where the tolerance is met; the reason alone is not believed when there is a tolerance.
    """
    if row.get("skipped") or row.get("residual") is None or not math.isfinite(float(row["residual"])):
        return False
    if rtol is None:
        return str(row.get("reason", "")).startswith("converged")
    return float(row["residual"]) <= float(rtol)


def is_own_merit(row: Row, rtol: float | None) -> bool:
    """Whether a solve is verified and no other method took over on the way.

    Args:
        row: Plain dict of one solve.
        rtol: Relative tolerance.
    """
    return is_verified(row, rtol) and row.get("switched_at") is None and row.get("reason") != "converged_fallback"


def fastest(rows: Sequence[Row], rtol: float | None) -> Row | None:
    """The verified solve with the fewest seconds, set-up included, without another method's help.

    Args:
        rows: Plain dicts of the solves.
        rtol: Relative tolerance.

    Returns:
        The row, or None where none was verified and timed.
    """
    timed = [row for row in rows if is_own_merit(row, rtol) and math.isfinite(total_seconds(row))]
    return min(timed, key=total_seconds, default=None)


def fewest_iterations(rows: Sequence[Row], rtol: float | None) -> list[Row]:
    """The verified iterative solves with the fewest iterations; direct solvers do not iterate and are left out.

    Args:
        rows: Plain dicts of the solves.
        rtol: Relative tolerance.

    Returns:
        The row, several where they tie, or none.
    """
    counted = [
        row
        for row in rows
        if is_own_merit(row, rtol)
        and row.get("iterations")
        and not any(word in str(row.get("name", "")).lower() for word in DIRECT)
    ]
    least = min((row["iterations"] for row in counted), default=None)
    return [row for row in counted if row["iterations"] == least]


def names_of(rows: Sequence[Row]) -> str:
    """The names of methods, which may hold commas, in one line."""
    return "; ".join(str(row.get("name", "?")) for row in rows)


def _verified(rows: Sequence[Row], rtol: float | None) -> Finding:
    ran = [row for row in rows if not row.get("skipped")]
    failed = [str(row.get("name", "?")) for row in ran if not is_verified(row, rtol)]
    goal = "the tolerance" if rtol is None else f"the relative tolerance {rtol:.0e}"
    if not ran or len(failed) == len(ran):
        return Finding("red", f"Solve: no method reached {goal}.")
    if failed:
        return Finding(
            "amber",
            f"Solve: {len(ran) - len(failed)} of {len(ran)} methods reached {goal}, with the "
            f"residual recomputed; these did not: {', '.join(failed)}.",
        )
    who = f"all {len(ran)} methods that ran" if len(ran) > 1 else str(ran[0].get("name", "?"))
    return Finding("green", f"Solve: {who} reached {goal}, with the residual recomputed.")


def _winner(rows: Sequence[Row], rtol: float | None, named: str | None) -> list[Finding]:
    best = fastest(rows, rtol)
    if best is None or len(rows) < 2:
        return []
    text = f"Fastest, set-up included: {best.get('name')} with {format_number(total_seconds(best))} s."
    fewest = fewest_iterations(rows, rtol)
    if fewest:
        each = " each" if len(fewest) > 1 else ""
        text += f" Fewest iterations: {names_of(fewest)} with {format_number(fewest[0]['iterations'])}{each}."
    findings = [Finding("green", text)]
    if named and named != best.get("name"):
        findings.append(
            Finding(
                "amber",
                f"The run names {named} as winner; by the seconds in its own table it is {best.get('name')}.",
            )
        )
    return [*findings, *_of_learned(rows, best, rtol)]


def _of_learned(rows: Sequence[Row], best: Row, rtol: float | None) -> list[Finding]:
    """Say how the learned methods did against the fastest one; nothing where none was asked for."""
    wanted = [row for row in rows if is_learned(row)]
    learned = [row for row in wanted if not row.get("skipped")]
    if not learned:
        skipped = Finding("amber", f"No learned method took part in this comparison: {names_of(wanted)} was skipped.")
        return [skipped] if wanted else []
    if is_learned(best):
        text = f"The learned method won in seconds on this system: {best.get('name')} (training time not counted)."
        return [Finding("green", text)]
    second = fastest(learned, rtol)
    if second is None:
        rescued = any(is_verified(row, rtol) for row in learned)
        how = "it reached the tolerance only with another method's help" if rescued else "it did not reach the tolerance"
        return [Finding("amber", f"The learned method lost: {how}.")]
    ratio = total_seconds(second) / max(total_seconds(best), 1e-12)
    text = f"{second.get('name')} took {format_number(ratio, 2)} times as long as {best.get('name')} (training time not counted)."
    return [Finding("amber", f"The learned method lost in seconds: {text}")]


def solver_results(summary: Row) -> list[Row]:
    """Rows of the comparison, or the one solve of a run that compared nothing.

    Args:
        summary: ``solve/summary.json`` with rows, or with solution.

    Returns:
        Plain dicts of the solves.
    """
    if summary.get("rows"):
        return list(summary["rows"])
    single = summary.get("solution")
    if not single:
        return []
    name = f"{single.get('method', '?')}, preconditioner {single.get('preconditioner') or 'none'}"
    return [{"name": name, **single}]


def solve_findings(summary: Row | None) -> list[Finding]:
    """Judge the solve stage: tolerance, winner in seconds and in iterations, and whether a learned method lost.

    Args:
        summary: ``solve/summary.json`` with rtol, rows and winner; None where the stage has not run.

    Returns:
        Findings, the tolerance first.
    """
    if summary is None:
        return [Finding("amber", "Solve: this stage has not run, so nothing was solved to a tolerance.")]
    rows, rtol = solver_results(summary), summary.get("rtol")
    return [_verified(rows, rtol), *_winner(rows, rtol, summary.get("winner"))]


def trust_finding(summary: Row | None) -> Finding:
    """Judge the error estimate: green where the effectivity is within 0.9 to 1.1 for at least 90 % of the samples.

    Args:
        summary: ``evaluate/summary.json`` with effectivity; None where the stage has not run.

    Returns:
        One finding; red below half of the samples.
    """
    effectivity = (summary or {}).get("effectivity") or {}
    share = effectivity.get("within_0.9_1.1")
    if share is None:
        return Finding("amber", "Trust: no error estimate was compared with true errors in this run.")
    colour = "green" if share >= 0.9 else "amber" if share >= 0.5 else "red"
    return Finding(
        colour,
        f"Trust: the effectivity of the error estimate is within 0.9 to 1.1 for "
        f"{100 * share:.0f} % of the samples (90 % wanted).",
    )


def overall(findings: Sequence[Finding]) -> str:
    """The colour of the whole verdict: the worst of its findings.

    Args:
        findings: Sentences of the verdict.

    Returns:
        "green", "amber" or "red".
    """
    return max((finding.colour for finding in findings), key=ORDER.index, default="amber")


def data_finding(manifest: Row | None) -> Finding:
    """Judge the data set: the number stored with every solution, such as its residual, is within the tolerance asked for.

    Args:
        manifest: The data set's manifest with rtol, residual and what that number is (verdict); None where the run made no data.

    Returns:
        One finding.
    """
    if manifest is None:
        return Finding("amber", "Data: this run made no data set, so no residual of the data was checked.")
    largest, rtol = (manifest.get("residual") or {}).get("max"), manifest.get("rtol")
    if largest is None or rtol is None:
        return Finding("amber", "Data: the manifest records no residual to compare with a tolerance.")
    held, measured = float(largest) <= float(rtol), manifest.get("verdict") or "true relative residual"
    return Finding(
        "green" if held else "red",
        f"Data: the {measured} is at most {format_number(float(largest))} over all samples, "
        f"{'within' if held else 'above'} the tolerance {float(rtol):.0e}.",
    )


def accuracy_findings(summary: Row | None) -> list[Finding]:
    """Judge the predictions against the trivial one: predicting zero has a relative L2 error of exactly 1.

    Args:
        summary: ``evaluate/summary.json`` with metrics; None where the stage has not run.

    Returns:
        One finding: red where the mean is no better than zero or above 60 %, amber where the worst sample is no better than zero or
        the mean above 20 %.
    """
    error = ((summary or {}).get("metrics") or {}).get("rel_l2") or {}
    if error.get("mean") is None:
        return [Finding("amber", "Accuracy: no trained operator was evaluated in this run.")]
    mean, worst = float(error["mean"]), float(error.get("worst") or error["mean"])
    if not mean < 1:  # not a number counts as no better
        colour, end = "red", ", which is no better than predicting zero."
    elif not mean < 0.6:
        colour, end = "red", ": that is no surrogate."
    elif not worst < 1:
        colour, end = "amber", "; the worst sample is no better than predicting zero."
    elif not mean < 0.2:
        colour, end = "amber", ": that is much for a surrogate."
    else:
        colour, end = "green", "."
    return [
        Finding(
            colour,
            f"Accuracy: relative L2 error {100 * mean:.3g} % on average, {100 * worst:.3g} % at worst, over "
            f"{(summary or {}).get('count', '?')} samples{end}",
        )
    ]
