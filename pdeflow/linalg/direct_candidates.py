"""Candidates that factor: each matrix with a reused analysis, one matrix once, or by fast transforms on a box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pdeflow.linalg.box_operator import box_of, box_operator
from pdeflow.linalg.candidate import (
    Candidate,
    Step,
    Task,
    assembled,
    definite,
    installed,
    needs,
    real,
    regular,
    solver,
)
from pdeflow.linalg.direct import estimate_cost, uses_cholmod
from pdeflow.linalg.fast_transforms import FastSolver, fast_solver
from pdeflow.linalg.iteration import Outcome
from pdeflow.linalg.probe import Probe
from pdeflow.linalg.reused_factor import Analysis, Backsolve, analyse, refine
from pdeflow.linalg.solution import Reason
from pdeflow.linalg.system import LinearSystem

LARGEST_SPACE = 64
"""Right-hand sides that superposition keeps."""
SHORT_COLUMNS = 100
"""Entries per column of L up to which a factor that is kept is made row by row: slower to make, faster to solve with."""


@dataclass(frozen=True, eq=False)
class Kept:
    """A factorization with the matrix that it belongs to.

    Attributes:
        indptr: Row pointers of the matrix.
        indices: Column indices.
        data: Values.
        back: Solves for one right-hand side.
        name: Of the factorization.
        B: Orthonormal right-hand sides solved so far, shape (n, q).
        X: Their solutions, shape (n, q).
    """

    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray
    back: Backsolve
    name: str
    B: np.ndarray | None = None
    X: np.ndarray | None = None

    def holds(self, A: Any) -> bool:
        """Whether the factorization is that of A, bit for bit."""
        same = A.dtype == self.data.dtype and np.array_equal(A.data, self.data)
        return bool(
            same and np.array_equal(A.indices, self.indices) and np.array_equal(A.indptr, self.indptr)
        )


def keep(A: Any, back: Backsolve, name: str) -> Kept:
    """Remember a factorization and a copy of its matrix, which may be overwritten by its owner.

    Args:
        A: CSR matrix.
        back: Solves with its factor.
        name: Of the factorization.
    """
    return Kept(A.indptr.copy(), A.indices.copy(), A.data.copy(), back, name)


def no_cholesky(system: LinearSystem) -> str | None:
    """Refuse an LU factorization where CHOLMOD does the same with half the entries."""
    return "CHOLMOD factors it with half the entries" if uses_cholmod(system) else None


def reused_analysis(backend: str) -> Candidate:
    """Make a candidate that factors every matrix, and analyses the pattern once.

    Args:
        backend: One of reused_factor.BACKENDS.
    """

    def step(task: Task) -> Step:
        A = task.system.A
        analysis = task.state if isinstance(task.state, Analysis) and task.state.fits(A) else None
        analysis = analysis if analysis is not None and analysis.backend == backend else analyse(A, backend)
        back = analysis.factor(A.data)
        return _refined(task, back, analysis, backend)

    tests = {"CHOLMOD": (assembled, real, definite, regular, installed("kvxopt"))}
    optional = (no_cholesky, *((installed("kvxopt"),) if backend in ("KLU", "UMFPACK") else ()))
    return Candidate(
        name=f"{backend}, reused analysis", suits=needs(*tests.get(backend, (assembled, regular, *optional))),
        solve=solver("direct", step), factors="cholesky" if backend == "CHOLMOD" else "lu",
    )  # fmt: skip


def _refined(task: Task, back: Backsolve, state: Any, name: str) -> Step:
    """Solve by a factor that is ready, with refinement."""
    setup = task.elapsed()
    x, norms = refine(task.system.A, task.system.b, back, task.rtol * task.size)
    return Step(x, state, Outcome(x, Reason.converged, norms, len(norms) - 1), setup, name)


def _factored(task: Task) -> Kept:
    """The factor of this matrix: the kept one where it holds, else a new one that is fast to solve with."""
    A = task.system.A
    if isinstance(task.state, Kept) and task.state.holds(A):
        return task.state
    name = "CHOLMOD" if uses_cholmod(task.system) else "SuperLU, symmetric mode"
    simplicial = name == "CHOLMOD" and estimate_cost(task.system).entries <= SHORT_COLUMNS * task.system.n
    return keep(A, analyse(A, name, simplicial).factor(A.data), name)


def _once(task: Task) -> Step:
    kept = _factored(task)
    return _refined(task, kept.back, kept, kept.name)


def _superposed(task: Task) -> Step:
    """Express b in the right-hand sides solved so far; solve for what is left of it, and keep that too."""
    kept, b = _factored(task), task.system.b
    setup, target = task.elapsed(), 0.1 * task.rtol * task.size
    B = np.zeros((len(b), 0), b.dtype) if kept.B is None else kept.B
    X = B if kept.X is None else kept.X
    c = B.conj().T @ b
    rest = b - B @ c
    solves, size = 0, float(np.linalg.norm(rest))
    if size <= target:
        x = X @ c
    elif B.shape[1] < LARGEST_SPACE:
        rest -= B @ (B.conj().T @ rest)  # twice is enough
        q = rest / np.linalg.norm(rest)
        found, solves = kept.back(q), 1
        B, X = np.column_stack([B, q]), np.column_stack([X, found])
        x = X @ (B.conj().T @ b)
    else:
        x, solves = kept.back(b), 1
    state = Kept(kept.indptr, kept.indices, kept.data, kept.back, kept.name, B, X)
    norms = [task.size, float(np.linalg.norm(b - task.system.A @ x))]
    if norms[-1] > task.rtol * task.size:  # rounding of the sum: solve for this one alone
        return _refined(task, kept.back, state, kept.name)
    outcome = Outcome(x, Reason.converged, norms, solves + 1, f"{B.shape[1]} right-hand sides kept")
    return Step(x, state, outcome, setup, f"{kept.name}, superposed")


def _one_matrix(probe: Probe) -> str | None:
    return None if probe.same_matrix else "the matrix changes"


def _few_sides(probe: Probe) -> str | None:
    if not probe.same_matrix:
        return "the matrix changes"
    return None if probe.rank < probe.count else f"the {probe.count} right-hand sides are independent"


FACTOR_ONCE = Candidate(
    "factor once", needs(assembled, regular), solver("direct", _once), _one_matrix, True, True, "lu"
)
SUPERPOSITION = Candidate(
    "superposition",
    needs(assembled, regular),
    solver("superposition", _superposed),
    _few_sides,
    True,
    True,
    "lu",
)


@dataclass(frozen=True, eq=False)
class KeptTransform:
    """A fast solver with the matrix that it inverts."""

    kept: Kept
    fast: FastSolver


def _transform(task: Task) -> Step:
    A = task.system.A
    state = task.state
    if not (isinstance(state, KeptTransform) and state.kept.holds(A)):
        fast = _fast(task.system)
        if isinstance(fast, str):
            raise ArithmeticError(f"no fast transform: {fast}")
        state = KeptTransform(keep(A, fast.solve, fast.name), fast)
    return _refined(task, state.fast.solve, state, state.fast.name)


def _fast(system: LinearSystem) -> FastSolver | str:
    operator = box_operator(system.A, box_of(system))
    return operator if isinstance(operator, str) else fast_solver(operator)


def _has_fast(system: LinearSystem) -> str | None:
    found = _fast(system)
    return found if isinstance(found, str) else None


def _constant(probe: Probe) -> str | None:
    return None if probe.constant else "the coefficients are not constant on a box"


FAST_TRANSFORM = Candidate(
    "fast transform", needs(assembled, _has_fast), solver("fast transform", _transform), _constant, True, True
)
