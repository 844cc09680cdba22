"""The linear system of `pdeflow solve`: from a matrix file, or assembled from an instance of a problem."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pdeflow.cli.arrays import read_array
from pdeflow.cli.resolution import resolution
from pdeflow.errors import UsageError


def refuse_two_systems(from_problem: bool, overrides: list[str]) -> None:
    """Refuse a matrix file beside a problem, and beside options that only a problem reads.

    Args:
        from_problem: Whether a settings file or --problem names what is solved.
        overrides: Options of the command line; a matrix file comes first.

    Raises:
        UsageError: If both were given.
    """
    if not overrides or overrides[0].startswith("-"):
        return
    if from_problem:
        raise UsageError(f"{overrides[0]} is one system, and the settings (-c or --problem) name another; give the matrix file or the problem")
    given = [word.partition("=")[0] for word in overrides[1:]]
    for option in ("--grid", "--h", "--instance", "--unseen_grids"):
        if option in given:
            raise UsageError(f"{option} belongs to a problem (-c FILE or --problem CLASS), and {overrides[0]} has its own size; leave it out")


def read_system(settings: Any) -> tuple[Any, str]:
    """Return the linear system and its description.

    Args:
        settings: Settings of the command.

    Returns:
        (system, one line).
    """
    from pdeflow.linalg import describe, linear_system
    from pdeflow.linalg.compatibility import zero_rows
    from pdeflow.linalg.matrix_files import read_columns, read_matrix, read_vector

    if "problem" in settings:
        if settings.rhs is not None:
            raise UsageError("--rhs belongs to a matrix file; a problem brings its own right-hand side")
        from pdeflow import seeds
        from pdeflow.problems.instance import name_of

        problem = settings.problem
        instance = problem.sample(seeds.generator(settings.seed_everything, seeds.SOLVE, settings.instance))
        if not problem.linear:
            raise UsageError(
                f"{type(problem).__name__} is not one linear system ({problem.algorithm}); solve it with: pdeflow generate --count 1"
            )
        layout = problem.layout(instance, resolution(settings, problem))
        system = problem.system(instance, layout)
        return system, f"{problem.equation}, {name_of(layout)}, n = {system.n:,}"
    A = read_matrix(settings.matrix)
    b = None if not settings.rhs else read_vector(settings.rhs, A.shape[0], columns=True)
    nullspace = settings.nullspace
    if nullspace is not None and nullspace not in ("constant", "none"):
        nullspace = read_array(nullspace, "nullspace")
    system = linear_system(A, b, nullspace)
    note = ""
    if settings.project and (system.nullspace is not None or zero_rows(system).any()):
        B = system.b[:, None] if not settings.rhs else read_columns(settings.rhs).reshape(system.n, -1)
        sizes = np.linalg.norm(B, axis=0)
        kept = reachable(system, B)
        removed = (np.linalg.norm(B - kept, axis=0) / np.where(sizes > 0, sizes, 1.0)).max()
        system = replace(system, b=kept[:, 0])
        note = f"; least squares: a part of b of relative size {'up to ' if B.shape[1] > 1 else ''}{removed:.2g} was dropped, residuals are those without it"
    if b is None:
        note = f"; b = A times {'0 … 1' if system.nullspace is not None else 'ones'}"
    return system, f"{settings.matrix}: {describe(system.A)}{note}"


def reachable(system: Any, B: np.ndarray) -> np.ndarray:
    """Return right-hand sides without what a singular A never reaches: rows of zeros, and their parts in its left null space.

    Args:
        system: System with a null space or rows of zeros.
        B: Right-hand sides, shape (n, k).

    Raises:
        UsageError: If no left null space was found.
    """
    from pdeflow.linalg.compatibility import zero_rows
    from pdeflow.linalg.nullspace import unreachable_basis

    B = np.where(zero_rows(system)[:, None], 0.0, B)
    if system.nullspace is None:
        return B
    left = unreachable_basis(system)
    if left is None:
        raise UsageError("--project found no left null space of A to drop from b; check --nullspace, or leave --project out")
    for _ in range(2):  # once more: b may lie almost wholly there
        B = B - left @ (left.conj().T @ B)
    return B
