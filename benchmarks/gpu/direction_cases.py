"""Elliptic systems in the unit cube on a device: what benchmarks/gpu/deep_conjugate_directions.py solves, without ever assembling a matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from pdeflow import seeds
from pdeflow.geometry import Box, Domain, Grid
from pdeflow.linalg import operators
from pdeflow.linalg.obstacles import Obstacles, obstacle_faces
from pdeflow.problems import Elliptic, Instance
from pdeflow.problems.instance import Function


@dataclass(frozen=True)
class Case:
    """One table block: coefficient "1", "waves" or "ball", cells per side, right-hand sides."""

    kind: str
    side: int
    count: int


@dataclass(frozen=True)
class Waves(Elliptic):
    """-∇·(a∇u) = 1 in the unit cube, u = 0 on its boundary; a is the exponential of a few random cosine waves."""

    @property
    def domain(self) -> Domain:
        """The unit cube."""
        return Box.unit(3)

    def sample(self, generator: torch.Generator) -> Instance:
        """Draw the amplitudes of 4³ waves."""
        c = torch.randn(4, 4, 4, generator=generator, dtype=torch.float64)
        return Instance({"a": Function(lambda points: waves(points, c))})

    def source(self, instance: Instance, at: Any) -> Tensor:
        """Return one."""
        return torch.ones((), dtype=torch.float64)


def waves(points: Tensor, amplitudes: Tensor) -> Tensor:
    """Return exp of a sum of cosines at points (..., 3); amplitudes fall with the frequency."""
    number = torch.arange(4, dtype=torch.float64)
    x, y, z = (torch.cos(math.pi * number * points[..., k, None]) / (1 + number) for k in range(3))
    return torch.exp(torch.einsum("...i,...j,...k,ijk->...", x, y, z, amplitudes))


@lru_cache(2)
def coefficient(varies: bool, grid: Grid) -> Tensor:
    """One draw of the waves, or one, on a grid; seconds on a fine one."""
    return Waves().sample(seeds.generator(1, seeds.SOLVE, 0)).fields["a"].on(grid) if varies else torch.ones(grid.shape, dtype=torch.float64)


class System:
    """Matrix and right-hand sides of a case on a device: the first is 1, the others are white noise, all zero in the ball."""

    def __init__(self, case: Case, device: torch.device) -> None:
        grid = Grid.unit((case.side,) * 3)
        self.spacing, self.obstacles = grid.spacing(), None
        self.a = coefficient(case.kind == "waves", grid).to(device)
        self.b = torch.randn(case.count, *grid.shape, dtype=torch.float64, device=device, generator=torch.Generator(device).manual_seed(0))
        self.b[0] = 1.0
        if case.kind == "ball":
            self.obstacles = Obstacles((grid.coordinates() - 0.5).norm(dim=-1) > 0.15)
            self.faces = obstacle_faces(self.a, self.spacing, self.obstacles)
            self.b *= self.obstacles.active.to(device)
        else:
            self.faces = operators.face_conductances(self.a, self.spacing)
        diagonal = operators.diagonal(self.faces)
        self.inverse = torch.where(diagonal > 0, 1 / diagonal, 0.0)

    def apply(self, v: Tensor) -> Tensor:
        """A v."""
        return operators.apply(v, self.faces)

    def jacobi(self, v: Tensor) -> Tensor:
        """D⁻¹ v."""
        return self.inverse * v
