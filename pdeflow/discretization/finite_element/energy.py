"""The energy of a self-adjoint elliptic problem, by quadrature in torch, differentiable in u and in the coefficients.

E(u) = ∫ ½ a∇u·∇u + ½ c u² − f u + ∫_Robin ½ α u² − g u − ∫_Neumann g u: its minimiser with the given boundary values is
the finite element solution. Ern and Guermond, Theory and Practice of Finite Elements (2004), proposition 2.4.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pdeflow.discretization.boundary import Neumann, Robin, values_at
from pdeflow.discretization.finite_element.coefficients import Coefficient, values_at_points
from pdeflow.discretization.finite_element.elliptic import Boundary
from pdeflow.discretization.finite_element.facet_tables import FacetTables
from pdeflow.discretization.finite_element.space import FEMSpace


def energy(
    space: FEMSpace,
    u: Tensor,
    a: Coefficient,
    f: Coefficient,
    boundary: Boundary,
    reaction: Coefficient | None = None,
) -> Tensor:
    """Evaluate the energy of u_h without any assembled matrix; its gradient is A u − b on the free unknowns.

    Args:
        space: Finite element space.
        u: Real coefficients, shape (…, n); Dirichlet values are taken as they are in u.
        a: Diffusion coefficient, scalar or symmetric (d, d).
        f: Source.
        boundary: Condition of each facet tag; Dirichlet parts contribute nothing.
        reaction: c, or None.

    Returns:
        Energies, shape (…,).

    Raises:
        UsageError: If a tag or a shape does not fit.
    """
    x, weights = space.quadrature_points, torch.from_numpy(space.measure)
    value, slope = space.at_quadrature(u), space.gradient_at_quadrature(u)
    diffusion = values_at_points(a, x, [(), (space.dim, space.dim)], "the coefficient a")
    if diffusion.ndim == 2:
        density = 0.5 * diffusion * (slope * slope).sum(-1)
    else:
        density = 0.5 * torch.einsum(
            "...mqd,mqde,...mqe->...mq", slope, diffusion.expand(*x.shape, -1), slope
        )
    density = density - values_at_points(f, x, [()], "the source f") * value
    if reaction is not None:
        density = density + 0.5 * values_at_points(reaction, x, [()], "the reaction c") * value**2
    total = (weights * density).sum((-2, -1))
    for ids, (tag, condition) in zip(space.facet_sets(tuple(boundary)), boundary.items(), strict=True):
        if isinstance(condition, Neumann | Robin) and len(ids):
            total = total + _boundary_energy(space, u, space.facets(ids), condition, tag)
    return total


def _boundary_energy(
    space: FEMSpace, u: Tensor, facets: FacetTables, condition: Neumann | Robin, tag: str
) -> Tensor:
    """Integrate ½ α u² − g u over the facets of a Neumann (α = 0) or Robin condition."""
    dofs = torch.from_numpy(space.dofs[facets.cells])  # (F, k)
    trace = torch.einsum("...fk,frk->...fr", u[..., dofs].double(), torch.from_numpy(facets.values))
    x, weights = facets.points.reshape(-1, space.dim), torch.from_numpy(facets.weights)
    of = f"of {type(condition).__name__} on '{tag}'"
    density = -values_at(condition.value, x, f"the value {of}").reshape(weights.shape) * trace
    if isinstance(condition, Robin):
        factor = values_at(condition.coefficient, x, f"the coefficient {of}").reshape(weights.shape)
        density = density + 0.5 * factor * trace**2
    return (weights * density).sum((-2, -1))
