"""The comparison of `pdeflow solve`: one table of methods, their residual histories, and counts on unseen instances."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pdeflow.cli.arrays import write_array
from pdeflow.cli.progress import progress
from pdeflow.cli.resolution import resolution
from pdeflow.cli.unseen import unseen_counts


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
    from pdeflow.report import SOLVER_HEADER, solver_rows, text_table

    learned = preconditioner if hasattr(preconditioner, "setup") else None
    rows = race(settings, system, solution, learned, quiet) if settings.compare else []
    winner = next((row["name"] for row, _ in rows if row["winner"]), None)
    plain = [row for row, _ in rows]
    if rows:
        print("\n".join("  " + line for line in text_table(SOLVER_HEADER, solver_rows(plain)).splitlines()))
    unseen = unseen_counts(settings, learned, quiet) if learned is not None and settings.unseen else None
    for entry in unseen["grids"] if unseen else ():
        print(
            f"  {entry['count']} unseen instances, {'x'.join(map(str, entry['grid']))}: mean iterations "
            f"untrained {entry['untrained_mean']:.2f}, trained {entry['trained_mean']:.2f} "
            f"(worst ratio {entry['trained_max_ratio']:.2f}), AMG {entry['amg_mean']:.1f}, CG {entry['cg_mean']:.0f}"
        )
    if settings.run:
        write_run(settings, system, title, solution, rows, winner, unseen)


def race(
    settings: Any, system: Any, solution: Any, learned: Any, quiet: bool
) -> list[tuple[dict[str, Any], Any]]:
    """Run every method that suits the system.

    Args:
        settings: Settings of the command.
        system: The system.
        solution: What the chosen method gave; shown where no entry repeats it.
        learned: Trained network, or None.
        quiet: No progress.

    Returns:
        (row of the table, solution or None) per method.
    """
    from pdeflow.linalg.compare import Entry, compare, default_entries, fastest

    entries = list(default_entries(system))
    if learned is not None:
        if hasattr(learned, "untrained"):
            entries += [
                Entry("learned cycle, untrained", "fcg", learned.untrained(), learned=True),
                Entry("learned cycle, trained", "fcg", learned, learned=True),
            ]
        else:  # untrained, it solves nothing
            entries.append(Entry(f"{type(learned).__name__}, trained", "dcdm", learned, learned=True))
    with progress("compare", quiet) as display:
        done: list[str] = []

        def show(row: Any) -> None:
            done.append(row.name)
            if display is not None:
                display.update(len(done), len(entries), row.name)

        rows = compare(system, entries, rtol=settings.rtol, maxiter=settings.maxiter, on_row=show)
    best = fastest(rows)
    return [
        (row.as_dict() | {"winner": best is not None and row.name == best.name}, row.solution) for row in rows
    ]


def write_run(
    settings: Any, system: Any, title: str, solution: Any, rows: list[tuple[dict[str, Any], Any]], winner: str | None,
    unseen: dict[str, Any] | None,
) -> None:  # fmt: skip
    """Write summary, solution and pictures into the run folder."""
    from pdeflow.report import plot_residuals, plot_solver_times
    from pdeflow.run_folder import write_json

    run = Path(settings.run)
    plain = [row for row, _ in rows]
    single = {
        "converged": solution.converged, "reason": solution.reason.name, "detail": solution.detail,
        "residual": solution.residual, "method": solution.method, "preconditioner": solution.preconditioner,
        "iterations": solution.iterations,
    }  # fmt: skip
    summary = {
        "system": title, "n": system.n, "grid": list(system.grid.shape) if system.grid is not None else None,
        "rtol": settings.rtol, "solution": single, "rows": plain, "winner": winner,
        "learned_stage": settings.preconditioner, "unseen": unseen,
    }  # fmt: skip
    write_array(run / "solve" / "x.npy", solution.x)
    write_json(run / "solve" / "summary.json", summary)
    figures, size = run / "figures", float(np.linalg.norm(system.b)) or 1.0
    pictures = []
    histories = {
        row["name"]: (
            np.asarray(found.residual_norms) / size,
            found.seconds_setup + found.seconds_solve,
            found.seconds_setup,
        )
        for row, found in rows
        if found is not None and len(found.residual_norms) > 2
    }
    if histories:
        pictures.append(plot_residuals(figures / "residuals.png", histories, settings.rtol))
    if plain:
        pictures.append(plot_solver_times(figures / "solver_times.png", plain))
    if "problem" in settings:
        pictures += plot_solved(settings, solution.x, figures / "solution.png")
    print("  " + ", ".join(map(str, pictures or [run / "solve" / "summary.json"])))


def plot_solved(settings: Any, x: np.ndarray, path: Path) -> list[Path]:
    """Draw the instance of a problem that was solved, where it is in the plane.

    Args:
        settings: Settings of the command.
        x: Solution of its system, shape (n,).
        path: Picture to write.
    """
    from pdeflow import seeds
    from pdeflow.report.solution import plot_instance

    problem = settings.problem
    instance = problem.sample(seeds.generator(settings.seed_everything, seeds.SOLVE, settings.instance))
    picture = plot_instance(path, problem, instance, problem.layout(instance, resolution(settings, problem)), x)
    return [] if picture is None else [picture]
