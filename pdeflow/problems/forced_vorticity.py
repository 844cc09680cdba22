"""From a random steady forcing to the vorticity that it has driven from rest, on a torus.

Kossaifi et al., Multi-Grid Tensorized Fourier Neural Operator, TMLR 2024, section 4 (Navier-Stokes data); the equation is that of
`NavierStokes`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from pdeflow.discretization.time_stepping import ETDRK4, march, march_to_tolerance
from pdeflow.errors import UsageError
from pdeflow.geometry import Box, Grid
from pdeflow.linalg import LinearSystem, Solution
from pdeflow.problems.instance import FieldLike, Instance, Layout, Resolution, values_on
from pdeflow.problems.navier_stokes import NavierStokes
from pdeflow.problems.problem import Answer, Problem
from pdeflow.problems.spectral_equation import SpectralEquation
from pdeflow.random_fields import gaussian_random_field

SIDE = 2 * math.pi


@dataclass(frozen=True)
class DrivenFlow(NavierStokes):
    """Navier-Stokes flow on (0, 2π)² under a given steady forcing.

    Attributes:
        force: The forcing, in one over time².
    """

    force: FieldLike | None = None

    @property
    def domain(self) -> Box:
        """The periodic square of side 2π."""
        return Box((0.0, 0.0), (SIDE, SIDE))

    def forcing(self, x: Tensor) -> Tensor | None:
        """Return f at points (..., 2)."""
        return None if self.force is None else self.force.at(x.reshape(-1, 2)).reshape(x.shape[:-1])


@dataclass(frozen=True)
class ForcedVorticity(Problem):
    """f ↦ w(T) for ∂w/∂t + u·∇w = ν Δw + f on (0, 2π)², periodic, w(0) = 0, with u = (∂ψ/∂y, -∂ψ/∂x) and -Δψ = w.

    f is a Gaussian field with covariance A² τ^(2α - 2) (-Δ + τ²)^(-α) and zero mean.

    Attributes:
        final_time: T.
        viscosity: ν, one over the Reynolds number of the paper.
        alpha: Smoothness of the forcing.
        tau: Inverse correlation length of the forcing.
        amplitude: A; by default 2π, for eigenfunctions that are not divided by the side, as the published sampler has them.
        modes: Size of the mode table per axis.
        refinement: The flow is computed on a grid so many times as fine, and stored by truncating its Fourier series.
    """

    final_time: float = 5.0
    viscosity: float = 2e-3
    alpha: float = 4.0
    tau: float = 3.0
    amplitude: float = SIDE
    modes: int = 32
    refinement: int = 2

    inputs: ClassVar[tuple[str, ...]] = ("f",)
    outputs: ClassVar[tuple[str, ...]] = ("w",)
    equation: ClassVar[str] = (
        "w_t + u.grad(w) = nu laplace(w) + f, w(0) = 0, u = curl(psi), -laplace(psi) = w on (0,2 pi)^2, periodic; w at time T"
    )
    verdict: ClassVar[str] = "relative change of the vorticity when the time step is halved"
    linear: ClassVar[bool] = False
    algorithm: ClassVar[str] = "ETDRK4 in Fourier space"
    counted: ClassVar[str] = "time steps"
    resolution: ClassVar[Resolution] = (32, 32)
    tolerance: ClassVar[float] = 1e-6
    rtol: ClassVar[float] = 1e-6

    def __post_init__(self) -> None:
        if not (self.final_time > 0 and self.viscosity > 0 and self.amplitude > 0) or self.refinement < 1:
            raise UsageError(
                "ForcedVorticity needs positive final_time, viscosity and amplitude and refinement >= 1, got "
                f"{self.final_time}, {self.viscosity}, {self.amplitude}, {self.refinement}"
            )

    @property
    def domain(self) -> Box:
        """The periodic square of side 2π."""
        return Box((0.0, 0.0), (SIDE, SIDE))

    def grid(self, shape: tuple[int, ...]) -> Grid:
        """Return the periodic grid of nodes with this shape."""
        return self.domain.grid(shape, periodic=True, location="node")

    def sample(self, generator: torch.Generator) -> Instance:
        """Draw a forcing.

        Args:
            generator: Source of randomness.

        Returns:
            Instance with the field "f", of zero mean.
        """
        f = gaussian_random_field(
            self.domain, self.alpha, self.tau, generator=generator, kind="periodic", modes=self.modes,
        )
        return Instance({"f": f})

    def flow(self, instance: Instance) -> DrivenFlow:
        """Return the evolution that the forcing of an instance drives."""
        force = _Scaled(instance.fields["f"], self.amplitude)
        return DrivenFlow(final_time=self.final_time, frames=2, viscosity=self.viscosity, force=force)

    def equation_on(self, grid: Grid, f: Tensor) -> SpectralEquation:
        """Return the flow under given forcings on a grid, on the device and in the type of the values.

        Args:
            grid: Periodic node grid.
            f: Values of the forcing without its factor, shape (*batch, *grid.shape), dimensionless.

        Raises:
            UsageError: If the type is not float64 or float32, or the grid does not fit.
        """
        equation = SpectralEquation.of(DrivenFlow(viscosity=self.viscosity), grid, f)
        return replace(equation, source=equation.space.forward(self.amplitude * f))

    def march(self, f: Tensor, grid: Grid, steps: int) -> Tensor:
        """Compute the vorticity of a batch of forcings at once with a fixed step, without a verdict on the accuracy.

        Args:
            f: Values of the forcing without its factor, shape (*batch, *grid.shape), dimensionless.
            grid: Periodic node grid.
            steps: Number of time steps.

        Returns:
            w(T), shape of f, dimensionless.

        Raises:
            FloatingPointError: If a state is no longer finite.
        """
        equation = self.equation_on(grid, f)
        run = march(
            equation, equation.space.forward(torch.zeros_like(f)), (0.0, self.final_time), method=ETDRK4, substeps=[steps]
        )
        return equation.space.inverse(run.frames[-1])

    def compute(
        self, instance: Instance, layout: Layout, solve: Callable[[LinearSystem], Solution]
    ) -> Answer:
        """March from rest, halving the step until the last vorticity changes by at most `tolerance`.

        Args:
            instance: A draw.
            layout: Periodic node grid.
            solve: Not used: the stiff part is diagonal.

        Returns:
            The vorticity at the final time, its relative L2 change, and the steps of all runs.

        Raises:
            UsageError: If the layout is not such a grid.
            FloatingPointError: If even the finest run blows up.
        """
        if not isinstance(layout, Grid) or not all(layout.periodic):
            raise UsageError(f"ForcedVorticity needs a periodic grid, got a {type(layout).__name__}")
        fine = self.grid(tuple(self.refinement * n for n in layout.shape))
        f = values_on(instance.fields["f"], fine)
        equation = self.equation_on(fine, f)
        times = [0.0, *(self.final_time / 2**k for k in reversed(range(8)))]  # short at first: rest bounds no step
        frames, change, taken = march_to_tolerance(
            equation, equation.space.forward(torch.zeros_like(f)), times, method=ETDRK4, tolerance=self.tolerance,
            norm=lambda u_hat: equation.space.inner(u_hat, u_hat).sqrt(),
        )  # fmt: skip
        w = truncated(equation.space.inverse(frames[-1]), layout.shape)
        return Answer({"w": w.numpy()}, change, taken)

    def residual(self, u: Callable[[Tensor], Tensor], x: Tensor, instance: Instance) -> Tensor:
        """Evaluate the equations of w and ψ at points of space-time, as `NavierStokes.residual`.

        Args:
            u: Differentiable function of points (n, 3), time last, with values (n, 2): w and ψ.
            x: Points, shape (n, 3).
            instance: A draw.

        Returns:
            Both residuals, shape (n, 2).

        Raises:
            UsageError: If u has not two columns.
        """
        return self.flow(instance).residual(u, x, instance)


@dataclass(frozen=True)
class _Scaled:
    """A field times a number."""

    field: FieldLike
    factor: float

    def on(self, grid: Grid) -> Tensor:
        """Return the values on a grid."""
        return self.factor * values_on(self.field, grid)

    def at(self, x: Tensor) -> Tensor:
        """Return the values at points (n, d)."""
        return self.factor * self.field.at(x)


def truncated(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Bring periodic values to a coarser grid by cutting off their Fourier series.

    Args:
        values: Shape (*batch, *fine), real.
        shape: Points per axis of the coarser grid; the mode n/2 of an even axis, which has no partner, is dropped.

    Returns:
        Values, shape (*batch, *shape).
    """
    axes = tuple(range(-len(shape), 0))
    spectrum = torch.fft.fftn(values, dim=axes, norm="forward")
    for axis, n in zip(axes, shape, strict=True):
        k = torch.arange(-((n - 1) // 2), (n - 1) // 2 + 1, device=values.device)
        kept = spectrum.index_select(axis, k % spectrum.shape[axis])
        sizes = [n if kept.ndim + axis == place else size for place, size in enumerate(kept.shape)]
        spectrum = kept.new_zeros(sizes).index_copy(axis, k % n, kept)
    return torch.fft.ifftn(spectrum, dim=axes, norm="forward").real
