"""Charts ψ: Ω -> [-1, 1]^k by values at points: affine, index and harmonic ones, and what they do to the region.

CATO, arXiv 2605.09016 (charts and their participation ratio); Tutte, How to draw a graph, Proc. London Math. Soc. 13
(1963) 743 (harmonic coordinates).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import spsolve
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.gradient.finite_element import basis_gradients
from pdeflow.geometry.gradient.operator import GradientOperator
from pdeflow.geometry.grid import Grid
from pdeflow.geometry.mapped_grid import MappedGrid
from pdeflow.geometry.mesh import Mesh


def affine_chart(points: Tensor, bounds: Sequence[tuple[float, float]] | None = None) -> Tensor:
    """Map a box onto [-1, 1]^d.

    Args:
        points: Points, shape (..., d); the chart's arguments.
        bounds: (lower, upper) per axis; those of the points when left out.

    Returns:
        Chart values, shape (..., d).

    Raises:
        UsageError: If a side of the box is empty.
    """
    flat = points.reshape(-1, points.shape[-1])
    if bounds is None:
        lower, upper = flat.amin(dim=0), flat.amax(dim=0)
    else:
        lower, upper = points.new_tensor(bounds).unbind(dim=-1)
    if lower.shape[0] != points.shape[-1] or not bool((lower < upper).all()):
        raise UsageError(
            f"an affine chart needs lower < upper on every axis, got {lower.tolist()}, {upper.tolist()}"
        )
    return 2 * (points - lower) / (upper - lower) - 1


def index_chart(grid: Grid | MappedGrid) -> Tensor:
    """Return the scaled indices 2 i / (n - 1) - 1 of every value (2 i / n - 1 along periodic axes), (*shape, d)."""
    axes = [
        2 * torch.arange(n, dtype=torch.float64) / max(n if wraps else n - 1, 1) - 1
        for n, wraps in zip(grid.shape, grid.periodic, strict=True)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def harmonic_chart(mesh: Mesh, sides: Sequence[tuple[str, str]]) -> Tensor:
    """Solve -Δψ_k = 0 with ψ_k = -1 and +1 on a pair of tagged sides and ∂ψ_k/∂n = 0 elsewhere.

    Args:
        mesh: Mesh whose cells fill the space.
        sides: Pairs of facet tags (low, high), one per chart coordinate.

    Returns:
        Values at the mesh's points, shape (n, k), between -1 and 1 on meshes without obtuse angles.

    Raises:
        UsageError: If a tag is unknown, or the two sides of a pair share a point.
    """
    stiffness = _stiffness(mesh)
    columns = []
    for low, high in sides:
        lower, upper = mesh.boundary_nodes(low), mesh.boundary_nodes(high)
        if bool(torch.isin(lower, upper).any()) or not len(lower) or not len(upper):
            raise UsageError(f"the sides '{low}' and '{high}' of a chart must be apart and not empty")
        values = np.zeros(mesh.n_points)
        values[lower], values[upper] = -1.0, 1.0
        free = np.setdiff1d(np.arange(mesh.n_points), torch.cat([lower, upper]).numpy())
        values[free] = spsolve(stiffness[free][:, free].tocsc(), -(stiffness @ values)[free])
        columns.append(torch.from_numpy(values))
    return torch.stack(columns, dim=1)


def _stiffness(mesh: Mesh) -> sparse.csr_array:
    xi, weight = mesh.reference.quadrature()
    gradients, determinant = basis_gradients(mesh, xi)
    local = torch.einsum("mq,mqid,mqjd->mij", determinant.abs() * weight, gradients, gradients)
    k = mesh.cells.shape[1]
    row = mesh.cells[:, :, None].expand(-1, k, k).reshape(-1).numpy()
    column = mesh.cells[:, None, :].expand(-1, k, k).reshape(-1).numpy()
    return sparse.csr_array((local.reshape(-1).numpy(), (row, column)), shape=(mesh.n_points,) * 2)


@dataclass(frozen=True)
class ChartDiagnostics:
    """How a chart uses its range and whether it folds; all numbers dimensionless unless said.

    Attributes:
        participation_ratio: (Σλ)² / Σλ² of the covariance of the values: 1 for a line, k for an even spread.
        shares: Eigenvalues λ / Σλ in descending order, k numbers.
        fold_fraction: Share of the weight with the minority sign of det Dψ; nan unless k = d.
        min_singular_value: Smallest singular value of Dψ, in one over the length unit.
        min_determinant: Smallest |det Dψ|; nan unless k = d.
    """

    participation_ratio: float
    shares: tuple[float, ...]
    fold_fraction: float
    min_singular_value: float
    min_determinant: float


def chart_diagnostics(
    values: Tensor, gradient: GradientOperator, weights: Tensor | None = None
) -> ChartDiagnostics:
    """Measure a chart given at points. Compare with the same numbers of an untrained chart.

    Args:
        values: Chart values, shape (n, k).
        gradient: Gradient of the layout with one row per point.
        weights: Quadrature weights, shape (n,); equal when left out.

    Returns:
        The diagnostics.

    Raises:
        UsageError: If shapes differ or the chart is constant.
    """
    share = _shares(values, gradient, weights)
    values = values.detach().double()
    centred = values - share @ values
    eigenvalues = torch.linalg.eigvalsh(centred.T @ (share[:, None] * centred)).clamp(min=0).flip(0)
    if not float(eigenvalues[0]) > (1e-12 * float(values.abs().max())) ** 2:  # rounding of the mean
        raise UsageError("the chart is constant; it maps the whole region to one point")
    jacobian = gradient(values)  # (n, k, d)
    singular = torch.linalg.svdvals(jacobian)
    folded, smallest = float("nan"), float("nan")
    if values.shape[1] == gradient.dim:
        determinant = torch.linalg.det(jacobian)
        negative = float(share[determinant < 0].sum())
        folded, smallest = min(negative, 1 - negative), float(determinant.abs().min())
    total = eigenvalues.sum()
    return ChartDiagnostics(
        float(total**2 / (eigenvalues**2).sum()),
        tuple((eigenvalues / total).tolist()),
        folded,
        float(singular.min()),
        smallest,
    )


def _shares(values: Tensor, gradient: GradientOperator, weights: Tensor | None) -> Tensor:
    """Check shapes and return weights that sum to one."""
    n = gradient.n_points
    share = torch.ones(n, dtype=torch.float64) if weights is None else weights.flatten().double()
    if values.ndim != 2 or len(values) != n or len(share) != n or len(gradient.base) != n:
        raise UsageError(
            f"a chart of {n} points needs values ({n}, k), weights ({n},) and a gradient at points, got "
            f"{tuple(values.shape)}, {tuple(share.shape)} and {len(gradient.base)} rows"
        )
    return share / share.sum()
