"""Spectral gradients: Fourier along periodic axes, Chebyshev polynomials at Chebyshev-Lobatto points along others.

Trefethen, Spectral Methods in MATLAB (2000), chapters 3 and 6 (Theorem 7 and the negative-sum trick).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from scipy import sparse
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.index_box import flatten_field, unflatten_field
from pdeflow.geometry.layouts import GridLayout

Basis = Literal["fourier", "chebyshev"]


def chebyshev_points(n: int, lower: float = -1.0, upper: float = 1.0) -> Tensor:
    """Return n Chebyshev-Lobatto points in ascending order, both ends included, shape (n,), float64.

    Raises:
        UsageError: If n is below 2.
    """
    if n < 2:
        raise UsageError(f"a Chebyshev axis needs at least 2 points, got {n}")
    x = -torch.cos(math.pi * torch.arange(n, dtype=torch.float64) / (n - 1))
    return lower + (upper - lower) * (x + 1) / 2


def chebyshev_matrix(n: int, lower: float = -1.0, upper: float = 1.0) -> Tensor:
    """Return the differentiation matrix (n, n) at `chebyshev_points`, exact for polynomials of degree n - 1.

    Raises:
        UsageError: If n is below 2.

    Reference: Trefethen (2000), Theorem 7.
    """
    x = chebyshev_points(n)
    scale = torch.ones(n, dtype=torch.float64)
    scale[[0, -1]] = 2.0
    scale = scale * (-1.0) ** torch.arange(n)
    gaps = x[:, None] - x[None, :] + torch.eye(n, dtype=torch.float64)
    matrix = scale[:, None] / scale[None, :] / gaps
    matrix.fill_diagonal_(0.0)
    return (matrix - torch.diag(matrix.sum(dim=1))) * (2 / (upper - lower))


@dataclass(frozen=True, eq=False)
class SpectralGradient:
    """Gradient of the trigonometric or polynomial interpolant of point values, called as a GradientOperator.

    Attributes:
        shape: Values per axis.
        bounds: (lower, upper) per axis, in length units.
        basis: "fourier" (equispaced, the upper end left out or shifted by half a cell) or "chebyshev"
            (`chebyshev_points`) per axis.
    """

    shape: tuple[int, ...]
    bounds: tuple[tuple[float, float], ...]
    basis: tuple[Basis, ...]

    def __post_init__(self) -> None:
        if not len(self.shape) == len(self.bounds) == len(self.basis) or not set(self.basis) <= {
            "fourier",
            "chebyshev",
        }:
            raise UsageError(
                f"a spectral gradient needs shape, bounds and 'fourier' or 'chebyshev' per axis, got {self.shape}, "
                f"{self.bounds}, {self.basis}"
            )

    @property
    def dim(self) -> int:
        """Number of derivatives d."""
        return len(self.shape)

    @property
    def n_points(self) -> int:
        """Number of point values."""
        return math.prod(self.shape)

    def matrix(self, axis: int) -> Tensor:
        """Return the differentiation matrix along one axis, shape (n, n), float64."""
        n, (low, high) = self.shape[axis], self.bounds[axis]
        if self.basis[axis] == "chebyshev":
            return chebyshev_matrix(n, low, high)
        return _fourier_derivative(torch.eye(n, dtype=torch.float64), 0, high - low)

    def __call__(self, u: Tensor) -> Tensor:
        """Differentiate point values, shape (..., n, c); returns (..., n, c, d).

        Raises:
            UsageError: If u has another number of points.
        """
        field = unflatten_field(u, self.shape)
        parts = [flatten_field(self._along(field, axis, 1.0), self.shape) for axis in range(self.dim)]
        return torch.stack(parts, dim=-1)

    def adjoint(self, g: Tensor) -> Tensor:
        """Apply the transpose Σ_l G_lᵀ g_l to vectors (..., n, c, d); returns (..., n, c).

        Raises:
            UsageError: If g has another number of points.
        """
        fields = [unflatten_field(part, self.shape) for part in g.unbind(-1)]
        parts = [self._along(field, axis, -1.0) for axis, field in enumerate(fields)]
        return flatten_field(torch.stack(parts).sum(dim=0), self.shape)

    def csr(self, axis: int) -> sparse.csr_array:
        """Return the derivative along an axis as a SciPy matrix (n, n) with full rows along that axis."""
        result = sparse.eye_array(1, format="csr")
        for k, n in enumerate(self.shape):
            factor = self.matrix(k).numpy() if k == axis else sparse.eye_array(n)
            result = sparse.kron(result, factor, format="csr")
        return sparse.csr_array(result)

    def _along(self, field: Tensor, axis: int, sign: float) -> Tensor:
        """Differentiate along a grid axis (sign 1) or apply the transpose (sign -1)."""
        place = axis - self.dim
        if self.basis[axis] == "fourier":  # antisymmetric
            return sign * _fourier_derivative(field, place, self.bounds[axis][1] - self.bounds[axis][0])
        matrix = self.matrix(axis).to(field)
        matrix = matrix if sign > 0 else matrix.mT
        return (field.movedim(place, -1) @ matrix.mT).movedim(-1, place)


def spectral_gradient(grid: GridLayout) -> SpectralGradient:
    """Return the Fourier gradient of a uniform periodic grid.

    Raises:
        UsageError: If an axis is not periodic.
    """
    if not all(grid.periodic):
        raise UsageError(
            f"the Fourier gradient needs a periodic grid, got periodic {grid.periodic}; use method='curvilinear', or "
            "SpectralGradient with values at chebyshev_points"
        )
    waves: list[Basis] = ["fourier"] * grid.ndim
    return SpectralGradient(grid.shape, grid.bounds, tuple(waves))


def _fourier_derivative(u: Tensor, axis: int, period: float) -> Tensor:
    """Differentiate the trigonometric interpolant along an axis; the highest mode of even n has derivative zero."""
    n = u.shape[axis]
    real = not u.is_complex()
    frequencies = torch.fft.rfftfreq if real else torch.fft.fftfreq
    modes = 2 * math.pi * frequencies(n, d=period / n, device=u.device, dtype=torch.float64)
    if n % 2 == 0:
        modes[n // 2] = 0.0
    shape: Sequence[int] = [1] * (u.ndim - 1 - (axis % u.ndim))
    factor = (1j * modes.to(u.real.dtype)).reshape(-1, *shape)
    if real:
        return torch.fft.irfft(torch.fft.rfft(u, dim=axis) * factor, n=n, dim=axis)
    return torch.fft.ifft(torch.fft.fft(u, dim=axis) * factor, dim=axis)
