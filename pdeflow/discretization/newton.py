"""Newton's method with a line search on the residual norm.

Dennis and Schnabel, Numerical Methods for Unconstrained Optimization and Nonlinear Equations (1996), algorithm A6.3.1
(backtracking; sufficient decrease with factor 1e-4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SUFFICIENT = 1e-4
SHORTEST = 2.0**-10


@dataclass(frozen=True, eq=False)
class Iterates:
    """Where Newton's method ended.

    Attributes:
        x: Last iterate.
        residual_norms: Euclidean norms for the start and after each step.
        converged: Whether the last one is at most the tolerance.
    """

    x: np.ndarray
    residual_norms: list[float]
    converged: bool

    @property
    def iterations(self) -> int:
        """Number of steps, each with one linear solve."""
        return len(self.residual_norms) - 1


def newton(
    residual: Callable[[np.ndarray], np.ndarray],
    correction: Callable[[np.ndarray, np.ndarray], np.ndarray],
    x: np.ndarray,
    tolerance: float,
    maxiter: int = 25,
    damped: bool = True,
) -> Iterates:
    """Find x with ‖r(x)‖ ≤ tolerance.

    Args:
        residual: r(x); entries that are not finite reject x.
        correction: (x, r) -> step s with J(x) s = -r, exact or not (Picard).
        x: Start.
        tolerance: Absolute bound of the Euclidean norm of r.
        maxiter: Steps at most.
        damped: Whether a step is halved until the norm falls; without it every finite step is taken.

    Returns:
        The last iterate; not converged where no step along the correction reduces the norm.
    """
    r = residual(x)
    norms = [float(np.linalg.norm(r))]
    while np.isfinite(norms[-1]) and norms[-1] > tolerance and len(norms) <= maxiter:
        step, length = correction(x, r), 1.0
        while True:
            trial = x + length * step
            r_trial = residual(trial)
            norm = float(np.linalg.norm(r_trial))
            if np.isfinite(norm) and (not damped or norm <= (1 - SUFFICIENT * length) * norms[-1]):
                break
            length /= 2
            if length < SHORTEST:
                return Iterates(x, norms, False)
        x, r = trial, r_trial
        norms.append(norm)
    return Iterates(x, norms, norms[-1] <= tolerance)
