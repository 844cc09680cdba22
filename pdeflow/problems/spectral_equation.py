"""An evolution problem on one periodic grid, in the form that time-stepping methods take: N(u, t), L u and its inverse.

Canuto, Hussaini, Quarteroni and Zang, Spectral Methods: Fundamentals in Single Domains (2006), section 3.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pdeflow.discretization.fourier import FourierGrid
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid


class SpectralTerms(Protocol):
    """The terms of ∂u/∂t = N(u, t) + L u + f on a periodic grid, as Evolution has them."""

    def explicit(self, u: Tensor, t: float | Tensor, space: FourierGrid) -> Tensor:
        """Return the spectrum of N(u, t)."""

    def implicit(self, u: Tensor, space: FourierGrid) -> Tensor:
        """Return the spectrum of L u."""

    def forcing(self, x: Tensor) -> Tensor | None:
        """Return f at points x, shape (*shape, d), or None."""

    def velocity(self, u_hat: Tensor, space: FourierGrid) -> tuple[Tensor, ...]:
        """Return the spectra of the components that carry u, for the step's bound."""


@dataclass(frozen=True, eq=False)
class SpectralEquation:
    """An evolution problem on one grid, as the time-stepping methods want it; build it with `of`.

    Attributes:
        problem: Its terms.
        space: Its wave numbers, in the type and on the device of the state.
        symbol: Diagonal of L, float64 or complex128.
        source: Spectrum of the forcing, or None.
    """

    problem: SpectralTerms
    space: FourierGrid
    symbol: Tensor
    source: Tensor | None

    @classmethod
    def of(cls, problem: SpectralTerms, grid: Grid, like: Tensor) -> SpectralEquation:
        """Bind a problem to a grid.

        Args:
            problem: The problem.
            grid: Periodic node grid.
            like: A tensor of the type and device of the state.

        Raises:
            UsageError: If the type is not float64 or float32, or the grid does not fit.
        """
        if like.dtype not in (torch.float64, torch.float32):
            raise UsageError(f"states must be float64 or float32, got {like.dtype}")
        exact = FourierGrid.of(grid, device=like.device)
        source = problem.forcing(grid.coordinates().to(like.device))
        return cls(
            problem,
            FourierGrid.of(grid, dtype=like.dtype, device=like.device),
            problem.implicit(torch.ones_like(exact.squared), exact),
            None if source is None else exact.forward(source).to(like.dtype.to_complex()),
        )

    @property
    def dtype(self) -> torch.dtype:
        """Real type of the state."""
        return self.space.dtype

    def explicit(self, u_hat: Tensor, t: float) -> Tensor:
        """Return the spectrum of N(u, t) + f."""
        found = self.problem.explicit(u_hat, t, self.space)
        return found if self.source is None else found + self.source

    def implicit(self, u_hat: Tensor) -> Tensor:
        """Return the spectrum of L u."""
        return self.problem.implicit(u_hat, self.space)

    def solve_implicit(self, u_hat: Tensor, dt: float) -> Tensor:
        """Return v with v - dt L v = u."""
        return u_hat / (1 - dt * self.problem.implicit(torch.ones_like(self.space.squared), self.space))

    def rate(self, u_hat: Tensor) -> float:
        """Return max Σ_j |v_j| k_j over points and batch, k_j the largest wave number that the 2/3 mask keeps."""
        total = None
        for v_hat, k in zip(self.problem.velocity(u_hat, self.space), self.space.k, strict=False):
            part = self.space.inverse(v_hat).abs() * float((2 / 3) * k.abs().max())
            total = part if total is None else total + part
        return 0.0 if total is None else float(total.detach().max())
