"""One method by itself, without choice or fallback: checks, preconditioner, loop, verdict."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator

from pdeflow.errors import UsageError
from pdeflow.linalg.iteration import Callback, Limits, Outcome, default_maxiter
from pdeflow.linalg.preconditioners import build
from pdeflow.linalg.solution import Reason, Solution, verify
from pdeflow.linalg.system import LinearSystem, as_csr, as_vector

Loop = Callable[[LinearSystem, np.ndarray, Any, Limits], Outcome]
"""(system in double precision, start, preconditioner or None, limits) -> outcome."""


def as_system(A: Any, b: Any) -> LinearSystem:
    """Return A x = b in double precision, integers too, with nothing detected.

    Args:
        A: LinearSystem, sparse or dense matrix or LinearOperator.
        b: Right-hand side, shape (n,); None keeps the one of a LinearSystem.

    Raises:
        UsageError: If A or b cannot be used.
    """
    if isinstance(A, LinearSystem):
        system = A if b is None else replace(A, b=as_vector(b, A.n, "b"))
    else:
        if b is None:
            raise UsageError("b is missing; pass a right-hand side, or a LinearSystem")
        A = A if isinstance(A, LinearOperator) else as_csr(A)
        system = LinearSystem(A, as_vector(b, A.shape[0], "b"))
    dtype = np.result_type(system.dtype, np.float64)
    matrix = system.A if not system.assembled or system.A.dtype == dtype else system.A.astype(dtype)
    return replace(system, A=matrix, b=system.b.astype(dtype))


def check_tolerances(rtol: float, atol: float) -> None:
    """Refuse tolerances that cannot be meant.

    Args:
        rtol: Relative tolerance.
        atol: Absolute tolerance.

    Raises:
        UsageError: If rtol is not in [0, 1), atol negative, or both zero.
    """
    if not (0 <= rtol < 1 and 0 <= atol < np.inf) or rtol == atol == 0:
        raise UsageError(
            f"rtol must lie in [0, 1) and atol be >= 0, one of them positive; got {rtol} and {atol}"
        )


def stand_alone(
    method: str, loop: Loop, A: Any, b: Any, x0: Any, M: Any, rtol: float, atol: float, maxiter: int | None,
    callback: Callback | None, recycle: Any = None,
) -> Solution:  # fmt: skip
    """Run one method on one system and verify what it returns.

    Args:
        method: Its name.
        loop: The method.
        A: As `as_system` takes it.
        b: Right-hand side.
        x0: Initial guess, or None.
        M: Preconditioner as `preconditioners.build` takes it.
        rtol: Tolerance relative to ||b||.
        atol: Absolute tolerance.
        maxiter: Steps at most; by default min(10 n, 10,000).
        callback: Called after each step.
        recycle: What to hand on where b = 0 ends the solve before it begins.

    Returns:
        The verified solution.

    Raises:
        UsageError: If an argument is wrong.
    """
    system = as_system(A, b)
    check_tolerances(rtol, atol)
    facts: dict[str, Any] = {"rtol": rtol, "atol": atol, "method": method}
    if not np.any(system.b) and atol == 0:
        return verify(system, np.zeros_like(system.b), Reason.zero_rhs, recycle=recycle, **facts)
    x = np.zeros(system.n) if x0 is None else as_vector(x0, system.n, "x0")
    began = time.perf_counter()
    preconditioner = build(M, system)
    set_up, size = time.perf_counter(), float(np.linalg.norm(system.b))
    limits = Limits(
        max(rtol * size, atol),
        size,
        default_maxiter(system.n) if maxiter is None else maxiter,
        None,
        callback,
    )
    operator = None if preconditioner.name == "none" else preconditioner
    outcome = loop(system, x.astype(system.b.dtype), operator, limits)
    return verify(
        system, outcome.x, outcome.reason, residual_norms=outcome.residual_norms, iterations=outcome.iterations,
        matvecs=outcome.matvecs, seconds_setup=set_up - began, seconds_solve=time.perf_counter() - set_up,
        preconditioner=preconditioner.name, recycle=outcome.recycle, detail=outcome.detail, **facts,
    )  # fmt: skip
