"""Region inside a closed triangle surface, with exact closest points and a sign from the winding number.

The distance is that to the nearest triangle, the sign is that of ½ − w; w is used for nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.domain.domain import Domain
from pdeflow.geometry.domain.draw import Bounds, Method, cube
from pdeflow.geometry.domain.results import Projection
from pdeflow.geometry.simplices import points_in_simplices
from pdeflow.geometry.surface.back_ends import BackEnd, SurfaceQueries, surface_queries
from pdeflow.geometry.surface.closest import TriangleTree, closest_on_triangles
from pdeflow.geometry.surface.repair import check_surface, cleaned, enclosed_volume

if TYPE_CHECKING:
    from pdeflow.geometry.mesh.mesh import Mesh


@dataclass(frozen=True, eq=False)
class TriSurface(Domain):
    """Inside of a watertight triangle surface in space; cavities are inward components.

    Attributes:
        vertices: Shape (v, 3), float64, in length units.
        faces: Vertex ids, shape (m, 3), int64, counter-clockwise seen from outside.
        facet_tags: Face ids of named boundary parts; faces without a name belong to "boundary". A face with
            several names counts for the first.
        back_end: "own", "libigl", "warp", or "auto" (libigl if installed, else our own).

    Raises:
        UsageError: If shapes, vertex ids or face ids do not fit.
        DataError: If the surface is not watertight, not coherently oriented outward, or has triangles without area.
    """

    vertices: Tensor
    faces: Tensor
    facet_tags: Mapping[str, Tensor] = field(default_factory=dict)
    back_end: BackEnd = "auto"

    def __post_init__(self) -> None:
        object.__setattr__(self, "vertices", torch.as_tensor(self.vertices, dtype=torch.float64).contiguous())
        object.__setattr__(self, "faces", torch.as_tensor(self.faces, dtype=torch.int64).contiguous())
        check_surface(self.vertices, self.faces)
        for name, ids in self.facet_tags.items():
            if len(ids) and not 0 <= int(torch.as_tensor(ids).min()) <= int(torch.as_tensor(ids).max()) < len(
                self.faces
            ):
                raise UsageError(f"tag '{name}' names faces that do not exist; there are {len(self.faces)}")

    @classmethod
    def clean(
        cls, vertices: Tensor, faces: Tensor, tol: float = 0.0, back_end: BackEnd = "auto"
    ) -> TriSurface:
        """Build a surface after merging vertices, removing triangles without area and orienting the rest.

        Args:
            vertices: Shape (v, 3).
            faces: Shape (m, 3).
            tol: Vertices this close, in length units, are merged; 0 merges equal ones.
            back_end: As above.

        Raises:
            UsageError: If shapes or vertex ids do not fit.
            DataError: If the surface still is not watertight.
        """
        vertices, faces = torch.as_tensor(vertices).double(), torch.as_tensor(faces).long()
        return cls(*cleaned(vertices, faces, tol), back_end=back_end)

    @classmethod
    def from_mesh(cls, mesh: Mesh, back_end: BackEnd = "auto") -> TriSurface:
        """Build a surface from a closed mesh of triangles in space; cell tags become boundary parts.

        Args:
            mesh: The mesh.
            back_end: As above.

        Raises:
            UsageError: If the cells are no triangles in space.
        """
        if mesh.cell_type != "tri" or mesh.dim != 3:
            raise UsageError(f"a surface needs triangles in 3-D, got {mesh.cell_type} cells in {mesh.dim}-D")
        return cls(mesh.points, mesh.cells, mesh.cell_tags, back_end)

    def __reduce__(
        self,
    ) -> tuple:  # search trees of other libraries cannot be pickled; workers build their own
        return TriSurface, (self.vertices, self.faces, dict(self.facet_tags), self.back_end)

    @property
    def bounds(self) -> Bounds:
        """(lower, upper) per axis."""
        corners = self._corners.view(-1, 3)
        return tuple(zip(corners.amin(dim=0).tolist(), corners.amax(dim=0).tolist(), strict=True))

    @cached_property
    def face_tag(self) -> Tensor:
        """Index into `tags` of every face, shape (m,), int64."""
        tag = torch.full((len(self.faces),), -1)
        for number, ids in reversed(list(enumerate(self.facet_tags.values()))):
            tag[torch.as_tensor(ids, dtype=torch.int64)] = number
        return torch.where(tag < 0, len(self.facet_tags), tag)

    @cached_property
    def tags(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the boundary parts, "boundary" last where some faces have no name."""
        rest = bool((self.face_tag == len(self.facet_tags)).any())
        return (*self.facet_tags, "boundary") if rest else tuple(self.facet_tags)

    @cached_property
    def _corners(self) -> Tensor:
        return self.vertices[self.faces]  # (m, 3, 3)

    @cached_property
    def normals(self) -> Tensor:
        """Outward unit normals of the faces, shape (m, 3)."""
        a, b, c = self._corners.unbind(1)
        return torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=1, eps=1e-300)

    @cached_property
    def areas(self) -> Tensor:
        """Areas of the faces, shape (m,)."""
        a, b, c = self._corners.unbind(1)
        return torch.linalg.cross(b - a, c - a).norm(dim=1) / 2

    @cached_property
    def _queries(self) -> SurfaceQueries:
        return surface_queries(self.vertices, self.faces, self.back_end)

    @cached_property
    def _partial_trees(self) -> dict[tuple[int, ...], tuple[Tensor, TriangleTree]]:
        return {}

    def sdf(self, x: Tensor) -> Tensor:
        """Return the signed distance, shape (n,), exact; its gradient is (x − c)/φ.

        Args:
            x: Points, shape (n, 3).

        Raises:
            UsageError: If the points have another dimension.
        """
        return (self._side(self._fixed(x)) * self.distance(x)).to(x.dtype)

    def _fixed(self, x: Tensor) -> Tensor:
        return self._checked(x).detach().double()

    def _side(self, y: Tensor) -> Tensor:
        return torch.where(self._queries.inside(y), -1.0, 1.0).double()

    def inside(self, x: Tensor, tol: float = 0.0) -> Tensor:
        """Return whether φ(x) ≤ tol, shape (n,), by the winding number alone if tol is zero.

        Args:
            x: Points, shape (n, 3).
            tol: Width of the layer outside that still counts, in length units.

        Raises:
            UsageError: If the points have another dimension.
        """
        if tol != 0.0:
            return self.sdf(x) <= tol
        return self._queries.inside(self._fixed(x))

    def distance(self, x: Tensor) -> Tensor:
        """Return the distance to the surface, shape (n,), without the sign's cost.

        Args:
            x: Points, shape (n, 3).

        Raises:
            UsageError: If the points have another dimension.
        """
        y = self._fixed(x)
        point = closest_on_triangles(y, *self._corners[self._queries.nearest_facet(y)].unbind(1))
        return (x - point).norm(dim=1)

    def project(self, x: Tensor) -> Projection:
        """Return the closest points; facet is the face, the point is differentiable in x.

        Args:
            x: Points, shape (n, 3).

        Raises:
            UsageError: If the points have another dimension.
        """
        return self._projection(x, self._queries.nearest_facet(self._fixed(x)))

    def _closest(self, x: Tensor, ids: list[int]) -> Projection:
        wanted = tuple(sorted(ids))
        if len(wanted) == len(self.tags):
            return self.project(x)
        if wanted not in self._partial_trees:
            faces = self._faces_of(ids)
            self._partial_trees[wanted] = faces, TriangleTree.build(self._corners[faces])
        faces, tree = self._partial_trees[wanted]
        return self._projection(x, faces[tree.closest(self._fixed(x))[2]])

    def _faces_of(self, ids: list[int]) -> Tensor:
        faces = torch.isin(self.face_tag, torch.tensor(ids)).nonzero().squeeze(1)
        if not len(faces):
            raise UsageError(f"the boundary part {', '.join(self.tags[i] for i in ids)} has no faces")
        return faces

    def _projection(self, x: Tensor, facet: Tensor) -> Projection:
        point = closest_on_triangles(x.double(), *self._corners[facet].unbind(1))
        offset, normal = x - point, self.normals[facet]
        distance = offset.norm(dim=1)
        off_face = distance > 1e-9 * self.diameter
        side = self._side(self._fixed(x))
        direction = (side / distance.detach().clamp(min=1e-300))[:, None] * offset.detach()
        normal = torch.where(off_face[:, None], direction, normal)
        return Projection(point, distance, normal, facet, self.face_tag[facet])

    def measure(self) -> float:
        """Return the enclosed volume."""
        return enclosed_volume(self.vertices, self.faces)

    def _boundary_measure(self, ids: list[int]) -> float:
        return float(self.areas[self._faces_of(ids)].sum())

    def _boundary(self, count: int, ids: list[int], method: Method, generator: torch.Generator) -> Tensor:
        return points_in_simplices(self._corners[self._faces_of(ids)], cube(count, 3, method, generator))
