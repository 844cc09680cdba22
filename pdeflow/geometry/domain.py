"""Regions of space with a signed distance (negative inside) and named boundary facets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeflow.geometry.grid import Grid, Location


@dataclass(frozen=True)
class Box:
    """Axis-parallel box Π [lower_k, upper_k] with the facets "x0-", "x0+", "x1-", …

    Attributes:
        lower: Lower corner, d coordinates in length units.
        upper: Upper corner, d coordinates.
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.lower) != len(self.upper) or any(
            not low < high for low, high in zip(self.lower, self.upper, strict=False)
        ):
            raise ValueError(
                f"a box needs lower < upper on every axis, got lower {self.lower}, upper {self.upper}"
            )

    @classmethod
    def unit(cls, dim: int) -> Box:
        """Return the unit cube [0, 1]^dim.

        Raises:
            ValueError: If dim is below one.
        """
        if dim < 1:
            raise ValueError(f"a box needs at least one dimension, got {dim}")
        return cls((0.0,) * dim, (1.0,) * dim)

    @property
    def dim(self) -> int:
        """Space dimension d."""
        return len(self.lower)

    @property
    def tags(self) -> tuple[str, ...]:
        """Names of the 2 d facets: axis number and side, "x0-" is the lower side of the first axis."""
        return tuple(f"x{k}{side}" for k in range(self.dim) for side in "-+")

    def measure(self) -> float:
        """Return the length, area or volume."""
        return math.prod(high - low for low, high in zip(self.lower, self.upper, strict=True))

    def sdf(self, x: Tensor) -> Tensor:
        """Return the signed distance of points to the boundary, negative inside.

        Args:
            x: Points, shape (n, d).

        Returns:
            Distances in length units, shape (n,); exact inside and outside.

        Raises:
            ValueError: If the points have another dimension.
        """
        if x.shape[-1] != self.dim:
            raise ValueError(
                f"the box is {self.dim}-D but the points have shape {tuple(x.shape)}; pass (n, {self.dim})"
            )
        lower, upper = x.new_tensor(self.lower), x.new_tensor(self.upper)
        beyond = torch.maximum(lower - x, x - upper)  # (n, d), positive outside
        return beyond.clamp(min=0).norm(dim=-1) + beyond.amax(dim=-1).clamp(max=0)

    def sample_interior(self, count: int, *, generator: torch.Generator) -> Tensor:
        """Draw uniformly distributed points.

        Args:
            count: Number of points n.
            generator: Source of randomness.

        Returns:
            Points, shape (n, d), float64.
        """
        lower = torch.tensor(self.lower, dtype=torch.float64)
        upper = torch.tensor(self.upper, dtype=torch.float64)
        return lower + (upper - lower) * torch.rand(count, self.dim, generator=generator, dtype=torch.float64)

    def grid(self, shape: Sequence[int], *, periodic: bool = False, location: Location = "cell") -> Grid:
        """Cover the box with a uniform grid.

        Args:
            shape: Number of values per axis, d entries.
            periodic: Whether every axis wraps around.
            location: "cell" or "node".

        Returns:
            The grid.

        Raises:
            ValueError: If the number of axes differs from the dimension.
        """
        if len(tuple(shape)) != self.dim:
            raise ValueError(
                f"the domain is {self.dim}-D but the grid has {len(tuple(shape))} axes: {tuple(shape)}"
            )
        bounds = list(zip(self.lower, self.upper, strict=True))
        return Grid.uniform(shape, bounds, periodic=periodic, location=location)
