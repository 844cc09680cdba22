from pdeflow.problems.burgers import Burgers
from pdeflow.problems.chebyshev import ChebyshevPoisson
from pdeflow.problems.convection_diffusion import ConvectionDiffusion
from pdeflow.problems.darcy import Darcy, LogNormalDarcy
from pdeflow.problems.elasticity import Elasticity, Hyperelasticity
from pdeflow.problems.elliptic import Elliptic
from pdeflow.problems.evolution import Evolution
from pdeflow.problems.forced_vorticity import ForcedVorticity
from pdeflow.problems.heat import Heat
from pdeflow.problems.helmholtz import Helmholtz, SpongeHelmholtz
from pdeflow.problems.instance import Function, Instance, StoredField
from pdeflow.problems.manufactured import Manufactured
from pdeflow.problems.navier_stokes import NavierStokes
from pdeflow.problems.pipe_flow import PipeFlow
from pdeflow.problems.plume_pressure import PlumePressure
from pdeflow.problems.poisson import Poisson
from pdeflow.problems.polygon_heat import PolygonHeat
from pdeflow.problems.problem import Answer, Problem
from pdeflow.problems.slotted_plate import SlottedPlate
from pdeflow.problems.star_poisson import StarPoisson
from pdeflow.problems.walk import WalkCoefficients, walk_coefficients

__all__ = [
    "Answer", "Burgers", "ChebyshevPoisson", "ConvectionDiffusion", "Darcy", "Elasticity", "Elliptic",
    "Evolution", "ForcedVorticity", "Function", "Heat", "Helmholtz", "Hyperelasticity", "Instance", "LogNormalDarcy",
    "Manufactured", "NavierStokes", "PipeFlow", "PlumePressure", "Poisson", "PolygonHeat", "Problem", "SlottedPlate",
    "SpongeHelmholtz", "StarPoisson", "StoredField", "WalkCoefficients", "walk_coefficients",
]  # fmt: skip
