"""Truncated Fourier transforms of real fields as products with real matrices, exact on even and odd grids.

Kept coefficients of the discrete Fourier transform, scaled by one over the number of points, so that they mean the same on
every grid (Li et al., Fourier Neural Operator, ICLR 2021, section 4). Fields have their channels last, so that every
product is a matrix product over rows that lie together; coefficients are real arrays (batch, 2, *kept, channels), real parts
before imaginary ones. While few modes are kept this is cheaper than a full FFT, and no complex tensor appears.
"""

from __future__ import annotations

import functools
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


def kept_shape(n_modes: Sequence[int]) -> tuple[int, ...]:
    """Return the number of stored wavenumbers per axis.

    Args:
        n_modes: Kept modes per axis.
    """
    return (*n_modes[:-1], n_modes[-1] // 2 + 1)


def truncated_transform(x: Tensor, n_modes: Sequence[int]) -> Tensor:
    """Compute the kept Fourier coefficients of real fields by products with truncated Fourier matrices.

    Args:
        x: Real fields, shape (batch, *grid, channels).
        n_modes: Kept modes per axis.

    Returns:
        (1/N) Σ_x x e^{-2πi k·x/n}, shape (batch, 2, *kept, channels).
    """
    batch, *grid, channels = x.shape
    z = _product(transform_matrix("forward_last", grid[-1], n_modes[-1], x), x.reshape(-1, grid[-1], channels))
    rest = z.shape[1] // 2 * channels
    for n, m in zip(reversed(grid[:-1]), reversed(n_modes[:-1]), strict=True):
        z = _product(transform_matrix("forward", n, m, z), z.reshape(-1, 2 * n, rest))
        rest *= m
    return z.reshape(batch, 2, *kept_shape(n_modes), channels)


def truncated_inverse(z: Tensor, n_modes: Sequence[int], grid: Sequence[int], add: Tensor | None = None) -> Tensor:
    """Evaluate the real part of a truncated half-spectrum series on a grid.

    Args:
        z: Coefficients, shape (batch, 2, *kept, channels).
        n_modes: Kept modes per axis.
        grid: Points per axis.
        add: Field to add, shape (batch, *grid, channels); cheaper than a sum afterwards.

    Returns:
        Real fields, shape (batch, *grid, channels).
    """
    batch, channels = z.shape[0], z.shape[-1]
    rest = math.prod(z.shape[2:])
    for n, m in zip(grid[:-1], n_modes[:-1], strict=True):
        rest //= m
        z = _product(transform_matrix("inverse", n, m, z), z.reshape(-1, 2 * m, rest))
    z = z.reshape(-1, 2 * (n_modes[-1] // 2 + 1), channels)
    matrix = transform_matrix("inverse_last", grid[-1], n_modes[-1], z)
    rows = None if add is None else add.reshape(-1, grid[-1], channels)
    return _product(matrix, z, rows).reshape(batch, *grid, channels)


def fft_transform(x: Tensor, n_modes: Sequence[int]) -> Tensor:
    """Compute what `truncated_transform` does by a full FFT: cheaper where most modes are kept.

    Args:
        x: Real fields, shape (batch, *grid, channels).
        n_modes: Kept modes per axis.

    Returns:
        Coefficients, shape (batch, 2, *kept, channels).
    """
    axes = list(range(1, x.ndim - 1))
    z = torch.fft.rfftn(x, dim=axes, norm="forward")
    for axis, k in zip(axes, kept_wavenumbers(n_modes), strict=True):
        z = z.index_select(axis, k.to(z.device) % x.shape[axis]) if axis < axes[-1] else z.narrow(axis, 0, len(k))
    return torch.stack((z.real, z.imag), dim=1)


def fft_inverse(z: Tensor, n_modes: Sequence[int], grid: Sequence[int], add: Tensor | None = None) -> Tensor:
    """Compute what `truncated_inverse` does by a full FFT.

    Args:
        z: Coefficients, shape (batch, 2, *kept, channels).
        n_modes: Kept modes per axis.
        grid: Points per axis.
        add: Field to add, shape (batch, *grid, channels).

    Returns:
        Real fields, shape (batch, *grid, channels).
    """
    full = torch.complex(z[:, 0], z[:, 1])
    sizes = (*grid[:-1], grid[-1] // 2 + 1)
    for axis, (k, n) in enumerate(zip(kept_wavenumbers(n_modes), sizes, strict=True), start=1):
        if len(k) < n or axis < len(sizes):
            shape = (*full.shape[:axis], n, *full.shape[axis + 1 :])
            full = full.new_zeros(shape).index_copy(axis, k.to(z.device) % n, full)
    y = torch.fft.irfftn(full, s=list(grid), dim=list(range(1, len(grid) + 1)), norm="forward")
    return y if add is None else y + add


def differentiate(z: Tensor, n_modes: Sequence[int], axis: int) -> Tensor:
    """Multiply coefficients by 2πi k: the exact derivative of the series along one axis of the unit cube.

    Args:
        z: Coefficients, shape (batch, 2, *kept, channels).
        n_modes: Kept modes per axis.
        axis: Axis of the grid, from 0.

    Returns:
        Coefficients of the derivative, same shape.
    """
    k = kept_wavenumbers(n_modes)[axis].to(z) * (2 * math.pi)
    k = k.reshape(-1, *[1] * (len(n_modes) - axis))
    return torch.stack((-k * z[:, 1], k * z[:, 0]), dim=1)


def _product(matrix: Tensor, z: Tensor, add: Tensor | None = None) -> Tensor:
    """Multiply the middle axis of (rows, n, c) by (m, n), and add (rows, m, c)."""
    stacked = matrix.expand(len(z), -1, -1)
    if add is None or torch.compiler.is_compiling():  # a compiler adds where it computes what comes next
        product = torch.bmm(stacked, z)
        return product if add is None else product + add
    return torch.baddbmm(add, stacked, z)


def transform_matrix(kind: str, n: int, m: int, like: Tensor) -> Tensor:
    """Return the constant real matrix of a transform along one axis.

    A compiler gets its formula instead of the cache, which costs nothing at these sizes.

    Args:
        kind: "forward_last", shape (2 K, n); "forward", (2 M, n 2); "inverse", (n 2, 2 M); "inverse_last", (n, 2 K): "2 M" is real
            parts before imaginary ones, "n 2" has both together.
        n: Points of the axis.
        m: Kept modes of the axis.
        like: Gives dtype and device.
    """
    build = _built if torch.compiler.is_compiling() else _cached
    return build(kind, n, m, like.dtype, like.device)


@functools.lru_cache(maxsize=256)
def _cached(kind: str, n: int, m: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False), torch.no_grad():
        return _built(kind, n, m, dtype, device)


def _built(kind: str, n: int, m: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Build the matrix; angles are reduced exactly in integers, in float64."""
    k = kept_wavenumbers((m,) if kind.endswith("last") else (m, 1))[0]
    angle = (torch.outer(k, torch.arange(n)) % n).double() * (2 * math.pi / n)
    cos, sin = angle.cos(), angle.sin()  # (modes, n)
    if kind == "forward_last":
        matrix = torch.cat((cos, -sin)) / n
    elif kind == "forward":  # (cos - i sin)(re + i im)
        matrix = torch.stack((torch.stack((cos, sin), -1), torch.stack((-sin, cos), -1))).flatten(2).flatten(0, 1) / n
    elif kind == "inverse":  # (cos + i sin)(re + i im)
        matrix = torch.stack((torch.stack((cos, -sin)), torch.stack((sin, cos)))).permute(3, 0, 1, 2)
        matrix = matrix.flatten(2).flatten(0, 1)
    else:  # Re((cos + i sin)(re + i im)); modes with a partner in the dropped half count twice
        weight = torch.where((k == 0) | (2 * k == n), 1.0, 2.0).double()[:, None]
        matrix = torch.cat((weight * cos, -weight * sin)).T
    return matrix.to(dtype=dtype, device=device).contiguous()
