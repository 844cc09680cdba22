"""Continuous piecewise polynomial spaces P1, P2, Q1 and Q2 on a mesh, with tables for repeated assembly.

Ern and Guermond, Theory and Practice of Finite Elements (2004), chapters 1 and 8; numbering and quadrature by scikit-fem
(Gustafsson and McBain, J. Open Source Softw. 5 (2020) 2369). The refill follows specs/datasets.md, section 6.1.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from pdeflow.discretization.finite_element.assembly import (
    local_convection,
    local_load,
    local_mass,
    local_stiffness,
    metric_of,
)
from pdeflow.discretization.finite_element.coefficients import Coefficient, at_points, check_positive
from pdeflow.discretization.finite_element.evaluation import error_norm, evaluate
from pdeflow.discretization.finite_element.facet_tables import FacetTables, facet_sets
from pdeflow.discretization.finite_element.pattern import Pattern, accumulate
from pdeflow.discretization.finite_element.reference import element_of, tabulate
from pdeflow.errors import UsageError
from pdeflow.geometry.mesh import Mesh


class FEMSpace:
    """A nodal finite element space and everything about it that does not depend on the coefficients.

    Degrees of freedom are the values at `points`: first the vertices of the mesh in its order, then (P2, Q2) midpoints
    of edges in 3-D, of facets, and cell centres. Tables are built once; a new coefficient costs one product and one count.

    Attributes:
        mesh: The mesh, of d-dimensional cells in d dimensions.
        element: "P1", "P2", "Q1" or "Q2".
        degree: Polynomial degree p; the L² error is of order p + 1.
        order: Degree that the quadrature integrates exactly, per axis on quadrilaterals and hexahedra.
        reference: Basis tables at the quadrature points.
        dofs: Degrees of freedom of each cell, shape (m, k).
        inverse: Inverse Jacobian ∂ξ_a/∂x_e at the quadrature points, shape (m, q, d, d), or (m, 1, d, d) if constant.
        measure: Quadrature weight times Jacobian determinant, shape (m, q); sums to the measure of the domain.
    """

    def __init__(self, mesh: Mesh, element: Literal["P1", "P2", "Q1", "Q2"], *, order: int | None = None):
        """Build the space.

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
        self._facets: dict[bytes, FacetTables] = {}
        self._sets: dict[tuple[str, ...], list[np.ndarray]] = {}

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

    def facets(self, ids: np.ndarray) -> FacetTables:
        """Return the tables of a set of boundary facets, kept for the next call.

        Args:
            ids: Facet ids, shape (F,).
        """
        key = np.asarray(ids, dtype=np.int64).tobytes()
        if key not in self._facets:
            self._facets[key] = FacetTables.build(self, ids)
        return self._facets[key]

    def facet_sets(self, tags: tuple[str, ...]) -> list[np.ndarray]:
        """Split the boundary facets among tags, kept for the next call; see facet_tables.facet_sets.

        Raises:
            UsageError: If a tag is unknown or facets are left without one.
        """
        if tags not in self._sets:
            self._sets[tags] = facet_sets(self.mesh, tags)
        return self._sets[tags]

    def boundary_dofs(self, tag: str | None = None) -> Tensor:
        """Return the degrees of freedom on a tag's facets, on the whole boundary for None, ascending.

        Raises:
            UsageError: If the mesh has no such tag.
        """
        return torch.from_numpy(self.facet_dofs(self.mesh.facets_named(tag).numpy()))

    def facet_dofs(self, ids: np.ndarray) -> np.ndarray:
        """Return the degrees of freedom on facets given by their ids, ascending."""
        numbering = self._numbering
        return np.unique(numbering.get_facet_dofs(np.asarray(ids, dtype=np.int32)).flatten().astype(np.int64))

    def interpolate(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the values of a function of points (n, d) -> (n,) at the degrees of freedom, shape (n,).

        Raises:
            UsageError: If the function returns another shape.
        """
        return torch.from_numpy(at_points(function, self.points[:, None], [()], "the function")[:, 0])

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

    def evaluate(self, u: Tensor | np.ndarray, x: Tensor) -> Tensor:
        """Evaluate u_h, coefficients (…, n), at points x of shape (Q, d); shape (…, Q).

        Raises:
            UsageError: If a point lies outside the mesh.
        """
        return evaluate(self, self._coefficients(u), x)

    def mass(self, c: Coefficient = 1.0) -> sp.csr_array:
        """Assemble ∫ c φ_i φ_j, shape (n, n); c scalar."""
        values = at_points(c, self.quadrature_points, [()], "the coefficient c")
        return self.pattern.matrix(self.pattern.fill_symmetric(local_mass(self, values)))

    def stiffness(self, a: Coefficient = 1.0) -> sp.csr_array:
        """Assemble ∫ a ∇φ_i·∇φ_j, shape (n, n); a scalar or symmetric (d, d) tensor, positive.

        Raises:
            UsageError: If a is not positive or has another shape.
        """
        return self.pattern.matrix(self.pattern.fill_symmetric(local_stiffness(self, self.diffusion(a))))

    def diffusion(self, a: Coefficient) -> np.ndarray:
        """Evaluate and check a diffusion coefficient, shape (m or 1, q or 1) or (…, d, d).

        Raises:
            UsageError: If a is not positive or has another shape.
        """
        values = at_points(a, self.quadrature_points, [(), (self.dim, self.dim)], "the coefficient a")
        check_positive(values, "the coefficient a")
        return values

    def convection(self, velocity: Coefficient) -> sp.csr_array:
        """Assemble ∫ φ_i β·∇φ_j, shape (n, n); β with values of shape (d,)."""
        return self.pattern.matrix(
            self.pattern.fill(local_convection(self, self.vector_values(velocity, "the velocity")))
        )

    def vector_values(self, value: Coefficient, name: str) -> np.ndarray:
        """Evaluate a vector coefficient at the quadrature points, shape (m or 1, q or 1, d).

        Raises:
            UsageError: If its values are not of shape (d,).
        """
        return at_points(value, self.quadrature_points, [(self.dim,)], name)

    def load(self, f: Coefficient = 1.0) -> np.ndarray:
        """Assemble ∫ f φ_i, shape (n,)."""
        values = at_points(f, self.quadrature_points, [()], "the source f")
        return accumulate(self.dofs, local_load(self, values), self.n)

    def error(
        self,
        u: Tensor | np.ndarray,
        exact: Callable[[Tensor], Tensor],
        norm: Literal["L2", "H1"] = "L2",
        gradient: Callable[[Tensor], Tensor] | None = None,
    ) -> float:
        """Return ‖u_h − u‖ by a quadrature of higher order than the assembly's.

        Args:
            u: Coefficients, shape (n,).
            exact: Exact solution, points (n, d) -> (n,).
            norm: "L2", or "H1" for the full norm (‖e‖² + ‖∇e‖²)^½.
            gradient: Its gradient, points (n, d) -> (n, d); by automatic differentiation of exact when left out.

        Raises:
            UsageError: If the norm is unknown or a shape does not fit.
        """
        return error_norm(self._fine, self._coefficients(u), exact, norm, gradient)

    @cached_property
    def _fine(self) -> FEMSpace:
        return FEMSpace(self.mesh, self.element, order=2 * self.degree + 3)  # type: ignore[arg-type]


@lru_cache(maxsize=16)
def space_on(mesh: Mesh, element: Literal["P1", "P2", "Q1", "Q2"]) -> FEMSpace:
    """Return the space on a mesh, the same object for the same mesh object, so that its tables are reused.

    Args:
        mesh: The mesh (compared by identity).
        element: See FEMSpace.

    Raises:
        UsageError: As FEMSpace.
    """
    return FEMSpace(mesh, element)
