"""BiCGStab with a right preconditioner: two products a step, short recurrences, for any matrix.

van der Vorst, Bi-CGSTAB, SIAM J. Sci. Stat. Comput. 13 (1992), the preconditioned algorithm of section 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pdeflow.linalg.iteration import RECOMPUTE, Callback, Limits, Outcome
from pdeflow.linalg.solution import Reason, Solution
from pdeflow.linalg.stand_alone import stand_alone

ORTHOGONAL = 1e-14
"""Cosine of two vectors below which a division by their product is a breakdown."""
RESTARTS = 10
"""Restarts, after breakdowns or drift, without a smaller residual in between before the method gives up."""


def bicgstab(
    A: Any, b: Any = None, x0: Any = None, *, rtol: float = 1e-8, atol: float = 0.0, maxiter: int | None = None, M: Any = None,
    callback: Callback | None = None,
) -> Solution:  # fmt: skip
    """Solve A x = b for a general matrix; each step costs two products with A and with M.

    Args:
        A: Matrix or operator, shape (n, n), or a LinearSystem.
        b: Right-hand side, shape (n,); None where A is a LinearSystem.
        x0: Initial guess.
        rtol: Tolerance on ||b - A x|| / ||b||.
        atol: Absolute tolerance.
        maxiter: Steps at most; by default min(10 n, 10,000).
        M: Preconditioner: a name, an object with @, or None; it must be linear.
        callback: Called after each step; a true answer stops.

    Returns:
        The solution.

    Raises:
        UsageError: If an argument is wrong.
    """

    def loop(system: Any, x: np.ndarray, preconditioner: Any, limits: Limits) -> Outcome:
        return run_bicgstab(system.A, system.b, x, preconditioner, limits)

    return stand_alone("bicgstab", loop, A, b, x0, M, rtol, atol, maxiter, callback)


def run_bicgstab(A: Any, b: np.ndarray, x0: np.ndarray, M: Any, limits: Limits) -> Outcome:
    """Run BiCGStab until the limits end it; a breakdown restarts it from the true residual.

    Args:
        A: Matrix or operator with `@`.
        b: Right-hand side, shape (n,).
        x0: Initial guess.
        M: Linear preconditioner with `@`, or None.
        limits: Stopping rule.

    Returns:
        The outcome; `breakdown` after ten restarts that did not help.

    Reference: van der Vorst (1992), section 3.
    """
    x, r, matvecs = x0.copy(), b - A @ x0, 1
    norms = [_norm(r)]
    reason, vain, best = limits.verdict(norms), 0, norms[0]
    while reason is None:
        steps, reason = _run(A, b, x, r, M, limits, norms)
        r = b - A @ x
        matvecs += 2 * steps + 1
        norms[-1] = _norm(r)  # the short recurrence drifts: the true residual decides
        if reason in (Reason.converged, None):
            reason = limits.verdict(norms)
        vain = 0 if norms[-1] < 0.5 * best else vain + 1
        best = min(best, norms[-1])
        if reason is None and vain == RESTARTS:
            reason = Reason.breakdown
    return Outcome(x, reason, norms, matvecs)


def _run(
    A: Any, b: np.ndarray, x: np.ndarray, r: np.ndarray, M: Any, limits: Limits, norms: list[float]
) -> tuple[int, Reason | None]:
    """Iterate from r, changing x in place, until the limits say stop or a division fails: (steps, reason)."""
    shadow, p, v = r.copy(), np.zeros_like(r), np.zeros_like(r)
    rho = alpha = omega = 1.0 + 0 * r[0]
    steps, shadow_norm = 0, _norm(r)
    while True:
        previous, rho = rho, np.vdot(shadow, r)
        if not abs(rho) > ORTHOGONAL * shadow_norm * norms[-1]:
            return steps, None if np.isfinite(rho) else Reason.nonfinite
        p = r + (rho / previous) * (alpha / omega) * (p - omega * v) if steps else r.copy()
        q = p if M is None else M @ p
        v = A @ q
        steps += 1
        slope = np.vdot(shadow, v)
        if not abs(slope) > ORTHOGONAL * shadow_norm * _norm(v):
            norms.append(norms[-1])
            return steps, None if np.isfinite(slope) else Reason.nonfinite
        alpha = rho / slope
        r = r - alpha * v
        x += alpha * q
        z = r if M is None else M @ r
        t = A @ z
        square = np.vdot(t, t).real
        omega = np.vdot(t, r) / square if square > 0 else 0.0 * alpha
        r = r - omega * t
        x += omega * z
        norms.append(_norm(r))
        reason = limits.verdict(norms)
        if reason is not None or omega == 0:
            return steps, reason
        if steps % RECOMPUTE == 0:
            true = b - A @ x
            limits.recomputed(true, r, x, _norm(v) / (_norm(q) or 1.0))
            r, norms[-1] = true, _norm(true)


def _norm(v: np.ndarray) -> float:
    return float(np.sqrt(np.vdot(v, v).real))
