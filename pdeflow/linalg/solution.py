"""What a solve returns: x, the verdict, and the true residual that justifies it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, NoReturn

import numpy as np
import scipy.sparse as sp

from pdeflow.linalg.exact_residual import careful_norm, scaled_norm
from pdeflow.linalg.system import LinearSystem


class Reason(Enum):
    """Why a solve ended; the value is a sentence with advice."""

    converged = "converged: the true residual meets the tolerance"
    converged_fallback = (
        "converged after falling back to another method; the detail says which one failed and why"
    )
    zero_rhs = "b is zero, so x = 0"
    maxiter = "maxiter reached: raise maxiter, or use a better preconditioner (amg, ilu)"
    timeout = "timeout reached: raise timeout, or use a better preconditioner (amg, ilu)"
    stagnated = "stagnated: the residual no longer falls; loosen rtol, use float64 or another preconditioner"
    breakdown = (
        "breakdown: the Krylov space cannot grow or a factorization failed; use method='direct' or another M"
    )
    indefinite = (
        "indefinite: the matrix or preconditioner is not positive definite; use minres, fgmres or direct"
    )
    nonfinite = "nonfinite: a NaN or infinity appeared; check the preconditioner and the scaling of A"
    incompatible_nullspace = (
        "incompatible: b has a component in the left null space, so A x = b has no solution; "
        "subtract it (b - Q Q^T b) to get the least-squares solution"
    )
    stopped = "stopped by the callback"


@dataclass(frozen=True, eq=False)
class Solution:
    """Result of a solve.

    Args:
        x: Solution, shape (n,).
        converged: Whether the true residual meets the tolerance.
        reason: Why the solve ended.
        residual: True relative residual ||b - A x|| / ||b||, recomputed in float64 (absolute where b = 0).
        residual_norms: ||b - A x_k|| for k = 0 .. iterations, as the method saw them.
        iterations: Krylov steps of all attempts.
        matvecs: Products with A of all attempts.
        seconds_setup: Wall time of preconditioner set-up or factorization.
        seconds_solve: Wall time of the rest.
        method: Method that gave x.
        preconditioner: Name of the preconditioner that gave x.
        switched_at: Iterations done when the first fallback began.
        recycle: Space to hand to the next solve, for recycling methods.
        detail: What happened, with numbers.
    """

    x: np.ndarray
    converged: bool
    reason: Reason
    residual: float
    residual_norms: list[float]
    iterations: int
    matvecs: int
    seconds_setup: float
    seconds_solve: float
    method: str
    preconditioner: str
    switched_at: int | None = None
    recycle: Any = None
    detail: str = ""

    def __iter__(self) -> NoReturn:
        """Refuse `x, info = solve(…)` and say what to write.

        Raises:
            TypeError: Always.
        """
        raise TypeError("a Solution is not a pair; take its .x and .converged, or call pdeflow.linalg.scipy_style, which returns (x, info)")

    def __str__(self) -> str:
        """One line for people; a further one says why another method than the first one answered."""
        name = self.method if self.preconditioner == "none" else f"{self.method} + {self.preconditioner}"
        switched = "" if self.switched_at is None else f", {self.switched_at} of them before the switch"
        why = f"\n  {self.detail}" if self.reason is Reason.converged_fallback else ""
        return (
            f"{name}: {self.reason.name} in {self.iterations} iteration{'' if self.iterations == 1 else 's'}{switched}, residual {self.residual:.1e}, "
            f"set-up {self.seconds_setup:.3g} s + solve {self.seconds_solve:.3g} s{why}"
        )


def true_residual(system: LinearSystem, x: np.ndarray) -> np.ndarray:
    """b - A x in double precision, shape (n,).

    Args:
        system: The system.
        x: Candidate solution, shape (n,).
    """
    double = np.result_type(system.A.dtype, system.b.dtype, x.dtype, np.float64)
    A = system.A.astype(double) if sp.issparse(system.A) and system.A.dtype != double else system.A
    return system.b.astype(double) - A @ x.astype(double)


def verify(
    system: LinearSystem, x: np.ndarray, reason: Reason, *, rtol: float, atol: float = 0.0, **facts: Any
) -> Solution:
    """Recompute the residual in double precision, or longer where rounding could turn the verdict, and build the Solution.

    The residual alone decides `converged`; that of an operator is as good as the operator's own arithmetic.

    Args:
        system: The system.
        x: Candidate solution, shape (n,).
        reason: What the method believes.
        rtol: Tolerance relative to ||b||.
        atol: Absolute tolerance.
        **facts: The other fields of Solution.

    Returns:
        Solution whose reason agrees with the true residual.
    """
    size = scaled_norm(system.b.astype(np.result_type(system.b.dtype, np.float64)))
    target = max(rtol * size, atol)
    with np.errstate(all="ignore"):
        norm = scaled_norm(true_residual(system, x))
        if norm <= target and np.isfinite(norm) and sp.issparse(system.A):
            norm = careful_norm(sp.csr_array(system.A), x, system.b, norm, target)
    finite = bool(np.isfinite(norm + size) and np.all(np.isfinite(x)))  # an empty column of A hides an infinite unknown
    good = bool(norm <= target) and finite
    if good and reason is not Reason.zero_rhs and reason is not Reason.converged_fallback:
        reason = Reason.converged
    elif not good and reason in (Reason.converged, Reason.converged_fallback, Reason.zero_rhs):
        reason = Reason.stagnated if finite else Reason.nonfinite
    unknown: dict[str, Any] = {
        "residual_norms": [], "iterations": 0, "matvecs": 0, "seconds_setup": 0.0, "seconds_solve": 0.0,
        "method": "", "preconditioner": "none",
    }  # fmt: skip
    relative = norm / size if size else norm
    solution = Solution(x=x, converged=good, reason=reason, residual=relative, **(unknown | facts))
    return solution if solution.detail else replace(solution, detail=reason.value)
