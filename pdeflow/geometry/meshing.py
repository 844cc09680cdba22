"""One call that meshes a domain: by Gmsh where it is installed and the boundary is polygonal, by DistMesh elsewhere."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import torch

from pdeflow.errors import UsageError
from pdeflow.geometry.distmesh import distmesh
from pdeflow.geometry.domain.arguments import mesh_size
from pdeflow.geometry.domain.box import Box
from pdeflow.geometry.domain.domain import Domain
from pdeflow.geometry.domain.polygon import Polygon
from pdeflow.geometry.mesh import Mesh
from pdeflow.geometry.mesh.gmsh_model import gmsh_available, mesh_polygon


def mesh_domain(
    domain: Domain,
    h: float,
    backend: Literal["auto", "gmsh", "distmesh"] = "auto",
    *,
    generator: torch.Generator | None = None,
) -> Mesh:
    """Mesh a domain with edges of about one length; boundary facets carry the domain's tags.

    Args:
        domain: Planar domain, or a box in any dimension up to three.
        h: Edge length aimed at, in length units.
        backend: "auto" takes Gmsh for polygons where it can be imported and most edges are longer than h/2, since it keeps
            every vertex and has short edges where the polygon has; DistMesh for other planar domains; and a
            regular mesh of lines or tetrahedra for boxes in 1-D and 3-D.
        generator: Source of randomness for DistMesh's starting lattice; None is deterministic.

    Returns:
        The mesh, positively oriented.

    Raises:
        UsageError: If the back end is unknown, not installed or cannot mesh this shape, or h does not fit it.
    """
    if backend not in ("auto", "gmsh", "distmesh"):
        raise UsageError(f"backend must be 'auto', 'gmsh' or 'distmesh', got {backend!r}")
    h = mesh_size(h)
    polygon = _polygon(domain)
    if backend == "gmsh" or (
        backend == "auto" and polygon is not None and _resolved(polygon, h) and gmsh_available()
    ):
        if polygon is None:
            raise UsageError(
                f"Gmsh meshes polygons and planar boxes, not a {type(domain).__name__}; use 'distmesh'"
            )
        mesh = mesh_polygon(polygon.loops, h, _side_names(polygon))
        return replace(mesh, facet_tags={name: mesh.facet_tags[name] for name in polygon.tags if name in mesh.facet_tags})
    if backend == "auto" and isinstance(domain, Box) and domain.dim in (1, 3):
        shape = [max(1, math.ceil((high - low) / h - 1e-9)) for low, high in domain.bounds]
        return Mesh.box(shape, domain.lower, domain.upper, "line" if domain.dim == 1 else "tet")
    if domain.dim != 2:
        raise UsageError(
            f"no mesher here for a {domain.dim}-D {type(domain).__name__}; mesh it elsewhere and Mesh.load it"
        )
    return distmesh(domain, h, generator=generator)


def _resolved(polygon: Polygon, h: float) -> bool:
    """Whether half of a polygon's edges or more are at least h/2 long."""
    lengths = torch.cat([(loop.roll(-1, 0) - loop).norm(dim=1) for loop in polygon.loops])
    return float(lengths.median()) >= 0.5 * h


def _polygon(domain: Domain) -> Polygon | None:
    """Return the domain as a polygon if it is one."""
    region = getattr(domain, "region", domain)
    if isinstance(region, Polygon):
        return region
    if isinstance(region, Box) and region.dim == 2:
        (a, b), (c, d) = region.bounds
        sides = {"x1-": [0], "x0+": [1], "x1+": [2], "x0-": [3]}
        corners = torch.tensor([[a, c], [b, c], [b, d], [a, d]], dtype=torch.float64)
        return Polygon(corners, (), {name: sides[name] for name in region.tags})
    return None


def _side_names(polygon: Polygon) -> list[list[str]]:
    """Return the tag of each side, loop by loop."""
    names = [polygon.tags[int(i)] for i in polygon.edge_tag]
    ends = torch.tensor([len(loop) for loop in polygon.loops]).cumsum(0).tolist()
    return [names[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
