"""Truncated Fourier transforms of real fields as products with real matrices, exact on even and odd grids.

Kept coefficients of the discrete Fourier transform, scaled by one over the number of points, so that they
mean the same on every grid (Li et al., Fourier Neural Operator, ICLR 2021, section 4). While few modes are
kept the products are cheaper than a full FFT, and no complex tensor appears.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def kept_wavenumbers(n_modes: Sequence[int]) -> list[Tensor]:
    """List the wavenumbers that a real-input convolution keeps on each axis.

    Args:
        n_modes: Number of kept modes per axis, both signs counted, as in neuraloperator.

    Returns:
        Integer tensors: -M//2 ... M - M//2 - 1 on the leading axes, 0 ... M//2 on the last one.
    """
    leading = [torch.arange(-(m // 2), m - m // 2) for m in n_modes[:-1]]
    return [*leading, torch.arange(n_modes[-1] // 2 + 1)]


def truncated_transform(x: Tensor, n_modes: Sequence[int]) -> Tensor:
    """Compute the kept Fourier coefficients of real fields.

    Args:
        x: Real fields, shape (batch, channels, *grid).
        n_modes: Kept modes per axis.

    Returns:
        (1/N) Σ_x x e^{-2πi k·x/n} in real storage, shape (batch, channels, *kept, 2).
    """
    *leading, last = kept_wavenumbers(n_modes)
    n = x.shape[-1]
    z = (x @ (_fourier_matrix(n, last, -1, x).flatten(1) / n)).unflatten(-1, (-1, 2))
    for axis, wavenumbers in enumerate(leading, start=2):
        n = x.shape[axis]
        z = apply_along(z, _fourier_matrix(n, wavenumbers, -1, x) / n, axis)
    return z


def truncated_inverse(z: Tensor, n_modes: Sequence[int], grid: Sequence[int]) -> Tensor:
    """Evaluate the real part of a truncated half-spectrum series on a grid.

    Args:
        z: Coefficients in real storage, shape (batch, channels, *kept, 2).
        n_modes: Kept modes per axis.
        grid: Points per axis.

    Returns:
        Real fields, shape (batch, channels, *grid).
    """
    *leading, last = kept_wavenumbers(n_modes)
    for axis, wavenumbers in enumerate(leading, start=2):
        z = apply_along(z, _fourier_matrix(grid[axis - 2], wavenumbers, 1, z).transpose(0, 1), axis)
    n = grid[-1]
    alone = (last == 0) | (2 * last == n)  # modes without a partner in the dropped half
    multiplicity = torch.where(alone, 1.0, 2.0).to(z)[:, None]
    series = _fourier_matrix(n, last, -1, z) * multiplicity  # Re(z e^{iθ}) = Re z cos θ - Im z sin θ
    return z.flatten(-2) @ series.flatten(1).T


def apply_along(z: Tensor, matrix: Tensor, axis: int) -> Tensor:
    """Multiply one axis of a complex array by a complex matrix, as one real product.

    Args:
        z: Array in real storage, shape (..., n, ..., 2).
        matrix: Matrix in real storage, shape (n, m, 2).
        axis: The axis of z that is summed over.

    Returns:
        Array in real storage, shape (..., m, ..., 2).
    """
    re, im = matrix.unbind(-1)
    rows = torch.stack((torch.stack((re, im), -1), torch.stack((-im, re), -1)), dim=1)  # (n, 2, m, 2)
    product = z.movedim(axis, -2).flatten(-2) @ rows.flatten(2).flatten(0, 1)
    return product.unflatten(-1, (-1, 2)).movedim(-2, axis)


def _fourier_matrix(n: int, wavenumbers: Tensor, sign: int, like: Tensor) -> Tensor:
    """Return exp(sign 2πi k x / n), shape (n, modes, 2), reduced exactly in integers and built in float64."""
    angle = (torch.outer(torch.arange(n), wavenumbers) % n).double() * (2 * math.pi / n)
    return torch.stack((angle.cos(), sign * angle.sin()), dim=-1).to(like)
