"""Fourier series on periodic uniform grids: derivatives, alias-free products, velocity from vorticity, spectra.

Canuto, Hussaini, Quarteroni and Zang, Spectral Methods: Fundamentals in Single Domains (2006), sections 2.1 and 3.3;
the 2/3 rule is Orszag, J. Atmos. Sci. 28 (1971), 1074.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry import Grid


@dataclass(frozen=True, eq=False)
class FourierGrid:
    """Wave numbers of a periodic node grid and the operations that they make diagonal; build it with `of`.

    A spectrum û has shape (..., n_1, …, n_d // 2 + 1), the half that a real field needs, and is normalised so that
    u(x) = Σ û_k exp(i k·x): û_0 is the mean, and values do not depend on the resolution. Leading axes are a batch.

    Attributes:
        grid: Where the values live.
        k: Angular wave numbers 2πm/ℓ per axis, each broadcastable to a spectrum, in one over the length unit.
        slope: The factors i k of a first derivative, zero at the mode n/2, whose derivative is not seen by the nodes.
        squared: |k|², shape of a spectrum.
        mask: One where 3|m| < n on every axis, else zero: products of two such fields have no aliasing there.
        weight: Two for modes whose conjugate is not stored, else one: Σ weight |û|² is the mean of u².
        flow: In the plane, the factors that take a vorticity to its two velocity components, cut by the mask,
            shape (2, n_1, n_2 // 2 + 1); empty in other dimensions.
    """

    grid: Grid
    k: tuple[Tensor, ...]
    slope: tuple[Tensor, ...]
    squared: Tensor
    mask: Tensor
    weight: Tensor
    flow: Tensor

    @classmethod
    def of(
        cls, grid: Grid, *, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu"
    ) -> FourierGrid:
        """Compute the wave numbers of a grid.

        Args:
            grid: Node grid whose axes are all periodic.
            dtype: float64 or float32, the type of the fields.
            device: Where the fields live.

        Returns:
            The wave numbers, computed in float64 and then rounded.

        Raises:
            UsageError: If an axis is not periodic or the values are at cell centres.
        """
        if not all(grid.periodic) or grid.location != "node":
            raise UsageError(
                f"Fourier series need a node grid with periodic axes, got location {grid.location!r}, periodic "
                f"{grid.periodic}; use Box.grid(shape, periodic=True, location='node')"
            )
        unit = [2 * math.pi / (high - low) for low, high in grid.bounds]
        wave = [grid.wavenumbers(j, real=j == grid.ndim - 1) for j in range(grid.ndim)]
        number = [torch.round(w / u) for w, u in zip(wave, unit, strict=True)]
        table = torch.meshgrid(*number, indexing="ij")
        k = [w.reshape(_along(j, grid.ndim)) for j, w in enumerate(wave)]
        kept = [m.abs() * 2 != n for m, n in zip(number, grid.shape, strict=True)]
        slope = [1j * kj * keep.reshape(kj.shape) for kj, keep in zip(k, kept, strict=True)]
        squared = torch.stack([w**2 for w in torch.meshgrid(*wave, indexing="ij")]).sum(0)
        mask = torch.stack([3 * m.abs() < n for m, n in zip(table, grid.shape, strict=True)]).all(0)
        single = (table[-1] == 0) | (2 * table[-1] == grid.shape[-1])
        imaginary = torch.complex64 if dtype == torch.float32 else torch.complex128
        return cls(
            grid,
            tuple(kj.to(device, dtype) for kj in k),
            tuple(s.to(device, imaginary) for s in slope),
            squared.to(device, dtype),
            mask.to(device, dtype),
            torch.where(single, 1.0, 2.0).to(device, dtype),
            _flow(slope, squared, mask).to(device, imaginary),
        )

    @property
    def dtype(self) -> torch.dtype:
        """Type of the fields, float64 or float32."""
        return self.squared.dtype

    def forward(self, u: Tensor) -> Tensor:
        """Transform values (..., *grid.shape) to a spectrum."""
        return torch.fft.rfftn(u, dim=self._axes, norm="forward")

    def inverse(self, u_hat: Tensor) -> Tensor:
        """Transform a spectrum to values (..., *grid.shape)."""
        return torch.fft.irfftn(u_hat, s=self.grid.shape, dim=self._axes, norm="forward")

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(-self.grid.ndim, 0))

    def derivative(self, u_hat: Tensor, axis: int, order: int = 1) -> Tensor:
        """Differentiate a spectrum along an axis; even orders keep the mode n/2, odd ones drop it."""
        if order % 2:
            return self.slope[axis] * u_hat if order == 1 else self.slope[axis] ** order * u_hat
        return (-1) ** (order // 2) * self.k[axis] ** order * u_hat

    def laplacian(self, u_hat: Tensor) -> Tensor:
        """Return the spectrum of Δu."""
        return -self.squared * u_hat

    def product(self, a_hat: Tensor, b_hat: Tensor) -> Tensor:
        """Return the spectrum of a b without aliasing: both factors and the result are cut by the 2/3 mask."""
        a = self.inverse(self.mask * a_hat)
        b = a if b_hat is a_hat else self.inverse(self.mask * b_hat)
        return self.mask * self.forward(a * b)

    def streamfunction(self, w_hat: Tensor) -> Tensor:
        """Return the spectrum of ψ with -Δψ = w and zero mean."""
        return w_hat / torch.where(self.squared == 0, math.inf, self.squared)

    def velocity(self, w_hat: Tensor) -> tuple[Tensor, Tensor]:
        """Return the spectra of the plane velocity (∂ψ/∂y, -∂ψ/∂x) whose curl is w.

        Args:
            w_hat: Spectrum of the vorticity, shape (..., n_1, n_2 // 2 + 1).
        """
        psi = self.streamfunction(w_hat)
        return self.slope[1] * psi, -self.slope[0] * psi

    def advection(self, w_hat: Tensor) -> Tensor:
        """Return the spectrum of u·∇w, without aliasing, from w alone.

        It is written as (∂x² - ∂y²)(uv) + ∂x∂y(v² - u²), which takes two transforms each way instead of four and one.

        Args:
            w_hat: Spectrum of the vorticity, shape (..., n_1, n_2 // 2 + 1).

        Reference: Basdevant, J. Comput. Phys. 50 (1983), 209.
        """
        lead = (2,) + (1,) * (w_hat.ndim - 2)
        u, v = self.inverse(self.flow.view(*lead, *self.mask.shape) * w_hat)
        shear, stretch = self.forward(torch.stack([u * v, (v - u) * (v + u)]))
        kx, ky = self.k
        return (self.mask * (ky**2 - kx**2)) * shear - (self.mask * kx * ky) * stretch

    def inner(self, a_hat: Tensor, b_hat: Tensor) -> Tensor:
        """Return the mean of a b over the box (Parseval), shape of the batch."""
        return (self.weight * (a_hat * b_hat.conj()).real).sum(self._axes)

    def energy_spectrum(self, *components: Tensor) -> Tensor:
        """Sum ½|û|² over shells: their total is half the mean square of the field.

        Args:
            *components: Spectra of the components of a field, for example of a velocity.

        Returns:
            Energies, shape (..., shells); shell s holds |k| in [s - ½, s + ½) times the smallest wave number.
        """
        unit = min(2 * math.pi / (high - low) for low, high in self.grid.bounds)
        shell = (self.squared.double().sqrt() / unit).round().long().reshape(-1)
        density = 0.5 * self.weight * sum(c.abs() ** 2 for c in components)
        flat = density.flatten(start_dim=density.ndim - self.grid.ndim)
        return flat.new_zeros(*flat.shape[:-1], int(shell.max()) + 1).index_add(-1, shell, flat)


def _flow(slope: list[Tensor], squared: Tensor, mask: Tensor) -> Tensor:
    """Factors from vorticity to velocity, (2, n_1, n_2 // 2 + 1); empty unless there are two axes."""
    if len(slope) != 2:
        return torch.zeros(0)
    return torch.stack([slope[1] * mask, -slope[0] * mask]) / torch.where(squared == 0, math.inf, squared)


def _along(axis: int, ndim: int) -> list[int]:
    return [-1 if j == axis else 1 for j in range(ndim)]
