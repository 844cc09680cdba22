"""Block conjugate gradients for many right-hand sides and one matrix, with an orthonormalised residual block.

O'Leary, The block conjugate gradient algorithm and related methods, Linear Algebra Appl. 29 (1980), section 2; Dubrulle,
Retooling the method of block conjugate gradients, ETNA 12 (2001), section 4 (the residual factored at each step, so that
dependent residuals are no breakdown).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.linalg as la

from pdeflow.errors import UsageError
from pdeflow.linalg.iteration import Callback, Limits, default_maxiter
from pdeflow.linalg.preconditioners import build
from pdeflow.linalg.recycle_space import columns_through
from pdeflow.linalg.solution import Reason, Solution, verify
from pdeflow.linalg.stand_alone import as_system, check_tolerances
from pdeflow.linalg.system import as_vector

RANK = 1e-16
"""Share of the largest eigenvalue of Rᴴ M R below which a combination of the residuals is dropped."""
AGAIN = 1e-4
"""Ratio of the singular values of the residual block below which it is factored twice."""
NEGATIVE = 1e-10
"""Share of the largest eigenvalue, below zero, that proves indefiniteness."""


def block_cg(
    A: Any, B: np.ndarray, X0: np.ndarray | None = None, *, rtol: float = 1e-8, atol: float = 0.0, maxiter: int | None = None,
    M: Any = None, callback: Callback | None = None,
) -> list[Solution]:  # fmt: skip
    """Solve A X = B for Hermitian positive definite A; the columns share one search space.

    Args:
        A: Matrix or operator, shape (n, n), or a LinearSystem (its b is not used).
        B: Right-hand sides, shape (n, s), of any size.
        X0: Initial guesses, shape (n, s).
        rtol: Tolerance on ||b - A x|| / ||b|| of every column.
        atol: Absolute tolerance of every column.
        maxiter: Steps at most; by default min(10 n, 10,000).
        M: Linear, symmetric, positive preconditioner: a name, an object with @, or None.
        callback: Called after each step with the residual of the worst column; a true answer stops.

    Returns:
        One verified solution per column; iterations and matvecs count steps of the whole block.

    Raises:
        UsageError: If an argument is wrong.

    Reference: O'Leary (1980), section 2; Dubrulle (2001), section 4.
    """
    B = np.asarray(B)
    if B.ndim != 2 or B.shape[1] == 0:
        raise UsageError(f"B has shape {B.shape}, expected (n, s), s >= 1; one vector is for method='cg'")
    check_tolerances(rtol, atol)
    systems = [as_system(A, B[:, 0])]
    systems += [replace(systems[0], b=as_vector(b, systems[0].n, "B")) for b in B.T[1:]]
    dtype = np.result_type(*(system.b for system in systems), systems[0].dtype)
    block = _Block(systems[0].A, np.stack([system.b for system in systems], axis=1).astype(dtype), rtol, atol)
    X = np.zeros_like(block.B) if X0 is None else block.start(_checked_start(X0, B.shape))
    began = time.perf_counter()
    M = build(M, systems[0])
    set_up = time.perf_counter()
    maxiter = default_maxiter(len(B)) if maxiter is None else maxiter
    limits = Limits(block.target, 1.0, maxiter, None, callback)
    reason, detail = block.solve(X, None if M.name == "none" else M, limits)
    facts: dict[str, Any] = {
        "iterations": len(block.worst) - 1, "matvecs": block.products, "method": "block_cg", "preconditioner": M.name,
        "seconds_setup": set_up - began, "seconds_solve": time.perf_counter() - set_up, "detail": detail, "rtol": rtol, "atol": atol,
    }  # fmt: skip
    with np.errstate(over="ignore"):  # x may exceed float64 where b does not; its verdict is nonfinite
        history, X = (values * block.sizes * block.units for values in (np.array(block.columns), X))
    reasons = [reason if np.any(system.b) else Reason.zero_rhs for system in systems]
    return [
        verify(system, X[:, j], reasons[j], residual_norms=history[:, j].tolist(), **facts)
        for j, system in enumerate(systems)
    ]


def _checked_start(X0: Any, shape: tuple[int, ...]) -> np.ndarray:
    X0 = np.asarray(X0)
    if X0.shape != shape or X0.dtype.kind not in "iubfc" or not np.all(np.isfinite(X0)):
        raise UsageError(f"X0 must be finite and have the shape of B {shape}, got {X0.dtype} {X0.shape}")
    return X0


@dataclass
class _Block:
    """One block solve, with columns scaled to unit length: by a power of two, whose squares are harmless, and by their norm."""

    A: Any
    B: np.ndarray
    rtol: float
    atol: float
    worst: list[float] = field(default_factory=list)  # largest norm over its target, times the largest target
    columns: list[np.ndarray] = field(default_factory=list)  # norms
    products: int = 0

    def __post_init__(self) -> None:
        self.units = 2.0 ** (np.frexp(np.maximum(np.abs(self.B.real), np.abs(self.B.imag)).max(axis=0))[1] - 1)
        self.B = self.B / self.units
        self.sizes = np.linalg.norm(self.B, axis=0)
        self.sizes[self.sizes == 0] = 1
        self.B = self.B / self.sizes
        self.targets = np.maximum(self.rtol, self.atol / self.sizes / self.units)
        self.target = float(self.targets.max())

    def start(self, X0: np.ndarray) -> np.ndarray:
        """Return initial guesses in the scale of the block; a column without right-hand side is solved by 0."""
        return np.where(np.any(self.B, axis=0), X0 / self.sizes / self.units, 0).astype(self.B.dtype)

    def record(self, norms: np.ndarray) -> None:
        """Append the norms of the columns."""
        self.columns.append(norms)
        self.worst.append(float(np.max(norms * (self.target / self.targets))))

    def solve(self, X: np.ndarray, M: Any, limits: Limits) -> tuple[Reason, str]:
        """Improve X in place, restarting from the true residual while that helps: (reason, detail)."""
        R = self.B - self.A @ X
        self.products += 1
        self.record(np.linalg.norm(R, axis=0))
        reason, detail = limits.verdict(self.worst), ""
        while reason is None:
            before = self.worst[-1]
            reason, detail = self._run(X, R, M, limits)
            R = self.B - self.A @ X
            self.products += 1
            self.columns.pop()
            self.worst.pop()
            self.record(np.linalg.norm(R, axis=0))  # the true residuals decide
            if reason in (Reason.converged, None):
                reason = limits.verdict(self.worst)
            if reason is None and not self.worst[-1] < 0.5 * before:
                reason = Reason.stagnated
        return reason, detail

    def _run(self, X: np.ndarray, R: np.ndarray, M: Any, limits: Limits) -> tuple[Reason | None, str]:
        """Iterate from the residual R until the limits say stop, or no direction is left."""
        S = np.zeros((len(X), 0), dtype=X.dtype)
        c: Any = np.eye(R.shape[1], dtype=X.dtype)
        Q = R
        while True:
            Q, Z, rho, lowest = _factored(Q, M)
            if lowest < -NEGATIVE:
                return Reason.indefinite, f"R·MR has an eigenvalue of relative size {lowest:.1e}"
            if not np.all(np.isfinite(rho)) or not Q.shape[1]:
                return (None, "") if np.all(np.isfinite(rho)) else (Reason.nonfinite, "")
            c = rho @ c
            if S.shape[1]:
                gram = np.eye(Q.shape[1]) if M is None else Q.conj().T @ Q
                self.record(np.sqrt(np.abs(np.einsum("ij,ij->j", c.conj(), gram @ c).real)))
                reason = limits.verdict(self.worst)
                if reason is not None:
                    return reason, ""
            S = Z + S @ rho.conj().T if S.shape[1] else Z
            Y = self.A @ S
            self.products += 1
            curvature = S.conj().T @ Y
            try:
                factor = la.cho_factor((curvature + curvature.conj().T) / 2)
            except la.LinAlgError:
                return _why_not(curvature)
            X += S @ la.cho_solve(factor, c)
            Q = Q - Y @ la.cho_solve(factor, np.eye(Q.shape[1], dtype=X.dtype))


def _factored(R: np.ndarray, M: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """R = Q c with Qᴴ M Q = I: (Q, M Q, c, smallest eigenvalue of Rᴴ M R over the largest)."""
    Z = R if M is None else columns_through(M, R)
    gram = R.conj().T @ Z
    if not np.all(np.isfinite(gram)):
        return R[:, :0], Z[:, :0], np.full((1, R.shape[1]), np.nan), 0.0
    values, V = np.linalg.eigh((gram + gram.conj().T) / 2)
    good = values > RANK * max(float(values[-1]), 0.0)
    root = np.sqrt(values[good])
    T = V[:, good] / root
    lowest = float(values[0] / np.abs(values).max()) if np.any(values) else 0.0
    Q, c = R @ T, root[:, None] * V[:, good].conj().T
    if root.size and root[0] < AGAIN * root[-1]:  # rounding spoilt Qᴴ M Q = I
        Q, Z, d, _ = _factored(Q, M)
        return Q, Z, d @ c, lowest
    return Q, Q if M is None else Z @ T, c, lowest


def _why_not(curvature: np.ndarray) -> tuple[Reason | None, str]:
    """Why Sᴴ A S has no Cholesky factor: indefinite, or rounding, after which a restart may help."""
    if not np.all(np.isfinite(curvature)):
        return Reason.nonfinite, ""
    values = np.linalg.eigvalsh((curvature + curvature.conj().T) / 2)
    if values[0] < -NEGATIVE * np.abs(values).max():
        return Reason.indefinite, f"S·AS has the eigenvalue {values[0]:.1e}; use minres, gcro_dr or direct"
    return None, ""
