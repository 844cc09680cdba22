"""Poisson's equation on random star shapes: the geometry itself is the input.

The shapes are ours; Chebyshev data after Wang et al., Accelerating data generation for neural operators via Krylov subspace
recycling, ICLR 2024, appendix (Poisson).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from pdeflow.discretization.boundary import Condition, Dirichlet
from pdeflow.errors import UsageError
from pdeflow.geometry import Ball, Domain, Mesh, StarShaped
from pdeflow.geometry.domain.arguments import mesh_size
from pdeflow.problems.chebyshev import chebyshev_series
from pdeflow.problems.elliptic import Elliptic
from pdeflow.problems.instance import At, Function, Instance, Layout, Resolution


@dataclass(frozen=True)
class StarPoisson(Elliptic):
    """-Δu = f in r < r0 (1 + Σ a_j cos jθ + b_j sin jθ), u = g on its boundary; f and g are Chebyshev products.

    Attributes:
        radius: Mean radius r0, the length unit of the problem.
        modes: Number J of angular modes.
        roughness: c: a_j and b_j are U(-c/j², c/j²); at most 0.4, so that the radius stays positive.
        degree: Degree of f and g per axis, on the box of side 4 r0.
    """

    radius: float = 1.0
    modes: int = 8
    roughness: float = 0.3
    degree: int = 5

    inputs: ClassVar[tuple[str, ...]] = ("f", "g")
    equation: ClassVar[str] = "-laplace(u) = f in a random star shape, u = g on its boundary"
    resolution: ClassVar[Resolution] = 0.15

    def __post_init__(self) -> None:
        if not (self.radius > 0 and self.modes >= 1 and 0 <= self.roughness <= 0.4 and self.degree >= 0):
            raise UsageError(
                f"StarPoisson needs radius > 0, modes >= 1, 0 <= roughness <= 0.4 and degree >= 0, got {self}"
            )

    @property
    def domain(self) -> Domain:
        """The mean shape, a disk."""
        return Ball((0.0, 0.0), self.radius)

    def sample(self, generator: torch.Generator) -> Instance:
        """Draw a shape, a source and boundary values.

        Args:
            generator: Source of randomness.

        Returns:
            Instance with the fields "f" and "g" and the scalars a1, b1, …
        """
        j = torch.arange(1, self.modes + 1, dtype=torch.float64)
        ab = self.roughness / j**2 * (2 * torch.rand(2, self.modes, generator=generator, dtype=torch.float64) - 1)
        n = self.degree + 1
        c = 2 * torch.rand(2, n, n, generator=generator, dtype=torch.float64) - 1
        scalars = {f"{name}{k + 1}": float(ab[row, k]) for row, name in enumerate("ab") for k in range(self.modes)}
        return Instance({"f": Function(self._product(c[0])), "g": Function(self._product(c[1]))}, scalars)

    def _product(self, c: Tensor):  # type: ignore[no-untyped-def]
        def values(x: Tensor) -> Tensor:
            t = x / (4 * self.radius) + 0.5
            unit = torch.eye(len(c), dtype=c.dtype)
            first = torch.stack([chebyshev_series(e, t[:, 0]) for e in unit])
            second = torch.stack([chebyshev_series(e, t[:, 1]) for e in unit])
            return torch.einsum("in,ij,jn->n", first, c, second)

        return values

    def coefficients(self, instance: Instance) -> Tensor:
        """Return a_j and b_j of an instance, shape (2, J)."""
        rows = [[instance.scalars[f"{name}{k + 1}"] for k in range(self.modes)] for name in "ab"]
        return torch.tensor(rows, dtype=torch.float64)

    def relative_radius(self, instance: Instance, theta: Tensor) -> Tensor:
        """Return r(θ)/r0 at angles of any shape."""
        angles = theta[..., None] * torch.arange(1, self.modes + 1, dtype=torch.float64)
        a, b = self.coefficients(instance)
        return 1 + torch.cos(angles) @ a + torch.sin(angles) @ b

    def shape(self, instance: Instance) -> Domain:
        """Return the star shape of an instance."""
        a, b = self.coefficients(instance)
        return StarShaped((self.radius, *(self.radius * a).tolist()), (0.0, *(self.radius * b).tolist()))

    def coefficient(self, instance: Instance, at: At) -> Tensor:
        """Return a = 1."""
        return torch.ones((), dtype=torch.float64)

    def boundary(self, instance: Instance) -> Mapping[str, Condition]:
        """Return u = g on all of the boundary."""
        return {"boundary": Dirichlet(instance.fields["g"].at)}

    def layout(self, instance: Instance, resolution: Resolution) -> Layout:
        """Return a mesh of the disk, stretched along its rays; all instances share its triangles.

        Args:
            instance: A draw.
            resolution: Mesh size h of the disk, in length units.

        Raises:
            UsageError: If h is not a number, or not below the radius.
        """
        if isinstance(resolution, tuple | list) or mesh_size(resolution) >= self.radius:
            raise UsageError(f"StarPoisson needs a mesh size h below the radius {self.radius}, got {resolution}")
        disk = _unit_disk(float(resolution) / self.radius)
        x, y = disk.points.unbind(-1)
        stretch = self.radius * self.relative_radius(instance, torch.atan2(y, x))
        mesh = Mesh(disk.points * stretch[:, None], disk.cells, "tri", facet_tags=disk.facet_tags)
        mesh.validate()
        return mesh


@lru_cache(maxsize=4)
def _unit_disk(h: float) -> Mesh:
    """Rings of triangles around the centre, every ring with six more points than the one before."""
    rings = max(math.ceil(1 / h), 2)
    return Mesh.disk(1 / rings)
