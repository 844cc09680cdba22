"""The bases of GCRO-DR, A [U Z] = [C V] G, kept as column-major blocks for products of BLAS levels 2 and 3.

Parks et al., SIAM J. Sci. Comput. 28 (2006), section 3; modified Gram-Schmidt by panels, which are still in the cache when they
are taken off, and once more where much was taken off: Björck, Linear Algebra Appl. 197 (1994), section 3.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.linalg as la

from pdeflow.linalg.harmonic_ritz import combine, harmonic_ritz, independent_columns, right_solve
from pdeflow.linalg.iteration import Limits
from pdeflow.linalg.recycle_space import NEW, SOLUTIONS, RecycleSpace, Space, columns_through
from pdeflow.linalg.solution import Reason

BREAKDOWN = 1e-14
"""Share of a vector, left by the projections, that is rounding."""
CANCELLED = 0.1
"""Share of a vector, left by the projections, below which they are repeated."""
PANEL, CACHE = 8, 1_200_000
"""Columns of a panel at most, and bytes that it should not exceed; where fewer than two fit, none can stay in the cache."""


class AugmentedArnoldi:
    """The vectors of one solve.

    Args:
        b: Right-hand side, shape (n,); gives length and type.
        m: Columns of [U Z]; [C V] has one more.
        k: Columns of U and C at most.
        space: "x": U are corrections of x; "y": what is handed on are those of M⁻¹ x, which Y = [U_y V] holds.
        past: Columns of U and C, beyond k and m, for solutions of systems before: beyond the paper, they stay while the
            others change.
    """

    def __init__(self, b: np.ndarray, m: int, k: int, space: Space, past: int = 0) -> None:
        n, self.m, self.k = b.size, m, k
        self.CV = np.empty((n, m + past + 1), dtype=b.dtype, order="F")
        self.UZ = np.empty((n, m + past), dtype=b.dtype, order="F")
        self.Y = np.empty((n, m), dtype=b.dtype, order="F") if space == "y" else None
        self.G = np.zeros((m + past + 1, m + past), dtype=b.dtype)
        self.size = self.past = 0  # columns of U and C, and how many of them, the last ones, are solutions
        self.carried: RecycleSpace | None = None  # of systems before with this matrix
        self.updated = False  # whether U and C are others now
        rank_one = "gerc" if np.iscomplexobj(b) else "ger"
        self.gemv, self.gemm, self.ger = la.get_blas_funcs(("gemv", "gemm", rank_one), (b,))
        self.adjoint = 2 if np.iscomplexobj(b) else 1
        fit = CACHE // (n * b.itemsize)
        self.panel = min(fit, PANEL) if fit >= 2 else PANEL

    def carry_over(self, A: Any, M: Any, recycle: RecycleSpace, start: np.ndarray | None) -> int:
        """Take over vectors of another system and make C = A U orthonormal.

        Args:
            A: Matrix of this system.
            M: Its preconditioner, which only the space "y" needs.
            recycle: The vectors; those whose image depends on others are dropped, and all where fewer than two are left.
            start: Where the images still hold, the first residual, shape (n,), which decides whether the solutions are used.

        Returns:
            Products with A, that of the test among them.
        """
        kept = recycle.U[:, : self.k]
        if start is not None and recycle.C is not None and kept.shape == recycle.U.shape:
            self._enter(recycle.C, kept)
            self.carried = recycle
            if recycle.helps(start):
                self._enter_solutions(recycle)
            return 1
        X = kept if self.Y is None else columns_through(M, kept)
        C, R, order = independent_columns(np.asfortranarray(A @ X, dtype=self.CV.dtype))
        if len(R) >= 2:
            parts = [X] if self.Y is None else [X, kept]
            self._enter(C, *(right_solve(part, R, order) for part in parts))
        return kept.shape[1] + (recycle.C is not None and self.Y is None)

    def _enter(self, *parts: np.ndarray) -> None:
        """Append columns to C, U and Y."""
        start, self.size = self.size, self.size + parts[0].shape[1]
        for block, part in zip((self.CV, self.UZ, self.Y), parts, strict=False):
            if block is not None:
                block[:, start : self.size] = part

    def _enter_solutions(self, recycle: RecycleSpace) -> None:
        """Append the solutions of systems before."""
        images, corrections = recycle.past or (self.CV[:, :0], self.UZ[:, :0])
        settled = self.past = recycle.settled
        self._enter(images[:, :settled], corrections[:, :settled])
        for image, correction in zip(images[:, settled:].T, corrections[:, settled:].T, strict=True):
            self._insert(image, correction)

    def _insert(self, image: np.ndarray, correction: np.ndarray) -> None:
        """Append a solution to U and its image to C, unless it lies in C, and keep C orthonormal.

        With q the part of the image outside C, a Householder reflection of q and the columns that are no solutions turns q into
        the image without its parts in the other solutions.
        """
        k, size = self.size - self.past, self.size
        C, U = self.CV[:, :size], self.UZ[:, :size]
        first = self.gemv(1.0, C, image, trans=self.adjoint)
        q = self.gemv(-1.0, C, first, beta=1.0, y=image)
        second = self.gemv(1.0, C, q, trans=self.adjoint)
        q = self.gemv(-1.0, C, second, beta=1.0, y=q, overwrite_y=1)
        rest = _norm(q)
        if not rest > NEW:
            return
        self.CV[:, size] = q / rest
        self.UZ[:, size] = self.gemv(-1.0, U, first + second, beta=1.0, y=correction) / rest
        v = np.append(first, rest)
        v[k:size] = 0
        v /= _norm(v)
        v[size] += 1
        for block in (self.CV[:, : size + 1], self.UZ[:, : size + 1]):
            self.ger(-2 / _norm(v) ** 2, self.gemv(1.0, block, v), v, a=block, overwrite_a=1)
        self.size, self.past, self.updated = size + 1, self.past + 1, True

    def clear(self) -> None:
        """Forget U and C."""
        self.size, self.past, self.updated = 0, 0, True

    def project(self, x: np.ndarray, r: np.ndarray) -> None:
        """Correct x within U and r within C, so that Cᴴ r = 0.

        Args:
            x: Iterate, changed in place.
            r: Its residual, changed in place.
        """
        if self.size:
            C, U = self.CV[:, : self.size], self.UZ[:, : self.size]
            c = self.gemv(1.0, C, r, trans=self.adjoint)
            self.gemv(1.0, U, c, beta=1.0, y=x, overwrite_y=1)
            self.gemv(-1.0, C, c, beta=1.0, y=r, overwrite_y=1)

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
        k, beta, end = self.size, _norm(r), self.m + self.past
        left, square = np.zeros(end - k + 1, dtype=r.dtype), 1.0
        left[0] = 1
        self.G[:] = 0
        self.G[range(k), range(k)] = 1
        np.multiply(r, 1 / beta, out=self.CV[:, k])
        for j in range(end - k):
            p = k + j + 1
            z = self.CV[:, p - 1] if M is None else M @ self.CV[:, p - 1]
            self.UZ[:, p - 1] = z
            w = self.CV[:, p]
            w[:] = A @ z
            size = _norm(w)
            if not math.isfinite(size):
                return j, Reason.nonfinite, False
            rest = self._orthogonalize(p, size)
            stuck = rest <= BREAKDOWN * size
            self.G[p, p - 1] = 0 if stuck else rest
            w *= 0 if stuck else 1 / rest
            if not stuck:
                left[j + 1] = np.vdot(self.G[k:p, p - 1], left[: j + 1]) / -rest
                square += abs(left[j + 1]) ** 2
            norms.append(beta / math.sqrt(square))
            reason = limits.verdict(norms)
            if reason is not None or stuck or p == end:
                return j + 1, reason, stuck
        return 0, None, False

    def _orthogonalize(self, p: int, size: float) -> float:
        """Project column p, of that size, off those before it and enter the products in G; the norm of what is left."""
        w, products = self.CV[:, p], self.G[:p, p - 1]
        for _ in range(3):
            for start in range(0, p, self.panel):
                panel = self.CV[:, start : min(start + self.panel, p)]
                h = self.gemv(1.0, panel, w, trans=self.adjoint)
                self.gemv(-1.0, panel, h, beta=1.0, y=w, overwrite_y=1)
                products[start : start + len(h)] += h
            before, size = size, _norm(w)
            if size >= CANCELLED * before:
                break
        return size

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
        """Replace U and C, but for the solutions, by the harmonic Ritz vectors of the whole space and their images.

        Args:
            steps: What `extend` returned; with less than half a cycle, which only the last one can be, the old vectors
                stay: new ones would cost as much as five steps and save none (measured).

        Reference: Parks et al. (2006), appendix, steps 23 to 29.
        """
        old, p, past = self.size, self.size + steps, self.past
        k = min(self.k, p - past - 1)
        if steps == 0 or k < 1 or (old and steps < max(2, (self.m + past - old) // 2)):
            return
        if self.Y is not None:
            self.Y[:, old:p] = self.CV[:, old:p]
        G, kept = self.G[: p + 1, :p], slice(old - past, old)
        # without U, the harmonic Ritz vectors of A M in the Krylov space: V_{j+1}ᴴ V_j is the identity
        scale, gram = np.ones(p), np.eye(p + 1, p)
        if old:  # with U of unit columns, G is well conditioned
            scale[:old] = [1 / _norm(column) for column in self.UZ[:, :old].T]
            right = self.UZ[:, :p] if self.Y is None else self.Y[:, :p]
            gram = self.gemm(1.0, self.CV[:, : p + 1], right, trans_a=self.adjoint)
        P = harmonic_ritz(G * scale, gram * scale, k)
        if P is None:
            return
        P *= scale[:, None]
        images = G @ P
        P[kept] -= images[kept]  # off the solutions: G is the identity there
        images[kept] = 0
        Q, R, order = independent_columns(images)
        Q = np.hstack([Q, np.eye(p + 1, old)[:, kept]])
        P = np.hstack([right_solve(P, R, order), np.eye(p, old)[:, kept]])
        self.size, self.updated = Q.shape[1], True
        for block, coordinates in ((self.CV, Q), (self.UZ, P), (self.Y, P)):
            if block is not None:
                combine(block, coordinates)

    def recycled(
        self, layout: str, solution: tuple[np.ndarray, np.ndarray] | None = None
    ) -> RecycleSpace | None:
        """Return what the next system may use, or None.

        Args:
            layout: Name of the ordering of the unknowns.
            solution: (A (x - x0), x - x0), shape (n,) each, to be remembered in the space "x", or None.
        """
        k = self.size - self.past
        if not k:
            return None
        if self.Y is not None:
            return RecycleSpace(_columns(self.Y[:, :k]), None, layout, "y")
        if self.carried is None or self.updated:
            space = RecycleSpace(_columns(self.UZ[:, :k]), _columns(self.CV[:, :k]), layout)
        else:
            space = RecycleSpace(self.carried.U, self.carried.C, layout)
        blocks = [block[:, k : self.size] for block in (self.CV, self.UZ)]
        if not self.past and self.carried is not None and self.carried.past is not None:
            blocks = list(self.carried.past)
        new: list[np.ndarray] = []
        if solution is not None and (length := _norm(solution[0])) > 0:
            new = [part / length for part in solution]
        old = min(blocks[0].shape[1], SOLUTIONS - len(new) // 2)
        if not (old or new):
            return space
        images, corrections = (block[:, block.shape[1] - old :] for block in blocks)
        past = _columns(images, *new[:1]), _columns(corrections, *new[1:])
        return replace(space, past=past, settled=old if self.past else 0)


def _columns(block: np.ndarray, *more: np.ndarray) -> np.ndarray:
    """Copy columns and add more; column-major."""
    width = block.shape[1]
    copy = np.empty((len(block), width + len(more)), dtype=block.dtype, order="F")
    copy[:, :width] = block
    for index, column in enumerate(more, width):
        copy[:, index] = column
    return copy


def _norm(v: np.ndarray) -> float:
    return math.sqrt(np.vdot(v, v).real)
