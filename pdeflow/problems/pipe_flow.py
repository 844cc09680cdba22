"""Steady incompressible flow through a pipe with a random centreline.

Li, Huang, Liu and Anandkumar, Fourier neural operator with learned deformations, JMLR 24 (2023), section 4.3; Taylor-Hood
elements as in Elman, Silvester and Wathen, Finite Elements and Fast Iterative Solvers, 2nd ed. (2014), chapter 8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from pdeflow.discretization.biquadratic import BiquadraticElements
from pdeflow.discretization.incompressible_flow import Flow
from pdeflow.errors import UsageError
from pdeflow.geometry import Box, MappedGrid
from pdeflow.linalg import LinearSystem, Solution
from pdeflow.linalg import solve as solve_linear
from pdeflow.problems.differentiate import divergence, gradient
from pdeflow.problems.instance import Function, Instance, Layout, Resolution
from pdeflow.problems.problem import Answer, Problem

PIECES = 4
"""Cubic pieces of the centreline."""


def hermite(x: Tensor, values: Tensor, slopes: Tensor, length: float) -> Tensor:
    """Evaluate the cubic Hermite spline with equal pieces on [0, length].

    Args:
        x: Places, any shape; outside, the end pieces go on.
        values: Values at the knots, shape (pieces + 1,).
        slopes: Slopes times the length of a piece, shape (pieces + 1,).
        length: End of the last piece.
    """
    pieces = len(values) - 1
    place = x * (pieces / length)
    piece = place.detach().floor().clamp(0, pieces - 1).long()
    t = place - piece
    rise = t**2 * (3 - 2 * t)
    ends = values[piece] * (1 - rise) + values[piece + 1] * rise
    return ends + slopes[piece] * t * (1 - t) ** 2 - slopes[piece + 1] * t**2 * (1 - t)


@dataclass(frozen=True)
class PipeFlow(Problem):
    """(u·∇)u - νΔu + ∇p = 0, ∇·u = 0 in |y - c(x)| < width/2, 0 < x < length; c a random cubic spline, c(0) = 0.

    Parabolic inflow with the given peak, u = 0 at the walls, ν ∂u/∂n - p n = 0 at the outlet.

    Attributes:
        viscosity: ν, length²/time; the Reynolds number is peak · width / ν.
        peak: Largest velocity of the inflow, length/time.
        length: Length of the pipe.
        width: Its width, measured in y.
        bend: Values c and slopes c' · length/4 at five equidistant knots are U(-bend, bend) · width; 0 is straight.
    """

    viscosity: float = 0.005
    peak: float = 1.0
    length: float = 10.0
    width: float = 1.0
    bend: float = 1.0

    inputs: ClassVar[tuple[str, ...]] = ("x", "y")
    outputs: ClassVar[tuple[str, ...]] = ("u_x", "u_y", "p")
    equation: ClassVar[str] = "(u.grad)u - nu laplace(u) + grad p = 0, div u = 0 in a curved pipe"
    verdict: ClassVar[str] = (
        "norm of the discrete equations over that of the Stokes right-hand side of the inflow"
    )
    resolution: ClassVar[Resolution] = (24, 6)
    linear: ClassVar[bool] = False
    algorithm: ClassVar[str] = "Stokes start, Picard, Newton; Taylor-Hood elements, sparse LU"

    def __post_init__(self) -> None:
        if not (self.viscosity > 0 and self.length > 0 and self.width > 0 and self.bend >= 0):
            raise UsageError(
                f"PipeFlow needs viscosity, length and width > 0 and bend >= 0, got {self.viscosity}, {self.length}, "
                f"{self.width} and {self.bend}"
            )

    @property
    def domain(self) -> Box:
        """The mean shape, a straight pipe."""
        return Box((0.0, -self.width / 2), (self.length, self.width / 2))

    def sample(self, generator: torch.Generator) -> Instance:
        """Draw a centreline.

        Args:
            generator: Source of randomness.

        Returns:
            Instance with the fields "x", "y" (the coordinates) and the scalars c0 … c4 (values) and s0 … s4 (slopes times
            length/4).
        """
        drawn = (
            self.bend
            * self.width
            * (2 * torch.rand(2, PIECES + 1, generator=generator, dtype=torch.float64) - 1)
        )
        drawn[0, 0] = 0.0  # the inlet stays where it is
        scalars = {
            f"{name}{k}": float(drawn[row, k]) for row, name in enumerate("cs") for k in range(PIECES + 1)
        }
        return Instance({"x": Function(lambda x: x[:, 0]), "y": Function(lambda x: x[:, 1])}, scalars)

    def centreline(self, x: Tensor, instance: Instance) -> Tensor:
        """Return c(x), any shape, in length units."""
        values, slopes = (
            torch.tensor([instance.scalars[f"{name}{k}"] for k in range(PIECES + 1)], dtype=torch.float64)
            for name in "cs"
        )
        return hermite(x, values, slopes, self.length)

    def layout(self, instance: Instance, resolution: Resolution) -> MappedGrid:
        """Return the nodes (x_i, c(x_i) + η_j) of nine-node elements; axis 0 runs along the pipe, axis 1 across.

        Args:
            instance: A draw.
            resolution: Elements along and across, (64, 16) for 129 × 33 nodes; a multiple of 4 along puts the knots of
                the spline between elements.

        Raises:
            UsageError: If the resolution does not fit.
        """
        if isinstance(resolution, int | float) or len(resolution) != 2 or min(resolution) < 1:
            raise UsageError(
                f"PipeFlow needs elements along and across the pipe, e.g. grid: {list(self.cells)}, got {resolution}"
            )
        along, across = (2 * n + 1 for n in resolution)
        x = torch.linspace(0, self.length, along, dtype=torch.float64)
        eta = torch.linspace(-self.width / 2, self.width / 2, across, dtype=torch.float64)
        y = self.centreline(x, instance)[:, None] + eta
        ids = torch.arange(along * across).reshape(along, across)
        tags = {"inlet": ids[0], "outlet": ids[-1], "walls": torch.cat([ids[:, 0], ids[:, -1]])}
        return MappedGrid(torch.stack([x[:, None].expand_as(y), y], dim=-1), tags=tags)

    def flow(self, layout: Layout) -> Flow:
        """Put boundary values on a grid.

        Args:
            layout: Grid of `layout`.

        Raises:
            UsageError: If it is not a mapped grid.
        """
        if not isinstance(layout, MappedGrid) or any(layout.periodic):
            raise UsageError(f"PipeFlow needs the curved grid of its `layout`, got a {type(layout).__name__}")
        elements = BiquadraticElements(layout.coords.numpy())
        given = np.zeros(elements.shape, dtype=bool)
        given[0] = given[:, 0] = given[:, -1] = True
        velocity = np.zeros((*elements.shape, 2))
        eta = np.linspace(-1, 1, elements.shape[1])
        velocity[0, :, 0] = self.peak * (1 - eta**2)
        return Flow(elements, self.viscosity, given.ravel(), velocity.reshape(-1, 2))

    def compute(
        self, instance: Instance, layout: Layout, solve: Callable[[LinearSystem], Solution]
    ) -> Answer:
        """Solve the flow.

        Args:
            instance: A draw; its shape is in the layout.
            layout: Grid of `layout`.
            solve: Not used: the systems are indefinite and not symmetric, and are factored.

        Returns:
            Velocities and pressure with the relative residual of the discrete equations; steps count as iterations.
        """
        flow = self.flow(layout)
        found = flow.solve(lambda system: solve_linear(system, method="direct", rtol=1e-12))
        velocity, pressure = flow.split(found.x)
        values = (velocity[:, 0], velocity[:, 1], flow.elements.spread_corners(pressure))
        fields = {name: v.reshape(layout.shape) for name, v in zip(self.outputs, values, strict=True)}  # type: ignore[union-attr]
        return Answer(fields, flow.relative_residual(found.x), found.iterations + 1)

    @torch.enable_grad()
    def residual(self, u: Callable[[Tensor], Tensor], x: Tensor, instance: Instance) -> Tensor:
        """Evaluate momentum and mass balance at points by automatic differentiation.

        Args:
            u: (u_x, u_y, p), differentiable, points (n, 2) -> (n, 3).
            x: Points, shape (n, 2).
            instance: A draw; the equations do not depend on it.

        Returns:
            Residual, shape (n, 3): two components of momentum, then the divergence.
        """
        x = x.detach().requires_grad_()
        values = u(x)
        slopes = [gradient(values[:, k], x) for k in range(3)]
        momentum = [
            (values[:, :2] * slopes[k]).sum(1) - self.viscosity * divergence(slopes[k], x) + slopes[2][:, k]
            for k in range(2)
        ]
        return torch.stack([*momentum, slopes[0][:, 0] + slopes[1][:, 1]], dim=1)

    def exact(self, x: Tensor, instance: Instance) -> Tensor | None:
        """Return Poiseuille's flow (u_x, u_y, p) at points (..., 2) if the pipe is straight, else None."""
        if any(instance.scalars.values()):
            return None
        eta = 2 * x[..., 1] / self.width
        p = 8 * self.viscosity * self.peak / self.width**2 * (self.length - x[..., 0])
        return torch.stack([self.peak * (1 - eta**2), torch.zeros_like(p), p], dim=-1)
