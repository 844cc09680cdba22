"""Any elliptic problem with a solution of one's choice: the source and the boundary data are derived from it.

Roache, Code verification by the method of manufactured solutions, J. Fluids Eng. 124 (2002) 4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pdeflow.discretization.boundary import Condition, Dirichlet, Neumann, Robin, values_at
from pdeflow.geometry import Domain
from pdeflow.problems.elliptic import Elliptic
from pdeflow.problems.instance import At, Instance, Layout, Resolution


@dataclass(frozen=True)
class Manufactured(Elliptic):
    """The operator and the kinds of boundary condition of `problem`, with f and boundary data such that u = solution.

    Attributes:
        problem: An elliptic problem.
        solution: Twice differentiable function of points (n, d) with values (n,), real or complex.
    """

    problem: Any
    solution: Callable[[Tensor], Tensor]

    def __post_init__(self) -> None:
        if not isinstance(self.problem, Elliptic):
            raise TypeError(f"a manufactured solution needs an elliptic problem, got {type(self.problem).__name__}")
        for name in ("inputs", "outputs", "equation", "resolution", "element"):
            object.__setattr__(self, name, getattr(self.problem, name))

    @property
    def domain(self) -> Domain:
        """The problem's."""
        return self.problem.domain

    def shape(self, instance: Instance) -> Domain:
        """Return the problem's shape."""
        return self.problem.shape(instance)

    def sample(self, generator: torch.Generator) -> Instance:
        """Draw from the problem."""
        return self.problem.sample(generator)

    def layout(self, instance: Instance, resolution: Resolution) -> Layout:
        """Return the problem's layout."""
        return self.problem.layout(instance, resolution)

    def coefficient(self, instance: Instance, at: At) -> Tensor:
        """Return the problem's a."""
        return self.problem.coefficient(instance, at)

    def velocity(self, instance: Instance, at: At) -> Tensor | None:
        """Return the problem's β."""
        return self.problem.velocity(instance, at)

    def reaction(self, instance: Instance, at: At) -> Tensor | None:
        """Return the problem's c."""
        return self.problem.reaction(instance, at)

    def source(self, instance: Instance, at: At) -> Tensor:
        """Return f = -∇·(a∇u) + β·∇u + c u for the chosen u."""
        x = at.x.reshape(-1, at.x.shape[-1])
        operator = self.problem.residual(self.solution, x, instance) + self.problem.source(instance, At(instance, x))
        return operator.detach().reshape(at.x.shape[:-1])

    def boundary(self, instance: Instance) -> Mapping[str, Condition]:
        """Return conditions of the problem's kinds with the data of the chosen u."""
        return {tag: self._data(condition, instance) for tag, condition in self.problem.boundary(instance).items()}

    def _data(self, condition: Condition, instance: Instance) -> Condition:
        if isinstance(condition, Dirichlet):
            return Dirichlet(self.solution)

        def inflow(x: Tensor) -> Tensor:
            normal = self.shape(instance).project(x).normal
            return -(self.problem.flux(self.solution, x, instance) * normal).sum(1).detach()

        if isinstance(condition, Neumann):
            return Neumann(inflow)
        if isinstance(condition, Robin):
            factor = condition.coefficient
            return Robin(factor, lambda x: inflow(x) + values_at(factor, x) * self.solution(x))
        return condition

    def exact(self, x: Tensor, instance: Instance) -> Tensor:
        """Return the chosen solution at points (..., d), shape (...,)."""
        return self.solution(x.reshape(-1, x.shape[-1])).reshape(x.shape[:-1])
