"""Vector fields with every component in a scalar space: displacements and velocities.

Degree of freedom d i + e is component e at node i, so that `u.reshape(n, d)` is the field at the nodes.
Ern and Guermond, Theory and Practice of Finite Elements (2004), section 1.4.7.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache, partial
from typing import Literal

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from pdeflow.discretization.finite_element.assembly import cell_means
from pdeflow.discretization.finite_element.coefficients import Coefficient, at_points
from pdeflow.discretization.finite_element.pattern import Pattern, accumulate
from pdeflow.discretization.finite_element.space import FEMSpace, space_on
from pdeflow.errors import UsageError
from pdeflow.geometry.mesh import Mesh


class VectorSpace:
    """The space of d-component fields over a scalar space, with the forms of elasticity and flow.

    Attributes:
        scalar: The space of each component.
    """

    def __init__(self, scalar: FEMSpace):
        self.scalar = scalar

    @property
    def dim(self) -> int:
        """Number of components and coordinates d."""
        return self.scalar.dim

    @property
    def n(self) -> int:
        """Number of degrees of freedom, d times that of a component."""
        return self.scalar.n * self.dim

    @property
    def layout(self) -> str:
        """Name of the ordering of the unknowns."""
        return f"{self.scalar.layout}x{self.dim}"

    @cached_property
    def dofs(self) -> np.ndarray:
        """Degrees of freedom of each cell, shape (m, k, d)."""
        return self.scalar.dofs[:, :, None] * self.dim + np.arange(self.dim)

    @cached_property
    def pattern(self) -> Pattern:
        """The CSR pattern of the space; its slots have the shape (m, k d, k d)."""
        flat = self.dofs.reshape(len(self.dofs), -1)
        return Pattern(flat, flat, (self.n, self.n))

    @cached_property
    def _slots(self) -> np.ndarray:
        """Slots in the order (m, d, d, k, k) in which local_tangent makes its entries."""
        m, k, d = self.dofs.shape
        return np.ascontiguousarray(self.pattern.slots.reshape(m, k, d, k, d).transpose(0, 2, 4, 1, 3))

    def tangent(self, modulus: Coefficient) -> sp.csr_array:
        """Assemble ∫ ∂_k v_i C_ikjl ∂_l u_j, shape (n, n): the derivative of internal_force if C = ∂P_ik/∂F_jl.

        Args:
            modulus: C, values of shape (d, d, d, d).

        Raises:
            UsageError: If C has another shape.
        """
        shape = (self.dim,) * 4
        values = at_points(modulus, self.scalar.quadrature_points, [shape], "the modulus C")
        return self.pattern.matrix(accumulate(self._slots, self._local_tangent(values), self.pattern.nnz))

    def _local_tangent(self, modulus: np.ndarray) -> np.ndarray:
        """Contract C with the geometry, then with the reference table; shape (m d², k²)."""
        space, d = self.scalar, self.dim
        if space.reduced and modulus.shape[1] > 1:
            modulus = cell_means(space, modulus)
        right = np.einsum("mqikjl,mqbl->mqikjb", modulus, space.inverse)
        both = np.einsum("mqikjb,mqak->mijqab", right, space.inverse * space.cell_weights[:, :, None, None])
        return both.reshape(len(space.dofs) * d * d, -1) @ space.reference.gradient_products

    def convection(self, velocity: np.ndarray, slope: np.ndarray | None = None) -> sp.csr_array:
        """Assemble ∫ (w·∇u)·v, and ∫ (u·∇w)·v besides when ∇w is given (Newton's method), shape (n, n).

        Args:
            velocity: w at the quadrature points, shape (m, q, d).
            slope: ∂w_i/∂x_j at the quadrature points, shape (m, q, d, d), or None.
        """
        space, m, d = self.scalar, len(self.dofs), self.dim
        k = self.dofs.shape[1]
        speed = np.einsum("mqae,mqe->mqa", space.inverse, velocity * space.measure[:, :, None])
        carried = speed.reshape(m, -1) @ space.reference.convection  # (m, k²)
        local = np.zeros((m, d, d, k * k))
        local[:, np.arange(d), np.arange(d)] = carried[:, None]
        if slope is not None:
            weighted = np.moveaxis(slope * space.measure[:, :, None, None], 1, 3)  # (m, i, j, q)
            values = space.reference.values
            local += weighted @ np.einsum("qa,qb->qab", values, values).reshape(len(values), -1)
        return self.pattern.matrix(accumulate(self._slots, local, self.pattern.nnz))

    def mass(self, c: Coefficient = 1.0) -> sp.csr_array:
        """Assemble ∫ c u·v, shape (n, n), c scalar."""
        return sp.csr_array(sp.kron(self.scalar.mass(c), sp.eye_array(self.dim), format="csr"))

    def internal_force(self, stress: np.ndarray | Tensor) -> np.ndarray:
        """Assemble ∫ P_ik ∂_k v_i, shape (n,); P at the quadrature points, shape (m, q, d, d)."""
        space = self.scalar
        flux = np.asarray(stress) * space.measure[:, :, None, None]
        local = np.einsum("mqik,mqak->mqia", flux, np.broadcast_to(space.inverse, flux.shape))
        nodal = np.einsum("mqia,qna->mni", local, space.reference.gradients, optimize=True)
        return accumulate(self.dofs, nodal, self.n)

    def load(self, f: Coefficient) -> np.ndarray:
        """Assemble ∫ f·v, shape (n,); f with values of shape (d,)."""
        values = self.scalar.vector_values(f, "the body force")
        weighted = values * self.scalar.measure[:, :, None]
        return accumulate(self.dofs, np.einsum("mqe,qk->mke", weighted, self.scalar.reference.values), self.n)

    def interpolate(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the coefficients (n,) of a function of points (nodes, d) -> (nodes, d).

        Raises:
            UsageError: If the function returns another shape.
        """
        values = at_points(function, self.scalar.points[:, None], [(self.dim,)], "the function")
        return torch.from_numpy(values[:, 0].reshape(-1).copy())

    def at_quadrature(self, u: Tensor | np.ndarray) -> Tensor:
        """Evaluate u_h, coefficients (…, n), at the quadrature points; shape (…, m, q, d), differentiable."""
        return self.scalar.at_quadrature(self._components(u)).movedim(-3, -1)

    def gradient_at_quadrature(self, u: Tensor | np.ndarray) -> Tensor:
        """Evaluate ∂u_i/∂x_j at the quadrature points; shape (…, m, q, d, d), differentiable."""
        return self.scalar.gradient_at_quadrature(self._components(u)).movedim(-4, -2)

    def _components(self, u: Tensor | np.ndarray) -> Tensor:
        u = torch.as_tensor(u)
        if u.ndim == 0 or u.shape[-1] != self.n:
            raise UsageError(f"u has shape {tuple(u.shape)}, expected (…, {self.n}) for {self.layout}")
        return u.reshape(*u.shape[:-1], self.scalar.n, self.dim).mT

    def evaluate(self, u: Tensor | np.ndarray, x: Tensor) -> Tensor:
        """Evaluate u_h, coefficients (…, n), at points x of shape (Q, d); shape (…, Q, d).

        Raises:
            UsageError: If a point lies outside the mesh.
        """
        return self.scalar.evaluate(self._components(u), x).mT

    def error(
        self, u: Tensor | np.ndarray, exact: Callable[[Tensor], Tensor], norm: Literal["L2", "H1"] = "L2"
    ) -> float:
        """Return ‖u_h − u‖ over all components; see FEMSpace.error.

        Args:
            u: Coefficients, shape (n,).
            exact: Exact field, points (q, d) -> (q, d).
            norm: "L2" or "H1".

        Raises:
            UsageError: If the norm is unknown or a shape does not fit.
        """
        parts = self._components(u)
        errors = [self.scalar.error(parts[e], partial(_component, exact, e), norm) for e in range(self.dim)]
        return float(np.linalg.norm(errors))


def _component(function: Callable[[Tensor], Tensor], e: int, x: Tensor) -> Tensor:
    return function(x)[:, e]


@lru_cache(maxsize=16)
def vector_space_on(mesh: Mesh, element: Literal["P1", "P2", "Q1", "Q2"]) -> VectorSpace:
    """Return the vector space on a mesh, the same object for the same mesh object.

    Args:
        mesh: The mesh (compared by identity).
        element: Element of each component.

    Raises:
        UsageError: As FEMSpace.
    """
    return VectorSpace(space_on(mesh, element))
