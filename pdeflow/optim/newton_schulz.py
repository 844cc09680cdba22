"""Odd polynomials of batches of matrices, three products a step, without a copy that the products do not need.

Higham, Functions of Matrices, SIAM 2008, section 8.3. With the square completed, a X + b GX + c G²X = c (H² + q) X for
G = XXᴴ, H = G + p, p = b/(2c), q = a/c - p², so that a shift of the diagonal replaces two additions of matrices.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pdeflow.optim.matrix_scale import unit

Triple = tuple[float, float, float]
Buffers = Sequence[Tensor | None]

SAFETY = 1.01
"""Rounding in bf16 and fp32 may push a singular value above one."""
_CACHED_ENTRIES = 2**16  # measured: a third faster than whole batches
_GRAM_RESTART = 2  # without restarts the Gram recursion loses positivity in bf16
_CANCELLATION = 16.0
"""p² c above which completing the square would cost digits."""


def newton_schulz(matrix: Tensor, triples: Sequence[Triple], norm_factor: float = 1.0, gram_form: bool = False) -> Tensor:
    """Push the singular values towards one by odd polynomials, on the side with the smaller Gram matrix.

    Args:
        matrix: Real or complex matrices, shape (..., m, n).
        triples: Coefficients (a, b, c) per step.
        norm_factor: The start is M / (norm_factor ‖M‖_F), so that its singular values are below one.
        gram_form: Whether to iterate on the Gram matrix alone and restart from X every second step.

    Returns:
        Same shape and dtype; zero for a zero matrix.

    Reference: X ← a X + b (XXᴴ) X + c (XXᴴ)² X.
    """
    tall = matrix.shape[-2] > matrix.shape[-1]  # polar(Mᵀ) = polar(M)ᵀ
    wide = matrix.mT if tall else matrix
    batch = wide.reshape(-1, *wide.shape[-2:])
    share = max(1, _CACHED_ENTRIES // (wide.shape[-2] * wide.shape[-1])) if matrix.device.type == "cpu" else max(1, len(batch))
    iterate = _iterate_gram if gram_form else _iterate
    parts = [iterate(unit(part, 1 / norm_factor).contiguous(), triples) for part in batch.split(share)]
    result = (parts[0] if len(parts) == 1 else torch.cat(parts)).reshape(wide.shape)
    return result.mT if tall else result


def _iterate(x: Tensor, triples: Sequence[Triple]) -> Tensor:
    """Apply the polynomials to wide matrices (B, m, n); x is used up where no gradients are asked for."""
    gram = x @ x.mH
    plain = torch.is_grad_enabled() and x.requires_grad
    buffers: Buffers = (None, None) if plain else (torch.empty_like(gram), torch.empty_like(x))
    for k, triple in enumerate(triples):
        if k:
            conjugate = torch.conj_physical(x, out=buffers[1]) if x.is_complex() else x
            gram = torch.bmm(x, conjugate.mT, out=None if plain else gram)
        last, x = x, _polynomial(x, gram, triple, buffers)
        buffers = (buffers[0], None if plain else last)
    return x


def _polynomial(x: Tensor, gram: Tensor, triple: Triple, buffers: Buffers) -> Tensor:
    """Return a X + b GX + c G²X in buffers[1]; changes gram."""
    a, b, c = triple
    square, result = buffers
    if b * b > 4 * _CANCELLATION * abs(c) or x.dtype == torch.bfloat16:
        inner = gram if c == 0 else torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        return torch.baddbmm(x, inner, x, beta=a, alpha=b if c == 0 else 1, out=result)
    shift = b / (2 * c)
    gram.diagonal(dim1=-2, dim2=-1).add_(shift)
    square = torch.bmm(gram, gram, out=square)
    square.diagonal(dim1=-2, dim2=-1).add_(a / c - shift**2)
    return torch.baddbmm(x, square, x, beta=0, alpha=c, out=result)


def _iterate_gram(x: Tensor, triples: Sequence[Triple]) -> Tensor:
    """Apply the polynomials to the Gram matrix, and to X every second step."""
    for start in range(0, len(triples), _GRAM_RESTART):
        x = _gram_polynomial(x @ x.mH, triples[start : start + _GRAM_RESTART]) @ x
    return x


def _gram_polynomial(gram: Tensor, triples: Sequence[Triple]) -> Tensor:
    """Return Q of the composition X ← Q X, by products of (m, m) matrices, which all commute."""
    factors: list[Tensor] = []
    for a, b, c in triples:
        if factors:
            gram = factors[-1] @ gram @ factors[-1]
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=-2, dim2=-1).add_(a)
        factors.append(factor)
    return factors[0] if len(factors) == 1 else factors[1] @ factors[0]
