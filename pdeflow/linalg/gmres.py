"""Restarted flexible GMRES for any matrix and any preconditioner, and MINRES for symmetric indefinite ones.

Saad, Iterative Methods for Sparse Linear Systems, 2nd ed., algorithm 9.6 (right preconditioning: the small residual is the
true one up to rounding). MINRES is SciPy's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse.linalg as sla

from pdeflow.linalg.iteration import Limits, Outcome
from pdeflow.linalg.solution import Reason


def fgmres(A: Any, b: np.ndarray, x0: np.ndarray, M: Any, limits: Limits, restart: int = 30) -> Outcome:
    """Solve A x = b for a general matrix.

    Args:
        A: Matrix or operator with `@`.
        b: Right-hand side, shape (n,).
        x0: Initial guess.
        M: Preconditioner with `@`, or None.
        limits: Stopping rule.
        restart: Directions before a restart.

    Returns:
        The outcome; `breakdown` where the space cannot grow and the residual is not small.

    Reference: Saad (2003), algorithm 9.6.
    """
    x, r = x0.copy(), b - A @ x0
    norms, matvecs = [float(np.linalg.norm(r))], 1
    reason = limits.verdict(norms)
    while reason is None:
        before = norms[-1]
        x, cycle_norms, used, reason = _cycle(A, x, r, M, limits, restart, norms)
        matvecs += used + 1
        r = b - A @ x
        norms = [*norms[:-1], *cycle_norms] if len(cycle_norms) > 1 else norms
        norms[-1] = float(np.linalg.norm(r))  # the true residual decides
        if reason in (Reason.converged, None):
            reason = limits.verdict(norms)
        if reason is None and norms[-1] > (1 - 1e-6) * before:
            reason = Reason.stagnated
    return Outcome(x, reason, norms, matvecs)


def _cycle(
    A: Any, x: np.ndarray, r: np.ndarray, M: Any, limits: Limits, restart: int, norms: list[float]
) -> tuple[np.ndarray, list[float], int, Reason | None]:
    """One Arnoldi cycle: (new x, residual norms from the cycle's start, products, reason to stop)."""
    beta, dtype = float(np.linalg.norm(r)), r.dtype
    V = np.zeros((restart + 1, r.size), dtype=dtype)
    Z = np.zeros((restart, r.size), dtype=dtype)
    H = np.zeros((restart + 1, restart), dtype=dtype)
    V[0] = r / beta
    found, y, reason, k = [beta], np.zeros(0, dtype=dtype), None, 0
    for k in range(restart):
        Z[k] = V[k] if M is None else M @ V[k]
        if not np.all(np.isfinite(Z[k])):
            return x + y @ Z[:k], found, k, Reason.nonfinite
        w = A @ Z[k]
        size = float(np.linalg.norm(w))
        for _ in range(2):  # classical Gram-Schmidt twice: two matrix products, orthogonal to rounding
            h = V[: k + 1].conj() @ w
            w = w - h @ V[: k + 1]
            H[: k + 1, k] += h
        H[k + 1, k] = np.linalg.norm(w)
        rhs = np.zeros(k + 2, dtype=dtype)
        rhs[0] = beta
        y = np.linalg.lstsq(H[: k + 2, : k + 1], rhs, rcond=None)[0]
        found.append(float(np.linalg.norm(rhs - H[: k + 2, : k + 1] @ y)))
        reason = limits.verdict([*norms[:-1], *found])
        if reason is not None or abs(H[k + 1, k]) <= 1e-14 * size:
            reason = reason or (None if found[-1] < found[0] else Reason.breakdown)
            break
        V[k + 1] = w / H[k + 1, k]
    return x + y @ Z[: len(y)], found, k + 1, reason


def minres(A: Any, b: np.ndarray, x0: np.ndarray, M: Any, limits: Limits) -> Outcome:
    """Solve A x = b for real symmetric A, also indefinite or singular and compatible.

    SciPy's rule divides by ||A|| ||x||, so it is called with ever smaller tolerances until the true residual decides.

    Args:
        A: Real symmetric matrix.
        b: Right-hand side, shape (n,).
        x0: Initial guess.
        M: Symmetric positive definite preconditioner, or None.
        limits: Stopping rule.

    Returns:
        The outcome.
    """
    x, norms, matvecs = x0.copy(), [float(np.linalg.norm(b - A @ x0))], 1
    reason, tolerance = limits.verdict(norms), 0.1 * limits.target / max(limits.size, 1e-300)
    operator = None if M is None else sla.LinearOperator(A.shape, matvec=lambda r: M @ r, dtype=b.dtype)

    def count(xk: np.ndarray) -> None:
        nonlocal matvecs, x
        matvecs += 1
        norms.append(norms[-1])
        verdict = limits.verdict(norms)
        if verdict is not None:
            x = xk.copy()
            raise StopIteration(verdict)

    for _ in range(4):
        if reason is not None:
            break
        try:
            x, _ = sla.minres(A, b, x0=x, rtol=tolerance, maxiter=limits.maxiter, M=operator, callback=count)
        except StopIteration as stop:  # the limits, met inside
            reason = stop.value
            norms[-1] = float(np.linalg.norm(b - A @ x))
            break
        norms[-1] = float(np.linalg.norm(b - A @ x))
        matvecs += 1
        reason, tolerance = limits.verdict(norms), tolerance * 1e-2
    return Outcome(x, reason or Reason.stagnated, norms, matvecs)
