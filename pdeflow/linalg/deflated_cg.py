"""Deflated conjugate gradients (def-CG) for sequences of symmetric positive definite systems.

Saad, Yeung, Erhel and Guyomarc'h, A deflated version of the conjugate gradient algorithm, SIAM J. Sci. Comput. 21 (2000),
algorithms 3.5 and 3.6.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.linalg as la

from pdeflow.errors import UsageError
from pdeflow.linalg.iteration import RECOMPUTE, Callback, Limits, Outcome
from pdeflow.linalg.recycle_space import RecycleSpace, checked, columns_through
from pdeflow.linalg.solution import Reason, Solution
from pdeflow.linalg.stand_alone import stand_alone

DROP = 1e-12
"""Share of the largest eigenvalue of Wᴴ A W, columns of unit A-norm, below which a direction is dropped."""


def deflated_cg(
    A: Any, b: Any = None, x0: Any = None, *, rtol: float = 1e-8, atol: float = 0.0, maxiter: int | None = None, M: Any = None,
    k: int = 20, l: int = 40, recycle: RecycleSpace | None = None, callback: Callback | None = None,
) -> Solution:  # fmt: skip
    """Solve A x = b for Hermitian positive definite A, and return in `recycle` what makes the next similar system cheaper.

    Args:
        A: Matrix or operator, shape (n, n), or a LinearSystem.
        b: Right-hand side, shape (n,); None where A is a LinearSystem.
        x0: Initial guess.
        rtol: Tolerance on ||b - A x|| / ||b||.
        atol: Absolute tolerance.
        maxiter: Steps at most; by default min(10 n, 10,000).
        M: Linear, symmetric, positive preconditioner: a name, an object with @, or None.
        k: Vectors that are carried.
        l: First directions of a solve from which they are improved.
        recycle: `recycle` of the system before (of `gcro_dr` too), or None.
        callback: Called after each step; a true answer stops.

    Returns:
        The solution; its matvecs count the k products A W too.

    Raises:
        UsageError: If an argument is wrong or the recycled vectors do not fit the system.

    Reference: Saad et al. (2000), algorithms 3.5 and 3.6.
    """

    def loop(system: Any, x: np.ndarray, preconditioner: Any, limits: Limits) -> Outcome:
        space = checked(recycle, system.n, system.dtype, system.layout)
        return run_deflated_cg(system.A, system.b, x, preconditioner, limits, k, l, space, system.layout)

    return stand_alone("def_cg", loop, A, b, x0, M, rtol, atol, maxiter, callback, recycle)


def run_deflated_cg(
    A: Any, b: np.ndarray, x0: np.ndarray, M: Any, limits: Limits, k: int = 20, l: int = 40,
    recycle: RecycleSpace | None = None, layout: str = "",
) -> Outcome:  # fmt: skip
    """Run def-CG until the limits end it.

    Args:
        A: Matrix or operator with `@`.
        b: Right-hand side, shape (n,).
        x0: Initial guess.
        M: Linear, symmetric, positive preconditioner with `@`, or None.
        limits: Stopping rule.
        k: Vectors that are carried.
        l: Directions from which they are improved.
        recycle: Space that fits the system, or None.
        layout: Name of the ordering of the unknowns, handed on.

    Returns:
        The outcome, with the space for the next system; `indefinite` names the step at which p·Ap or r·Mr was not positive.

    Raises:
        UsageError: If k or l is below one.

    Reference: Saad et al. (2000), algorithm 3.6.
    """
    if k < 1 or l < 1:
        raise UsageError(f"def_cg needs k >= 1 and l >= 1, got k {k} and l {l}")
    space = _Deflation(A, b, M, k, l, recycle)
    x, r, matvecs = x0.copy(), b - A @ x0, 1 + space.spent
    space.project(x, r)
    space.project(x, r)
    norms = [_norm(r)]
    reason = limits.verdict(norms)
    p, rho, z_next = np.zeros_like(r), 1.0, None
    while reason is None:
        z = z_next if z_next is not None else (r.copy() if M is None else M @ r)
        previous, rho = rho, np.vdot(r, z).real
        if not rho > 0:
            return _not_positive(x, norms, matvecs, "r·Mr", rho, recycle)
        p = space.direction(z, p, rho / previous if len(norms) > 1 else 0.0)
        Ap = A @ p
        matvecs += 1
        curvature = np.vdot(p, Ap).real
        if not curvature > 0:
            return _not_positive(x, norms, matvecs, "p·Ap", curvature, recycle)
        alpha = rho / curvature
        x += alpha * p
        r = r - alpha * Ap
        if len(norms) % RECOMPUTE == 0 or _norm(r) <= limits.target:
            true = b - A @ x
            limits.recomputed(true, r, x, _norm(Ap) / (_norm(p) or 1.0))
            r, matvecs = true, matvecs + 1
            space.project(x, r)
        norms.append(_norm(r))
        reason = limits.verdict(norms)
        z_next = None
        if not space.full and (M is None or reason is None):
            z_next = r.copy() if M is None else M @ r
            space.keep(p, Ap, z - z_next, curvature, alpha)
    return Outcome(x, reason, norms, matvecs, recycle=space.recycled(M, layout) or recycle)


class _Deflation:
    """W with Wᴴ A W = I, and the first directions of the solve, all column-major: Y = [W P], A Y and M A Y."""

    def __init__(self, A: Any, b: np.ndarray, M: Any, k: int, l: int, recycle: RecycleSpace | None) -> None:
        n = b.size
        self.k, self.l, self.spent = min(k, n), min(l, n), 0
        W = AW = np.zeros((n, 0), dtype=b.dtype, order="F")
        if recycle is not None:
            W = np.asfortranarray(recycle.U[:, :k], dtype=b.dtype)
            AW = np.asfortranarray(A @ W, dtype=b.dtype)
            self.spent = W.shape[1]
            W, AW = _a_orthonormal(W, AW)
        self.size = self.used = W.shape[1]
        self.Y, self.AY, self.MAY = (np.empty((n, self.size + self.l), b.dtype, "F") for _ in range(3))
        self.Y[:, : self.size], self.AY[:, : self.size] = W, AW
        self.W, self.AW = self.Y[:, : self.size], self.AY[:, : self.size]
        self.gemv = la.get_blas_funcs("gemv", (b,))
        self.adjoint = 2 if np.iscomplexobj(b) else 1

    @property
    def full(self) -> bool:
        """Whether all l directions are stored."""
        return self.used == self.Y.shape[1]

    def project(self, x: np.ndarray, r: np.ndarray) -> None:
        """Correct x within W, and r in step, in place, so that Wᴴ r = 0."""
        if self.size:
            c = self.gemv(1.0, self.W, r, trans=self.adjoint)
            self.gemv(1.0, self.W, c, beta=1.0, y=x, overwrite_y=1)
            self.gemv(-1.0, self.AW, c, beta=1.0, y=r, overwrite_y=1)

    def direction(self, z: np.ndarray, p: np.ndarray, beta: float) -> np.ndarray:
        """Return z + beta p - W (A W)ᴴ z."""
        p = z + beta * p if beta else z.copy()
        if self.size:
            c = self.gemv(1.0, self.AW, z, trans=self.adjoint)
            p = self.gemv(-1.0, self.W, c, beta=1.0, y=p, overwrite_y=1)
        return p

    def keep(self, p: np.ndarray, Ap: np.ndarray, z_fall: np.ndarray, curvature: float, alpha: float) -> None:
        """Store a direction with unit A-norm, its image, and M A p = (z - z_next) / alpha, which costs nothing."""
        scale = 1 / math.sqrt(curvature)
        j = self.used
        self.Y[:, j], self.AY[:, j], self.MAY[:, j] = scale * p, scale * Ap, (scale / alpha) * z_fall
        self.used = j + 1

    def recycled(self, M: Any, layout: str) -> RecycleSpace | None:
        """Return the k harmonic Ritz vectors of M A of smallest value in the span of Y.

        (A Y)ᴴ M (A Y) y = θ Yᴴ A Y y, as Saad et al. (2000), section 5, solve it.
        """
        j = self.used
        if self.used < 2 or (self.size and self.used - self.size < 2):
            return None
        Y, AY, MAY = self.Y[:, :j], self.AY[:, :j], self.MAY[:, :j]
        MAY[:, : self.size] = columns_through(M, self.AW)
        F, G = AY.conj().T @ MAY, Y.conj().T @ AY
        F, G = (F + F.conj().T) / 2, (G + G.conj().T) / 2
        values, T = np.linalg.eigh(G)
        T = T[:, values > DROP * values[-1]] / np.sqrt(values[values > DROP * values[-1]])
        _, vectors = np.linalg.eigh(T.conj().T @ F @ T)
        return RecycleSpace(np.asfortranarray(Y @ (T @ vectors[:, : self.k])), None, layout)


def _a_orthonormal(W: np.ndarray, AW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Combine the columns so that Wᴴ A W = I, without those that are nearly dependent."""
    gram = W.conj().T @ AW
    scale = np.sqrt(np.abs(np.diagonal(gram).real))
    scale[scale == 0] = 1
    values, vectors = np.linalg.eigh((gram + gram.conj().T) / (2 * np.outer(scale, scale)))
    good = values > DROP * values.max(initial=0)
    T = vectors[:, good] / np.sqrt(values[good]) / scale[:, None]
    return np.asfortranarray(W @ T), np.asfortranarray(AW @ T)


def _not_positive(
    x: np.ndarray, norms: list[float], matvecs: int, what: str, value: float, recycle: RecycleSpace | None
) -> Outcome:
    reason = Reason.indefinite if np.isfinite(value) else Reason.nonfinite
    detail = f"{what} = {value:.2g} at step {len(norms)}; use minres, gcro_dr or direct"
    return Outcome(x, reason, norms, matvecs, detail, recycle)


def _norm(v: np.ndarray) -> float:
    return math.sqrt(np.vdot(v, v).real)
