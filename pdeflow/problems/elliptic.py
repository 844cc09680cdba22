"""The elliptic form -∇·(a∇u) = f with u = 0 on the boundary: system and strong residual derived once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeflow.discretization import diffusion_system
from pdeflow.geometry import Box, Grid
from pdeflow.linalg import LinearSystem
from pdeflow.problems.problem import Instance, Problem


@dataclass(frozen=True)
class Elliptic(Problem):
    """-∇·(a∇u) = f on the unit cube, u = 0 on the boundary; dimensionless.

    Subclasses say what a and f are, as functions that return values on a grid or at points.
    """

    @property
    def domain(self) -> Box:
        """The unit square."""
        return Box.unit(2)

    def coefficient(self, instance: Instance, evaluate: Callable[[str], Tensor]) -> Tensor:
        """Return a where `evaluate(name)` gives the values of a field; dimensionless and positive."""
        return evaluate("a")

    def source(self, instance: Instance, evaluate: Callable[[str], Tensor]) -> Tensor:
        """Return f where `evaluate(name)` gives the values of a field; dimensionless."""
        return evaluate("f")

    def system(self, instance: Instance, grid: Grid) -> LinearSystem:
        """Assemble cell-centred finite volumes with harmonic face means.

        Args:
            instance: A draw, or fields read from a file.
            grid: Cell-centred grid of the unknowns.

        Returns:
            Symmetric positive definite system; the unknowns are the cell values of u.

        Raises:
            UsageError: If the grid does not fit or a is not positive.
        """

        def on_grid(name: str) -> Tensor:
            return instance.fields[name].on(grid)

        a, f = self.coefficient(instance, on_grid), self.source(instance, on_grid)
        return diffusion_system(grid, a.expand(grid.shape), f.expand(grid.shape))

    def residual(self, u: Callable[[Tensor], Tensor], x: Tensor, instance: Instance) -> Tensor:
        """Evaluate the strong residual -∇·(a∇u) - f at points, by automatic differentiation.

        Args:
            u: Differentiable function of points (n, d) with values (n,).
            x: Points, shape (n, d).
            instance: A draw whose fields have pointwise values; a must be differentiable at the points.

        Returns:
            Residual, shape (n,), in the units of f.
        """
        x = x.detach().requires_grad_()

        def at_points(name: str) -> Tensor:
            return instance.fields[name].at(x)

        (gradient,) = torch.autograd.grad(u(x).sum(), x, create_graph=True)
        flux = self.coefficient(instance, at_points).reshape(-1, 1) * gradient
        divergence = torch.zeros(len(x), dtype=x.dtype)
        for k in range(x.shape[1]):
            (slope,) = torch.autograd.grad(flux[:, k].sum(), x, retain_graph=True, create_graph=True)
            divergence = divergence + slope[:, k]
        return -divergence - self.source(instance, at_points)
