"""GCRO-DR(m, k): GMRES with deflated restarts that hands its deflation space to the next system.

Parks, de Sturler, Mackey, Johnson and Maiti, SIAM J. Sci. Comput. 28 (2006), appendix; flexible, and with the space kept as
corrections of x (our choice).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pdeflow.errors import UsageError
from pdeflow.linalg.augmented_arnoldi import AugmentedArnoldi
from pdeflow.linalg.iteration import Callback, Limits, Outcome
from pdeflow.linalg.recycle_space import RecycleSpace, Space, checked
from pdeflow.linalg.solution import Reason, Solution
from pdeflow.linalg.stand_alone import stand_alone

SLOW, PATIENCE = 0.999, 5
"""Contraction of a cycle, and cycles in a row, that count as stagnation."""

FINE = 1e-4
"""Share of the residual left by the projection, below which only the steps are remembered: the rest is known already."""


def gcro_dr(
    A: Any, b: Any = None, x0: Any = None, *, rtol: float = 1e-8, atol: float = 0.0, maxiter: int | None = None, M: Any = None,
    m: int = 40, k: int = 20, recycle: RecycleSpace | None = None, recycle_space: Space = "x", callback: Callback | None = None,
) -> Solution:  # fmt: skip
    """Solve A x = b for a general matrix, and return in `recycle` what makes the next similar system cheaper.

    Args:
        A: Matrix or operator, shape (n, n), or a LinearSystem.
        b: Right-hand side, shape (n,); None where A is a LinearSystem.
        x0: Initial guess.
        rtol: Tolerance on ||b - A x|| / ||b||.
        atol: Absolute tolerance.
        maxiter: Steps at most; 2000 by default.
        M: Preconditioner: a name, an object with @, or None; it may change from step to step.
        m: Vectors of a cycle; 2 m + 1 are held, and two for each solution that is remembered.
        k: Vectors that are carried; 0 gives GMRES(m).
        recycle: `recycle` of the system before, or None.
        recycle_space: "x" keeps corrections of x and needs nothing of the next preconditioner; "y" keeps those of M⁻¹ x
            as HPDDM does, and applies the next preconditioner k times.
        callback: Called after each step; a true answer stops.

    Returns:
        The solution; its iterations are Krylov steps, its matvecs count the k products A U too. Beyond the paper, its `recycle`
        keeps solutions too, for as long as the matrix does not change: right-hand sides from a space of few dimensions then
        need hardly any steps.

    Raises:
        UsageError: If an argument is wrong or the recycled vectors do not fit the system.

    Reference: Parks et al. (2006), appendix.
    """

    def loop(system: Any, x: np.ndarray, preconditioner: Any, limits: Limits) -> Outcome:
        space = checked(recycle, system.n, system.dtype, system.layout, recycle_space)
        return run_gcro_dr(
            system.A, system.b, x, preconditioner, limits, m, k, space, recycle_space, system.layout
        )

    return stand_alone(
        "gcro_dr", loop, A, b, x0, M, rtol, atol, 2000 if maxiter is None else maxiter, callback, recycle
    )


def run_gcro_dr(
    A: Any, b: np.ndarray, x0: np.ndarray, M: Any, limits: Limits, m: int = 40, k: int = 20,
    recycle: RecycleSpace | None = None, recycle_space: Space = "x", layout: str = "",
) -> Outcome:  # fmt: skip
    """Run GCRO-DR until the limits end it.

    Args:
        A: Matrix or operator with `@`.
        b: Right-hand side, shape (n,), double precision.
        x0: Initial guess.
        M: Preconditioner with `@`, or None.
        limits: Stopping rule.
        m: Vectors of a cycle.
        k: Vectors that are carried.
        recycle: Space that fits the system, or None.
        recycle_space: "x" or "y".
        layout: Name of the ordering of the unknowns, handed on.

    Returns:
        The outcome, with the space for the next system; `stagnated` after five cycles without progress, or
        `breakdown` where the space cannot grow, and again after a new start without the carried vectors.

    Raises:
        UsageError: If not 0 <= k < m.

    Reference: Parks et al. (2006), appendix.
    """
    if not 0 <= k < m or recycle_space not in ("x", "y"):
        raise UsageError(
            f"gcro_dr needs 0 <= k < m and recycle_space 'x' or 'y', got k {k}, m {m}, {recycle_space!r}"
        )
    x, r, matvecs = x0.copy(), b - A @ x0, 1
    start, same = r, False
    if recycle is not None and (guess := recycle.approximation(A, b, x, r)) is not None:
        same, (x, r) = True, guess
        if limits.verdict([_norm(r)]) is Reason.converged:
            return Outcome(x, Reason.converged, [_norm(r)], matvecs + 1, recycle=recycle)
    basis = AugmentedArnoldi(
        b, min(m, b.size), min(k, b.size - 1), recycle_space, 0 if recycle is None else recycle.solutions
    )
    if recycle is not None:
        matvecs += basis.carry_over(A, M, recycle, start if same else None)
        basis.project(x, r)
        if not same:
            basis.project(x, r)
    projected = x.copy()
    norms = [_norm(r)]
    reason, slow, fresh = limits.verdict(norms), 0, k == 0
    while reason is None:
        before = norms[-1]
        steps, reason, stuck = basis.extend(A, M, r, limits, norms)
        basis.correct(x, r, steps)
        r = b - A @ x  # the true residual decides: the projected one drifts
        matvecs += steps + 1
        norms[-1] = _norm(r)
        if reason in (Reason.converged, None):
            reason = limits.verdict(norms)
        slow = slow + 1 if norms[-1] > SLOW * before else 0
        stuck = stuck and norms[-1] > (1 - 1e-6) * before
        if reason is None and fresh and (stuck or slow == PATIENCE):
            reason = Reason.breakdown if stuck else Reason.stagnated
        basis.update(steps)
        if reason is None and (stuck or slow == PATIENCE):  # perhaps the carried vectors are in the way
            basis.clear()
            slow, fresh = 0, True
        elif reason is None:
            basis.project(x, r)
    if len(norms) == 1:
        return Outcome(x, reason, norms, matvecs, recycle=recycle)
    new = None
    if reason is Reason.converged and norms[0] > FINE * _norm(start):
        new = start - r, x - x0
    elif reason is Reason.converged:
        new, matvecs = (A @ (x - projected), x - projected), matvecs + 1
    return Outcome(x, reason, norms, matvecs, recycle=basis.recycled(layout, new) or recycle)


def _norm(v: np.ndarray) -> float:
    return math.sqrt(np.vdot(v, v).real)
