"""Burgers' equation on a periodic interval, with the exact solution of Cole and Hopf.

Li et al., Fourier Neural Operator, ICLR 2021, appendix A.3.1 (distribution); Hopf, Comm. Pure Appl. Math. 3 (1950),
201, eq. (5)-(8) (solution).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pdeflow.discretization.fourier import FourierGrid
from pdeflow.errors import UsageError
from pdeflow.geometry import Box, Grid
from pdeflow.problems.evolution import Evolution
from pdeflow.problems.instance import Instance, Resolution, StoredField
from pdeflow.problems.spaces import Space
from pdeflow.random_fields import gaussian_random_field

COLE_HOPF_NODES = 2048
"""Nodes of the Fourier series of φ in the exact solution."""
COLE_HOPF_RANGE = 12.0
"""Largest range of log φ for which the exact solution keeps ten digits."""


@dataclass(frozen=True)
class Burgers(Evolution):
    """∂u/∂t + u ∂u/∂x = ν ∂²u/∂x² on (0,1), periodic; u(0) a Gaussian field with covariance s² (-Δ + τ²)^(-α).

    The defaults are those of the Fourier neural operator's data. A sharper variant, which needs about 1024 nodes, is
    viscosity 1e-3, alpha 2.5, tau 7, scale 49.

    Attributes:
        final_time: Time of the last frame.
        frames: Number of stored frames, the initial field included.
        viscosity: ν, dimensionless: length²/time.
        alpha: Smoothness of the initial field.
        tau: Inverse correlation length of the initial field.
        scale: s, the size of the initial field before smoothing.
        modes: Size of the mode table.
    """

    viscosity: float = 0.1
    alpha: float = 2.0
    tau: float = 5.0
    scale: float = 25.0
    modes: int = 64

    inputs: ClassVar[tuple[str, ...]] = ("u0",)
    equation: ClassVar[str] = "u_t + u u_x = nu u_xx on (0,1), periodic; u(0) Gaussian"
    resolution: ClassVar[Resolution] = (128,)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.viscosity > 0:
            raise UsageError(f"Burgers needs viscosity > 0, got {self.viscosity}")

    @property
    def domain(self) -> Box:
        """The periodic unit interval."""
        return Box.unit(1)

    def sample(self, generator: torch.Generator) -> Instance:
        """Draw an initial velocity.

        Args:
            generator: Source of randomness.

        Returns:
            Instance with the field "u0".
        """
        u0 = gaussian_random_field(
            self.domain,
            self.alpha,
            self.tau,
            generator=generator,
            kind="periodic",
            scale=self.scale,
            modes=self.modes,
        )
        return Instance({"u0": u0})

    def explicit(self, u: Tensor, t: float | Tensor, space: Space) -> Tensor:
        """Return -½ ∂(u²)/∂x."""
        return -0.5 * space.derivative(space.product(u, u), 0)

    def implicit(self, u: Tensor, space: Space) -> Tensor:
        """Return ν ∂²u/∂x²."""
        return self.viscosity * space.laplacian(u)

    def velocity(self, u_hat: Tensor, space: FourierGrid) -> tuple[Tensor, ...]:
        """Return u itself."""
        return (u_hat,)

    def exact(self, x: Tensor, instance: Instance) -> Tensor | None:
        """Return c - 2ν ∂φ/∂x / φ at x - c t, where φ diffuses and φ(0) = exp(-∫(u0 - c)/2ν), c the mean of u0.

        Args:
            x: Points of space-time, shape (..., 2), time last.
            instance: A draw, or one read from a file.

        Returns:
            Velocity, shape (...,), to about ten digits; None where φ ranges too far for double precision.
        """
        u0 = instance.fields["u0"]
        fine = self.grid((COLE_HOPF_NODES,))
        if isinstance(u0, StoredField) and isinstance(u0.layout, Grid):
            values = u0.layout.resample(u0.on(u0.layout), fine.shape)
        else:
            values = u0.on(fine)
        space = FourierGrid.of(fine)
        k, u_hat = space.k[0], space.forward(values)
        mean = float(u_hat[0].real)
        integral = space.inverse(torch.where(k == 0, 0.0, u_hat / torch.where(k == 0, 1.0, 1j * k)))
        exponent = -integral / (2 * self.viscosity)
        if float(exponent.max() - exponent.min()) > COLE_HOPF_RANGE:
            return None
        phi = space.forward(torch.exp(exponent - exponent.mean())) * space.weight
        kept = int(torch.nonzero(phi.abs() > 1e-17 * phi.abs().max()).max()) + 1
        points, t = x.reshape(-1, 2)[:, :1] - mean * x.reshape(-1, 2)[:, 1:], x.reshape(-1, 2)[:, 1:]
        return (mean + self._cole_hopf(phi[:kept], k[:kept], points, t)).reshape(x.shape[:-1])

    def _cole_hopf(self, phi: Tensor, k: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """Evaluate -2ν ∂φ/∂x / φ at points (n, 1) from the weighted spectrum of φ(0), shape (n,)."""
        decay, angle = torch.exp(-self.viscosity * k**2 * t), k * x
        cos, sin = torch.cos(angle) * decay, torch.sin(angle) * decay  # (n, modes)
        value = cos @ phi.real - sin @ phi.imag
        slope = -(sin @ (k * phi.real)) - cos @ (k * phi.imag)
        return -2 * self.viscosity * slope / value

    @staticmethod
    def wave(amplitude: float = 1.0) -> Instance:
        """Return the instance u(0) = amplitude sin 2πx.

        Args:
            amplitude: Largest initial velocity.
        """
        return Instance({"u0": _Sine(amplitude)})


@dataclass(frozen=True)
class _Sine:
    """amplitude · sin 2πx as a field."""

    amplitude: float

    def on(self, grid: Grid) -> Tensor:
        """Return the values on a grid of one axis."""
        return self.at(grid.coordinates())

    def at(self, x: Tensor) -> Tensor:
        """Return the values at points (n, 1), shape (n,)."""
        return self.amplitude * torch.sin(2 * math.pi * x[..., 0])
