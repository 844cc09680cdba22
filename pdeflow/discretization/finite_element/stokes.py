"""Taylor–Hood elements P2-P1 and Q2-Q1 for Stokes, Oseen and steady Navier–Stokes flow.

-∇·(ν∇u) + (w·∇)u + ∇p = f, ∇·u = 0, with traction ν ∂u/∂n − p n where the velocity is free (zero: do-nothing outlet).
Elman, Silvester and Wathen, Finite Elements and Fast Iterative Solvers, 2nd ed. (2014), sections 3.3 and 8.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from pdeflow.discretization.finite_element.assembly import local_stiffness
from pdeflow.discretization.finite_element.coefficients import Coefficient
from pdeflow.discretization.finite_element.dirichlet import eliminate
from pdeflow.discretization.finite_element.pattern import Pattern
from pdeflow.discretization.finite_element.space import FEMSpace
from pdeflow.discretization.finite_element.vector_boundary import (
    VectorBoundary,
    VectorValue,
    prescribed_values,
    traction_load,
)
from pdeflow.discretization.finite_element.vector_space import VectorSpace
from pdeflow.errors import UsageError
from pdeflow.geometry.mesh import Mesh
from pdeflow.linalg import LinearSystem

_PAIRS: dict[str, tuple[Literal["P2", "Q2"], Literal["P1", "Q1"]]] = {
    "P2-P1": ("P2", "P1"),
    "Q2-Q1": ("Q2", "Q1"),
}


@dataclass(frozen=True, eq=False)
class TaylorHood:
    """Quadratic velocity and linear pressure on one mesh with one quadrature; unknowns are (velocity, pressure).

    Attributes:
        velocity: Vector space of degree 2.
        pressure: Scalar space of degree 1, the nodes of which are the mesh's vertices.
    """

    velocity: VectorSpace
    pressure: FEMSpace

    @classmethod
    def on(cls, mesh: Mesh, pair: Literal["P2-P1", "Q2-Q1"]) -> TaylorHood:
        """Build the pair on a mesh.

        Args:
            mesh: The mesh.
            pair: "P2-P1" on tri and tet, "Q2-Q1" on quad and hex.

        Raises:
            UsageError: If the pair is unknown or does not live on these cells.
        """
        if pair not in _PAIRS:
            raise UsageError(f"pair {pair!r} is unknown; use {', '.join(map(repr, _PAIRS))}")
        high, low = _PAIRS[pair]
        order = 5  # w·∇u·v of degree 5 on affine triangles; 3 Gauss points per axis on quadrilaterals
        return cls(VectorSpace(FEMSpace(mesh, high, order=order)), FEMSpace(mesh, low, order=order))

    @property
    def n(self) -> int:
        """Number of unknowns."""
        return self.velocity.n + self.pressure.n

    def split(self, x: np.ndarray | Tensor) -> tuple[Tensor, Tensor]:
        """Return the velocity at the nodes (nodes, d) and the pressure at the vertices (vertices,) of a solution."""
        x = torch.as_tensor(x)
        return x[: self.velocity.n].reshape(-1, self.velocity.dim), x[self.velocity.n :]

    def viscous(self, viscosity: Coefficient) -> sp.csr_array:
        """Assemble ∫ ν ∇u:∇v, shape (nv, nv)."""
        scalar = self.velocity.scalar
        data = scalar.pattern.fill_symmetric(local_stiffness(scalar, scalar.diffusion(viscosity)))
        return sp.csr_array(
            sp.kron(scalar.pattern.matrix(data), sp.eye_array(self.velocity.dim), format="csr")
        )

    @cached_property
    def divergence(self) -> sp.csr_array:
        """The matrix of −∫ q ∇·u, shape (np, nv)."""
        fine, d = self.velocity.scalar, self.velocity.dim
        scaled = fine.inverse * fine.measure[:, :, None, None]  # (m, q, a, e)
        table = np.einsum("qi,qja->qaij", self.pressure.reference.values, fine.reference.gradients)
        local = -np.einsum("mqae,qaij->mije", scaled, table, optimize=True)
        flat = self.velocity.dofs.reshape(len(fine.dofs), -1)
        pattern = Pattern(self.pressure.dofs, flat, (self.pressure.n, fine.n * d))
        return pattern.matrix(pattern.fill(local))

    def convection(self, velocity: Tensor | np.ndarray, *, newton: bool = False) -> sp.csr_array:
        """Assemble ∫ (w·∇u)·v, and ∫ (u·∇w)·v besides for Newton's method, shape (nv, nv).

        Args:
            velocity: Coefficients of w, shape (nv,).
            newton: Whether to add the second term.
        """
        w = self.velocity.at_quadrature(velocity).numpy()
        slope = self.velocity.gradient_at_quadrature(velocity).numpy() if newton else None
        return self.velocity.convection(w, slope)

    def inertia(self, velocity: Tensor | np.ndarray) -> np.ndarray:
        """Assemble ∫ (w·∇w)·v, shape (nv,); the right-hand side of a Newton step for the new iterate."""
        return self.convection(velocity) @ np.asarray(velocity)


def oseen_system(
    space: TaylorHood,
    viscosity: Coefficient,
    body_force: VectorValue,
    boundary: VectorBoundary,
    *,
    velocity: Tensor | np.ndarray | None = None,
    newton: bool = False,
) -> LinearSystem:
    """Assemble Stokes flow, or one step of Picard's or Newton's iteration for steady Navier–Stokes.

    Args:
        space: Taylor–Hood pair.
        viscosity: ν, positive, in length²/time (pressure is divided by the density).
        body_force: f, values of shape (d,).
        boundary: VectorDirichlet or Traction on each facet tag; Traction() is the do-nothing outlet.
        velocity: Last iterate w, coefficients (nv,); None is Stokes.
        newton: Linearize fully about w; the solution is the next iterate, not an increment.

    Returns:
        System of (velocity, pressure); symmetric indefinite without w. Constant pressures are the null space when no
        traction fixes them.

    Raises:
        UsageError: If a tag or shape does not fit, or Newton is asked without a velocity.

    Reference: Elman, Silvester and Wathen (2014), eq. (8.37)-(8.43).
    """
    if newton and velocity is None:
        raise UsageError("newton=True needs the last iterate, pass velocity=w")
    block = space.viscous(viscosity)
    b = np.zeros(space.n)
    b[: space.velocity.n] = space.velocity.load(body_force) + traction_load(space.velocity, boundary)
    if velocity is not None:
        block = block + space.convection(velocity, newton=newton)
        if newton:
            b[: space.velocity.n] += space.inertia(velocity)
    divergence = space.divergence
    matrix = sp.csr_array(sp.block_array([[block, divergence.T], [divergence, None]], format="csr"))
    dofs, values = prescribed_values(space.velocity, boundary)
    if dofs.size:
        matrix, b = eliminate(matrix, b, dofs, values)
    return LinearSystem(
        A=matrix,
        b=b,
        symmetric=velocity is None,
        positive_definite=False,
        nullspace=_constant_pressure(space, dofs),
        layout=f"{space.velocity.layout}+{space.pressure.layout}",
    )


def stokes_system(
    space: TaylorHood, viscosity: Coefficient, body_force: VectorValue, boundary: VectorBoundary
) -> LinearSystem:
    """Assemble Stokes flow; see oseen_system.

    Args:
        space: Taylor–Hood pair.
        viscosity: ν, positive.
        body_force: f, values of shape (d,).
        boundary: VectorDirichlet or Traction on each facet tag.

    Raises:
        UsageError: As oseen_system.
    """
    return oseen_system(space, viscosity, body_force, boundary)


def _constant_pressure(space: TaylorHood, dofs: np.ndarray) -> np.ndarray | None:
    """Return the constant pressure if no free velocity sees it: ∫ ∇·v = 0 for all of them."""
    flux = space.divergence.T @ np.ones(space.pressure.n)
    size = np.abs(flux).max()
    flux[dofs] = 0.0
    if np.abs(flux).max() > 1e-10 * size:
        return None
    return np.concatenate([np.zeros(space.velocity.n), np.ones(space.pressure.n)])


@lru_cache(maxsize=8)
def taylor_hood_on(mesh: Mesh, pair: Literal["P2-P1", "Q2-Q1"]) -> TaylorHood:
    """Return the pair on a mesh, the same object for the same mesh object.

    Args:
        mesh: The mesh (compared by identity).
        pair: See TaylorHood.on.

    Raises:
        UsageError: As TaylorHood.on.
    """
    return TaylorHood.on(mesh, pair)
