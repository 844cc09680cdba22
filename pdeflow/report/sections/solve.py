"""Report section on the comparison of solvers: who won in seconds, who in iterations, and what training gained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pdeflow.report.elements import heading, note, paragraph, plain
from pdeflow.report.run_files import RunFiles
from pdeflow.report.tables import (
    SOLVER_HEADER,
    format_number,
    html_table,
    mean_iterations,
    solver_rows,
    switch_text,
    total_seconds,
)
from pdeflow.report.verdict import (
    fastest,
    fewest_iterations,
    is_learned,
    is_own_merit,
    is_verified,
    names_of,
    solver_results,
)

Row = Mapping[str, Any]
NO_SOLVE = "Nothing was solved to a tolerance in this run (no solve stage)."


def solve(run: RunFiles) -> str:
    """Return the table of solvers, untrained against trained cycle, and the pictures of the solve.

    Args:
        run: Files of the run.

    Returns:
        HTML.
    """
    summaries = run.summaries("solve")
    if not summaries:
        return note(NO_SOLVE)
    parts = [(heading(stage) if len(summaries) > 1 else "") + _stage(s) for stage, s in summaries.items()]
    if any(summary.get("rows") for summary in summaries.values()):
        parts += [
            run.picture("residuals", "Residual histories by iteration and by second; what is lower and further left won."),
            run.picture("solver_times", "Seconds of every method, set-up and solve apart, fastest on top and what failed below in grey."),
        ]
    if (run.folder / "figures" / "solution.png").is_file():
        parts.append(run.picture("solution", "What varies between the instances of the problem, and the solution."))
    return "".join(parts)


def _stage(summary: Row) -> str:
    rows, rtol = solver_results(summary), summary.get("rtol")
    size = f"{summary.get('n', '?')} unknowns"
    if summary.get("grid"):
        size += f" on a {plain(summary['grid'])} grid"
    tolerance = "" if rtol is None else f", relative tolerance {rtol:.0e}"
    parts = [paragraph(f"{summary.get('system', 'A linear system')}; {size}{tolerance}.")]
    if not rows:
        return "".join((*parts, note("No solve was recorded.")))
    best, fewest = fastest(rows, rtol), fewest_iterations(rows, rtol)
    if len(rows) < 2:
        return "".join(
            (*parts, note("One method ran; nothing was compared."), _table(rows, rtol, None, []))
        )
    parts += [_winners(best, fewest), _table(rows, rtol, best, fewest), _learned(rows, rtol, best)]
    if summary.get("unseen"):
        parts.append(_unseen(summary["unseen"]))
    return "".join(parts)


def _winners(best: Row | None, fewest: Sequence[Row]) -> str:
    if best is None:
        return paragraph("No method reached the tolerance by itself, so there is no winner.")
    text = f"Winner in seconds, set-up included: {best.get('name')} ({format_number(total_seconds(best))} s)."
    if fewest:
        word, each = ("Winners", " each") if len(fewest) > 1 else ("Winner", "")
        text += f" {word} in iterations: {names_of(fewest)} ({format_number(fewest[0]['iterations'])}{each})."
    return paragraph(text)


def _table(rows: Sequence[Row], rtol: float | None, best: Row | None, fewest: Sequence[Row]) -> str:
    cells = []
    for row in rows:
        line = list(solver_rows([{**row, "winner": row is best}])[0])
        if is_learned(row) and "learn" not in str(line[0]).lower():
            line[0] = f"{line[0]} (learned)"
        if any(row is one for one in fewest):
            line[-1] = f"{line[-1]}, fewest iterations"
        if not row.get("skipped") and not is_verified(row, rtol):
            line[-1] = f"{line[-1]}: tolerance not reached"
        if row.get("detail") and not row.get("skipped") and not is_own_merit(row, rtol):
            line[-1] = f"{line[-1]} ({row['detail']})"
        cells.append(line)
    return html_table(SOLVER_HEADER, cells, [i for i, row in enumerate(rows) if row is best])


def _untrained(row: Row) -> bool:
    return "untrained" in str(row.get("name", "")).lower()


def _learned(rows: Sequence[Row], rtol: float | None, best: Row | None) -> str:
    """Say how a learned method did against the winner, and against itself without training."""
    ran = [row for row in rows if is_learned(row) and not row.get("skipped")]
    trained = [row for row in ran if not _untrained(row)]
    parts = []
    for row in trained:
        seconds, name = total_seconds(row), row.get("name")
        if not is_verified(row, rtol):
            parts.append(f"{name} lost: it did not reach the tolerance.")
        elif not is_own_merit(row, rtol):
            helper = switch_text(row) if row.get("switched_at") is not None else "another method"
            parts.append(f"{name} lost: it did not reach the tolerance by itself, but with {helper}.")
        elif row is best:
            parts.append(f"{name} won in seconds; the time to train it is not counted.")
        elif best is not None:
            ratio = format_number(seconds / max(total_seconds(best), 1e-12), 2)
            parts.append(
                f"{name} lost in seconds: it took {ratio} times as long as {best.get('name')}; the time to train it is "
                "not counted."
            )
    parts += [
        f"Iterations without training ({row.get('name')}): {format_number(row.get('iterations'))}; "
        f"with training ({other.get('name')}): {format_number(other.get('iterations'))}."
        for row in filter(_untrained, ran)
        for other in trained
    ]
    return "".join(map(paragraph, parts)) or note("No learned method took part in this comparison.")


def _unseen(unseen: Row) -> str:
    header = (
        "grid", "systems", "untrained cycle", "trained cycle", "trained / untrained, worst", "AMG-CG", "CG",
    )  # fmt: skip
    rows = [
        (
            plain(g.get("grid")), g.get("count"), mean_iterations(g, "untrained"), mean_iterations(g, "trained"),
            g.get("trained_max_ratio"), mean_iterations(g, "amg"), mean_iterations(g, "cg"),
        )
        for g in unseen.get("grids") or ()
    ]  # fmt: skip
    which = unseen.get("coefficients")
    which = (
        f"{which} coefficients" if isinstance(which, int) else f"coefficients ({which or 'not described'})"
    )
    text = f"Mean iterations over {which} that no training saw."
    if any(str(cell).startswith("> ") for row in rows for cell in row):
        text += " A count > N means that an instance or more did not reach the tolerance within N iterations."
    return heading("Untrained against trained learned cycle") + paragraph(text) + html_table(header, rows)
