"""Conjugate gradients with a fixed preconditioner, and flexible conjugate gradients for any other one.

Saad, Iterative Methods for Sparse Linear Systems, 2nd ed., algorithm 9.1; Notay, SIAM J. Sci. Comput. 22 (2000), section 2
(flexible, with a window of earlier directions).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pdeflow.linalg.iteration import RECOMPUTE, Limits, Outcome
from pdeflow.linalg.solution import Reason

Projection = Callable[[np.ndarray], np.ndarray]


def cg(
    A: Any, b: np.ndarray, x0: np.ndarray, M: Any, limits: Limits, project: Projection | None = None
) -> Outcome:
    """Solve A x = b for Hermitian positive (semi)definite A and M.

    Args:
        A: Matrix or operator with `@`.
        b: Right-hand side, shape (n,); in the range of A where A is singular.
        x0: Initial guess.
        M: Linear, symmetric, positive preconditioner with `@`, or None.
        limits: Stopping rule.
        project: Orthogonal projection onto the complement of the null space, or None.

    Returns:
        The outcome; `indefinite` names the step at which p·Ap or r·Mr was not positive.

    Reference: Saad (2003), algorithm 9.1.
    """
    x, r = x0.copy(), b - A @ x0
    norms, matvecs = [_norm(r)], 1
    reason = limits.verdict(norms)
    p, rho = np.zeros_like(r), 1.0
    while reason is None:
        z = r if M is None else M @ r
        if project is not None:
            z = project(z)
        previous, rho = rho, _real(r, z)
        if not rho > 0:
            return _not_positive(x, norms, matvecs, "r·Mr", rho)
        p = z + (rho / previous) * p if len(norms) > 1 else z.copy()
        Ap = A @ p
        curvature = _real(p, Ap)
        if not curvature > 0:
            return _not_positive(x, norms, matvecs + 1, "p·Ap", curvature)
        alpha = rho / curvature
        r, used = _update(A, b, x, r, alpha, p, Ap, len(norms), limits)
        norms.append(_norm(r))
        matvecs += 1 + used
        reason = limits.verdict(norms)
    return Outcome(x, reason, norms, matvecs)


def flexible_cg(
    A: Any,
    b: np.ndarray,
    x0: np.ndarray,
    M: Any,
    limits: Limits,
    window: int = 2,
    project: Projection | None = None,
) -> Outcome:
    """Solve A x = b for Hermitian positive definite A and any M, even a nonlinear one.

    The new direction M r is made A-orthogonal to the last `window` directions, and an exact line search sets its length,
    so the A-norm of the error never grows.

    Args:
        A: Matrix or operator with `@`.
        b: Right-hand side, shape (n,).
        x0: Initial guess.
        M: Preconditioner with `@`.
        limits: Stopping rule.
        window: Directions that are kept: 2 for a linear M, 10 for a nonlinear one.
        project: Orthogonal projection onto the complement of the null space, or None.

    Returns:
        The outcome; `breakdown` where M r has no component that helps.

    Reference: Notay (2000), section 2.
    """
    x, r = x0.copy(), b - A @ x0
    norms, matvecs = [_norm(r)], 1
    reason = limits.verdict(norms)
    kept: list[tuple[np.ndarray, np.ndarray, float]] = []
    while reason is None:
        p = np.array(M @ r, dtype=r.dtype)
        if project is not None:
            p = project(p)
        if not np.all(np.isfinite(p)):
            return Outcome(
                x, Reason.nonfinite, norms, matvecs, f"the preconditioner returned NaN at step {len(norms)}"
            )
        for q, Aq, square in kept:
            p -= (np.vdot(Aq, p) / square) * q
        Ap = A @ p
        matvecs += 1
        curvature, size = _real(p, Ap), _norm(p) * _norm(Ap)
        if curvature < -1e-10 * size:
            return _not_positive(x, norms, matvecs, "p·Ap", curvature)
        if not curvature > 1e-15 * size:
            return Outcome(
                x,
                Reason.breakdown,
                norms,
                matvecs,
                f"M r lies in the span of earlier directions at step {len(norms)}",
            )
        alpha = np.vdot(p, r) / curvature
        r, used = _update(A, b, x, r, alpha, p, Ap, len(norms), limits)
        matvecs += used
        kept = [*kept, (p, Ap, curvature)][-window:] if window else []
        norms.append(_norm(r))
        reason = limits.verdict(norms)
    return Outcome(x, reason, norms, matvecs)


def _update(
    A: Any, b: np.ndarray, x: np.ndarray, r: np.ndarray, alpha: Any, p: np.ndarray, Ap: np.ndarray, step: int, limits: Limits
) -> tuple[np.ndarray, int]:  # fmt: skip
    """Move x in place; return the new residual, recomputed now and then and where it claims to have converged, and the products spent."""
    x += alpha * p
    r = r - alpha * Ap
    if step % RECOMPUTE and _norm(r) > limits.target:
        return r, 0
    true = b - A @ x
    limits.recomputed(true, r, x, _norm(Ap) / (_norm(p) or 1.0))
    return true, 1


def _not_positive(x: np.ndarray, norms: list[float], matvecs: int, what: str, value: float) -> Outcome:
    reason = Reason.indefinite if np.isfinite(value) else Reason.nonfinite
    return Outcome(
        x, reason, norms, matvecs, f"{what} = {value:.2g} at step {len(norms)}; use minres, fgmres or direct"
    )


def _norm(v: np.ndarray) -> float:
    return float(np.linalg.norm(v))


def _real(u: np.ndarray, v: np.ndarray) -> float:
    return float(np.vdot(u, v).real)
