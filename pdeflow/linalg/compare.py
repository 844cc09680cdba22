"""The same system, right-hand side and tolerance for several methods: iterations, set-up and solve seconds, verified residual."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np

from pdeflow.errors import UsageError
from pdeflow.linalg.choice import PATIENCE, why_too_dear
from pdeflow.linalg.direct import estimate_cost
from pdeflow.linalg.iteration import State
from pdeflow.linalg.solution import Reason, Solution
from pdeflow.linalg.solve import solve
from pdeflow.linalg.system import LinearSystem, described

SHORT, REPEATS = 0.3, 3
"""A solve below SHORT seconds is timed REPEATS times after a warm-up, and the median is reported."""

Watch = Callable[[int, int, str], None]

OWN_MERIT = (Reason.converged, Reason.zero_rhs)


@dataclass(frozen=True)
class Entry:
    """One method of a comparison.

    Attributes:
        name: What the table calls it.
        method: Method of `solve`.
        preconditioner: Name or object.
        learned: Whether a network takes part.
        guard: What is done where a preconditioner object fails, as in `solve`.
    """

    name: str
    method: str
    preconditioner: Any = "none"
    learned: bool = False
    guard: str = "switch"


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
            "switched_at",
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
    """Return the methods that suit a system, by its symmetry and definiteness.

    Where the definiteness is not known, they are those for a positive definite matrix, and `compare` changes to the others
    as soon as plain CG meets a direction p with p·Ap < 0. Flexible CG with ILU is left out: on Darcy systems of 128² it took
    20 times as long as CG with incomplete Cholesky, and more on finer grids; so is multigrid for complex matrices, which are
    those of waves, where it takes thousands of steps.

    Args:
        system: The system.
    """
    if system.symmetric and system.positive_definite is not False:
        return _for_definite(system)
    real = not np.issubdtype(system.dtype, np.complexfloating)
    plain = Entry("MINRES", "minres") if system.symmetric and real else Entry("GMRES", "fgmres")
    if not system.assembled:
        return [plain]
    return [
        plain,
        Entry("GMRES + ILU", "fgmres", "ilu"),
        Entry("GCRO-DR + ILU", "gcro_dr", "ilu"),
        Entry("BiCGSTAB + ILU", "bicgstab", "ilu"),
        *([Entry("GMRES + AMG", "fgmres", "amg")] if real else []),
        Entry("direct", "direct"),
    ]


def _for_definite(system: LinearSystem) -> list[Entry]:
    if not system.assembled:
        return [Entry("CG", "cg")]
    return [
        Entry("CG", "cg"),
        Entry("CG + Jacobi", "cg", "jacobi"),
        *([Entry("CG + incomplete Cholesky", "cg", "ic")] if find_spec("ilupp") else []),
        Entry("CG + AMG (Ruge-Stüben)", "cg", "amg:rs"),
        Entry("CG + AMG (aggregation)", "cg", "amg:sa"),
        *([Entry("CG + PETSc's AMG (aggregation)", "cg", "petsc:gamg")] if find_spec("petsc4py") else []),
        Entry("direct", "direct"),
    ]


def compare(
    system: LinearSystem, entries: Sequence[Entry] | None = None, *, also: Sequence[Entry] = (), rtol: float = 1e-8,
    maxiter: int | None = None, timeout: float = 60.0, memory_limit: float | None = None,
    on_row: Callable[[Row], None] | None = None, watch: Watch | None = None,
) -> list[Row]:  # fmt: skip
    """Run every method; one that would need too much memory or time is a row that says so.

    Args:
        system: The system.
        entries: Methods; by default those that suit the system, and once plain CG has proved it indefinite, those that suit
            an indefinite one.
        also: Methods that run after them.
        rtol: Tolerance on the true relative residual.
        maxiter: Krylov steps at most.
        timeout: Seconds at most for each method.
        memory_limit: Gigabytes at most for a factorization; by default 70 % of what is free.
        on_row: Called with each finished row.
        watch: Called with (finished methods, all methods, what is running) when a method starts, and about once a second.

    Returns:
        One row per entry, in order.
    """
    system = described(system)
    queue = list(default_entries(system) if entries is None else entries)
    rows: list[Row] = []
    while queue or also:
        if not queue:
            queue, also = list(also), ()
        entry = queue.pop(0)
        count = len(rows) + 1 + len(queue) + len(also)
        rows.append(_run(system, entry, rtol, maxiter, timeout, memory_limit, _Watched(watch, len(rows), count, entry.name)))
        if on_row is not None:
            on_row(rows[-1])
        if entries is None and _proves_indefinite(entry, rows[-1]):
            queue = default_entries(replace(system, positive_definite=False))
    return rows


def _proves_indefinite(entry: Entry, row: Row) -> bool:
    """Whether plain CG met p·Ap < 0; with a preconditioner the fault could be M's."""
    plain = entry.method == "cg" and entry.preconditioner == "none"
    return plain and row.solution is not None and row.solution.reason is Reason.indefinite


class _Watched:
    """Tells `watch` which method starts and, at most once a second, where it is; a clock reading is all a step costs."""

    def __init__(self, watch: Watch | None, done: int, count: int, name: str) -> None:
        self.watch, self.done, self.count, self.name, self.last = watch, done, count, name, time.perf_counter()
        if watch is not None:
            watch(done, count, f"{name} runs")

    def __call__(self, state: State) -> bool:
        """Never stop the loop."""
        now = time.perf_counter()
        if self.watch is not None and now > self.last + 1:
            self.last = now
            self.watch(self.done, self.count, f"{self.name} runs, iteration {state.iteration}, residual {state.relative:.1e}")
        return False


def fastest(rows: Sequence[Row]) -> Row | None:
    """Return the row with the fewest seconds, set-up included, that converged without another method's help, or None."""
    good = [row for row in rows if row.solution is not None and row.solution.reason in OWN_MERIT]
    return min(good, key=lambda row: row.seconds, default=None)


def _run(
    system: LinearSystem, entry: Entry, rtol: float, maxiter: int | None, timeout: float, memory_limit: float | None, watched: _Watched,
) -> Row:  # fmt: skip
    if entry.method == "direct" and system.assembled:
        why = why_too_dear(estimate_cost(system), min(timeout, PATIENCE), memory_limit)
        if why:
            return Row(entry.name, None, f"skipped: {why}", entry.learned)

    def once() -> Solution:
        return solve(
            system, method=entry.method, preconditioner=entry.preconditioner, rtol=rtol, maxiter=maxiter, timeout=timeout,
            guard=entry.guard, callback=watched,
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
