"""What an operation asks of the layout it works on: protocols that Mesh, Grid and MappedGrid meet.

Gradients, resampling and meshing are written against these and stand below the classes, which offer them as methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from scipy import sparse
from torch import Tensor

from pdeflow.geometry.index_stencil import IndexStencil, Seam
from pdeflow.geometry.reference_cells import CellType, ReferenceCell

Location = Literal["cell", "node"]


@runtime_checkable
class MeshLayout(Protocol):
    """Points joined by cells of one type, as in a Mesh."""

    @property
    def points(self) -> Tensor:
        """Coordinates, shape (n, d), float64, in length units."""

    @property
    def cells(self) -> Tensor:
        """Vertex ids, shape (m, k), int64, VTK's vertex order, positive orientation."""

    @property
    def cell_type(self) -> CellType:
        """Type of all cells."""

    @property
    def reference(self) -> ReferenceCell:
        """The reference cell: corners, local facets, shape functions."""

    @property
    def dim(self) -> int:
        """Number of coordinates d."""

    @property
    def cell_dim(self) -> int:
        """Dimension of the cells."""

    @property
    def n_points(self) -> int:
        """Number of points n."""

    def adjacency(self, k_ring: int = 1) -> sparse.csr_array:
        """Return the pattern of vertex pairs joined through at most k_ring cells, shape (n, n)."""


class StructuredLayout(Protocol):
    """Values numbered by an index box whose axes are smooth lines in space, as in a Grid or a MappedGrid."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Values per axis."""

    @property
    def ndim(self) -> int:
        """Number of axes and of coordinates d."""

    @property
    def size(self) -> int:
        """Number of values."""

    @property
    def periodic(self) -> tuple[bool, ...]:
        """Whether each axis wraps around."""

    def index_difference(self, axis: int, order: int = 2) -> IndexStencil:
        """Return the differences along an axis per unit of its index."""

    def jacobian(self, order: int = 2) -> Tensor:
        """Return the derivative of coordinate l by index k in [..., k, l], shape (*shape, d, d)."""


@runtime_checkable
class GridLayout(StructuredLayout, Protocol):
    """A uniform grid on a box, as Grid; a dataclass, so that `dataclasses.replace` gives another shape."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """(lower, upper) per axis, in length units."""

    @property
    def location(self) -> Location:
        """Where values sit: "cell" or "node"."""

    def axis(self, k: int) -> Tensor:
        """Return the coordinates along axis k, shape (shape[k],), float64."""

    def spacing(self) -> tuple[float, ...]:
        """Return the distance of neighbouring values per axis, in length units."""


class MappedLayout(StructuredLayout, Protocol):
    """A structured grid on a curved region with seams and named nodes, as MappedGrid."""

    @property
    def tags(self) -> Mapping[str, Tensor]:
        """Names of sets of flat node ids."""

    @property
    def seams(self) -> tuple[Seam, ...]:
        """Faces whose nodes coincide with those of another face."""

    @property
    def translation(self) -> Tensor:
        """Shift of space after one turn along each periodic axis, shape (axes, d)."""

    def closed_coordinates(self) -> Tensor:
        """Return the positions with the first layer of each periodic axis repeated at its end (and translated)."""
