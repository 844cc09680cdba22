"""`pdeflow solve`: a linear system from a file or from a problem, to a verified tolerance, beside other methods."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser

from pdeflow.cli import experiment
from pdeflow.cli.arrays import check_place, read_array, write_array
from pdeflow.cli.exit_codes import NOT_CONVERGED, OK
from pdeflow.cli.progress import progress
from pdeflow.cli.solve_columns import right_hand_sides, solve_columns
from pdeflow.cli.solve_record import with_resolved
from pdeflow.cli.system import read_system, refuse_two_systems
from pdeflow.errors import UsageError

METHODS = ("auto", "cg", "fcg", "dcdm", "gmres", "fgmres", "minres", "gcro_dr", "bicgstab", "def_cg", "direct")
GUARDS = ("switch", "multi", "none")


def parser(with_problem: bool) -> ArgumentParser:
    """Return the parser of the command's settings.

    Args:
        with_problem: Whether the system comes from a problem; without one, torch is not imported.
    """
    p = ArgumentParser(
        prog="pdeflow solve", exit_on_error=False, allow_abbrev=False, description="Solve a linear system, verified."
    )
    p.add_argument("--config", "-c", action="config", help="Settings file; several layer.")
    p.add_argument("--name", type=str, default="solve", help="Name of the run.")
    p.add_argument("--seed_everything", type=int, default=0, help="Root seed of the instance.")
    if with_problem:
        from pdeflow.problems import Problem

        p.add_subclass_arguments(Problem, "problem", required=True)
    else:
        p.add_argument("matrix", type=str, help="A as Matrix Market (.mtx) or scipy.sparse.save_npz (.npz).")
    p.add_argument("--rhs", type=str | None, default=None, help="b as .npy or .mtx, (n,) or (n, k) for k solves; A times ones by default.")
    p.add_argument(
        "--grid", type=list[int] | None, default=None, help="Cells per axis, for a problem; 64 x 64 where it lives on grids."
    )
    p.add_argument("--h", type=float | None, default=None, help="Mesh size in length units, for a problem on a mesh.")
    p.add_argument("--instance", type=int, default=0, help="Number of the unseen instance, for a problem.")
    add_method_arguments(p)
    return p


def add_method_arguments(p: ArgumentParser) -> None:
    """Add what says how to solve, and what to write."""
    p.add_argument("--method", type=str, default="auto", help=f"One of {', '.join(METHODS)}.")
    p.add_argument(
        "--preconditioner",
        type=str,
        default="auto",
        help="auto, none, jacobi, ilu, ic, amg (amg:rs, amg:sa), petsc:TYPE, direct, or RUN[/STAGE].",
    )
    p.add_argument(
        "--rtol", type=float, default=1e-8, help="Tolerance on ||b - Ax|| / ||b||, recomputed in float64."
    )
    p.add_argument("--maxiter", type=int | None, default=None, help="Krylov steps of one attempt at most; the guard may add a second one.")
    p.add_argument("--x0", type=str | None, default=None, help="Initial guess as .npy.")
    p.add_argument("--nullspace", type=str | None, default=None, help="constant, none, or a basis as .npy.")
    p.add_argument(
        "--project", type=bool, default=False, help="Drop the part of b that a singular A cannot reach."
    )
    p.add_argument(
        "--guard", type=str, default="switch", help="switch: leave a failing preconditioner for AMG; multi (dcdm): never worse than Jacobi; none."
    )
    p.add_argument("--timeout", type=float | None, default=None, help="Seconds at most.")
    p.add_argument(
        "--compare", type=str | None, default=None, help="all: every method that suits the matrix, one table."
    )
    p.add_argument(
        "--unseen",
        type=int,
        default=0,
        help="With a learned preconditioner: count iterations on so many instances.",
    )
    p.add_argument(
        "--unseen_grids", type=list[list[int]] | None, default=None,
        help="Their grids; 64 x 64 and 128 x 128, in space 16 x 16 x 16 and 32 x 32 x 32.",
    )  # fmt: skip
    p.add_argument("--out", type=str | None, default=None, help="Where to write x (.npy).")
    p.add_argument("--run", type=str | None, default=None, help="Run folder for summary and pictures.")


def main(argv: list[str], command: str = "solve") -> int:
    """Solve one system.

    Args:
        argv: Arguments after the command.
        command: Its name.

    Returns:
        0, or 3 where the tolerance was not reached.
    """
    files, rest = experiment.split_files(argv)
    quiet = "-q" in rest
    rest = [{"--project": "--project=true"}.get(word, word) for word in rest if word not in ("-q", "-v")]
    rest = experiment.bracketed(rest, "--grid")
    config = experiment.one_resolution(experiment.settings(files, "solve")[0], rest)
    return solve_from(config, rest, quiet)


def solve_from(config: dict[str, Any], overrides: list[str], quiet: bool = False) -> int:
    """Solve with the settings of an experiment's section.

    Args:
        config: The section, merged with the shared keys.
        overrides: Options of the command line.
        quiet: No progress.

    Returns:
        Exit code.
    """
    from_problem = bool(config) or any(word.startswith("--problem") for word in overrides)
    if not from_problem and "--help-all" not in overrides and (not overrides or overrides[0].startswith("-")):
        raise UsageError(
            "name a matrix file first (pdeflow solve A.mtx), or a settings file with -c; see pdeflow solve --help"
        )
    p = parser(from_problem)
    if "--help-all" in overrides:
        p.print_help()
        return OK
    text = [f"--config={yaml.safe_dump(config, sort_keys=False)}"] if config else []
    refuse_two_systems(from_problem, overrides)
    settings = p.parse_args([*text, *overrides])
    for name, allowed in (("method", METHODS), ("guard", GUARDS)):
        if settings[name] not in allowed:
            raise UsageError(f"--{name} must be one of {', '.join(allowed)}, got {settings[name]!r}")
    if settings.method == "direct" and settings.preconditioner not in ("auto", "none", "direct"):
        raise UsageError(f"--method direct takes no preconditioner, got --preconditioner {settings.preconditioner}; leave one of them out")
    if settings.preconditioner == "direct" and settings.method not in ("auto", "direct"):
        raise UsageError(f"--preconditioner direct is a method of its own, got --method {settings.method}; leave one of them out")
    if settings.compare not in (None, "all"):
        raise UsageError(f"--compare takes 'all', got {settings.compare!r}")
    check_place(settings.out, "out")
    check_place(settings.run, "run", folder=True)
    return solve_system(with_resolved(p, settings), quiet)


def solve_system(settings: Any, quiet: bool) -> int:
    """Read or assemble the system, solve it, compare, write what was asked for.

    Args:
        settings: Instantiated settings.
        quiet: No progress.

    Returns:
        Exit code.
    """
    from pdeflow.linalg import solve
    from pdeflow.linalg.krylov_methods import bring

    bring(settings.method)
    with one_thread():
        return _solve_system(settings, quiet, solve)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Give torch one thread, as SciPy and PyAMG have: a fair clock, and faster for the small arrays of a cycle.

    Yields:
        Nothing; torch is not imported where nobody did before.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _solve_system(settings: Any, quiet: bool, solve: Any) -> int:
    system, title = read_system(settings)
    preconditioner = choose_preconditioner(settings.preconditioner, system)
    if settings.unseen:
        from pdeflow.cli.unseen import check_unseen

        check_unseen(settings, preconditioner, system)
    method = "direct" if settings.preconditioner == "direct" else settings.method
    print(f"solve: {title}")
    columns = right_hand_sides(settings.rhs) if getattr(settings, "rhs", None) else None
    if columns is not None:
        return solve_columns(settings, system, columns, method, preconditioner, quiet)
    with progress("solve", quiet) as display:
        solution = solve(
            system, method=method, preconditioner=preconditioner, x0=read_array(settings.x0, "x0"), rtol=settings.rtol,
            maxiter=settings.maxiter, guard=settings.guard, timeout=settings.timeout,
            callback=None if display is None else monitor(display, settings.rtol),
        )  # fmt: skip
    print(f"  {solution}")
    fallback = solution.reason.name == "converged_fallback"  # its line says why
    if not fallback and (solution.switched_at is not None or not solution.converged):
        print(f"  {why(solution)}")
    if solution.reason.name == "incompatible_nullspace" and not settings.project:
        print("  next: the same command with --project solves the least-squares problem")
    if settings.out and solution.converged:
        write_array(Path(settings.out), solution.x)
        print(f"  x written to {settings.out}")
    if settings.compare or settings.run:
        from pdeflow.cli.solve_report import write_comparison

        write_comparison(settings, system, title, solution, preconditioner, quiet)
    if not (settings.run or quiet) and has_pictures(settings, system):
        print("  pictures and numbers: add --run DIR")
    return OK if solution.converged else NOT_CONVERGED


def why(solution: Any) -> str:
    """Return the reason of a solve and its numbers, the reason once."""
    reason, detail = solution.reason, solution.detail
    return detail if detail == reason.value or detail.startswith(reason.name) else f"{reason.name}: {detail}"


def has_pictures(settings: Any, system: Any) -> bool:
    """Whether a run folder would hold pictures: of a race, or of a solution in the plane."""
    if settings.compare or system.grid is not None:
        return bool(settings.compare) or system.grid.ndim == 2
    return "problem" in settings and settings.problem.domain.dim == 2


def choose_preconditioner(name: str, system: Any) -> Any:
    """Return a name that linalg knows, or the trained network of RUN[/STAGE], if it was trained for such a system."""
    from pdeflow.linalg.preconditioners import is_name

    if name == "auto" or is_name(name):
        return name
    if name == "direct":
        return "none"
    if not Path(name).exists():
        raise UsageError(
            f"--preconditioner {name!r} is neither auto, none, jacobi, ilu, ic, amg, amg:rs, amg:sa, petsc:TYPE, direct nor a run folder"
        )
    from pdeflow.run_folder import load
    from pdeflow.run_folder.family import check_family

    trained = load(name, kind="preconditioner")
    check_family(trained.network, trained.problem, system)
    return trained.network


def monitor(display: Any, rtol: float) -> Any:
    """Return a callback of the solver that shows iterations and residual."""

    def callback(state: Any) -> bool:
        import math

        relative = getattr(state, "relative", 1.0)
        decades = max(0.0, -math.log10(max(relative, 1e-300)))
        display.update(min(round(10 * decades), round(-10 * math.log10(rtol))), round(-10 * math.log10(rtol)),
                       f"iteration {state.iteration}, residual {relative:.1e}")  # fmt: skip
        return False

    return callback
