from pdeflow.discretization.finite_element.cell_tables import CellTables
from pdeflow.discretization.finite_element.dirichlet import Condensed, condense, eliminate
from pdeflow.discretization.finite_element.elasticity import (
    elasticity_system,
    isotropic_modulus,
    plane_strain,
    plane_stress,
    rigid_motions,
    strain_stress,
)
from pdeflow.discretization.finite_element.elliptic import condensed_system, elliptic_system
from pdeflow.discretization.finite_element.energy import energy
from pdeflow.discretization.finite_element.space import FEMSpace, space_on
from pdeflow.discretization.finite_element.stokes import (
    TaylorHood,
    oseen_system,
    stokes_system,
    taylor_hood_on,
)
from pdeflow.discretization.finite_element.vector_boundary import (
    Traction,
    VectorDirichlet,
    prescribed_values,
    traction_load,
)
from pdeflow.discretization.finite_element.vector_space import VectorSpace, vector_space_on

__all__ = [
    "CellTables",
    "Condensed",
    "FEMSpace",
    "TaylorHood",
    "Traction",
    "VectorDirichlet",
    "VectorSpace",
    "condense",
    "condensed_system",
    "elasticity_system",
    "eliminate",
    "elliptic_system",
    "energy",
    "isotropic_modulus",
    "oseen_system",
    "plane_strain",
    "plane_stress",
    "prescribed_values",
    "rigid_motions",
    "space_on",
    "stokes_system",
    "strain_stress",
    "taylor_hood_on",
    "traction_load",
    "vector_space_on",
]
