"""Axis-parallel boxes in any dimension."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.domain.domain import Domain
from pdeflow.geometry.domain.draw import Bounds, Method, cube, in_bounds, pieces
from pdeflow.geometry.domain.results import Hit, Projection, hit
from pdeflow.geometry.grid import Grid, Location


@dataclass(frozen=True)
class Box(Domain):
    """Axis-parallel box Π [lower_k, upper_k] with the facets "x0-", "x0+", "x1-", …

    Attributes:
        lower: Lower corner, d coordinates in length units.
        upper: Upper corner, d coordinates.
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]

    convex = True

    def __post_init__(self) -> None:
        if len(self.lower) != len(self.upper) or any(
            not low < high for low, high in zip(self.lower, self.upper, strict=False)
        ):
            raise UsageError(
                f"a box needs lower < upper on every axis, got lower {self.lower}, upper {self.upper}"
            )

    @classmethod
    def unit(cls, dim: int) -> Box:
        """Return the unit cube [0, 1]^dim.

        Raises:
            UsageError: If dim is below one.
        """
        if dim < 1:
            raise UsageError(f"a box needs at least one dimension, got {dim}")
        return cls((0.0,) * dim, (1.0,) * dim)

    @property
    def dim(self) -> int:
        """Space dimension d."""
        return len(self.lower)

    @property
    def bounds(self) -> Bounds:
        """(lower, upper) per axis."""
        return tuple(zip(self.lower, self.upper, strict=True))

    @property
    def tags(self) -> tuple[str, ...]:
        """Names of the 2 d facets: axis number and side, "x0-" is the lower side of the first axis."""
        return tuple(f"x{k}{side}" for k in range(self.dim) for side in "-+")

    def measure(self) -> float:
        """Return the length, area or volume."""
        return math.prod(high - low for low, high in self.bounds)

    def _boundary_measure(self, ids: list[int]) -> float:
        return float(self._facet_measures()[ids].sum())

    def _facet_measures(self) -> Tensor:
        sides = torch.tensor([high - low for low, high in self.bounds], dtype=torch.float64)
        return torch.stack(
            [torch.cat([sides[:k], sides[k + 1 :]]).prod() for k in range(self.dim)]
        ).repeat_interleave(2)

    def sdf(self, x: Tensor) -> Tensor:
        """Return the signed distance of points to the boundary, negative inside.

        Args:
            x: Points, shape (n, d).

        Returns:
            Distances in length units, shape (n,); exact inside and outside.

        Raises:
            UsageError: If the points have another dimension.
        """
        x = self._checked(x)
        lower, upper = x.new_tensor(self.lower), x.new_tensor(self.upper)
        beyond = torch.maximum(lower - x, x - upper)  # (n, d), positive outside
        return beyond.clamp(min=0).norm(dim=-1) + beyond.amax(dim=-1).clamp(max=0)

    def project(self, x: Tensor) -> Projection:
        """Return the closest boundary points; facet and tag number the sides as `tags` does.

        Args:
            x: Points, shape (n, d).
        """
        found = self.closest(x)
        lower, upper = x.new_tensor(self.lower), x.new_tensor(self.upper)
        corner = ((x < lower) | (x > upper)).sum(dim=1) > 1  # outside, nearest to an edge or corner
        away = (x - found.point) / found.distance.clamp(min=1e-300)[:, None]
        normal = torch.where(corner[:, None], away, found.normal)
        return Projection(found.point, found.distance, normal, found.facet, found.tag)

    def _closest(self, x: Tensor, ids: list[int]) -> Projection:
        lower, upper = x.new_tensor(self.lower), x.new_tensor(self.upper)
        clamped = torch.minimum(torch.maximum(x, lower), upper)
        best = x.new_full((len(x),), math.inf)
        point, facet = clamped, torch.zeros(len(x), dtype=torch.int64, device=x.device)
        for side in ids:
            k, value = side // 2, (lower, upper)[side % 2][side // 2]
            on_side = torch.cat([clamped[:, :k], value.expand(len(x), 1), clamped[:, k + 1 :]], dim=1)
            distance = (x - on_side).norm(dim=1)
            closer = distance < best
            best = torch.where(closer, distance, best)
            point = torch.where(closer[:, None], on_side, point)
            facet = facet.masked_fill(closer, side)
        return Projection(point, best, self._normals(facet, x), facet, facet)

    def _normals(self, facet: Tensor, x: Tensor) -> Tensor:
        sign = (2 * (facet % 2) - 1).to(x.dtype)
        return torch.zeros_like(x).scatter(1, facet[:, None] // 2, sign[:, None])

    def _intersect(self, x: Tensor, v: Tensor, tmax: float) -> Hit:
        lower, upper = x.new_tensor(self.lower), x.new_tensor(self.upper)
        tiny = 1e-12 * self.diameter
        t = (torch.stack([lower, upper], dim=1) - x[:, :, None]) / v[:, :, None]  # (n, d, 2), facet order
        t = t.flatten(1)
        end = x[:, None] + torch.where(t.isfinite(), t, 0.0)[:, :, None] * v[:, None]  # (n, 2 d, d)
        within = ((end >= lower - tiny) & (end <= upper + tiny)).all(dim=2)
        t, facet = torch.where(within & (t > tiny) & t.isfinite(), t, math.inf).min(dim=1)
        return hit(x, v, t, self._normals(facet, x), facet, tmax)

    def _interior(self, count: int, method: Method, generator: torch.Generator) -> Tensor:
        return in_bounds(cube(count, self.dim, method, generator), self.bounds)

    def _boundary(self, count: int, ids: list[int], method: Method, generator: torch.Generator) -> Tensor:
        u = cube(count, self.dim, method, generator)
        sides = torch.tensor(ids)
        side = sides[pieces(u[:, 0], self._facet_measures()[sides])[0]]
        axis = side // 2
        u = torch.cat(
            [u[:, 1:], u[:, :1]], dim=1
        )  # d − 1 free coordinates, in the place of the axis the last one
        u = torch.where(torch.arange(self.dim) == axis[:, None], u[:, -1:], u.gather(1, self._free(axis)))
        return in_bounds(u.scatter(1, axis[:, None], (side % 2).double()[:, None]), self.bounds)

    def _free(self, axis: Tensor) -> Tensor:
        """Number the coordinates other than the axis 0 … d − 2, shape (n, d)."""
        k = torch.arange(self.dim)
        return k - (k > axis[:, None]).long()

    def _moved(self, rotation: Tensor, factor: float, shift: Tensor) -> Domain:
        if not torch.equal(rotation, torch.eye(self.dim, dtype=torch.float64)):
            return super()._moved(rotation, factor, shift)
        ends = [
            (factor * torch.tensor(end, dtype=torch.float64) + shift).tolist()
            for end in (self.lower, self.upper)
        ]
        return Box(tuple(ends[0]), tuple(ends[1]))

    def grid(self, shape: Sequence[int], *, periodic: bool = False, location: Location = "cell") -> Grid:
        """Cover the box with a uniform grid.

        Args:
            shape: Number of values per axis, d entries.
            periodic: Whether every axis wraps around.
            location: "cell" or "node".

        Returns:
            The grid.

        Raises:
            UsageError: If the number of axes differs from the dimension.
        """
        if len(tuple(shape)) != self.dim:
            raise UsageError(
                f"the domain is {self.dim}-D but the grid has {len(tuple(shape))} axes: {tuple(shape)}"
            )
        return Grid.uniform(shape, self.bounds, periodic=periodic, location=location)
