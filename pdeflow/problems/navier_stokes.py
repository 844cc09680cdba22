"""Plane incompressible Navier-Stokes flow on a torus, in vorticity form.

Li et al., Fourier Neural Operator, ICLR 2021, appendix A.3.3 (forcing and distribution); Taylor and Green, Proc. R.
Soc. A 158 (1937), 499 (exact vortices).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pdeflow.discretization.fourier import FourierGrid
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid
from pdeflow.problems.evolution import Evolution
from pdeflow.problems.instance import Instance, Resolution
from pdeflow.problems.spaces import PointSpace, Space
from pdeflow.random_fields import gaussian_random_field


@dataclass(frozen=True)
class NavierStokes(Evolution):
    """∂w/∂t + u·∇w = ν Δw - μ w + f on (0,1)², periodic, with u = (∂ψ/∂y, -∂ψ/∂x) and -Δψ = w.

    f = F (sin 2π(x + y) + cos 2π(x + y)); w(0) is a Gaussian field with covariance τ^(2α - 2) (-Δ + τ²)^(-α).

    Attributes:
        final_time: Time of the last frame.
        frames: Number of stored frames, the initial field included.
        viscosity: ν, dimensionless: length²/time; one over the Reynolds number of unit length and speed.
        drag: μ, linear friction, in one over time.
        amplitude: F, the size of the forcing, in one over time².
        alpha: Smoothness of the initial vorticity.
        tau: Inverse correlation length of the initial vorticity.
        modes: Size of the mode table per axis.
    """

    final_time: float = 10.0
    frames: int = 11
    viscosity: float = 1e-3
    drag: float = 0.0
    amplitude: float = 0.1
    alpha: float = 2.5
    tau: float = 7.0
    modes: int = 64

    inputs: ClassVar[tuple[str, ...]] = ("w0",)
    outputs: ClassVar[tuple[str, ...]] = ("w",)
    equation: ClassVar[str] = (
        "w_t + u.grad(w) = nu laplace(w) - mu w + f, u = curl(psi), -laplace(psi) = w on (0,1)^2, periodic"
    )
    resolution: ClassVar[Resolution] = (32, 32)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.viscosity > 0 or self.drag < 0:
            raise UsageError(
                f"NavierStokes needs viscosity > 0 and drag >= 0, got {self.viscosity} and {self.drag}"
            )

    def sample(self, generator: torch.Generator) -> Instance:
        """Draw an initial vorticity.

        Args:
            generator: Source of randomness.

        Returns:
            Instance with the field "w0", of zero mean.
        """
        w0 = gaussian_random_field(
            self.domain, self.alpha, self.tau, generator=generator, kind="periodic", modes=self.modes
        )
        return Instance({"w0": w0})

    def explicit(self, u: Tensor, t: float | Tensor, space: Space) -> Tensor:
        """Return -u·∇w."""
        return -space.advection(u)

    def implicit(self, u: Tensor, space: Space) -> Tensor:
        """Return ν Δw - μ w."""
        return self.viscosity * space.laplacian(u) - self.drag * u

    def forcing(self, x: Tensor) -> Tensor | None:
        """Return F (sin 2π(x + y) + cos 2π(x + y)) at points (..., 2)."""
        angle = 2 * math.pi * x.sum(-1)
        return self.amplitude * (torch.sin(angle) + torch.cos(angle)) if self.amplitude else None

    def velocity(self, u_hat: Tensor, space: FourierGrid) -> tuple[Tensor, ...]:
        """Return the spectra of the two velocity components."""
        return space.velocity(u_hat)

    def check_start(self, start: Tensor, grid: Grid) -> None:
        """Refuse initial vorticities that do not fit; their mean must vanish, as that of every curl on a torus.

        Args:
            start: Initial values, shape (..., *grid.shape).
            grid: Their grid.

        Raises:
            UsageError: If shapes differ, a value is not finite or a mean is not zero.
        """
        super().check_start(start, grid)
        mean, size = start.mean((-2, -1)).abs(), start.abs().amax((-2, -1))
        if bool((mean > 1e-5 * size).any()):
            raise UsageError(
                f"the initial vorticity must have zero mean on a torus, got {float(mean.max()):.3g}; subtract its mean"
            )

    def residual(self, u: Callable[[Tensor], Tensor], x: Tensor, instance: Instance) -> Tensor:
        """Evaluate the equations of w and ψ at points of space-time, by automatic differentiation.

        The velocity depends on w everywhere, so points need the stream function as a second unknown.

        Args:
            u: Differentiable function of points (n, 3), time last, with values (n, 2): w and ψ.
            x: Points, shape (n, 3).
            instance: A draw.

        Returns:
            ∂w/∂t + u·∇w - ν Δw + μ w - f and -Δψ - w, shape (n, 2).

        Raises:
            UsageError: If u has not two columns.
        """
        x = x.detach().requires_grad_()
        values = u(x)
        if values.ndim != 2 or values.shape[1] != 2:
            raise UsageError(
                f"NavierStokes.residual needs u(x) of shape (n, 2), w and ψ, got {tuple(values.shape)}"
            )
        w, psi = values.unbind(1)
        space = PointSpace(x, psi)
        return torch.stack([self.point_residual(w, space), -space.laplacian(psi) - w], dim=1)

    def exact(self, x: Tensor, instance: Instance) -> Tensor | None:
        """Return w and ψ of Taylor-Green vortices, or None for other initial fields.

        With w = λψ the advection vanishes: the vortices decay at the rate νλ + μ. The forcing has λ = 8π², so with it
        only the vortices of wave number one stay exact.

        Args:
            x: Points of space-time, shape (..., 3), time last.
            instance: What `taylor_green` returned, or another draw.

        Returns:
            w and ψ, shape (..., 2).
        """
        vortex = instance.fields["w0"]
        if not isinstance(vortex, TaylorGreen) or (self.amplitude and vortex.wavenumber != 1):
            return None
        eigenvalue = 8 * math.pi**2 * vortex.wavenumber**2
        rate, t = self.viscosity * eigenvalue + self.drag, x[..., -1]
        w = vortex.at(x[..., :-1]) * torch.exp(-rate * t)
        source = self.forcing(x[..., :-1])
        if source is not None:
            w = w - source * torch.expm1(-rate * t) / rate
        return torch.stack([w, w / eigenvalue], dim=-1)

    @staticmethod
    def taylor_green(wavenumber: int = 1, amplitude: float = 1.0) -> Instance:
        """Return the instance w(0) = amplitude cos(2πκx) cos(2πκy).

        Args:
            wavenumber: κ, periods per side.
            amplitude: Largest vorticity, in one over time.
        """
        return Instance({"w0": TaylorGreen(wavenumber, amplitude)})


@dataclass(frozen=True)
class TaylorGreen:
    """The vorticity amplitude · cos(2πκx) cos(2πκy).

    Attributes:
        wavenumber: κ, periods per side.
        amplitude: Largest vorticity, in one over time.
    """

    wavenumber: int = 1
    amplitude: float = 1.0

    def on(self, grid: Grid) -> Tensor:
        """Return the values on a grid, shape (*grid.shape,)."""
        return self.at(grid.coordinates())

    def at(self, x: Tensor) -> Tensor:
        """Return the values at points (..., 2), shape (...,)."""
        angle = 2 * math.pi * self.wavenumber * x
        return self.amplitude * torch.cos(angle[..., 0]) * torch.cos(angle[..., 1])
