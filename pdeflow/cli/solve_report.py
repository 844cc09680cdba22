"""The comparison of `pdeflow solve`: one table of methods, why some are not in the race, and counts on unseen instances."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import Any

from pdeflow.cli.progress import progress
from pdeflow.cli.solve_record import write_run
from pdeflow.cli.unseen import unseen_counts

PATIENCE = 60.0
"""Seconds for each method where --timeout does not say."""
Rows = list[tuple[dict[str, Any], Any]]


def write_comparison(
    settings: Any, system: Any, title: str, solution: Any, preconditioner: Any, quiet: bool
) -> None:
    """Race the methods, print the table, write RUN/solve/summary.json and the pictures.

    Args:
        settings: Settings of the command.
        system: The system.
        title: Its description.
        solution: What the chosen method gave.
        preconditioner: Name, or trained network.
        quiet: No progress.
    """
    learned = preconditioner if hasattr(preconditioner, "setup") else None
    rows = race(settings, system, solution, learned, quiet) if settings.compare else []
    if rows:
        print_table([row for row, _ in rows])
    unseen = unseen_counts(settings, learned, quiet) if learned is not None and settings.unseen else None
    if unseen:
        print_unseen(unseen["grids"])
    if settings.run:
        write_run(settings, system, title, solution, rows, unseen)


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print one line per method and below them, in full, why methods were skipped or failed."""
    from pdeflow.report import SOLVER_HEADER, solver_notes, solver_rows, text_table

    header, cells = SOLVER_HEADER, solver_rows(rows, brief=True)
    lines = text_table(header, cells, None).splitlines()
    width = shutil.get_terminal_size().columns - 2 if sys.stdout.isatty() else None
    if width is not None and max(map(len, lines)) > width:  # names and outcomes count more than the parts of the seconds
        kept = [i for i, name in enumerate(header) if name not in ("set-up s", "solve s")]
        lines = text_table([header[i] for i in kept], [[row[i] for i in kept] for row in cells], width).splitlines()
    print("\n".join("  " + line for line in [*lines, *solver_notes(rows)]))


def print_unseen(grids: Sequence[dict[str, Any]]) -> None:
    """Print the mean counts on unseen instances, a line per grid, and what a count that was not reached means."""
    from pdeflow.report import format_number, mean_iterations

    for entry in grids:
        names = {"untrained": "untrained", "trained": "trained", "amg": "AMG", "cg": "CG"}
        counts = ", ".join(f"{shown} {mean_iterations(entry, name)}" for name, shown in names.items())
        ratio = entry["trained_max_ratio"]
        failed = " (it failed where the untrained one did not)"
        worst = "" if ratio is None else failed if ratio == float("inf") else f" (worst ratio trained / untrained {format_number(ratio)})"
        print(f"  {entry['count']} unseen instances, {'x'.join(map(str, entry['grid']))}: mean iterations {counts}{worst}")
        if any("> " in mean_iterations(entry, name) for name in names):
            print(f"    > {entry['cap']}: one instance or more did not reach the tolerance within {entry['cap']} iterations")


def race(settings: Any, system: Any, solution: Any, learned: Any, quiet: bool) -> Rows:
    """Run every method that suits the system, the trained network, and what the command asked for where no row is that.

    Args:
        settings: Settings of the command.
        system: The system.
        solution: What the chosen method gave.
        learned: Trained network, or None.
        quiet: No progress.

    Returns:
        (row of the table, solution or None) per method.
    """
    from pdeflow.linalg.compare import Entry, compare, fastest

    with progress("compare", quiet) as display:
        limits = {
            "rtol": settings.rtol, "maxiter": settings.maxiter, "timeout": PATIENCE if settings.timeout is None else settings.timeout,
            "watch": None if display is None else display.update,
        }  # fmt: skip
        rows = compare(system, also=learned_entries(settings, learned), **limits)
        present = {(row.solution.method, row.solution.preconditioner) for row in rows if row.solution is not None}
        ran = solution.switched_at is None and solution.method not in ("auto", "none")  # those names mean that nothing had to run
        if learned is None and ran and (solution.method, solution.preconditioner) not in present:
            name = " + ".join(part for part in (solution.method, solution.preconditioner) if part != "none")
            asked = Entry(f"{name}, as asked", settings.method, settings.preconditioner, guard=settings.guard)
            rows += compare(system, [asked], **limits)
    best = fastest(rows)
    return [
        (row.as_dict() | {"winner": best is not None and row.name == best.name}, row.solution) for row in rows
    ]


def learned_entries(settings: Any, learned: Any) -> list[Any]:
    """Return the entries of a trained network: with the method and the guard of the command, and untrained where that solves.

    Args:
        settings: Settings of the command.
        learned: Trained network, or None.
    """
    from pdeflow.linalg.compare import Entry

    if learned is None:
        return []
    how = {"method": "auto" if settings.method == "direct" else settings.method, "learned": True, "guard": settings.guard}
    if hasattr(learned, "untrained"):
        return [
            Entry("learned cycle, untrained", preconditioner=learned.untrained(), **how),
            Entry("learned cycle, trained", preconditioner=learned, **how),
        ]
    return [Entry(f"{type(learned).__name__}, trained", preconditioner=learned, **how)]
