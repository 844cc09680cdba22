from pdeflow.geometry.domain import (
    Annulus,
    Ball,
    Box,
    Domain,
    HalfSpace,
    Hit,
    Polygon,
    Projection,
    SdfDomain,
    StarShaped,
)
from pdeflow.geometry.gradient import GradientOperator
from pdeflow.geometry.grid import Grid
from pdeflow.geometry.mapped_grid import MappedGrid
from pdeflow.geometry.mesh import Mesh
from pdeflow.geometry.mesh_batch import MeshBatch
from pdeflow.geometry.meshed_domain import MeshDomain
from pdeflow.geometry.meshing import mesh_domain
from pdeflow.geometry.o_grid import o_grid
from pdeflow.geometry.sampling import R3, RAD, PointSet, Sampler, SpaceTime, boundary_points, interior_points
from pdeflow.geometry.surface import TriSurface

__all__ = [
    "R3",
    "RAD",
    "Annulus",
    "Ball",
    "Box",
    "Domain",
    "GradientOperator",
    "Grid",
    "HalfSpace",
    "Hit",
    "MappedGrid",
    "Mesh",
    "MeshBatch",
    "MeshDomain",
    "PointSet",
    "Polygon",
    "Projection",
    "Sampler",
    "SdfDomain",
    "SpaceTime",
    "StarShaped",
    "TriSurface",
    "boundary_points",
    "interior_points",
    "mesh_domain",
    "o_grid",
]  # fmt: skip
