"""Poisson's equation with Chebyshev data: a random polynomial source and random values on the four edges.

Wang et al., Accelerating data generation for neural operators via Krylov subspace recycling, ICLR 2024, appendix (Poisson).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pdeflow.discretization.boundary import Condition, Dirichlet
from pdeflow.errors import UsageError
from pdeflow.problems.elliptic import Elliptic
from pdeflow.problems.instance import At, Function, Instance, Resolution

EDGES = ("x0-", "x0+", "x1-", "x1+")


def chebyshev_series(coefficients: Tensor, t: Tensor) -> Tensor:
    """Evaluate Σ c_k T_k(2t - 1) on [0, 1] by Clenshaw's recurrence.

    Args:
        coefficients: c, shape (K,).
        t: Arguments, any shape; the polynomial goes on outside [0, 1].

    Returns:
        Values, shape of t.
    """
    s = 2 * t - 1
    ahead, last = torch.zeros_like(s), torch.zeros_like(s)
    for c in coefficients.flip(0)[:-1]:
        ahead, last = 2 * s * ahead - last + c, ahead
    return s * ahead - last + coefficients[0]


@dataclass(frozen=True)
class ChebyshevPoisson(Elliptic):
    """-Δu = f on (0,1)², u = g on the boundary; f and g on each edge are Chebyshev series with coefficients U(-1, 1).

    The published set writes Δu = f; the sign of f is symmetric. The values of two edges need not meet at a corner,
    where u is then discontinuous.

    Attributes:
        degree: Degree of the series: f depends on the first coordinate, each edge on its own.
        amplitude: Factor of all coefficients, dimensionless.
    """

    degree: int = 5
    amplitude: float = 1.0

    inputs: ClassVar[tuple[str, ...]] = ("f", "g")
    equation: ClassVar[str] = "-laplace(u) = f on (0,1)^2, u = g on the boundary; Chebyshev series"
    resolution: ClassVar[Resolution] = 0.05

    def __post_init__(self) -> None:
        if self.degree < 0:
            raise UsageError(f"the degree must be >= 0, got {self.degree}")

    def sample(self, generator: torch.Generator) -> Instance:
        """Draw a source and four edges.

        Args:
            generator: Source of randomness.

        Returns:
            Instance with the fields "f" and "g", and one per edge, "x0-" … "x1+", functions of all of the square.
        """
        c = self.amplitude * (2 * torch.rand(5, self.degree + 1, generator=generator, dtype=torch.float64) - 1)
        edges = {tag: Function(_along(c[k + 1], k // 2)) for k, tag in enumerate(EDGES)}
        return Instance({"f": Function(_along(c[0], 1)), "g": Function(lambda x: blend(edges, x)), **edges})

    def coefficient(self, instance: Instance, at: At) -> Tensor:
        """Return a = 1."""
        return torch.ones((), dtype=torch.float64)

    def boundary(self, instance: Instance) -> Mapping[str, Condition]:
        """Return the Dirichlet values of the four edges."""
        return {tag: Dirichlet(instance.fields[tag].at) for tag in EDGES}


def _along(coefficients: Tensor, normal_axis: int):  # type: ignore[no-untyped-def]
    """Return the series along the axis that is not the normal one."""
    return lambda x: chebyshev_series(coefficients, x[:, 1 - normal_axis])


def blend(edges: Mapping[str, Function], x: Tensor) -> Tensor:
    """Extend the values of the edges of the unit square into it, weighted by one over the distance (Shepard, 1968).

    Args:
        edges: Function of points by tag.
        x: Points, shape (n, 2).

    Returns:
        Values, shape (n,); on an edge they are that edge's.
    """
    tiny = math.sqrt(torch.finfo(x.dtype).tiny)
    distance = torch.stack([x[:, 0], 1 - x[:, 0], x[:, 1], 1 - x[:, 1]]).abs() + tiny
    values = torch.stack([edges[tag].at(x) for tag in EDGES])
    weight = distance.amin(0) / distance
    return (weight * values).sum(0) / weight.sum(0)
