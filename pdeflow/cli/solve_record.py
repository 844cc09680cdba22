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
    from pdeflow.report import plot_solution, plot_solver_times

    figures, pictures = Path(settings.run) / "figures", []
    if rows:
        size = float(np.linalg.norm(system.b)) or 1.0
        pictures += draw_residuals(figures / "residuals.png", rows, size, settings.rtol, title)
        pictures.append(plot_solver_times(figures / "solver_times.png", [row for row, _ in rows], title))
    if system.grid is not None and system.grid.ndim == 2:
        name, values, u = shown_fields(settings, system, solution.x)
        pictures.append(plot_solution(figures / "solution.png", values, u, names=(name, "u")))
    elif "problem" in settings:
        pictures += plot_elsewhere(settings, solution, figures / "solution.png")
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


def plot_elsewhere(settings: Any, solution: Any, path: Path) -> list[Path]:
    """Draw the solution of a problem on a mesh in the plane.

    Args:
        settings: Settings of the command.
        solution: What was found.
        path: Picture to write.
    """
    from pdeflow import seeds
    from pdeflow.geometry import Mesh
    from pdeflow.report.mesh_fields import plot_mesh_samples

    problem = settings.problem
    instance = problem.sample(seeds.generator(settings.seed_everything, seeds.SOLVE, settings.instance))
    mesh = problem.layout(instance, resolution(settings, problem))
    if not isinstance(mesh, Mesh) or mesh.dim != 2:
        return []
    fields = problem.input_values(instance, mesh) | problem.unpack(solution.x, mesh)
    name, values = list(fields.items())[-1]
    return [plot_mesh_samples(path, [(mesh, values)], names=[name], name=name)]


def shown_fields(settings: Any, system: Any, x: np.ndarray) -> tuple[str, np.ndarray, np.ndarray]:
    """Return name and values of what varies between the instances of the problem, and the solution, masked in obstacles."""
    from pdeflow import seeds
    from pdeflow.report.obstacles import mask_solids

    problem, name = settings.problem, settings.problem.inputs[0]
    instance = problem.sample(seeds.generator(settings.seed_everything, seeds.SOLVE, settings.instance))
    obstacles = problem.obstacles(instance, system.grid)
    u = mask_solids(x.reshape(system.grid.shape), None if obstacles is None else ~obstacles.active.numpy())
    return name, instance.fields[name].on(system.grid).numpy(), u
