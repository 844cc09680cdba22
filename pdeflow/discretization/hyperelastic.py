"""Static equilibrium of elastic solids in the reference configuration, with nine-node elements in plane stress.

Bonet and Wood, Nonlinear Continuum Mechanics for Finite Element Analysis, 2nd ed. (2008), chapters 8 and 9:
∫ P(F) : ∇v = ∫ t · v for every v that vanishes where the solid is clamped; t is a dead load per reference length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from pdeflow.discretization.biquadratic import BARLOW, BiquadraticElements, sum_nodes
from pdeflow.discretization.finite_element.pattern import Elimination, Pattern
from pdeflow.discretization.newton import Iterates, newton
from pdeflow.discretization.plane_stress import Material, von_mises
from pdeflow.linalg import LinearSystem, Solution

SMALLEST_INCREMENT = 1 / 64


@dataclass(frozen=True, eq=False)
class Solid:
    """A loaded solid; unknowns are the displacements (u_x, u_y) of the nodes, node after node.

    Attributes:
        elements: Where the displacement lives.
        material: Stored energy.
        clamped: Mask of the given displacements, shape (n, 2); a start carries their values.
        load: Nodal forces, shape (n, 2), force per thickness.
    """

    elements: BiquadraticElements
    material: Material
    clamped: np.ndarray
    load: np.ndarray

    @cached_property
    def pattern(self) -> Pattern:
        """Sparsity pattern of the tangent."""
        dofs = (2 * self.elements.nodes[:, :, None] + np.arange(2)).reshape(-1, 18)
        return Pattern(dofs, dofs, (2 * self.elements.size, 2 * self.elements.size))

    @cached_property
    def elimination(self) -> Elimination:
        """How the clamped unknowns leave the tangent."""
        return Elimination.build(self.pattern.indptr, self.pattern.indices, np.flatnonzero(self.clamped))

    def gradient(self, u: np.ndarray, gradients: np.ndarray | None = None) -> Tensor:
        """Return G = ∂u_i/∂x_J, shape (m, q, 2, 2).

        Args:
            u: Nodal displacements, shape (n, 2).
            gradients: Gradients of the shape functions; at the quadrature points when left out.
        """
        slopes = self.elements.gradients if gradients is None else gradients
        local = u[self.elements.nodes]  # (m, 9, 2)
        return torch.from_numpy(local.transpose(0, 2, 1)[:, None] @ slopes)

    def energy(self, u: np.ndarray) -> float:
        """Return the potential energy ∫W - Σ load · u, per thickness."""
        density = self.material.energy(self.gradient(u)).numpy()
        return float((self.elements.weights * density).sum() - (self.load * u).sum())

    def internal(self, u: np.ndarray) -> np.ndarray:
        """Return the nodal forces of the stresses, shape (n, 2); not a number where the solid is turned inside out."""
        G = self.gradient(u)
        if not self.material.admissible(G):
            return np.full(u.shape, np.nan)
        weighted = self.material.stress(G).numpy() * self.elements.weights[:, :, None, None]
        local = np.einsum("mqiJ,mqaJ->mai", weighted, self.elements.gradients)
        return sum_nodes(self.elements.nodes, local, self.elements.size)

    def residual(self, u: np.ndarray, fraction: float = 1.0) -> np.ndarray:
        """Return load minus internal forces at the free unknowns, shape (n, 2), zero at the clamped ones."""
        return np.where(self.clamped, 0.0, fraction * self.load - self.internal(u))

    def relative_residual(self, u: np.ndarray) -> float:
        """Return ‖residual(u)‖ / ‖load at the free unknowns‖, absolute without load."""
        size = float(np.linalg.norm(np.where(self.clamped, 0.0, self.load)))
        return float(np.linalg.norm(self.residual(u))) / (size or 1.0)

    def tangent(self, u: np.ndarray) -> sp.csr_array:
        """Return the tangent matrix ∂internal/∂u with nothing clamped, shape (2n, 2n)."""
        weights, slopes = self.elements.weights, self.elements.gradients
        moduli = self.material.tangent(self.gradient(u)).numpy()  # (m, q, 2, 2, 2, 2)
        weighted = moduli * weights[:, :, None, None, None, None]
        m, q = weights.shape
        # (a, J) x (J, i k L) for each point, then (i a k L) x (L, b)
        half = slopes @ weighted.transpose(0, 1, 3, 2, 4, 5).reshape(m, q, 2, 8)  # (m, q, 9, 8)
        half = half.reshape(m, q, 36, 2).transpose(0, 2, 1, 3).reshape(m, 36, 2 * q)  # rows (a, i, k)
        full = half @ slopes.transpose(0, 1, 3, 2).reshape(m, 2 * q, 9)  # (m, (a, i, k), b)
        local = full.reshape(m, 9, 2, 2, 9).transpose(0, 1, 2, 4, 3)
        return self.pattern.matrix(self.pattern.fill(local))

    def system(self, u: np.ndarray, forces: np.ndarray, definite: bool | None = None) -> LinearSystem:
        """Return the linear system of a Newton step.

        Args:
            u: Where the tangent is taken, shape (n, 2).
            forces: Out-of-balance nodal forces, shape (n, 2).
            definite: What is known about the tangent.
        """
        still = np.zeros(int(self.clamped.sum()))
        A, b = self.elimination.apply(self.tangent(u), forces.ravel(), still)
        return LinearSystem(A, b, symmetric=True, positive_definite=definite, layout="nodes of (u_x, u_y)")

    def solve(
        self, solve: Callable[[LinearSystem], Solution], rtol: float = 1e-10, maxiter: int = 25
    ) -> Iterates:
        """Find equilibrium by Newton's method; the load is divided where a full step fails.

        Args:
            solve: Solver of linear systems.
            rtol: Bound of the relative residual.
            maxiter: Newton steps per load increment.

        Returns:
            Displacements (n, 2) with the residual norms of all increments.
        """
        scale = float(np.linalg.norm(np.where(self.clamped, 0.0, self.load)))
        u, done, increment, norms = np.zeros(self.load.shape), 0.0, 1.0, [scale]
        while done < 1 and increment >= SMALLEST_INCREMENT:
            target = min(1.0, done + increment)
            found = newton(
                lambda v, target=target: self.residual(v, target),  # type: ignore[misc]
                lambda v, r: solve(self.system(v, r)).x.reshape(v.shape),
                u, rtol * scale, maxiter,
            )  # fmt: skip
            norms += found.residual_norms[1:]
            if found.converged:
                u, done = found.x, target
            else:
                increment /= 2
        return Iterates(u, norms, done >= 1)

    def stress(self, u: np.ndarray) -> np.ndarray:
        """Return the true stress at the nodes, shape (n, 2, 2): superconvergent values, averaged over elements."""
        G = self.gradient(u, self.elements.gradients_at(BARLOW))
        return self.elements.average(self.material.true_stress(G).numpy())

    def von_mises(self, u: np.ndarray) -> np.ndarray:
        """Return the von Mises stress at the nodes, shape (n,)."""
        return von_mises(torch.from_numpy(self.stress(u))).numpy()
