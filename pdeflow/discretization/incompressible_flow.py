"""Steady incompressible Navier-Stokes equations with Taylor-Hood elements (Q2 velocity, Q1 pressure), in the plane.

Elman, Silvester and Wathen, Finite Elements and Fast Iterative Solvers, 2nd ed. (2014), sections 8.1 to 8.3:
ν(∇u, ∇v) + ((u·∇)u, v) - (p, ∇·v) = 0 and -(q, ∇·u) = 0; ν ∂u/∂n - p n = 0 where nothing is given (do-nothing outlet).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pdeflow.discretization.biquadratic import BiquadraticElements
from pdeflow.discretization.finite_element.pattern import Elimination, Pattern, accumulate
from pdeflow.discretization.newton import Iterates, newton
from pdeflow.linalg import LinearSystem, Solution


@dataclass(frozen=True, eq=False)
class Flow:
    """A flow; unknowns are the velocities (u_x, u_y) node after node, then the pressures of the corners.

    Attributes:
        elements: Where velocity and pressure live.
        viscosity: Kinematic viscosity ν, length²/time.
        given: Mask of the nodes whose velocity is given, shape (n,).
        velocity: Given velocities, shape (n, 2); read where given.
        load: Nodal forces ∫ f · v, with those of a traction ν ∂u/∂n - p n, shape (n, 2); none when left out.
    """

    elements: BiquadraticElements
    viscosity: float
    given: np.ndarray
    velocity: np.ndarray
    load: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Number of unknowns."""
        m, n = self.elements.corner_shape
        return 2 * self.elements.size + m * n

    @cached_property
    def fixed(self) -> np.ndarray:
        """Mask of the given unknowns, shape (size,)."""
        mask = np.zeros(self.size, dtype=bool)
        mask[: 2 * self.elements.size] = np.repeat(self.given, 2)
        return mask

    @cached_property
    def dofs(self) -> np.ndarray:
        """Unknowns of each element, shape (m, 22): nine velocities, four pressures."""
        velocity = (2 * self.elements.nodes[:, :, None] + np.arange(2)).reshape(-1, 18)
        return np.concatenate([velocity, 2 * self.elements.size + self.elements.corners], axis=1)

    @cached_property
    def pattern(self) -> Pattern:
        """Sparsity pattern of the Jacobian."""
        return Pattern(self.dofs, self.dofs, (self.size, self.size))

    @cached_property
    def elimination(self) -> Elimination:
        """How the given unknowns leave the Jacobian."""
        return Elimination.build(self.pattern.indptr, self.pattern.indices, np.flatnonzero(self.fixed))

    @cached_property
    def stokes(self) -> np.ndarray:
        """Local matrices of the Stokes equations, shape (m, 22, 22)."""
        e = self.elements
        weighted = e.gradients * e.weights[:, :, None, None]
        m = len(e.nodes)
        viscous = self.viscosity * np.einsum("mqad,mqbd->mab", weighted, e.gradients, optimize=True)
        divergence = -np.einsum("mqad,qc->madc", weighted, e.corner_values).reshape(m, 18, 4)
        local = np.zeros((m, 22, 22))
        local[:, 0:18:2, 0:18:2] = local[:, 1:18:2, 1:18:2] = viscous
        local[:, :18, 18:] = divergence
        local[:, 18:, :18] = divergence.transpose(0, 2, 1)
        return local

    def split(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Divide the unknowns into velocities (n, 2) and corner pressures."""
        return x[: 2 * self.elements.size].reshape(-1, 2), x[2 * self.elements.size :]

    def lifting(self) -> np.ndarray:
        """Return the given velocities with zeros elsewhere, shape (size,)."""
        x = np.zeros(self.size)
        x[: 2 * self.elements.size] = np.where(self.given[:, None], self.velocity, 0.0).ravel()
        return x

    def residual(self, x: np.ndarray, convection: float = 1.0) -> np.ndarray:
        """Evaluate the discrete equations, shape (size,), zero at the given unknowns.

        Args:
            x: Unknowns.
            convection: Factor of the nonlinear term; 0 gives Stokes.
        """
        e, (u, _) = self.elements, self.split(x)
        local = np.einsum("mab,mb->ma", self.stokes, x[self.dofs])
        if convection:
            at, slope = self._point_values(u)
            force = np.einsum("mqie,mqe,mq->mqi", slope, at, e.weights)
            local[:, :18] += convection * np.einsum("qa,mqi->mai", e.values, force).reshape(-1, 18)
        total = accumulate(self.dofs, local, self.size)
        if self.load is not None:
            total[: 2 * e.size] -= self.load.ravel()
        return np.where(self.fixed, 0.0, total)

    def _point_values(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Velocity (m, q, 2) and its gradient ∂u_i/∂x_e (m, q, 2, 2) at the quadrature points."""
        local = u[self.elements.nodes]
        return self.elements.values @ local, local.transpose(0, 2, 1)[:, None] @ self.elements.gradients

    def system(self, x: np.ndarray, r: np.ndarray, convection: float, reaction: float) -> LinearSystem:
        """Return the linear system of one step, J s = -r.

        Args:
            x: Where the equations are linearized.
            r: Residual there.
            convection: Factor of (u·∇)s; 0 for Stokes.
            reaction: Factor of (s·∇)u: 1 for Newton, 0 for Picard.
        """
        e, local = self.elements, self.stokes.copy()
        if convection:
            at, slope = self._point_values(self.split(x)[0])
            carried = np.einsum("mqbe,mqe,mq->mqb", e.gradients, at, e.weights)
            local[:, 0:18:2, 0:18:2] += e.values.T @ carried
            local[:, 1:18:2, 1:18:2] += e.values.T @ carried
        if reaction:
            pairs = np.einsum("qa,qb->qab", e.values, e.values).reshape(9, 81)
            weighted = slope * e.weights[:, :, None, None]
            for i in range(2):
                for k in range(2):
                    local[:, i:18:2, k:18:2] += (weighted[:, :, i, k] @ pairs).reshape(-1, 9, 9)
        jacobian = self.pattern.matrix(self.pattern.fill(local))
        A, b = self.elimination.apply(jacobian, -r, np.zeros(int(self.fixed.sum())))
        A.eliminate_zeros()  # the pressure block
        name = "nodes of (u_x, u_y), then p at corners"
        return LinearSystem(A, b, symmetric=not convection, positive_definite=False, layout=name)

    def solve(
        self,
        solve: Callable[[LinearSystem], Solution],
        rtol: float = 1e-10,
        picard: int = 2,
        maxiter: int = 25,
    ) -> Iterates:
        """Solve from the Stokes flow by Picard steps, then Newton's method.

        Args:
            solve: Solver of linear systems, indefinite and not symmetric.
            rtol: Bound of `relative_residual`.
            picard: Picard steps, which converge from far away.
            maxiter: Newton steps at most.

        Returns:
            Unknowns with the residual norms from the Stokes flow on.
        """
        start, tolerance = self.lifting(), rtol * self.scale
        r = self.residual(start, convection=0.0)
        x = start + solve(self.system(start, r, 0.0, 0.0)).x
        first = newton(
            self.residual,
            lambda y, r: solve(self.system(y, r, 1.0, 0.0)).x,
            x,
            tolerance,
            picard,
            damped=False,
        )
        last = newton(
            self.residual, lambda y, r: solve(self.system(y, r, 1.0, 1.0)).x, first.x, tolerance, maxiter
        )
        norms = first.residual_norms + last.residual_norms[1:]
        return Iterates(last.x, norms, last.converged)

    @cached_property
    def scale(self) -> float:
        """Norm of the Stokes right-hand side of the given velocities, to which residuals are compared; 1 if zero."""
        return float(np.linalg.norm(self.residual(self.lifting(), convection=0.0))) or 1.0

    def relative_residual(self, x: np.ndarray) -> float:
        """Return ‖residual(x)‖ over `scale`, dimensionless."""
        return float(np.linalg.norm(self.residual(x))) / self.scale
