"""The solvers with SciPy's and PyAMG's signature, (x, info), for code that is written for theirs, e.g. PyAMG's accel=.

SciPy 1.17, scipy.sparse.linalg.cg; PyAMG 5.4, MultilevelSolver.solve. Only a true residual within the tolerance gives info 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from pdeflow.errors import UsageError
from pdeflow.linalg.iteration import State
from pdeflow.linalg.solution import Reason
from pdeflow.linalg.solve import solve


class Accelerator(Protocol):
    """What a solver of SciPy's style is called with, and what it returns."""

    def __call__(
        self, A: Any, b: Any, x0: Any = None, *, rtol: float = 1e-5, atol: float = 0.0, maxiter: int | None = None, M: Any = None,
        callback: Callable[[float], Any] | None = None, residuals: list[float] | None = None, tol: float | None = None,
    ) -> tuple[np.ndarray, int]:  # fmt: skip
        """Solve A x = b.

        Args:
            A: Matrix, shape (n, n).
            b: Right-hand side, shape (n,) or (n, 1).
            x0: Initial guess, shape (n,).
            rtol: Tolerance on ‖b - A x‖ / ‖b‖, recomputed.
            atol: Absolute tolerance.
            maxiter: Steps at most.
            M: Approximate inverse with @: a LinearOperator, a matrix, or anything that solve takes.
            callback: Called with ‖b - A x_k‖ after each step.
            residuals: Filled with ‖b - A x_k‖ for k = 0, 1, …
            tol: PyAMG's name for rtol.

        Returns:
            x in the shape of b, and 0 where it converged, the steps where they ran out, or -1.
        """


def _solver(method: str) -> Accelerator:
    def accelerate(
        A: Any, b: Any, x0: Any = None, *, rtol: float = 1e-5, atol: float = 0.0, maxiter: int | None = None, M: Any = None,
        callback: Callable[[float], Any] | None = None, residuals: list[float] | None = None, tol: float | None = None,
    ) -> tuple[np.ndarray, int]:  # fmt: skip
        b = np.asarray(b)

        def seen(state: State) -> None:
            if callback is not None:
                callback(state.residual_norm)

        start = None if x0 is None else np.ravel(x0)
        try:
            found = solve(
                A, b.ravel(), method=method, preconditioner="none" if M is None else M, x0=start, rtol=rtol if tol is None else tol,
                atol=atol, maxiter=maxiter, guard="none", callback=seen,
            )  # fmt: skip
        except UsageError as error:
            raise ValueError(str(error)) from error
        if residuals is not None:
            residuals[:] = found.residual_norms
        info = 0 if found.converged else found.iterations if found.reason is Reason.maxiter else -1
        return found.x.reshape(b.shape), info

    accelerate.__name__, accelerate.__doc__ = method, f"Solve by {method}; arguments as Accelerator."
    return accelerate


cg, fcg, fgmres, minres, gcro_dr = (_solver(name) for name in ("cg", "fcg", "fgmres", "minres", "gcro_dr"))
