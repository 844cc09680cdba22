"""Steady heat in random polygons with a random conductivity that lose heat through their edges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from pdeflow.discretization.boundary import Condition, Dirichlet, Robin
from pdeflow.errors import UsageError
from pdeflow.geometry import Ball, Box, Domain, Polygon
from pdeflow.problems.elliptic import Elliptic
from pdeflow.problems.instance import At, Instance, Resolution
from pdeflow.random_fields import field_deviation, gaussian_random_field


@dataclass(frozen=True)
class PolygonHeat(Elliptic):
    """-∇·(κ∇u) = 1 in a random polygon with a polygonal hole; κ ∂u/∂n + h u = 0 outside, u = 1 on the hole.

    Attributes:
        vertices: Corners of the outer polygon, at random distances from the centre in equal angles.
        transfer: Heat transfer coefficient h of the outer edges.
        low: Smallest distance of a corner from the centre; the largest is one.
        hole: Radius of the hole, a square turned by a random angle; below half of `low`.
        sigma: Standard deviation of ln κ.
        alpha: Smoothness of ln κ, whose covariance is a multiple of (-Δ + τ²)^(-α), zero Neumann on [-1, 1]².
        tau: Inverse correlation length of ln κ.
        modes: Size of the mode table per axis.
    """

    vertices: int = 7
    transfer: float = 1.0
    low: float = 0.6
    hole: float = 0.2
    sigma: float = 0.5
    alpha: float = 3.0
    tau: float = 3.0
    modes: int = 24

    inputs: ClassVar[tuple[str, ...]] = ("kappa",)
    equation: ClassVar[str] = "-div(kappa grad u) = 1 in a random polygon, kappa du/dn + h u = 0 outside, u = 1 on the hole"
    resolution: ClassVar[Resolution] = 0.12

    def __post_init__(self) -> None:
        if not (self.vertices >= 4 and 0 < 2 * self.hole < self.low <= 1 and self.transfer > 0 and self.alpha > 2):
            raise UsageError(
                f"PolygonHeat needs vertices >= 4, 0 < 2 hole < low <= 1, transfer > 0 and alpha > 2, got {self}"
            )

    @property
    def domain(self) -> Domain:
        """The disk that holds all shapes."""
        return Ball((0.0, 0.0), 1.0)

    @property
    def box(self) -> Box:
        """Where the conductivity is defined."""
        return Box((-1.0, -1.0), (1.0, 1.0))

    def sample(self, generator: torch.Generator) -> Instance:
        """Draw a polygon and a conductivity.

        Args:
            generator: Source of randomness.

        Returns:
            Instance with the field "kappa" and the scalars x0, y0, x1, … (corners) and angle (of the hole).
        """
        draws = torch.rand(self.vertices + 2, generator=generator, dtype=torch.float64)
        theta = 2 * math.pi * (torch.arange(self.vertices) + draws[-1]) / self.vertices
        radius = self.low + (1 - self.low) * draws[: self.vertices]
        scalars = {"angle": float(draws[-2]) * math.pi / 2}
        for k in range(self.vertices):
            scalars[f"x{k}"], scalars[f"y{k}"] = float(radius[k] * theta[k].cos()), float(radius[k] * theta[k].sin())
        g = gaussian_random_field(self.box, self.alpha, self.tau, generator=generator, modes=self.modes)
        deviation = field_deviation(self.box, self.alpha, self.tau, modes=self.modes)
        return Instance({"kappa": replace(g, transform=lambda v: torch.exp(self.sigma * v / deviation))}, scalars)

    def shape(self, instance: Instance) -> Domain:
        """Return the polygon of an instance, with the parts "outer" and "hole0"."""
        s = instance.scalars
        corners = [(s[f"x{k}"], s[f"y{k}"]) for k in range(self.vertices)]
        angles = [s["angle"] + k * math.pi / 2 for k in range(4)]
        hole = [(self.hole * math.cos(a), self.hole * math.sin(a)) for a in angles]
        return Polygon(torch.tensor(corners, dtype=torch.float64), holes=(torch.tensor(hole, dtype=torch.float64),))

    def coefficient(self, instance: Instance, at: At) -> Tensor:
        """Return a = κ."""
        return at("kappa")

    def source(self, instance: Instance, at: At) -> Tensor:
        """Return f = 1."""
        return torch.ones((), dtype=torch.float64)

    def boundary(self, instance: Instance) -> Mapping[str, Condition]:
        """Return heat transfer outside and u = 1 on the hole."""
        return {"hole0": Dirichlet(1.0), "outer": Robin(self.transfer, 0.0)}
