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
from pdeflow.geometry.mesh_domain import MeshDomain
from pdeflow.geometry.o_grid import o_grid
from pdeflow.geometry.sampling import PointSet, Sampler, SpaceTime, boundary_points, interior_points
from pdeflow.geometry.surface import TriSurface

__all__ = [
    "Annulus", "Ball", "Box", "Domain", "GradientOperator", "Grid", "HalfSpace", "Hit", "MappedGrid", "Mesh", "MeshBatch",
    "MeshDomain", "PointSet", "Polygon", "Projection", "Sampler", "SdfDomain", "SpaceTime", "StarShaped", "TriSurface",
    "boundary_points", "interior_points", "o_grid",
]  # fmt: skip
