"""The region covered by a mesh as a domain: distances to its boundary facets, points drawn from its cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.domain.domain import Domain
from pdeflow.geometry.domain.draw import Bounds, Method, cube
from pdeflow.geometry.domain.polygon import Polygon
from pdeflow.geometry.domain.polygon_check import signed_area
from pdeflow.geometry.domain.results import Hit, Projection
from pdeflow.geometry.mesh import Mesh
from pdeflow.geometry.simplices import mesh_simplices, points_in_simplices, split_cells
from pdeflow.geometry.surface.surface import TriSurface


@dataclass(frozen=True, eq=False)
class MeshDomain(Domain):
    """Inside of a mesh of triangles, quadrilaterals, tetrahedra or hexahedra.

    Boundary parts are the mesh's facet tags, a facet with several names counting for the first; facets without a name
    belong to "boundary". Projections give mesh facet ids.

    Attributes:
        mesh: The mesh, in its own space dimension, positively oriented.

    Raises:
        UsageError: If the mesh is a curve or a surface, or a planar one falls into parts or touches itself at a vertex.
        DataError: If the mesh is not valid (inverted cells, NaN, …), or its boundary in space is not a closed surface.
    """

    mesh: Mesh

    def __post_init__(self) -> None:
        if self.mesh.cell_dim != self.mesh.dim or self.mesh.dim == 1:
            raise UsageError(
                f"a region needs cells that fill 2-D or 3-D, got {self.mesh.cell_type} in {self.mesh.dim}-D"
            )
        self.mesh.validate()
        object.__setattr__(self, "_region", self._planar() if self.mesh.dim == 2 else self._spatial())

    @property
    def region(self) -> Polygon | TriSurface:
        """The same region bounded by the mesh's boundary facets."""
        return self._region[0]  # type: ignore[attr-defined]

    @cached_property
    def _facet_of(self) -> Tensor:
        """Mesh facet id of each edge or triangle of the region's boundary."""
        return self._region[1]  # type: ignore[attr-defined]

    def _planar(self) -> tuple[Polygon, Tensor]:
        ids = self.mesh.boundary_facets
        loops = sorted(_chains(self.mesh, ids), key=lambda loop: -signed_area(self._start(loop)))
        outer = sum(signed_area(self._start(loop)) > 0 for loop in loops)
        if outer != 1:
            raise UsageError(
                f"the mesh falls into {outer} parts; make a MeshDomain of each and join them with |"
            )
        order = torch.cat(loops)  # facet of each edge
        points = [self._start(loop) for loop in loops]
        tags = {
            name: (_first_names(self.mesh)[order] == i).nonzero()[:, 0].tolist()
            for i, name in enumerate(self._names)
        }
        return Polygon(
            points[0], tuple(points[1:]), {name: edges for name, edges in tags.items() if edges}
        ), order

    def _start(self, loop: Tensor) -> Tensor:
        return self.mesh.points[self.mesh.topology.oriented[loop, 0]]

    def _spatial(self) -> tuple[TriSurface, Tensor]:
        ids = self.mesh.boundary_facets
        faces, owner = split_cells(self.mesh.topology.oriented[ids], str(self.mesh.reference.facet_type))
        number = _first_names(self.mesh)[ids[owner]]
        tags = {name: (number == i).nonzero()[:, 0] for i, name in enumerate(self._names)}
        used, faces = torch.unique(faces, return_inverse=True)
        present = {name: found for name, found in tags.items() if len(found)}
        return TriSurface(self.mesh.points[used], faces, present), ids[owner]

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.mesh.facet_tags, "boundary")))

    @property
    def bounds(self) -> Bounds:
        """(lower, upper) per axis."""
        return self.region.bounds

    @property
    def tags(self) -> tuple[str, ...]:
        """Names of the boundary parts that have facets."""
        return self.region.tags

    def sdf(self, x: Tensor) -> Tensor:
        """Return the exact signed distance to the boundary facets, shape (n,).

        Args:
            x: Points, shape (n, d).

        Raises:
            UsageError: If the points have another dimension.
        """
        return self.region.sdf(x)

    def inside(self, x: Tensor, tol: float = 0.0) -> Tensor:
        """Return whether φ(x) ≤ tol, shape (n,).

        Args:
            x: Points, shape (n, d).
            tol: Width of the layer outside that still counts.
        """
        return self.region.inside(x, tol)

    def distance(self, x: Tensor) -> Tensor:
        """Return the distance to the boundary, shape (n,).

        Args:
            x: Points, shape (n, d).
        """
        return self.region.distance(x)

    def distance_lower_bound(self, x: Tensor) -> Tensor:
        """Return a number between zero and the distance, shape (n,).

        Args:
            x: Points, shape (n, d).
        """
        return self.region.distance_lower_bound(x)

    def project(self, x: Tensor) -> Projection:
        """Return the closest boundary points; `facet` is the mesh's facet id.

        Args:
            x: Points, shape (n, d).
        """
        found = self.region.project(x)
        return replace(found, facet=self._facet_of[found.facet])

    def _closest(self, x: Tensor, ids: list[int]) -> Projection:
        found = self.region._closest(x, ids)
        return replace(found, facet=self._facet_of[found.facet])

    def _intersect(self, x: Tensor, v: Tensor, tmax: float) -> Hit:
        return self.region._intersect(x, v, tmax)

    def measure(self) -> float:
        """Return the area or volume of the cells."""
        return float(self.mesh.cell_measure().sum())

    def _boundary_measure(self, ids: list[int]) -> float:
        return self.region._boundary_measure(ids)

    def _interior(self, count: int, method: Method, generator: torch.Generator) -> Tensor:
        """Draw from the cells, without rejection."""
        corners = mesh_simplices(self.mesh)
        return points_in_simplices(corners, cube(count, corners.shape[1], method, generator))

    def _boundary(self, count: int, ids: list[int], method: Method, generator: torch.Generator) -> Tensor:
        return self.region._boundary(count, ids, method, generator)


def _first_names(mesh: Mesh) -> Tensor:
    """Return for each facet the number of its first name, or that of "boundary"."""
    names = tuple(dict.fromkeys((*mesh.facet_tags, "boundary")))
    number = torch.full((len(mesh.facets),), names.index("boundary"))
    for name in reversed(tuple(mesh.facet_tags)):
        number[mesh.facet_tags[name]] = names.index(name)
    return number


def _chains(mesh: Mesh, ids: Tensor) -> list[Tensor]:
    """Order boundary edges into closed loops; each edge ends where the next one starts."""
    start, end = mesh.topology.oriented[ids].T.tolist()
    if len(set(start)) != len(start):
        vertex = next(v for k, v in enumerate(start) if v in start[:k])
        raise UsageError(
            f"the boundary touches itself at vertex {vertex} {mesh.points[vertex].tolist()}; move it apart"
        )
    follow = {s: k for k, s in enumerate(start)}
    left, loops = dict.fromkeys(range(len(start))), []
    while left:
        k, loop = next(iter(left)), []
        while k in left:
            del left[k]
            loop.append(k)
            k = follow[end[k]]
        loops.append(ids[torch.tensor(loop)])
    return loops
