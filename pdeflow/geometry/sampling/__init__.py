from pdeflow.geometry.sampling.adaptive import R3, RAD
from pdeflow.geometry.sampling.point_set import PointSet
from pdeflow.geometry.sampling.points import SpaceTime, boundary_points, interior_points, mesh_points
from pdeflow.geometry.sampling.sampler import Sampler

__all__ = [
    "R3",
    "RAD",
    "PointSet",
    "Sampler",
    "SpaceTime",
    "boundary_points",
    "interior_points",
    "mesh_points",
]
