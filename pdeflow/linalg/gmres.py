"""Restarted flexible GMRES for any matrix and any preconditioner.

Saad, Iterative Methods for Sparse Linear Systems, 2nd ed., algorithm 9.6 (right preconditioning: the small residual is the
true one up to rounding).
"""

from __future__ import annotations

from typing import Any

import numpy as np

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
        if not np.any(Z[k]):
            Z[k] = V[k]  # an M that maps to zero adds nothing
        if not np.all(np.isfinite(Z[k])):
            return x + y @ Z[:k], found, k, Reason.nonfinite
        w = A @ Z[k]
        size = float(np.linalg.norm(w))
        for _ in range(2):  # classical Gram-Schmidt twice: two matrix products, orthogonal to rounding
            h = V[: k + 1].conj() @ w
            w = w - h @ V[: k + 1]
            H[: k + 1, k] += h
        H[k + 1, k] = np.linalg.norm(w)
        if not np.all(np.isfinite(H[: k + 2, k])):  # M r is finite, but its products overflow
            return x + y @ Z[:k], found, k + 1, Reason.nonfinite
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
