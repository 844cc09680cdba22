"""Gradients on structured grids: index differences of u and of x, and the Jacobian solve at every node.

Vinokur, Conservation equations of gasdynamics in curvilinear coordinate systems, J. Comput. Phys. 14 (1974) 105:
Δ_k u = Σ_l (Δ_k x_l) ∂u/∂x_l for every index direction k.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.gradient.operator import GradientOperator
from pdeflow.geometry.layouts import StructuredLayout

COLLAPSED = 1e-12  # of the median determinant: two index directions are parallel


def curvilinear(grid: StructuredLayout, order: int = 2) -> GradientOperator:
    """Differentiate along index lines, centred inside and one-sided of the same order at the ends.

    Exact on linear functions; of the given order where the map from indices to space is smooth (a kink of the grid
    lines, as at the corners of an O-grid in a square, costs one order there).

    Args:
        grid: Uniform or mapped grid.
        order: Even order of accuracy; each axis needs order + 1 values.

    Returns:
        Operator on the flat values of the grid, K = d · order neighbours. Rows where grid lines collapse (zero
        Jacobian, at most one in a hundred) are zero.

    Raises:
        UsageError: If the order is odd, an axis is too short, or the Jacobian vanishes at more than 1 % of the nodes.

    Reference: Vinokur (1974); CATO, arXiv 2605.09016, mesh-consistent gradient.
    """
    parts = [grid.index_difference(axis, order) for axis in range(grid.ndim)]
    jacobian = grid.jacobian(order).reshape(-1, grid.ndim, grid.ndim)
    determinant = torch.linalg.det(jacobian).abs()
    collapsed = determinant <= COLLAPSED * determinant.median()
    _check_collapse(collapsed, grid)
    jacobian[collapsed] = torch.eye(grid.ndim, dtype=torch.float64)
    inverse = torch.linalg.inv(jacobian)  # (N, component, axis)
    inverse[collapsed] = 0.0
    index = torch.cat([part.index for part in parts], dim=1)
    coeff = torch.cat(
        [part.weight[..., None] * inverse[:, None, :, k] for k, part in enumerate(parts)], dim=1
    )
    return GradientOperator.at_points(index, coeff.contiguous(), order)


def _check_collapse(collapsed: Tensor, grid: StructuredLayout) -> None:
    bad = torch.nonzero(collapsed).flatten()
    if 100 * len(bad) > grid.size:
        place = tuple(int(i) for i in torch.unravel_index(bad[0], grid.shape))
        raise UsageError(
            f"the mesh directions are parallel at {len(bad)} of {grid.size} nodes, first at {place}; check for "
            "duplicate grid lines"
        )
