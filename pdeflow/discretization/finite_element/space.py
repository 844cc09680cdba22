"""Continuous piecewise polynomial spaces P1, P2, Q1 and Q2 on a mesh: their matrices, loads, point values and errors.

Ern and Guermond, Theory and Practice of Finite Elements (2004), chapters 1 and 8.
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
)
from pdeflow.discretization.finite_element.cell_tables import CellTables
from pdeflow.discretization.finite_element.coefficients import Coefficient, at_points, check_positive
from pdeflow.discretization.finite_element.evaluation import error_norm, evaluate
from pdeflow.discretization.finite_element.facet_tables import FacetTables, facet_sets
from pdeflow.discretization.finite_element.pattern import accumulate
from pdeflow.geometry.mesh import Mesh


class FEMSpace(CellTables):
    """A nodal finite element space and everything about it that does not depend on the coefficients.

    Tables are built once; a new coefficient costs one product and one count. The attributes are those of CellTables; the
    L² error is of order `degree` + 1 where the mesh has the shape of the domain; edges are straight, so on a curved boundary it
    is of order two for every degree.
    """

    @cached_property
    def _facets(self) -> dict[bytes, FacetTables]:
        return {}

    @cached_property
    def _sets(self) -> dict[tuple[str, ...], list[np.ndarray]]:
        return {}

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
