"""The bases of GCRO-DR, A [U Z] = [C V] G, kept as column-major blocks for products of BLAS levels 2 and 3.

Parks et al., SIAM J. Sci. Comput. 28 (2006), section 3; classical Gram-Schmidt twice with the second pass delayed by one
step, so that both passes read the basis once: Hernández, Román and Tomás, Parallel Computing 33 (2007), section 3.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.linalg as la

from pdeflow.linalg.harmonic_ritz import harmonic_ritz, independent_columns, right_solve
from pdeflow.linalg.iteration import Limits
from pdeflow.linalg.recycle_space import RecycleSpace, Space, columns_through, still_holds
from pdeflow.linalg.solution import Reason

BREAKDOWN = 1e-14
"""Share of a vector, left by the projections, that is rounding."""
CANCELLED = 1e-3
"""Share below which the second pass is not delayed: the direction would be wrong, and not only its last digits."""


class AugmentedArnoldi:
    """The vectors of one solve.

    Args:
        b: Right-hand side, shape (n,); gives length and type.
        m: Columns of [U Z]; [C V] has one more, and one to work in.
        k: Columns of U and C at most.
        space: "x": U are corrections of x; "y": what is handed on are those of M⁻¹ x, which Y = [U_y V] holds.
    """

    def __init__(self, b: np.ndarray, m: int, k: int, space: Space) -> None:
        n, self.m, self.k = b.size, m, k
        self.CV = np.empty((n, m + 2), dtype=b.dtype, order="F")
        self.UZ = np.empty((n, m), dtype=b.dtype, order="F")
        self.Y = np.empty((n, m), dtype=b.dtype, order="F") if space == "y" else None
        self.G = np.zeros((m + 1, m), dtype=b.dtype)
        self.size = 0  # columns of U and C that are in the blocks
        self.fresh: tuple[np.ndarray, ...] = ()  # (C, U, U_y) of the last update, not yet in the blocks
        self.gemv, self.gemm = la.get_blas_funcs(("gemv", "gemm"), (b,))
        self.adjoint = 2 if np.iscomplexobj(b) else 1

    def carry_over(self, A: Any, M: Any, recycle: RecycleSpace) -> int:
        """Take over vectors of another system and make C = A U orthonormal.

        Args:
            A: Matrix of this system.
            M: Its preconditioner, which only the space "y" needs.
            recycle: The vectors; those whose image depends on others are dropped, and all where fewer than two are left.

        Returns:
            Products with A.
        """
        kept, tested = recycle.U[:, : self.k], 0
        if self.Y is None and recycle.C is not None and kept.shape[1] == recycle.U.shape[1]:
            tested = 1
            if still_holds(A, recycle):
                self.fresh = (recycle.C, kept)
                return tested
        X = kept if self.Y is None else columns_through(M, kept)
        C, R, order = independent_columns(np.asfortranarray(A @ X, dtype=self.CV.dtype))
        if len(R) >= 2:
            parts = [X] if self.Y is None else [X, kept]
            self.fresh = (C, *(right_solve(part, R, order) for part in parts))
        return tested + kept.shape[1]

    def clear(self) -> None:
        """Forget U and C."""
        self.size, self.fresh = 0, ()

    def project(self, x: np.ndarray, r: np.ndarray) -> None:
        """Correct x within U and r within C, so that Cᴴ r = 0.

        Args:
            x: Iterate, changed in place.
            r: Its residual, changed in place.
        """
        self._settle()
        if self.size:
            C, U = self.CV[:, : self.size], self.UZ[:, : self.size]
            c = self.gemv(1.0, C, r, trans=self.adjoint)
            self.gemv(1.0, U, c, beta=1.0, y=x, overwrite_y=1)
            self.gemv(-1.0, C, c, beta=1.0, y=r, overwrite_y=1)

    def _settle(self) -> None:
        """Copy the vectors of the last update to the front of the blocks."""
        if self.fresh:
            self.size = self.fresh[0].shape[1]
            for block, part in zip((self.CV, self.UZ, self.Y), self.fresh, strict=False):
                if block is not None:
                    block[:, : self.size] = part
            self.fresh = ()

    def extend(
        self, A: Any, M: Any, r: np.ndarray, limits: Limits, norms: list[float]
    ) -> tuple[int, Reason | None, bool]:
        """Take Arnoldi steps with (I - C Cᴴ) A M from r until the block is full or the limits say stop.

        The residual norm comes from the vector that spans the left null space of the Hessenberg matrix: β / ||left||.

        Args:
            A: Matrix.
            M: Preconditioner, or None.
            r: Residual, orthogonal to C.
            limits: Stopping rule.
            norms: Residual norms so far; those of the steps are appended.

        Returns:
            Steps, the reason to stop or None, and whether the space cannot grow.
        """
        k, beta = self.size, _norm(r)
        left, square = np.zeros(self.m - k + 1, dtype=r.dtype), 1.0
        left[0] = 1
        self.G[:] = 0
        self.G[range(k), range(k)] = 1
        np.multiply(r, 1 / beta, out=self.CV[:, k])
        for j in range(self.m - k):
            p = k + j + 1
            z = self.CV[:, p - 1] if M is None else M @ self.CV[:, p - 1]
            self.UZ[:, p - 1] = z
            self.CV[:, p] = A @ z
            size = _norm(self.CV[:, p])
            if not math.isfinite(size):
                return j, Reason.nonfinite, False
            rest = self._orthogonalize(p, size, delayed=j > 0)
            stuck = rest <= BREAKDOWN * size
            self.G[p, p - 1] = 0 if stuck else rest
            self.CV[:, p] *= 0 if stuck else 1 / rest
            if not stuck:
                left[j + 1] = np.vdot(self.G[k:p, p - 1], left[: j + 1]) / -rest
                square += abs(left[j + 1]) ** 2
            norms.append(beta / math.sqrt(square))
            reason = limits.verdict(norms)
            if reason is not None or stuck or p == self.m:
                if not stuck:
                    self._second_pass(p)
                return j + 1, reason, stuck
        return 0, None, False

    def _orthogonalize(self, p: int, size: float, delayed: bool) -> float:
        """Project the new column p off those before it, and column p - 1 for the second time; the norm of what is left."""
        CV, G = self.CV, self.G
        w = CV[:, p]
        if delayed:
            pair, before = CV[:, p - 1 : p + 1], CV[:, : p - 1]
            products = self.gemm(1.0, CV[:, :p], pair, trans_a=self.adjoint)
            s, h = products[:-1, 0], products[:-1, 1]
            self.gemm(-1.0, before, products[:-1], beta=1.0, c=pair, overwrite_c=1)
            length = self._corrected(p - 1, s)
            last = (products[-1, 1] - np.vdot(s, h)) / length
            w -= last * CV[:, p - 1]
            G[: p - 1, p - 1], G[p - 1, p - 1] = h, last
        else:
            G[:p, p - 1] = self.gemv(1.0, CV[:, :p], w, trans=self.adjoint)
            self.gemv(-1.0, CV[:, :p], G[:p, p - 1].copy(), beta=1.0, y=w, overwrite_y=1)
        rest = _norm(w)
        if rest >= CANCELLED * size or rest == 0:
            return rest
        again = self.gemv(1.0, CV[:, :p], w, trans=self.adjoint)
        self.gemv(-1.0, CV[:, :p], again, beta=1.0, y=w, overwrite_y=1)
        G[:p, p - 1] += again
        return _norm(w)

    def _second_pass(self, p: int) -> None:
        """Project column p, of unit length, off those before it once more."""
        s = self.gemv(1.0, self.CV[:, :p], self.CV[:, p], trans=self.adjoint)
        self.gemv(-1.0, self.CV[:, :p], s, beta=1.0, y=self.CV[:, p], overwrite_y=1)
        self._corrected(p, s)

    def _corrected(self, p: int, s: np.ndarray) -> float:
        """Make column p, from which `CV s` was taken, a unit vector again and enter that in G; what its length was."""
        length = math.sqrt(max(1 - np.vdot(s, s).real, 0.5))
        self.G[:p, p - 1] += self.G[p, p - 1] * s
        if length != 1:  # it is 1 up to rounding but after a severe cancellation
            self.CV[:, p] *= 1 / length
            self.G[p, p - 1] *= length
        return length

    def correct(self, x: np.ndarray, r: np.ndarray, steps: int) -> None:
        """Add the correction of least residual from the last steps.

        Args:
            x: Iterate, changed in place.
            r: Residual from which `extend` started.
            steps: What `extend` returned.
        """
        k, p = self.size, self.size + steps
        if steps == 0:
            return
        rhs = np.zeros(steps + 1, dtype=x.dtype)
        rhs[0] = _norm(r)
        y = np.linalg.lstsq(self.G[k : p + 1, k:p], rhs, rcond=None)[0]
        coordinates = np.concatenate([-self.G[:k, k:p] @ y, y])
        self.gemv(1.0, self.UZ[:, :p], coordinates, beta=1.0, y=x, overwrite_y=1)

    def update(self, steps: int) -> None:
        """Replace U and C by the harmonic Ritz vectors of the whole space and their images.

        Args:
            steps: What `extend` returned; with less than half a cycle, which only the last one can be, the old vectors
                stay: new ones would cost as much as five steps and save none (measured).

        Reference: Parks et al. (2006), appendix, steps 23 to 29.
        """
        old, p = self.size, self.size + steps
        k = min(self.k, p - 1)
        if steps == 0 or k < 1 or (old and steps < max(2, (self.m - old) // 2)):
            return
        CV, UZ, G = self.CV[:, : p + 1], self.UZ[:, :p], self.G[: p + 1, :p]
        scale = np.ones(p)
        if self.Y is not None:
            self.Y[:, old:p] = CV[:, old:p]
        if old:  # with U of unit columns, G is well conditioned
            scale[:old] = 1 / np.sqrt(np.einsum("ij,ij->j", UZ[:, :old].conj(), UZ[:, :old]).real)
            G = G * scale
            right = UZ if self.Y is None else self.Y[:, :p]
            gram = self.gemm(1.0, CV, right, trans_a=self.adjoint) * scale
        else:
            gram = np.eye(p + 1, p)  # V_{j+1}ᴴ V_j: the harmonic Ritz vectors of A M in the Krylov space
        P = harmonic_ritz(G, gram, k)
        if P is None:
            return
        Q, R, order = independent_columns(G @ P)
        P = scale[:, None] * right_solve(P, R, order)
        blocks = [UZ] if self.Y is None else [UZ, self.Y[:, :p]]
        self.fresh = (self.gemm(1.0, CV, Q), *(self.gemm(1.0, block, P) for block in blocks))

    def recycled(self, layout: str) -> RecycleSpace | None:
        """Return what the next system may use, or None.

        Args:
            layout: Name of the ordering of the unknowns.
        """
        k = self.size
        parts = self.fresh or tuple(
            block[:, :k].copy(order="F") for block in (self.CV, self.UZ, self.Y) if block is not None
        )
        if not parts[0].shape[1]:
            return None
        if self.Y is not None:
            return RecycleSpace(parts[2], None, layout, "y")
        return RecycleSpace(parts[1], parts[0], layout)


def _norm(v: np.ndarray) -> float:
    return math.sqrt(np.vdot(v, v).real)
