"""The finite elements offered, and tables of their basis on the reference cell (scikit-fem's functions and rules).

Ern and Guermond, Theory and Practice of Finite Elements (2004), sections 1.2 and 8.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import skfem
from skfem.quadrature import get_quadrature

from pdeflow.errors import UsageError

# element, cell type -> scikit-fem class, degree, quadrature order. The orders integrate the mass matrix exactly on affine
# simplices (2 p) and on bilinear cells (2 p + 1 per axis), and so the right-hand side accurately enough for order p + 1.
_ELEMENTS: dict[tuple[str, str], tuple[str, int, int]] = {
    ("P1", "line"): ("ElementLineP1", 1, 2),
    ("P1", "tri"): ("ElementTriP1", 1, 2),
    ("P1", "tet"): ("ElementTetP1", 1, 2),
    ("P2", "line"): ("ElementLineP2", 2, 4),
    ("P2", "tri"): ("ElementTriP2", 2, 4),
    ("P2", "tet"): ("ElementTetP2", 2, 4),
    ("Q1", "quad"): ("ElementQuad1", 1, 3),
    ("Q1", "hex"): ("ElementHex1", 1, 3),
    ("Q2", "quad"): ("ElementQuad2", 2, 5),
    ("Q2", "hex"): ("ElementHex2", 2, 5),
}


def element_of(name: str, cell_type: str) -> tuple[Any, int, int]:
    """Look up an element.

    Args:
        name: "P1", "P2" (line, tri, tet) or "Q1", "Q2" (quad, hex).
        cell_type: Cell type of the mesh.

    Returns:
        The scikit-fem element, its degree and the default quadrature order.

    Raises:
        UsageError: If the element does not live on these cells.
    """
    if (name, cell_type) not in _ELEMENTS:
        fitting = ", ".join(repr(e) for e, cell in _ELEMENTS if cell == cell_type) or "nothing"
        raise UsageError(f"element {name!r} does not live on {cell_type} cells; they take {fitting}")
    kind, degree, order = _ELEMENTS[name, cell_type]
    return getattr(skfem, kind)(), degree, order


@dataclass(frozen=True, eq=False)
class ReferenceTables:
    """Values and gradients of the k basis functions at the q quadrature points of the reference cell.

    Attributes:
        points: Quadrature points, shape (d, q), as scikit-fem keeps them.
        weights: Quadrature weights, shape (q,).
        values: Basis values φ_i, shape (q, k).
        gradients: Reference gradients ∂φ_i/∂ξ_a, shape (q, k, d).
    """

    points: np.ndarray
    weights: np.ndarray
    values: np.ndarray
    gradients: np.ndarray

    @property
    def constant_gradients(self) -> bool:
        """Whether the gradients are the same at all points (P1), so that a cell mean of the coefficient is enough."""
        return bool(np.ptp(self.gradients, axis=0).max() == 0.0)

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Local numbers i <= j of the k (k + 1) / 2 pairs of basis functions, the entries of a symmetric local matrix."""
        return np.triu_indices(self.values.shape[1])

    @cached_property
    def mass(self) -> np.ndarray:
        """φ_i φ_j of each pair, shape (q, pairs)."""
        i, j = self.pairs
        return self.values[:, i] * self.values[:, j]

    @cached_property
    def convection(self) -> np.ndarray:
        """φ_i ∂φ_j/∂ξ_a, shape (q d, k²)."""
        table = np.einsum("qi,qja->qaij", self.values, self.gradients)
        return table.reshape(table.shape[0] * table.shape[1], -1)

    @cached_property
    def stiffness(self) -> np.ndarray:
        """∂φ_i/∂ξ_a ∂φ_j/∂ξ_b, summed over both orders of the axes a <= b, shape (q d (d + 1) / 2, pairs); one q for P1."""
        g = self.gradients[: 1 if self.constant_gradients else None]
        (i, j), (a, b) = self.pairs, np.triu_indices(g.shape[2])
        left, right = g[:, i][:, :, a], g[:, j][:, :, b]  # (q, pairs, axes)
        table = left * right + np.where(a == b, 0.0, g[:, i][:, :, b] * g[:, j][:, :, a])
        return np.ascontiguousarray(table.swapaxes(1, 2)).reshape(-1, len(i))

    @cached_property
    def gradient_products(self) -> np.ndarray:
        """∂φ_i/∂ξ_a ∂φ_j/∂ξ_b for every a and b, shape (q d², k²); one q for P1."""
        g = self.gradients[: 1 if self.constant_gradients else None]
        table = np.einsum("qia,qjb->qabij", g, g)
        return table.reshape(len(g) * g.shape[2] ** 2, -1)


def tabulate(element: Any, order: int) -> ReferenceTables:
    """Evaluate a scalar H¹ element at a quadrature rule.

    Args:
        element: A scikit-fem element.
        order: Polynomial degree that the rule integrates exactly (per axis on quadrilaterals and hexahedra).
    """
    points, weights = get_quadrature(element.refdom, order)
    return ReferenceTables(points, weights, *basis_at(element, points))


def basis_at(element: Any, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Evaluate the basis at reference points, shape (d, …); returns values (…, k) and gradients (…, k, d)."""
    k = int(element._bfun_counts().sum())
    pairs = [element.lbasis(points, i) for i in range(k)]
    shape = points.shape[1:]
    values = np.stack([np.broadcast_to(v, shape) for v, _ in pairs], axis=-1)
    gradients = np.stack([[np.broadcast_to(c, shape) for c in g] for _, g in pairs])  # (k, d, …)
    return values, np.moveaxis(gradients, (0, 1), (-2, -1)).copy()
