"""Conjugate gradients with a classical preconditioner that run beside another iteration, for a batch of columns.

Saad, Iterative Methods for Sparse Linear Systems, 2nd ed., Algorithm 9.1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pdeflow.linalg.conjugate_window import Apply, inner, times


class Beside:
    """An iterate of its own, by which the other one is measured.

    Args:
        apply: The operator A on batches (R, *shape).
        M: Symmetric positive definite preconditioner, its answers in the complement of the null space.
        x: Start, shape (R, *shape).
        r: Its residual.
    """

    def __init__(self, apply: Apply, M: Apply, x: Tensor, r: Tensor) -> None:
        self.apply, self.M, self.x, self.r = apply, M, x, r
        self.p = self.Ap = torch.zeros_like(x)
        self.size = self.curvature = torch.ones(len(x), dtype=torch.float64, device=x.device)

    def step(self) -> None:
        """Take one step in every column; one without positive curvature stays."""
        z = self.M(self.r)
        z = torch.where(torch.isfinite(z).flatten(1).all(1).reshape(-1, *[1] * (z.ndim - 1)), z, 0.0)
        size = inner(self.r, z)
        self.p = z + times(size / self.size, self.p)
        self.Ap = self.apply(self.p)
        curvature = inner(self.p, self.Ap)
        good = (size > 0) & (curvature > 0)
        self.size, self.curvature = torch.where(good, size, 1.0), torch.where(good, curvature, 1.0)
        alpha = torch.where(good, size / self.curvature, 0.0)
        self.x, self.r = self.x + times(alpha, self.p), self.r - times(alpha, self.Ap)

    def gain(self, x: Tensor, r: Tensor) -> Tensor:
        """By how much the energy x·Ax / 2 - b·x of this iterate lies below that of another, shape (R,).

        Args:
            x: The other iterate.
            r: Its residual.
        """
        return inner(r + self.r, self.x - x) / 2
