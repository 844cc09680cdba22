"""Matrices divided by their size, in real arithmetic and without leaving the range of their type."""

from __future__ import annotations

import torch
from torch import Tensor


def scaled(x: Tensor, factor: Tensor | float) -> Tensor:
    """Multiply by real numbers, shape (..., 1, 1) or one, in real arithmetic."""
    if not x.is_complex():
        return x * factor
    pairs = torch.view_as_real(x.resolve_conj())
    return torch.view_as_complex(pairs * (factor.unsqueeze(-1) if isinstance(factor, Tensor) else factor))


def unit(x: Tensor, norm: float = 1.0) -> Tensor:
    """Give matrices a Frobenius norm; zero matrices stay.

    Args:
        x: Real or complex matrices, shape (..., m, n).
        norm: Of the result.

    Returns:
        Same shape and dtype, right for norms whose squares leave the range of the dtype, too.
    """
    x = unit_entries(x) if x.dtype in (torch.float64, torch.complex128) else x
    entries, axes = (torch.view_as_real(x.resolve_conj()), (-3, -2, -1)) if x.is_complex() else (x, (-2, -1))
    size = torch.linalg.vector_norm(entries, dim=axes, dtype=torch.float64)[..., None, None]  # no square leaves its range
    return scaled(x, (norm / nonzero(size)).clamp_max(torch.finfo(entries.dtype).max).to(entries.dtype))


def unit_entries(matrix: Tensor) -> Tensor:
    """Divide each matrix by its largest entry, so that squares of tiny gradients do not underflow; zero matrices stay."""
    entries = torch.view_as_real(matrix.resolve_conj()) if matrix.is_complex() else matrix
    largest = entries.abs().amax(dim=(-3, -2, -1) if matrix.is_complex() else (-2, -1))[..., None, None]
    return scaled(matrix, 1 / nonzero(largest).clamp_min(torch.finfo(largest.dtype).tiny))


def nonzero(size: Tensor) -> Tensor:
    """Replace zeros by one, so that zero matrices stay when they are divided by their size."""
    return torch.where(size == 0, 1.0, size)
