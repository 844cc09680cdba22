"""MINRES for real symmetric systems, definite or not: SciPy's iteration under our stopping rule.

Paige and Saunders, Solution of sparse indefinite systems of linear equations, SIAM J. Numer. Anal. 12 (1975), section 6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse.linalg as sla

from pdeflow.linalg.iteration import Limits, Outcome
from pdeflow.linalg.solution import Reason


class _Ended(Exception):
    """Carries the reason out of SciPy's loop."""


class _Foreign(Exception):
    """Carries an error of the matrix, the preconditioner or the callback through SciPy's loop, whose own are ValueErrors."""


def _foreign(call: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """Wrap the errors of a function."""

    def wrapped(v: np.ndarray) -> np.ndarray:
        try:
            return call(v)
        except Exception as error:
            raise _Foreign(error) from error

    return wrapped


def minres(A: Any, b: np.ndarray, x0: np.ndarray, M: Any, limits: Limits) -> Outcome:
    """Solve A x = b for real symmetric A, also indefinite or singular and compatible.

    SciPy stops by ||r|| / (||A|| ||x||) and reports no residual, so b - A x is computed at each step: one product more.
    Its thresholds are absolute, so A, M and the residual are scaled to norm one, and it is restarted when it ends early.

    Args:
        A: Real symmetric matrix.
        b: Right-hand side, shape (n,).
        x0: Initial guess.
        M: Symmetric positive definite preconditioner, or None.
        limits: Stopping rule.

    Returns:
        The outcome, with the best iterate.
    """
    x, r = x0.copy(), b - A @ x0
    norms, matvecs = [float(np.linalg.norm(r))], 1
    reason, detail = limits.verdict(norms), ""
    while reason is None:
        before = norms[-1]
        try:
            x, used, reason = _run(A, r, x, M, limits, norms)
        except _Foreign as error:
            raise error.args[0] from None
        except ValueError as error:  # SciPy's words for a preconditioner or matrix that does not fit
            return Outcome(x, Reason.indefinite, norms, matvecs, f"MINRES: {error}; use fgmres or direct")
        matvecs += used
        r = b - A @ x
        norms[-1] = float(np.linalg.norm(r))
        reason = limits.verdict(norms) if reason in (Reason.converged, None) else reason
        if reason is None and not norms[-1] < 0.5 * before:
            reason, detail = Reason.stagnated, f"MINRES ends by itself at residual {norms[-1]:.1e}"
    return Outcome(x, reason, norms, matvecs, detail)


def _run(
    A: Any, r: np.ndarray, x: np.ndarray, M: Any, limits: Limits, norms: list[float]
) -> tuple[np.ndarray, int, Reason | None]:
    """One run on A e = r, until the limits or SciPy end it: (x plus the best e, products, reason)."""
    size = float(np.linalg.norm(r))
    scale = float(np.linalg.norm(A @ r)) / size or 1.0
    used, best, least = 2, np.zeros_like(r), size

    def watch(scaled: np.ndarray) -> None:
        nonlocal used, best, least
        correction = scaled * (size / scale)
        norms.append(float(np.linalg.norm(r - A @ correction)))
        used += 2
        if norms[-1] < least:
            best, least = correction, norms[-1]
        try:
            reason = limits.verdict(norms)
        except Exception as error:
            raise _Foreign(error) from error
        if reason is not None:
            raise _Ended(reason)

    operator = sla.LinearOperator(A.shape, matvec=_foreign(lambda v: (A @ v.reshape(-1)) / scale), dtype=r.dtype)
    inverse = None
    if M is not None:
        apply = _foreign(lambda v: M @ v.reshape(-1))
        weight = abs(float(np.vdot(r, apply(r)).real)) / size**2 or 1.0
        inverse = sla.LinearOperator(A.shape, matvec=lambda v: apply(v) / weight, dtype=r.dtype)
    try:
        sla.minres(operator, r / size, rtol=0.0, maxiter=limits.maxiter + 1, M=inverse, callback=watch)
    except _Ended as ended:
        return x + best, used, ended.args[0]
    return x + best, used, None
