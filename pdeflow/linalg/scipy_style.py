"""The solvers with SciPy's and PyAMG's signature, (x, info), for code that is written for theirs, e.g. PyAMG's accel=.

SciPy 1.17, scipy.sparse.linalg.cg; PyAMG 5.4, MultilevelSolver.solve. Only a true residual within the tolerance gives info 0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from pdeflow.errors import UsageError
from pdeflow.linalg.iteration import State
from pdeflow.linalg.solution import Reason
from pdeflow.linalg.solve import solve


def krylov(
    A: Any, b: Any, x0: Any = None, *, method: str = "cg", rtol: float = 1e-5, atol: float = 0.0, maxiter: int | None = None, M: Any = None,
    callback: Callable[[float], Any] | None = None, residuals: list[float] | None = None, tol: float | None = None,
) -> tuple[np.ndarray, int]:  # fmt: skip
    """Solve A x = b by one method, and without a rescue; `cg`, `fcg`, `fgmres`, `minres` and `gcro_dr` fix the method.

    Args:
        A: Matrix, shape (n, n).
        b: Right-hand side, shape (n,) or (n, 1).
        x0: Initial guess, shape (n,).
        method: As in solve.
        rtol: Tolerance on ‖b - A x‖ / ‖b‖, recomputed.
        atol: Absolute tolerance.
        maxiter: Steps at most.
        M: Approximate inverse with @: a LinearOperator, a matrix, or anything that solve takes.
        callback: Called with ‖b - A x_k‖ after each step.
        residuals: Filled with ‖b - A x_k‖ for k = 0, 1, …
        tol: PyAMG's name for rtol.

    Returns:
        x in the shape of b, and 0 where it converged, the steps where they ran out, or -1.

    Raises:
        ValueError: Where solve raises UsageError.
    """
    b, start = np.asarray(b), None if x0 is None else np.ravel(x0)

    def seen(state: State) -> None:
        if callback is not None:
            callback(state.residual_norm)

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


cg, fcg, fgmres, minres, gcro_dr = (partial(krylov, method=name) for name in ("cg", "fcg", "fgmres", "minres", "gcro_dr"))
