"""Fields on another number of grid points: trigonometric, linear or Chebyshev interpolation, axis by axis.

Trefethen, Spectral Methods in MATLAB (2000), chapters 3 and 6; Trefethen, Approximation Theory and Approximation
Practice (2013), chapter 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.layouts import GridLayout

Method = Literal["fourier", "linear", "chebyshev"]


def resample(u: Tensor, grid: GridLayout, shape: Sequence[int], method: Method = "fourier") -> Tensor:
    """Interpolate a field to the grid of the same box and location with another number of values per axis.

    Args:
        u: Field, shape (..., *grid.shape), real or complex.
        grid: GridLayout of the field; its location decides where values sit ("cell" centres move with the number).
        shape: New number of values per axis.
        method: "fourier" is exact for band-limited periodic fields (finer and back gives the field again);
            "linear" never leaves the range of the data (constant beyond the outermost cell centres); "chebyshev"
            takes the values of non-periodic axes to sit at Chebyshev-Lobatto points and is exact for polynomials.

    Returns:
        Field, shape (..., *shape), of u's dtype.

    Raises:
        UsageError: If shapes do not fit, or the method does not fit the periodicity of an axis.
    """
    sizes = tuple(int(n) for n in shape)
    _check(u, grid, sizes, method)
    fine = replace(grid, shape=sizes)
    for axis in range(grid.ndim):
        if sizes[axis] == grid.shape[axis]:
            continue
        if method == "fourier":
            u = _fourier(u, axis - grid.ndim, sizes[axis], 0.5 if grid.location == "cell" else 0.0)
            continue
        matrix = (
            _chebyshev(grid.shape[axis], sizes[axis]) if method == "chebyshev" else _linear(grid, fine, axis)
        )
        u = (u.movedim(axis - grid.ndim, -1) @ matrix.to(u).mT).movedim(-1, axis - grid.ndim)
    return u


def _check(u: Tensor, grid: GridLayout, sizes: tuple[int, ...], method: str) -> None:
    if len(sizes) != grid.ndim or tuple(u.shape[-grid.ndim :]) != grid.shape or min(sizes) < 1:
        raise UsageError(
            f"expected a field (..., *{grid.shape}) and {grid.ndim} new sizes, got {tuple(u.shape)} and {sizes}"
        )
    wanted = {"fourier": True, "chebyshev": False}.get(method)
    if method not in ("fourier", "linear", "chebyshev") or (
        wanted is not None and any(p != wanted for p in grid.periodic)
    ):
        raise UsageError(
            f"method must be 'linear', 'fourier' (periodic axes) or 'chebyshev' (other axes), got {method!r} for "
            f"periodic {grid.periodic}"
        )


def _fourier(u: Tensor, axis: int, m: int, shift: float) -> Tensor:
    """Pad or cut the spectrum; values sit at (i + shift) / n of the period before and (j + shift) / m after."""
    if u.is_complex():
        return torch.complex(_fourier(u.real, axis, m, shift), _fourier(u.imag, axis, m, shift))
    n = u.shape[axis]
    kept = min(n, m) // 2 + 1
    spectrum = torch.fft.rfft(u, dim=axis).narrow(axis, 0, kept)
    modes = torch.arange(kept, device=u.device, dtype=u.dtype)
    phase = torch.exp(2j * math.pi * shift * modes * (1 / m - 1 / n)) * (m / n)
    if min(n, m) % 2 == 0:  # the highest mode of an even number stands for itself and its conjugate
        phase[-1] *= 0.5 if m > n else 2.0
    spectrum = spectrum * phase.reshape(-1, *[1] * (u.ndim - 1 - axis % u.ndim))
    return torch.fft.irfft(spectrum, n=m, dim=axis)


def _linear(coarse: GridLayout, fine: GridLayout, axis: int) -> Tensor:
    """Piecewise linear interpolation between the values of an axis, shape (m, n)."""
    n, m = coarse.shape[axis], fine.shape[axis]
    place = (fine.axis(axis) - coarse.axis(axis)[0]) / coarse.spacing()[axis]
    if not coarse.periodic[axis]:
        place = place.clamp(0, n - 1)
    low = place.floor()
    part, rows = place - low, torch.arange(m)
    matrix = torch.zeros(m, n, dtype=torch.float64)
    for column, weight in ((low, 1 - part), (low + 1, part)):
        column = column.long() % n if coarse.periodic[axis] else column.long().clamp(max=n - 1)
        matrix.index_put_((rows, column), weight, accumulate=True)
    return matrix


def _chebyshev(n: int, m: int) -> Tensor:
    """Evaluate the polynomial through n Chebyshev-Lobatto points at m of them, shape (m, n)."""
    if min(n, m) < 2:
        raise UsageError(f"a Chebyshev axis needs at least 2 values, got {n} and {m}")
    degree = torch.arange(n, dtype=torch.float64)
    ends = torch.ones(n, dtype=torch.float64)
    ends[[0, -1]] = 0.5
    values = torch.cos(math.pi * degree[:, None] * degree / (n - 1))
    coefficients = 2 / (n - 1) * ends[:, None] * values * ends  # (degree, point), discrete orthogonality
    angle = math.pi * torch.arange(m, dtype=torch.float64) / (m - 1)
    return torch.cos(angle[:, None] * degree) @ coefficients
