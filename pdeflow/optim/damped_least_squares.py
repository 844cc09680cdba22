"""Solve min_d ‖J d - r‖² + λ‖d‖² in the space of residuals, in that of parameters, by QR, or by a truncated SVD.

Push-through identity (JᵀJ + λI)⁻¹Jᵀ = Jᵀ(JJᵀ + λI)⁻¹: Guzmán-Cordero, Dangel, Goldshlager and Zeinhofer, arXiv 2505.12149;
truncated pseudo-inverse: Sven, arXiv 2604.01279; QR of the stacked matrix: Björck, Numerical Methods for Least Squares
Problems (1996).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Solver = Literal["auto", "kernel", "normal", "qr", "svd"]
MAX_GROWTH = 20
"""Powers of ten by which the damping may rise until a Cholesky factor exists."""


class DampedLeastSquares:
    """One Jacobian, solved for several right-hand sides and dampings; what does not depend on them is computed once.

    "kernel" factors JJᵀ + λI, (N, N); "normal" factors JᵀJ + λI, (P, P); both square the condition number. "qr" factors
    [J; √λ I] and does not. "svd" takes J⁺ truncated. "auto" is "kernel" where N ≤ P and "qr" elsewhere.

    Args:
        jacobian: J, shape (N, P).
        solver: Name of the method.
        rcond: "svd" drops singular values up to rcond · σ₁.
        rank: "svd" keeps at most this many; None keeps all.
    """

    def __init__(
        self, jacobian: Tensor, solver: Solver = "auto", rcond: float = 1e-6, rank: int | None = None
    ) -> None:
        n, p = jacobian.shape
        self.jacobian, self.rcond, self.rank = jacobian, rcond, rank
        self.solver = ("kernel" if n <= p else "qr") if solver == "auto" else solver
        self.gram: Tensor | None = None
        if self.solver == "kernel":
            self.gram = jacobian @ jacobian.T
        elif self.solver == "normal":
            self.gram = jacobian.T @ jacobian
        elif self.solver == "svd":
            self.factors = torch.linalg.svd(jacobian, full_matrices=False)

    def solve(self, r: Tensor, damping: float) -> Tensor:
        """Return the minimiser d.

        Args:
            r: Right-hand side, shape (N,).
            damping: λ, not negative; the least that gives a positive definite matrix where that is more.

        Returns:
            d, shape (P,).

        Raises:
            ValueError: If J has values that are not finite.

        Reference: arXiv 2505.12149 ("kernel"); Björck (1996) ("qr").
        """
        if self.solver == "kernel":
            return self.jacobian.T @ self._cholesky_solve(r, damping)
        if self.solver == "normal":
            return self._cholesky_solve(self.jacobian.T @ r, damping)
        return self._by_svd(r, damping) if self.solver == "svd" else self._by_qr(r, damping)

    def _cholesky_solve(self, b: Tensor, damping: float) -> Tensor:
        assert self.gram is not None
        eye = torch.eye(len(self.gram), dtype=b.dtype, device=b.device)
        floor = torch.finfo(b.dtype).eps * float(self.gram.diagonal().abs().max())
        for k in range(MAX_GROWTH):
            factor, info = torch.linalg.cholesky_ex(self.gram + damping * eye)
            if not int(info):
                return torch.cholesky_solve(b[:, None], factor)[:, 0]
            damping = max(10 * damping, floor * 10**k)
        raise ValueError("J Jᵀ + λI has no Cholesky factor; the Jacobian is not finite or not in units of order one")

    def _by_qr(self, r: Tensor, damping: float) -> Tensor:
        p = self.jacobian.shape[1]
        if damping:
            ridge = damping**0.5 * torch.eye(p, dtype=r.dtype, device=r.device)
            q, triangle = torch.linalg.qr(torch.cat([self.jacobian, ridge]))
        else:
            q, triangle = torch.linalg.qr(self.jacobian)
        right = q[: len(r)].T @ r
        return torch.linalg.solve_triangular(triangle, right[:, None], upper=True)[:, 0]

    def _by_svd(self, r: Tensor, damping: float) -> Tensor:
        u, s, vh = self.factors
        count = int((s > self.rcond * s[0]).sum())
        keep = min(count, self.rank or count)
        s = s[:keep]
        return vh[:keep].T @ (s / (s.square() + damping) * (u[:, :keep].T @ r))
