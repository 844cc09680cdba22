"""What `pdeflow solve --run` leaves in its folder: the solution, a summary, what made it, and the pictures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pdeflow.cli.arrays import write_array
from pdeflow.cli.resolution import resolution

PICTURES = ("residuals", "solver_times", "solution")


def with_resolved(parser: Any, settings: Any) -> Any:
    """Return the settings with their classes instantiated, and as `resolved` the plain values that config.yaml keeps.

    Args:
        parser: Parser of the command.
        settings: What it parsed.
    """
    made = parser.instantiate(settings)
    made["resolved"] = {key: value for key, value in yaml.safe_load(parser.dump(settings)).items() if value is not None}
    return made


def write_run(
    settings: Any, system: Any, title: str, solution: Any, rows: list[tuple[dict[str, Any], Any]], unseen: dict[str, Any] | None
) -> None:
    """Write solution, summary, record and pictures; pictures of an earlier solve that this one does not draw are removed.

    Args:
        settings: Settings of the command.
        system: The system.
        title: Its description.
        solution: What the chosen method gave.
        rows: (row of the table, solution or None) per method of a comparison.
        unseen: Counts on unseen instances, or None.
    """
    from pdeflow.run_folder import provenance, write_json, write_yaml

    run = Path(settings.run)
    single = {
        "converged": solution.converged, "reason": solution.reason.name, "detail": solution.detail,
        "residual": solution.residual, "method": solution.method, "preconditioner": solution.preconditioner,
        "iterations": solution.iterations, "switched_at": solution.switched_at,
        "seconds_setup": solution.seconds_setup, "seconds_solve": solution.seconds_solve,
    }  # fmt: skip
    summary = {
        "system": title, "n": system.n, "grid": list(system.grid.shape) if system.grid is not None else None,
        "rtol": settings.rtol, "solution": single, "rows": [row for row, _ in rows],
        "winner": next((row["name"] for row, _ in rows if row["winner"]), None),
        "learned_stage": settings.preconditioner, "unseen": unseen,
    }  # fmt: skip
    if (run / "solve" / "summary.json").is_file():
        print(f"  replaces the earlier solve in {run}")
    write_array(run / "solve" / "x.npy", solution.x)
    write_json(run / "solve" / "summary.json", summary)
    write_yaml(run / "solve" / "config.yaml", settings.resolved)
    write_json(run / "solve" / "run.json", provenance(sys.argv[1:], int(settings.seed_everything)))
    drawn = draw_run(settings, system, title, solution, rows)
    for path in [run / "figures" / f"{name}.png" for name in PICTURES]:
        if path not in drawn:
            path.unlink(missing_ok=True)
            path.with_suffix(".csv").unlink(missing_ok=True)
    print("  " + ", ".join(map(str, drawn or [run / "solve" / "summary.json"])))


def draw_run(settings: Any, system: Any, title: str, solution: Any, rows: list[tuple[dict[str, Any], Any]]) -> list[Path]:
    """Draw the comparison and, in the plane, the solution.

    Args:
        settings: Settings of the command.
        system: The system.
        title: Its description.
        solution: What the chosen method gave.
        rows: (row of the table, solution or None) per method.

    Returns:
        The pictures.
    """
    from pdeflow.report import plot_solver_times

    figures, pictures = Path(settings.run) / "figures", []
    if rows:
        size = float(np.linalg.norm(system.b)) or 1.0
        pictures += draw_residuals(figures / "residuals.png", rows, size, settings.rtol, title)
        pictures.append(plot_solver_times(figures / "solver_times.png", [row for row, _ in rows], title))
    if "problem" in settings:
        pictures += plot_solved(settings, solution.x, figures / "solution.png")
    return pictures


def draw_residuals(path: Path, rows: list[tuple[dict[str, Any], Any]], size: float, rtol: float, title: str) -> list[Path]:
    """Draw the residual histories; methods without one are named with the reason.

    Args:
        path: Picture to write.
        rows: (row of the table, solution or None) per method.
        size: ||b||.
        rtol: Relative tolerance.
        title: What was solved.

    Returns:
        The picture, or nothing where no method has a history.
    """
    from pdeflow.report import plot_residuals, solver_notes
    from pdeflow.report.tables import is_failed, switch_text

    histories, remarks, switches, absent = {}, {}, {}, []
    for row, found in rows:
        name = row["name"]
        if found is None or len(found.residual_norms) < (3 if is_failed(row) else 2):
            absent.append(f"not drawn: {(solver_notes([row]) or [f'{name}: no step was needed'])[0]}")
            continue
        seconds = found.seconds_setup + found.seconds_solve
        histories[name] = (np.asarray(found.residual_norms) / size, seconds, found.seconds_setup)
        if found.switched_at is not None:
            switches[name], remarks[name] = found.switched_at, switch_text(row)
        elif is_failed(row):
            remarks[name] = row["reason"]
    return [plot_residuals(path, histories, rtol, title=title, remarks=remarks, switches=switches, absent=absent)] if histories else []


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
