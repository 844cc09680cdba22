"""Polar factors by the QR-based dynamically weighted Halley iteration: cubic convergence for any condition number.

Nakatsukasa, Bai, Gygi, Optimizing Halley's iteration for computing the matrix polar decomposition, SIAM J. Matrix Anal. Appl.
31 (2010), sections 3 and 5.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_MOST_STEPS = 20
_CHOLESKY_BELOW = 100.0  # larger weights c make I + c UᴴU too ill-conditioned to factorize


def qdwh(matrix: Tensor) -> Tensor:
    """Return the polar factor of full-rank matrices; rounding decides about the null space of others.

    Args:
        matrix: Real or complex matrices, shape (..., m, n), with entries of about unit size.

    Returns:
        Polar factors, same shape and dtype; zero for a zero matrix.

    Reference: section 5; QR while the weights are large, then Cholesky.
    """
    if matrix.shape[-2] < matrix.shape[-1]:
        return qdwh(matrix.mH).mH
    size = matrix.abs()
    bound = (size.sum(-2).amax(-1) * size.sum(-1).amax(-1)).sqrt()[..., None, None]  # ‖M‖₂² ≤ ‖M‖₁ ‖M‖∞
    x = matrix / torch.where(bound == 0, 1.0, bound)
    eps = torch.finfo(size.dtype).eps
    low = eps
    for _ in range(_MOST_STEPS):
        a, b, c = halley_weights(low)
        x = _qr_step(x, a, b, c) if c > _CHOLESKY_BELOW else _cholesky_step(x, a, b, c)
        low = low * (a + b * low**2) / (1 + c * low**2)
        if low + 5 * eps >= 1:
            break
    return torch.where(bound == 0, 0.0, x)


def halley_weights(low: float) -> tuple[float, float, float]:
    """Return the weights of x (a + b x²) / (1 + c x²) that lift [low, 1] highest.

    Args:
        low: Lower bound of the singular values, in (0, 1].

    Returns:
        (a, b, c) with a + b = 1 + c, so that one is fixed.

    Reference: section 3.
    """
    square = low * low
    d = (4 * (1 / square - 1) / square) ** (1 / 3) if low < 1 else 0.0
    root = math.sqrt(1 + d)
    a = root + math.sqrt(max(0.0, 8 - 4 * d + 8 * (2 - square) / (square * root))) / 2
    b = (a - 1) ** 2 / 4
    return a, b, a + b - 1


def _qr_step(x: Tensor, a: float, b: float, c: float) -> Tensor:
    m, n = x.shape[-2:]
    eye = torch.eye(n, dtype=x.dtype, device=x.device).expand(*x.shape[:-2], n, n)
    q = torch.linalg.qr(torch.cat((math.sqrt(c) * x, eye), dim=-2)).Q
    return (b / c) * x + ((a - b / c) / math.sqrt(c)) * (q[..., :m, :] @ q[..., m:, :].mH)


def _cholesky_step(x: Tensor, a: float, b: float, c: float) -> Tensor:
    gram = c * (x.mH @ x)
    gram.diagonal(dim1=-2, dim2=-1).add_(1)
    inverse = torch.cholesky_solve(x.mH, torch.linalg.cholesky(gram)).mH
    return (b / c) * x + (a - b / c) * inverse
