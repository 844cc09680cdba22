from pdeflow.discretization.boundary import Condition, Dirichlet, Neumann, Periodic, Robin
from pdeflow.discretization.finite_element import FEMSpace, space_on
from pdeflow.discretization.finite_volume import diffusion_system, residual_field

__all__ = [
    "Condition", "Dirichlet", "FEMSpace", "Neumann", "Periodic", "Robin", "diffusion_system", "residual_field", "space_on",
]  # fmt: skip
