"""Uniform tensor-product grids on a box, with values at cell centres or at nodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.gradient.curvilinear import curvilinear
from pdeflow.geometry.gradient.operator import GradientOperator
from pdeflow.geometry.index_box import face_nodes, flatten_field, unflatten_field
from pdeflow.geometry.index_stencil import IndexStencil, index_stencil
from pdeflow.geometry.layouts import Location
from pdeflow.geometry.mesh import CellType, Mesh
from pdeflow.geometry.resample import Method, resample


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

    @property
    def tags(self) -> dict[str, Tensor]:
        """Flat ids of the values next to each face "x0-", "x0+", "x1-", …; periodic axes have none."""
        return face_nodes(self.shape, self.periodic)

    def wavenumbers(self, axis: int, *, real: bool = False) -> Tensor:
        """Return the angular wavenumbers 2 π k / L of the discrete Fourier transform along an axis.

        Args:
            axis: Axis number.
            real: Order of torch.fft.rfft instead of torch.fft.fft.

        Returns:
            Wavenumbers in one over length units, shape (n,) or (n // 2 + 1,), float64. L is the period n h:
            the side of the box for a periodic or cell-centred axis.

        Raises:
            UsageError: If the grid has no such axis.
        """
        if not -self.ndim <= axis < self.ndim:
            raise UsageError(f"the grid has {self.ndim} axes, got axis {axis}; pass 0 to {self.ndim - 1}")
        frequencies = torch.fft.rfftfreq if real else torch.fft.fftfreq
        return 2 * math.pi * frequencies(self.shape[axis], d=self.spacing()[axis], dtype=torch.float64)

    def weights(self) -> Tensor:
        """Return quadrature weights, shape (*shape,), float64; they sum to the measure of the box.

        The midpoint rule for cells, the trapezoid rule for nodes: exact for linear functions.
        """
        weights = torch.full(self.shape, self.cell_measure, dtype=torch.float64)
        for k, wraps in enumerate(self.periodic):
            if self.location == "node" and not wraps:
                weights.select(k, 0).mul_(0.5)
                weights.select(k, self.shape[k] - 1).mul_(0.5)
        return weights

    def flatten(self, u: Tensor) -> Tensor:
        """Turn a field (..., channels, *shape) into point values (..., size, channels).

        Raises:
            UsageError: If the last axes are not those of the grid.
        """
        return flatten_field(u, self.shape)

    def unflatten(self, u: Tensor) -> Tensor:
        """Turn point values (..., size, channels) into a field (..., channels, *shape), the inverse of flatten.

        Raises:
            UsageError: If the last axes are not (size, channels).
        """
        return unflatten_field(u, self.shape)

    def resample(self, u: Tensor, shape: Sequence[int], method: Method = "fourier") -> Tensor:
        """Interpolate a field (..., *shape) to another number of values per axis; see `resample.resample`.

        Raises:
            UsageError: As `resample.resample`.
        """
        return resample(u, self, shape, method)

    def to_mesh(self, cell: CellType | None = None) -> Mesh:
        """Mesh the box so that the values sit in its cells or at its points, with the facets "x0-", "x0+", …

        Args:
            cell: "line", "tri", "quad", "tet" or "hex"; line, quad or hex when left out.

        Returns:
            The mesh. Point ids of a node grid are the flat ids of the values; a periodic axis gets the closing
            layer of points (the mesh itself does not wrap), and then they are not.

        Raises:
            UsageError: If the cell type has another dimension or the grid more than 3 axes.
        """
        counts = [
            n - 1 if self.location == "node" and not wraps else n
            for n, wraps in zip(self.shape, self.periodic, strict=True)
        ]
        lower, upper = zip(*self.bounds, strict=True)
        return Mesh.box(counts, lower, upper, cell)

    def index_difference(self, axis: int, order: int = 2) -> IndexStencil:
        """Return the differences along an axis per unit of its index, across periodic ends.

        Raises:
            UsageError: If the order is odd or the axis has fewer than order + 1 values.
        """
        return index_stencil(self.shape, self.periodic, (), axis, order)

    def jacobian(self, order: int = 2) -> Tensor:
        """Return the derivative of coordinate l by index k in [..., k, l], shape (*shape, d, d).

        Args:
            order: As for a mapped grid; here differences of every order give the spacing.
        """
        return torch.diag(torch.tensor(self.spacing(), dtype=torch.float64)).repeat(*self.shape, 1, 1)

    def gradient(self, order: int = 2) -> GradientOperator:
        """Return the finite differences of an even order, one-sided of the same order at the faces.

        Raises:
            UsageError: If the order is odd or an axis has fewer than order + 1 values.
        """
        return curvilinear(self, order)
