"""The pressure that makes a rising plume flow around obstacles: Poisson's equation with mixed boundaries, in the plane or in space.

Chorin, Numerical solution of the Navier-Stokes equations, Math. Comp. 22 (1968) 745 (projection); Bridson, Fluid Simulation for
Computer Graphics, 2nd ed. (2015), chapter 5; such are the systems of Kaneda et al., arXiv 2205.10763.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import ClassVar

import torch
from torch import Tensor

from pdeflow.discretization.obstacles import flow_around, obstacle_system, reachable
from pdeflow.errors import UsageError
from pdeflow.geometry import Ball, Box, Domain, Grid
from pdeflow.linalg import LinearSystem
from pdeflow.linalg.obstacles import Obstacles, Wall
from pdeflow.problems.differentiate import divergence, gradient
from pdeflow.problems.instance import At, Instance, Layout, Resolution
from pdeflow.problems.plume import Plume, draw_plume
from pdeflow.problems.problem import Problem

CLEARANCE = 0.05
"""Smallest distance of a drawn ball from the sides of the box, in length units."""


@dataclass(frozen=True)
class PlumePressure(Problem):
    """-Δp = -∇·w around obstacles in the unit box; p = 0 on its open sides, (w - ∇p)·n = 0 on the others.

    w is the velocity that buoyancy has given a rising plume in a unit of time, and w - ∇p has no divergence. Axis 1 points up. For
    other obstacles than balls override `obstacle`.

    Attributes:
        dim: Space dimension, 2 or 3.
        balls: Number of obstacles; they may overlap.
        radius: Of the balls, in length units.
        centre: Of the one ball, or None for centres drawn such that the balls keep 0.05 away from the sides.
        wall: What holds at the obstacles: "neumann", (w - ∇p)·n = 0, or "dirichlet", p = 0; w passes neither.
        open_sides: Sides of the box where p = 0, of "x0-", "x0+", "x1-", …; at least one.
        puffs: Number of Gaussian puffs of the plume.
        width: Of the plume at its source, one standard deviation, in length units.
        wander: Standard deviation of its sideways way to the top, in length units.
        buoyancy: Upward velocity at the source, length/time.
    """

    dim: int = 2
    balls: int = 1
    radius: float = 0.15
    centre: tuple[float, ...] | None = None
    wall: Wall = "neumann"
    open_sides: tuple[str, ...] = ("x1+",)
    puffs: int = 6
    width: float = 0.06
    wander: float = 0.1
    buoyancy: float = 1.0

    inputs: ClassVar[tuple[str, ...]] = ("mask", "f")
    outputs: ClassVar[tuple[str, ...]] = ("p",)
    equation: ClassVar[str] = (
        "-laplace(p) = -div(w) around obstacles, p = 0 on open sides, (w - grad p).n = 0 on the others and on obstacles, or p = 0 on cold ones; w a plume"
    )
    resolution: ClassVar[Resolution] = (32, 32)

    def __post_init__(self) -> None:
        for name in ("centre", "open_sides"):  # lists, where they come from a file
            object.__setattr__(self, name, getattr(self, name) and tuple(getattr(self, name)))
        for name, wanted, fits in (
            ("dim", "2 or 3", self.dim in (2, 3)), ("balls", "0 or more", self.balls >= 0), ("puffs", "1 or more", self.puffs >= 1),
            ("radius", f"between 0 and {0.5 - CLEARANCE}", 0 < self.radius < 0.5 - CLEARANCE), ("width", "positive", self.width > 0),
            ("wander", "0 or more", self.wander >= 0),
        ):  # fmt: skip
            if not fits:
                raise UsageError(f"{name} of PlumePressure must be {wanted}, got {getattr(self, name)}")
        if self.centre is not None and (self.balls != 1 or len(self.centre) != self.dim):
            raise UsageError(f"centre places one ball by {self.dim} coordinates, got {self.centre} for {self.balls} balls; leave it out to draw them")
        if self.wall not in ("neumann", "dirichlet"):
            raise UsageError(f"wall must be 'neumann' or 'dirichlet', got {self.wall!r}")
        if not self.open_sides:
            raise UsageError(f"open_sides must name at least one of {', '.join(self.domain.tags)}: p = 0 there fixes its constant")
        if unknown := set(self.open_sides) - set(self.domain.tags):
            raise UsageError(f"open_sides has no {', '.join(sorted(unknown))}; the sides are {', '.join(self.domain.tags)}, axis 1 points up")
        if self.dim == 3:
            object.__setattr__(self, "resolution", (16, 16, 16))

    @property
    def domain(self) -> Box:
        """The box, with the obstacles."""
        return Box.unit(self.dim)

    @property
    def insulated(self) -> tuple[str, ...]:
        """Sides of the box that are not open."""
        return tuple(side for side in self.domain.tags if side not in self.open_sides)

    def sample(self, generator: torch.Generator) -> Instance:
        """Draw obstacles and a plume.

        Args:
            generator: Source of randomness.

        Returns:
            Instance with the fields "mask", one in the fluid and zero in obstacles, and "f" = -∇·w, and the coordinates c0_0, c0_1, … of
            the centres as scalars.
        """
        margin = self.radius + CLEARANCE
        drawn = margin + (1 - 2 * margin) * torch.rand(self.balls, self.dim, generator=generator, dtype=torch.float64)
        centres = drawn.tolist() if self.centre is None else [self.centre]
        scalars = {f"c{i}_{k}": float(value) for i, centre in enumerate(centres) for k, value in enumerate(centre)}
        plume = draw_plume(self.dim, self.puffs, self.width, self.wander, self.buoyancy, generator=generator)
        fluid = Fluid(self.obstacle(Instance({}, scalars)), self.open_sides)
        return Instance({"mask": fluid, "f": Inflow(plume, fluid, self.insulated)}, scalars)

    def coefficient(self, instance: Instance, at: At) -> Tensor:
        """Return a = 1 of -∇·(a∇p)."""
        return torch.ones((), dtype=torch.float64)

    def obstacle(self, instance: Instance) -> Domain | None:
        """Return the region of the obstacles, or None where there are none; a subclass may return any domain.

        Args:
            instance: A draw, of which the scalars are known.
        """
        centres = [tuple(instance.scalars[f"c{i}_{k}"] for k in range(self.dim)) for i in range(self.balls)]
        return reduce(or_, (Ball(centre, self.radius) for centre in centres)) if centres else None

    def obstacles(self, instance: Instance, grid: Grid) -> Obstacles:
        """Return the cells in the fluid and what holds around them, as solvers and learned preconditioners read it.

        Args:
            instance: A draw, or fields read from a file.
            grid: Cell-centred grid of the box.

        Raises:
            UsageError: If no cell is left from which an open side can be reached.
        """
        return _obstacles(instance.fields["mask"].on(grid), self.wall, self.insulated)

    def system(self, instance: Instance, layout: Layout) -> LinearSystem:
        """Assemble finite volumes on all cells of a grid; p = 0 in obstacles.

        Args:
            instance: A draw, or fields read from a file.
            layout: Cell-centred grid.

        Returns:
            Symmetric positive definite system, whose b adds up to the flux of w into the box through its open sides.

        Raises:
            UsageError: If the layout is no such grid of this dimension, a ball can fall between its cell centres, or obstacles leave no
                cell.
        """
        if not isinstance(layout, Grid) or layout.ndim != self.dim or layout.location != "cell":
            raise UsageError(f"PlumePressure needs a cell-centred {self.dim}-D grid, e.g. Problem.grid({self.cells}), got {layout!r:.80}")
        reach = 0.5 * math.hypot(*layout.spacing())  # of the cell centre that is next to any point
        if type(self).obstacle is PlumePressure.obstacle and self.balls and self.radius < reach:
            raise UsageError(
                f"balls of radius {self.radius} can fall between the cell centres of {layout.shape}; take a finer grid or radius {reach:.3g} or more"
            )
        one = torch.ones(layout.shape, dtype=torch.float64)
        return obstacle_system(layout, one, instance.fields["f"].on(layout), self.obstacles(instance, layout))

    @torch.enable_grad()
    def residual(self, u: Callable[[Tensor], Tensor], x: Tensor, instance: Instance) -> Tensor:
        """Evaluate -Δp - f at points, zero in obstacles.

        Args:
            u: Differentiable function p of points (n, d) with values (n,).
            x: Points, shape (n, d).
            instance: A draw.

        Returns:
            Residual, shape (n,), one over time; differentiable in the parameters of u.
        """
        x = x.detach().requires_grad_()
        found = -divergence(gradient(u(x), x), x) - instance.fields["f"].at(x)
        return found * instance.fields["mask"].at(x)


@dataclass(frozen=True, eq=False)
class Fluid:
    """The field that is one in the fluid and zero in obstacles.

    Attributes:
        obstacle: Region of the obstacles, or None.
        open_sides: Sides of the box; cells from which none of them can be reached count as obstacles.
    """

    obstacle: Domain | None
    open_sides: tuple[str, ...]

    def on(self, grid: Grid) -> Tensor:
        """Return the values on a grid, shape (*grid.shape,), by the centres of the cells."""
        x = grid.coordinates()
        return reachable(self.at(x.reshape(-1, grid.ndim)).reshape(grid.shape) > 0, self.open_sides).double()

    def at(self, x: Tensor) -> Tensor:
        """Return the values at points (n, d), shape (n,)."""
        return torch.ones_like(x[:, 0]) if self.obstacle is None else (self.obstacle.sdf(x.detach()) > 0).to(x.dtype)


@dataclass(frozen=True, eq=False)
class Inflow:
    """The field f = -∇·w of a plume around obstacles.

    Attributes:
        plume: Its velocity is w.
        fluid: Where it flows.
        insulated: Sides of the box through which it does not.
    """

    plume: Plume
    fluid: Fluid
    insulated: tuple[str, ...]

    def on(self, grid: Grid) -> Tensor:
        """Return the net inflow of each cell through its faces over its measure, shape (*grid.shape,).

        Nothing passes solid faces, which brings w·n at the walls into f, growing like one over the cell's width. The sum over all
        cells, times their measure, is the flux into the box through its open sides, to rounding.
        """
        fluxes = flow_around(grid, self.plume.velocity, _obstacles(self.fluid.on(grid), "neumann", self.insulated))
        outflow = sum((torch.diff(flux, dim=k) for k, flux in enumerate(fluxes)), torch.zeros(grid.shape, dtype=torch.float64))
        return -outflow / grid.cell_measure

    def at(self, x: Tensor) -> Tensor:
        """Return -∇·w at points (n, d), shape (n,), without the share of the walls."""
        return -self.plume.divergence(x) * self.fluid.at(x)


def _obstacles(mask: Tensor, wall: Wall, insulated: tuple[str, ...]) -> Obstacles:
    active = mask > 0.5
    if not bool(active.any()):
        raise UsageError(f"obstacles leave no cell of {tuple(mask.shape)} that reaches an open side; take a finer grid or smaller obstacles")
    return Obstacles(active, wall, insulated)
