"""Numbering, geometry and basis values of a piecewise polynomial space on its cells, before any coefficient comes.

Ern and Guermond, Theory and Practice of Finite Elements (2004), chapters 1 and 8; numbering and quadrature by scikit-fem
(Gustafsson and McBain, J. Open Source Softw. 5 (2020) 2369).
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pdeflow.discretization.finite_element.pattern import Pattern
from pdeflow.discretization.finite_element.reference import element_of, tabulate
from pdeflow.errors import UsageError
from pdeflow.geometry.mesh import Mesh


class CellTables:
    """The tables of a nodal finite element space on the cells of its mesh.

    Degrees of freedom are the values at `points`: first the vertices of the mesh in its order, then (P2, Q2) midpoints
    of edges in 3-D, of facets, and cell centres.

    Attributes:
        mesh: The mesh, of d-dimensional cells in d dimensions.
        element: "P1", "P2", "Q1" or "Q2".
        degree: Polynomial degree p.
        order: Degree that the quadrature integrates exactly, per axis on quadrilaterals and hexahedra.
        reference: Basis tables at the quadrature points.
        dofs: Degrees of freedom of each cell, shape (m, k).
        inverse: Inverse Jacobian ∂ξ_a/∂x_e at the quadrature points, shape (m, q, d, d), or (m, 1, d, d) if constant.
        measure: Quadrature weight times Jacobian determinant, shape (m, q); sums to the measure of the domain.
    """

    def __init__(self, mesh: Mesh, element: Literal["P1", "P2", "Q1", "Q2"], *, order: int | None = None):
        """Tabulate the space.

        Args:
            mesh: A valid mesh.
            element: "P1" or "P2" on line, tri and tet, "Q1" or "Q2" on quad and hex.
            order: Quadrature order; by default exact for the mass matrix.

        Raises:
            UsageError: If the element does not live on these cells.
            DataError: If the mesh is invalid (inverted or degenerate cells).
        """
        kind, degree, default = element_of(element, mesh.cell_type)
        mesh.validate()
        self.mesh, self.element, self.degree, self.order = mesh, element, degree, order or default
        self.reference = tabulate(kind, self.order)
        self.skfem_mesh, self.skfem_element = mesh.to_skfem(), kind
        mapping = self.skfem_mesh.mapping()
        affine = mesh.cell_type in ("line", "tri", "tet")
        points = self.reference.points
        jacobian = np.moveaxis(
            mapping.DF(points[:, :1] if affine else points), (0, 1), (2, 3)
        )  # (m, q, d, d)
        self.inverse = np.linalg.inv(jacobian)
        self.measure = np.abs(np.linalg.det(jacobian)) * self.reference.weights
        self.dofs = np.ascontiguousarray(self._numbering.element_dofs.T.astype(np.int64))
        self._x = np.ascontiguousarray(np.moveaxis(mapping.F(points), 0, 2))

    @cached_property
    def _numbering(self):
        from skfem.assembly.dofs import Dofs

        return Dofs(self.skfem_mesh, self.skfem_element)

    @property
    def n(self) -> int:
        """Number of degrees of freedom."""
        return int(self._numbering.N)

    @property
    def dim(self) -> int:
        """Number of coordinates d."""
        return self.mesh.dim

    @property
    def reduced(self) -> bool:
        """Whether gradients are constant in a cell, so that only cell means of a diffusion coefficient matter."""
        return self.inverse.shape[1] == 1 and self.reference.constant_gradients

    @property
    def layout(self) -> str:
        """Name of the ordering of the unknowns."""
        return f"{self.element.lower()}-{self.mesh.cell_type}-{self.n}"

    @cached_property
    def cell_weights(self) -> np.ndarray:
        """Weights that go with the stiffness table: `measure`, summed over the points if gradients are constant."""
        return self.measure.sum(axis=1, keepdims=True) if self.reduced else self.measure

    @cached_property
    def metric(self) -> np.ndarray:
        """Geometry tensor of the stiffness matrix, shape (m, q or 1, d (d + 1) / 2)."""
        return metric_of(self.inverse, self.cell_weights)

    @cached_property
    def unit_stiffness(self) -> np.ndarray:
        """Local stiffness matrices for a = 1, entries i <= j, shape (m, k (k + 1) / 2); only scaled if `reduced`."""
        return self.metric.reshape(len(self.dofs), -1) @ self.reference.stiffness

    @cached_property
    def pattern(self) -> Pattern:
        """The CSR pattern that all matrices of the space share."""
        return Pattern(self.dofs, self.dofs, (self.n, self.n))

    @cached_property
    def points(self) -> Tensor:
        """Coordinates of the degrees of freedom, shape (n, d)."""
        located = self.skfem_mesh.mapping().F(self.skfem_element.doflocs.T)  # (d, m, k)
        points = np.empty((self.n, self.dim))
        points[self.dofs] = np.moveaxis(located, 0, 2)
        points[: self.mesh.n_points] = self.mesh.points.numpy()  # the vertices to the last bit
        return torch.from_numpy(points)

    @property
    def quadrature_points(self) -> Tensor:
        """Coordinates of the quadrature points, shape (m, q, d)."""
        return torch.from_numpy(self._x)

    def at_quadrature(self, u: Tensor | np.ndarray) -> Tensor:
        """Evaluate u_h, coefficients (…, n), at the quadrature points; shape (…, m, q), differentiable."""
        local = self._coefficients(u)[..., torch.from_numpy(self.dofs)]  # (…, m, k)
        return local @ torch.from_numpy(self.reference.values).mT.to(local)

    def gradient_at_quadrature(self, u: Tensor | np.ndarray) -> Tensor:
        """Evaluate ∇u_h, coefficients (…, n), at the quadrature points; shape (…, m, q, d), differentiable."""
        local = self._coefficients(u)[..., torch.from_numpy(self.dofs)]  # (…, m, k)
        table = torch.from_numpy(self.reference.gradients).to(local)
        slope = torch.einsum("...mk,qka->...mqa", local, table)
        return (slope[..., None] * torch.from_numpy(self.inverse)).sum(-2)  # (…, m, q, a, e) over a

    def _coefficients(self, u: Tensor | np.ndarray) -> Tensor:
        u = torch.as_tensor(u)
        if u.ndim == 0 or u.shape[-1] != self.n:
            raise UsageError(f"u has shape {tuple(u.shape)}, expected (…, {self.n}) for {self.layout}")
        return u if u.is_complex() else u.double()


def metric_of(inverse: np.ndarray, measure: np.ndarray) -> np.ndarray:
    """Return |J| w J⁻¹J⁻ᵀ for each pair of axes a <= b, shape (m, q, pairs): what ∇φ_i·∇φ_j is made of.

    Args:
        inverse: Inverse Jacobian ∂ξ_a/∂x_e, shape (m, q or 1, d, d).
        measure: Quadrature weight times Jacobian determinant, shape (m, q).
    """
    rows, columns = np.triu_indices(inverse.shape[2])
    pairs = np.einsum("mqpe,mqpe->mqp", inverse[:, :, rows], inverse[:, :, columns])
    return np.ascontiguousarray(pairs * measure[:, :, None])
