"""Uniform tensor-product grids on a box, with values at cell centres or at nodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Location = Literal["cell", "node"]


@dataclass(frozen=True)
class Grid:
    """Uniform grid of d axes on the box Π [lower_k, upper_k]; axis order (x, y, z), indexing "ij".

    Attributes:
        shape: Number of values per axis, d entries.
        bounds: (lower, upper) per axis, in length units of the problem.
        periodic: Whether each axis wraps around.
        location: "cell" puts value i at lower + (i + 1/2) h; "node" at lower + i h, end points included
            (a periodic axis leaves out the upper end).
    """

    shape: tuple[int, ...]
    bounds: tuple[tuple[float, float], ...]
    periodic: tuple[bool, ...]
    location: Location = "cell"

    def __post_init__(self) -> None:
        if not self.shape or any(int(n) != n or n < 1 for n in self.shape):
            raise ValueError(
                f"grid shape must be positive whole numbers, one per axis, got {tuple(self.shape)}"
            )
        if self.location not in ("cell", "node"):
            raise ValueError(f"grid location must be 'cell' or 'node', got {self.location!r}")
        if not len(self.shape) == len(self.bounds) == len(self.periodic):
            raise ValueError(
                f"a grid needs shape, bounds and periodic of one length, got {len(self.shape)}, "
                f"{len(self.bounds)}, {len(self.periodic)}"
            )
        if any(not low < high for low, high in self.bounds):
            raise ValueError(f"grid bounds must be (lower, upper) with lower < upper, got {self.bounds}")
        if self.location == "node" and any(
            n < 2 and not p for n, p in zip(self.shape, self.periodic, strict=True)
        ):
            raise ValueError(f"a node grid needs at least 2 values per axis, got shape {self.shape}")

    @classmethod
    def uniform(
        cls,
        shape: Sequence[int],
        bounds: Sequence[tuple[float, float]],
        *,
        periodic: bool = False,
        location: Location = "cell",
    ) -> Grid:
        """Build a grid whose axes are all periodic or all not.

        Args:
            shape: Number of values per axis.
            bounds: (lower, upper) per axis.
            periodic: Whether every axis wraps around.
            location: "cell" or "node".

        Returns:
            The grid.

        Raises:
            ValueError: If lengths differ, a side is empty, or a count is below one.
        """
        ends = tuple((float(low), float(high)) for low, high in bounds)
        return cls(tuple(int(n) for n in shape), ends, (periodic,) * len(tuple(shape)), location)

    @classmethod
    def unit(cls, shape: Sequence[int], *, periodic: bool = False, location: Location = "cell") -> Grid:
        """Build a grid on the unit cube.

        Args:
            shape: Number of values per axis.
            periodic: Whether every axis wraps around.
            location: "cell" or "node".

        Returns:
            The grid on [0, 1]^d.

        Raises:
            ValueError: If a count is below one.
        """
        return cls.uniform(shape, [(0.0, 1.0)] * len(tuple(shape)), periodic=periodic, location=location)

    @property
    def ndim(self) -> int:
        """Number of axes d."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values, the product of the shape."""
        return math.prod(self.shape)

    def spacing(self) -> tuple[float, ...]:
        """Return the distance h of neighbouring values per axis, in length units."""
        gaps = [
            n - 1 if self.location == "node" and not p else n
            for n, p in zip(self.shape, self.periodic, strict=True)
        ]
        return tuple((high - low) / gap for (low, high), gap in zip(self.bounds, gaps, strict=True))

    def axis(self, k: int) -> Tensor:
        """Return the coordinates along axis k, shape (shape[k],), float64."""
        shift = 0.5 if self.location == "cell" else 0.0
        return (
            self.bounds[k][0] + (torch.arange(self.shape[k], dtype=torch.float64) + shift) * self.spacing()[k]
        )

    def coordinates(self) -> Tensor:
        """Return the points of all values, shape (*shape, d), float64, indexing "ij"."""
        return torch.stack(torch.meshgrid(*(self.axis(k) for k in range(self.ndim)), indexing="ij"), dim=-1)

    @property
    def cell_measure(self) -> float:
        """Product of the spacings: length, area or volume that belongs to one inner value."""
        return math.prod(self.spacing())
