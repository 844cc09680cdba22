"""The unit cell with a random void: shape, grid, supports and load shared by the problems of solid mechanics.

Li, Huang, Liu and Anandkumar, Fourier neural operator with learned deformations, JMLR 24 (2023), section 4.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from pdeflow.discretization.biquadratic import BiquadraticElements
from pdeflow.discretization.hyperelastic import Solid
from pdeflow.discretization.plane_stress import Material, RivlinSaunders
from pdeflow.errors import UsageError
from pdeflow.geometry import Box, Domain, MappedGrid
from pdeflow.geometry.domain import Ball
from pdeflow.geometry.o_grid import o_grid
from pdeflow.problems.differentiate import divergence, gradient
from pdeflow.problems.instance import Function, Instance, Layout, Resolution
from pdeflow.problems.problem import Problem

TABLE = 64
"""Angular modes that are drawn in any case, so that the first ones do not depend on how many are kept."""


@dataclass(frozen=True)
class UnitCell(Problem):
    """The square [0,1]² without r(θ) = smallest + growth / (1 + exp g(θ)) round its centre, pulled at its top.

    g is a periodic Gaussian field in the angle with covariance s² (-∂²/∂θ² + τ²)^(-1). The bottom is clamped, the top
    carries the traction (0, t), the other sides and the rim of the void are free.

    Attributes:
        traction: t, force per area of the undeformed top, in stress units.
        c1: First constant of the material, in stress units.
        c2: Second constant; the shear modulus is 2 (c1 + c2).
        smallest: Lower bound of the radius, in sides of the cell.
        growth: Upper minus lower bound of the radius.
        deviation: s, dimensionless.
        tau: Inverse correlation angle τ, in 1/rad.
        modes: Angular modes that are kept.
    """

    traction: float = 100.0
    c1: float = 1.863e5
    c2: float = 9.79e3
    smallest: float = 0.2
    growth: float = 0.2
    deviation: float = 4.0
    tau: float = 3.0
    modes: int = 10

    inputs: ClassVar[tuple[str, ...]] = ("x", "y")
    outputs: ClassVar[tuple[str, ...]] = ("stress", "u_x", "u_y")
    resolution: ClassVar[Resolution] = (32, 4)

    def __post_init__(self) -> None:
        if not (self.smallest > 0 and self.growth >= 0 and self.smallest + self.growth < 0.5):
            raise UsageError(
                "the void needs smallest > 0, growth >= 0 and smallest + growth < 0.5, got "
                f"{self.smallest} and {self.growth}"
            )
        if not (self.c1 > 0 and self.c2 >= 0 and self.deviation >= 0 and self.tau > 0):
            raise UsageError(
                f"{type(self).__name__} needs c1 > 0, c2 >= 0, deviation >= 0 and tau > 0, got {self.c1}, {self.c2}, "
                f"{self.deviation} and {self.tau}"
            )
        if not 0 <= self.modes <= TABLE:
            raise UsageError(f"modes must lie between 0 and {TABLE}, got {self.modes}")

    @property
    def domain(self) -> Domain:
        """The mean shape: the square without a disk."""
        return Box.unit(2) - Ball((0.5, 0.5), self.smallest + self.growth / 2)

    @property
    def material(self) -> Material:
        """The stored energy."""
        return RivlinSaunders(self.c1, self.c2)

    def sample(self, generator: torch.Generator) -> Instance:
        """Draw a void.

        Args:
            generator: Source of randomness.

        Returns:
            Instance with the fields "x", "y" (the coordinates) and the scalars a0, a1, b1, … of g.
        """
        noise = torch.randn(2 * TABLE + 1, generator=generator, dtype=torch.float64)
        k = torch.arange(1, self.modes + 1, dtype=torch.float64)
        size = self.deviation / torch.sqrt(math.pi * (k**2 + self.tau**2))  # of cos kθ / √π and sin kθ / √π
        a, b = (size * noise[first : 2 * TABLE + 1 : 2][: self.modes] for first in (1, 2))
        scalars = {"a0": float(noise[0]) * self.deviation / (self.tau * math.sqrt(2 * math.pi))}
        for i in range(self.modes):
            scalars |= {f"a{i + 1}": float(a[i]), f"b{i + 1}": float(b[i])}
        return Instance({"x": Function(lambda x: x[:, 0]), "y": Function(lambda x: x[:, 1])}, scalars)

    def radius(self, angle: Tensor, instance: Instance) -> Tensor:
        """Return r(θ) in sides of the cell.

        Args:
            angle: θ from the x-axis, any shape.
            instance: A draw.
        """
        g = torch.full_like(angle, instance.scalars["a0"])
        for k in range(1, self.modes + 1):
            a, b = instance.scalars[f"a{k}"], instance.scalars[f"b{k}"]
            g = g + a * torch.cos(k * angle) + b * torch.sin(k * angle)
        return self.smallest + self.growth * torch.sigmoid(-g)

    def layout(self, instance: Instance, resolution: Resolution) -> MappedGrid:
        """Return an O-grid whose nodes are those of nine-node elements; axis 0 runs round the void, axis 1 outward.

        Args:
            instance: A draw.
            resolution: Elements round the void (a multiple of 4) and across.

        Raises:
            UsageError: If the resolution does not fit.
        """
        if (
            isinstance(resolution, int | float)
            or len(resolution) != 2
            or resolution[0] % 4
            or min(resolution) < 1
        ):
            raise UsageError(
                f"{type(self).__name__} needs elements round the void (a multiple of 4) and across, e.g. grid: "
                f"{list(self.cells)}, got {resolution}"
            )
        around, across = resolution
        return o_grid(
            lambda angle: self.radius(angle, instance), (2 * around, 2 * across + 1), outer="square"
        )

    def solid(self, layout: Layout, material: Material) -> Solid:
        """Put supports, load and material on a grid.

        Args:
            layout: Grid of `layout`.
            material: Stored energy.

        Raises:
            UsageError: If the layout is not such a grid.
        """
        if not isinstance(layout, MappedGrid) or tuple(layout.periodic) != (True, False):
            raise UsageError(
                f"{type(self).__name__} needs the O-grid of its `layout`, got a {type(layout).__name__}"
            )
        elements = BiquadraticElements(layout.coords.numpy(), layout.periodic)
        rim = elements.side(1, -1)
        height = elements.coordinates.reshape(-1, 2)[:, 1]
        clamped = np.repeat(np.abs(height) < 1e-9, 2).reshape(-1, 2)
        top = rim.part((np.abs(rim.points[..., 1] - 1) < 1e-9).all(axis=1))
        return Solid(elements, material, clamped, top.load(np.array([0.0, self.traction]), elements.size))

    def output_fields(self, solid: Solid, u: np.ndarray) -> dict[str, np.ndarray]:
        """Return von Mises stress and displacements u, shape (n, 2), on the grid of the solid."""
        shape = solid.elements.shape
        values = (solid.von_mises(u), u[:, 0], u[:, 1])
        return {name: value.reshape(shape) for name, value in zip(self.outputs, values, strict=True)}

    @torch.enable_grad()
    def residual(self, u: Callable[[Tensor], Tensor], x: Tensor, instance: Instance) -> Tensor:
        """Evaluate -∇·P(∇u) at points by automatic differentiation.

        Args:
            u: Displacement, differentiable, points (n, 2) -> (n, 2).
            x: Points, shape (n, 2).
            instance: A draw; the equation does not depend on it.

        Returns:
            Residual, shape (n, 2), in stress over length; differentiable in the parameters of u.
        """
        x = x.detach().requires_grad_()
        values = u(x)
        P = self.material.stress(torch.stack([gradient(values[:, i], x) for i in range(2)], dim=1))
        return -torch.stack([divergence(P[:, i], x) for i in range(2)], dim=1)
