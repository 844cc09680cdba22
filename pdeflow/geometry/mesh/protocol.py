"""What the operations on a mesh ask of it, so that they need not know the class that binds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, TypeVar

from torch import Tensor

from pdeflow.geometry.layouts import MeshLayout
from pdeflow.geometry.mesh.topology import Topology
from pdeflow.geometry.reference_cells import CellType


class MeshLike(MeshLayout, Protocol):
    """A mesh with named facets and cells; a dataclass, so that `dataclasses.replace` makes one like it."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __init__(
        self,
        points: Tensor,
        cells: Tensor,
        cell_type: CellType,
        facet_tags: Mapping[str, Tensor] = ...,
        cell_tags: Mapping[str, Tensor] = ...,
    ) -> None: ...

    @property
    def facet_tags(self) -> Mapping[str, Tensor]:
        """Ids of the facets with a name, ascending."""

    @property
    def cell_tags(self) -> Mapping[str, Tensor]:
        """Ids of the cells with a name, ascending."""

    @property
    def n_cells(self) -> int:
        """Number of cells m."""

    @property
    def topology(self) -> Topology:
        """Facets, the cells on both sides, and the facets of each cell."""

    @property
    def facets(self) -> Tensor:
        """Vertex ids of all facets, ascending in each row, shape (F, kf)."""

    @property
    def facet_cells(self) -> Tensor:
        """Cells on both sides of each facet, the lower id first, -1 on the boundary, shape (F, 2)."""

    @property
    def boundary_facets(self) -> Tensor:
        """Ids of the facets with one cell, ascending, shape (F_b,)."""


AnyMesh = TypeVar("AnyMesh", bound=MeshLike)
