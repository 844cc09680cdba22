"""One way to solve the systems of a sequence: whom it suits, and how the state of one solve reaches the next.

State goes in by argument and comes out in `Solution.recycle`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import numpy as np
import scipy.sparse as sp

from pdeflow.errors import UsageError
from pdeflow.linalg.iteration import Limits, Outcome, default_maxiter
from pdeflow.linalg.probe import Probe
from pdeflow.linalg.solution import Reason, Solution, verify
from pdeflow.linalg.system import LinearSystem

Suits = Callable[[LinearSystem], str | None]


@dataclass(frozen=True)
class Candidate:
    """A solver of sequences.

    Attributes:
        name: What a table calls it.
        suits: None, or why it does not suit a system.
        solve: Function of (system, rtol, state of the solve before or None); with `seconds=` where `stoppable`. The state
            for the next solve is the `recycle` of what it returns.
        fits: None, or why it does not suit a sequence with this probe.
        structural: Whether it is exact for the structure found, so that no other one need be tried.
        carries: Whether the first solve pays for later ones.
        factors: "cholesky" or "lu" where it factors the matrix, else "".
        stoppable: Whether `solve` takes a limit `seconds` for its loop.
        least: Seconds that every solve takes at least, as a function of n, where known beforehand.
    """

    name: str
    suits: Suits
    solve: Callable[..., Solution]
    fits: Callable[[Probe], str | None] = lambda probe: None
    structural: bool = False
    carries: bool = False
    factors: str = ""
    stoppable: bool = False
    least: Callable[[int], float] | None = None


@dataclass
class Step:
    """What a candidate found, not yet verified.

    Attributes:
        x: Solution.
        state: For the next system.
        outcome: Reason, residual norms and products of the loop.
        setup: Seconds of set-up.
        preconditioner: Name.
    """

    x: np.ndarray
    state: Any
    outcome: Outcome
    setup: float = 0.0
    preconditioner: str = "none"


@dataclass(frozen=True)
class Task:
    """One system in double precision, with its target.

    Attributes:
        system: The system; A is CSR with sorted indices where assembled.
        rtol: Tolerance relative to ||b||.
        state: State of the solve before, or None.
        seconds: Time limit of the loop on this thread's processor, or None.
        began: Value of time.perf_counter() at the start.
    """

    system: LinearSystem
    rtol: float
    state: Any = None
    seconds: float | None = None
    began: float = field(default_factory=time.perf_counter)

    @property
    def size(self) -> float:
        """||b||."""
        return float(np.linalg.norm(self.system.b))

    def limits(self, maxiter: int | None = None) -> Limits:
        """Stopping rule of a loop that starts now.

        Args:
            maxiter: Steps at most; by default min(10 n, 10,000).
        """
        size = self.size
        most = default_maxiter(self.system.n) if maxiter is None else maxiter
        if self.seconds is None:
            return Limits(self.rtol * size, size, most)
        end = time.thread_time() + self.seconds
        return Limits(self.rtol * size, size, most, callback=lambda state: time.thread_time() > end)

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.began


def solver(method: str, step: Callable[[Task], Step]) -> Callable[..., Solution]:
    """Make the `solve` of a candidate from its step: double precision before, verification after.

    Args:
        method: Name of the method.
        step: Solves one task.

    Returns:
        Function of (system, rtol, recycle, seconds=None); a factorization that breaks down gives x = 0 and the reason.
    """

    def solve(
        system: LinearSystem, rtol: float, recycle: Any = None, seconds: float | None = None
    ) -> Solution:
        """Solve one system and verify it."""
        task = Task(as_double(system), rtol, recycle, seconds)
        if not np.any(system.b):
            zero = np.zeros(system.n, dtype=task.system.dtype)
            return verify(task.system, zero, Reason.zero_rhs, rtol=rtol, method=method, recycle=recycle)
        try:
            done = step(task)
        except (ArithmeticError, UsageError) as error:  # a factorization broke down: a result, not a fault
            zero = np.zeros(system.n, dtype=task.system.dtype)
            failed = verify(task.system, zero, Reason.breakdown, rtol=rtol, method=method, detail=str(error))
            return replace(failed, seconds_setup=task.elapsed())
        outcome = done.outcome
        return verify(
            task.system, done.x, outcome.reason, rtol=rtol, residual_norms=outcome.residual_norms,
            iterations=outcome.iterations, matvecs=outcome.matvecs, seconds_setup=done.setup,
            seconds_solve=task.elapsed() - done.setup, method=method, preconditioner=done.preconditioner,
            recycle=done.state, detail=outcome.detail,
        )  # fmt: skip

    return solve


def as_double(system: LinearSystem) -> LinearSystem:
    """Return the system in double precision and CSR with sorted indices; itself where it is so already.

    Args:
        system: Any system.
    """
    dtype = np.result_type(system.dtype, np.float64)
    A, b = system.A, system.b
    if sp.issparse(A):
        A = A.tocsr()
        A = A if A.dtype == dtype else A.astype(dtype)
        if not A.has_canonical_format:
            A = A.copy()
            A.sum_duplicates()
    if A is system.A and b.dtype == dtype:
        return system
    return replace(system, A=A, b=b.astype(dtype))


def needs(*tests: Suits) -> Suits:
    """Combine tests: the first reason counts.

    Args:
        *tests: Functions that return None or a reason.
    """
    return lambda system: next((reason for test in tests if (reason := test(system)) is not None), None)


def assembled(system: LinearSystem) -> str | None:
    """Refuse operators."""
    return None if system.assembled else "needs the entries of A, which is an operator"


def regular(system: LinearSystem) -> str | None:
    """Refuse singular systems."""
    return None if system.nullspace is None else "needs a regular matrix, this one has a null space"


def symmetric(system: LinearSystem) -> str | None:
    """Refuse matrices that are not known to equal their conjugate transpose."""
    return None if system.symmetric else "needs a symmetric matrix"


def definite(system: LinearSystem) -> str | None:
    """Refuse matrices that are not symmetric, or known not to be positive definite."""
    if system.symmetric and system.positive_definite is not False:
        return None
    return "needs a symmetric positive definite matrix"


def real(system: LinearSystem) -> str | None:
    """Refuse complex systems."""
    return "needs a real system" if np.issubdtype(system.dtype, np.complexfloating) else None


def general(system: LinearSystem) -> str | None:
    """Refuse symmetric positive definite matrices, for which shorter recurrences are at hand."""
    if system.symmetric and system.positive_definite:
        return "is for matrices that are not symmetric positive definite"
    return None


def installed(package: str) -> Suits:
    """Make a test that a package can be imported; the import happens here, not inside a timed solve.

    Args:
        package: Name of the module.
    """

    def test(system: LinearSystem) -> str | None:
        try:
            import_module(package)
        except ImportError:
            return f"needs the package {package}: pip install 'pdeflow[direct]'"
        return None

    return test
