"""The same system, right-hand side and tolerance for several methods: iterations, set-up and solve seconds, verified residual."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from pdeflow.errors import UsageError
from pdeflow.linalg.choice import PATIENCE, why_too_dear
from pdeflow.linalg.direct import estimate_cost
from pdeflow.linalg.solution import Reason, Solution
from pdeflow.linalg.solve import solve
from pdeflow.linalg.system import LinearSystem

SHORT, REPEATS = 0.3, 3
"""A solve below SHORT seconds is timed REPEATS times after a warm-up, and the median is reported."""

OWN_MERIT = (Reason.converged, Reason.zero_rhs)


@dataclass(frozen=True)
class Entry:
    """One method of a comparison.

    Attributes:
        name: What the table calls it.
        method: Method of `solve`.
        preconditioner: Name or object.
        learned: Whether a network takes part.
    """

    name: str
    method: str
    preconditioner: Any = "none"
    learned: bool = False


@dataclass(frozen=True)
class Row:
    """Result of one entry.

    Attributes:
        name: What the table calls it.
        solution: The solution with median seconds, or None where the method was skipped.
        skipped: Why, or None.
        learned: Whether a network takes part.
    """

    name: str
    solution: Solution | None
    skipped: str | None = None
    learned: bool = False

    @property
    def seconds(self) -> float:
        """Set-up and solve seconds; infinite where skipped."""
        return (
            float("inf")
            if self.solution is None
            else self.solution.seconds_setup + self.solution.seconds_solve
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        keys = (
            "method",
            "preconditioner",
            "iterations",
            "matvecs",
            "seconds_setup",
            "seconds_solve",
            "residual",
            "detail",
        )
        plain = {key: getattr(self.solution, key, None) for key in keys}
        reason = None if self.solution is None else self.solution.reason.name
        return {
            "name": self.name,
            **plain,
            "reason": reason,
            "skipped": self.skipped,
            "learned": self.learned,
        }


def default_entries(system: LinearSystem) -> list[Entry]:
    """Return the methods that suit a system.

    Args:
        system: The system.
    """
    direct = [Entry("direct", "direct")] if system.nullspace is None else []
    if not system.assembled:
        return [Entry("CG", "cg")] if system.symmetric else [Entry("GMRES", "fgmres")]
    if system.symmetric and system.positive_definite is not False:
        factor = (
            [Entry("CG + incomplete Cholesky", "cg", "ic")]
            if find_spec("ilupp") and system.nullspace is None
            else []
        )
        multigrid = [
            Entry("CG + AMG (Ruge-Stüben)", "cg", "amg:rs"),
            Entry("CG + AMG (aggregation)", "cg", "amg:sa"),
            *([Entry("CG + PETSc's AMG (aggregation)", "cg", "petsc:gamg")] if find_spec("petsc4py") else []),
        ]
        return [Entry("CG", "cg"), Entry("CG + Jacobi", "cg", "jacobi"), *factor, *multigrid, *direct]
    iterative = [Entry("GMRES", "fgmres"), Entry("GMRES + ILU", "fgmres", "ilu")]
    if system.symmetric and not np.iscomplexobj(system.b) and system.A.dtype.kind == "f":
        iterative = [Entry("MINRES", "minres"), Entry("GMRES + ILU", "fgmres", "ilu")]
    return [*iterative, *direct]


def compare(
    system: LinearSystem, entries: Sequence[Entry] | None = None, *, rtol: float = 1e-8, maxiter: int | None = None,
    timeout: float = 60.0, memory_limit: float | None = None, on_row: Callable[[Row], None] | None = None,
) -> list[Row]:  # fmt: skip
    """Run every method; one that would need too much memory or time is a row that says so.

    Args:
        system: The system.
        entries: Methods; by default those that suit the system.
        rtol: Tolerance on the true relative residual.
        maxiter: Krylov steps at most.
        timeout: Seconds at most for each method.
        memory_limit: Gigabytes at most for a factorization; by default 70 % of what is free.
        on_row: Called with each finished row.

    Returns:
        One row per entry, in order.
    """
    rows = []
    for entry in default_entries(system) if entries is None else entries:
        rows.append(_run(system, entry, rtol, maxiter, timeout, memory_limit))
        if on_row is not None:
            on_row(rows[-1])
    return rows


def fastest(rows: Sequence[Row]) -> Row | None:
    """Return the row with the fewest seconds, set-up included, that converged without another method's help, or None."""
    good = [row for row in rows if row.solution is not None and row.solution.reason in OWN_MERIT]
    return min(good, key=lambda row: row.seconds, default=None)


def _run(
    system: LinearSystem,
    entry: Entry,
    rtol: float,
    maxiter: int | None,
    timeout: float,
    memory_limit: float | None,
) -> Row:
    if entry.method == "direct" and system.assembled:
        why = why_too_dear(estimate_cost(system), min(timeout, PATIENCE), memory_limit)
        if why:
            return Row(entry.name, None, f"skipped: {why}", entry.learned)

    def once() -> Solution:
        return solve(
            system, method=entry.method, preconditioner=entry.preconditioner, rtol=rtol, maxiter=maxiter, timeout=timeout,
        )  # fmt: skip

    try:
        first = once()
    except UsageError as error:
        return Row(entry.name, None, f"skipped: {error}", entry.learned)
    if first.seconds_setup + first.seconds_solve > SHORT:
        return Row(entry.name, first, None, entry.learned)
    runs = sorted(
        (once() for _ in range(REPEATS)), key=lambda found: found.seconds_setup + found.seconds_solve
    )
    return Row(entry.name, runs[len(runs) // 2], None, entry.learned)
