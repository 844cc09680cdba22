"""Periodic evolution equations ∂u/∂t = N(u) + L u + f: stepping, verdict and strong residual from one set of terms.

Each equation is written once in terms of products and derivatives, which act on Fourier spectra when it is marched
(`FourierGrid`) and on point values when its residual is taken (`PointSpace`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pdeflow.discretization.fourier import FourierGrid
from pdeflow.discretization.time_stepping import ETDRK4, Method, march, march_to_tolerance
from pdeflow.errors import UsageError
from pdeflow.geometry import Box, Grid
from pdeflow.linalg import LinearSystem, Solution
from pdeflow.problems.instance import Instance, Layout
from pdeflow.problems.problem import Answer, Problem
from pdeflow.problems.spaces import PointSpace, Space
from pdeflow.problems.spatial_resolution import check_frames_fit, check_start_fits
from pdeflow.problems.spectral_equation import SpectralEquation


@dataclass(frozen=True)
class Evolution(Problem):
    """∂u/∂t = N(u, t) + L u + f on a periodic box, from a random initial field; dimensionless.

    Subclasses say what N (`explicit`), L (`implicit`), f (`forcing`) and the velocity of the CFL bound are.

    Attributes:
        final_time: Time of the last frame.
        frames: Number of stored frames; the first is the initial field, at time zero.
    """

    final_time: float = 1.0
    frames: int = 11

    verdict: ClassVar[str] = "largest relative change of a frame when the time step is halved"
    linear: ClassVar[bool] = False
    algorithm: ClassVar[str] = "ETDRK4 in Fourier space"
    counted: ClassVar[str] = "time steps"
    method: ClassVar[Method] = ETDRK4
    tolerance: ClassVar[float] = 1e-8

    def __post_init__(self) -> None:
        if not self.final_time > 0 or self.frames < 2:
            raise UsageError(
                f"{type(self).__name__} needs final_time > 0 and at least 2 frames, got {self.final_time}, {self.frames}"
            )

    @property
    def domain(self) -> Box:
        """The periodic unit square."""
        return Box.unit(2)

    @property
    def times(self) -> tuple[float, ...]:
        """Times of the frames, evenly spaced from zero."""
        return tuple(self.final_time * i / (self.frames - 1) for i in range(self.frames))

    def grid(self, shape: tuple[int, ...]) -> Grid:
        """Return the periodic grid of nodes with this shape."""
        return self.domain.grid(shape, periodic=True, location="node")

    def explicit(self, u: Tensor, t: float | Tensor, space: Space) -> Tensor:
        """Return N(u, t), the part that is stepped explicitly."""
        return torch.zeros_like(u)

    def implicit(self, u: Tensor, space: Space) -> Tensor:
        """Return L u, the stiff linear part; it must be diagonal in Fourier space."""
        raise TypeError(f"{type(self).__name__} must define `implicit`")

    def forcing(self, x: Tensor) -> Tensor | None:
        """Return a steady source f at points (..., d), shape (...,), or None where there is none."""
        return None

    def velocity(self, u_hat: Tensor, space: FourierGrid) -> tuple[Tensor, ...]:
        """Return the spectra of the velocity components that advect u, from which the step is chosen."""
        return ()

    def check_start(self, start: Tensor, grid: Grid) -> None:
        """Refuse initial values that do not fit.

        Args:
            start: Initial values, shape (..., *grid.shape).
            grid: Their grid.

        Raises:
            UsageError: If shapes differ or a value is not finite.
        """
        if tuple(start.shape[-grid.ndim :]) != grid.shape:
            raise UsageError(
                f"initial values of shape {tuple(start.shape)} do not end in the grid's {grid.shape}"
            )
        if not bool(torch.isfinite(start).all()):
            raise UsageError("the initial values are not finite")

    def march(
        self,
        start: Tensor | Sequence[Instance],
        grid: Grid,
        *,
        times: Sequence[float] | None = None,
        substeps: Sequence[int] | None = None,
        method: Method | None = None,
    ) -> Tensor:
        """Solve for a batch of initial fields at once, on the device and in the type of the values.

        Args:
            start: Initial values, shape (*batch, *grid.shape), or instances.
            grid: Periodic node grid.
            times: Times of the frames, the first that of the initial values; by default those of the problem.
            substeps: Steps per interval; by default from the CFL bound, without a verdict on the accuracy.
            method: One-step method; by default that of the problem.

        Returns:
            Values, shape (*batch, frames, *grid.shape).

        Raises:
            UsageError: If the initial values, times or substeps do not fit.
            FloatingPointError: If a state is no longer finite.
        """
        if not isinstance(start, Tensor):
            start = torch.stack([item.fields[self.inputs[0]].on(grid) for item in start])
        self.check_start(start, grid)
        equation = SpectralEquation.of(self, grid, start)
        run = march(
            equation, equation.space.forward(start), self.times if times is None else times,
            method=method or self.method, substeps=substeps,
        )  # fmt: skip
        frames = equation.space.inverse(run.frames)
        frames[0] = start
        return frames.movedim(0, start.ndim - grid.ndim)

    def compute(
        self, instance: Instance, layout: Layout, solve: Callable[[LinearSystem], Solution]
    ) -> Answer:
        """March one instance, halving the step until no frame changes by more than `tolerance`.

        Args:
            instance: A draw.
            layout: Periodic node grid.
            solve: Not used: the stiff part is diagonal.

        Returns:
            The frames of the finest run, the relative L2 change of the last one, and the steps of all runs.

        Raises:
            UsageError: If the layout is not such a grid, or too coarse for the initial field or for the frames.
            FloatingPointError: If even the finest run blows up.
        """
        if not isinstance(layout, Grid):
            raise UsageError(f"{type(self).__name__} needs a periodic grid, got a {type(layout).__name__}")
        name, field = type(self).__name__, instance.fields[self.inputs[0]]
        start = field.on(layout)
        self.check_start(start, layout)
        check_start_fits(name, field, layout)
        equation = SpectralEquation.of(self, layout, start)
        frames, change, taken = march_to_tolerance(
            equation, equation.space.forward(start), self.times, method=self.method, tolerance=self.tolerance,
            norm=lambda u_hat: equation.space.inner(u_hat, u_hat).sqrt(),
        )  # fmt: skip
        values = equation.space.inverse(frames)
        values[0] = start
        check_frames_fit(name, values, layout)
        return Answer({self.outputs[0]: values.numpy()}, change, taken)

    def residual(self, u: Callable[[Tensor], Tensor], x: Tensor, instance: Instance) -> Tensor:
        """Evaluate ∂u/∂t - N(u) - L u - f at points of space-time, by automatic differentiation.

        Args:
            u: Differentiable function of points (n, d + 1), time last, with values (n,).
            x: Points, shape (n, d + 1).
            instance: A draw; the equation does not depend on it, its initial field is matched elsewhere.

        Returns:
            Residual, shape (n,).
        """
        x = x.detach().requires_grad_()
        return self.point_residual(u(x), PointSpace(x))

    def point_residual(self, u: Tensor, space: PointSpace) -> Tensor:
        """Return ∂u/∂t - N(u) - L u - f for values u (n,) at the points of `space`, shape (n,)."""
        x = space.x
        found = space.derivative(u, -1) - self.explicit(u, x[:, -1], space) - self.implicit(u, space)
        source = self.forcing(x[:, :-1])
        return found if source is None else found - source
