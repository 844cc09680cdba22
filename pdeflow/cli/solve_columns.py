"""`pdeflow solve` with several right-hand sides in one file: one set-up, a line for each, all solutions in one array."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pdeflow.cli.arrays import write_array
from pdeflow.cli.exit_codes import NOT_CONVERGED, OK
from pdeflow.cli.progress import progress
from pdeflow.cli.system import reachable
from pdeflow.errors import UsageError


def right_hand_sides(path: str) -> np.ndarray | None:
    """Return the columns of a file, shape (n, k), where it holds several, otherwise None."""
    from pdeflow.linalg.matrix_files import read_columns

    B = read_columns(path)
    return B if B.ndim == 2 and B.shape[1] > 1 else None


def solve_columns(settings: Any, system: Any, B: np.ndarray, method: str, preconditioner: Any, quiet: bool) -> int:
    """Solve for every column of a right-hand side, with one set-up.

    Args:
        settings: Settings of the command.
        system: The system of the first column.
        B: Right-hand sides, shape (n, k).
        method: As in solve.
        preconditioner: Name, or trained network.
        quiet: No progress.

    Returns:
        Exit code: 0 where all columns converged.

    Raises:
        UsageError: If something was asked for that is made for one right-hand side.
    """
    from pdeflow.linalg import Solver

    for name in ("compare", "run", "x0"):
        if settings[name]:
            raise UsageError(f"--{name} takes one right-hand side, and {settings.rhs} has {B.shape[1]} columns; give it one, or leave --{name} out")
    if settings.project:
        B = reachable(system, B)
    solver = Solver(
        system, method=method, preconditioner=preconditioner, rtol=settings.rtol, maxiter=settings.maxiter, guard=settings.guard,
        timeout=settings.timeout,
    )  # fmt: skip
    found = []
    with progress("solve", quiet) as display:
        for k, b in enumerate(B.T, start=1):
            found.append(solver.solve(b))
            if display is not None:
                display.update(k, B.shape[1], f"right-hand side {k}")
    for k, solution in enumerate(found):
        said = solution.detail.removesuffix(f"; {solution.reason.value}")  # the reason's name says the same
        print(f"  {k}: {solution}" + ("" if solution.converged else f"; {said}"))
    good = sum(solution.converged for solution in found)
    print(f"  {good} of {len(found)} right-hand sides converged")
    refused = any(solution.reason.name == "incompatible_nullspace" for solution in found)
    if refused and not settings.project:
        print("  next: the same command with --project solves the least-squares problems")
    if settings.out and good == len(found):
        write_array(Path(settings.out), np.column_stack([solution.x for solution in found]))
        print(f"  x written to {settings.out}, shape {B.shape}")
    return OK if good == len(found) else NOT_CONVERGED
