"""Which cell holds a point, and with which weights of its vertices: point location and interpolation.

The cells with the nearest centroids are tried first; what they do not hold goes through the buckets of a
background grid, which miss no cell. Q1 maps are inverted by Newton's method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.mesh.protocol import MeshLike

NEAREST = (1, 3, 8)
"""Cells tried per point before the buckets; on isotropic meshes nearly all points are found by then."""
NEWTON_STEPS = 30
PAIRS_AT_ONCE = 1 << 20
"""Pairs of a point and a cell tested at once: bounds the memory on stretched meshes."""


@dataclass(frozen=True, eq=False)
class Bins:
    """Buckets of a background grid with about one bucket per cell.

    Attributes:
        lower: Lower corner, shape (d,).
        width: Sides of a bucket, shape (d,).
        shape: Buckets per axis.
        start: Bucket i holds cells[start[i] : start[i + 1]], shape (buckets + 1,).
        cells: Cell ids, bucket by bucket.
    """

    lower: np.ndarray
    width: np.ndarray
    shape: np.ndarray
    start: np.ndarray
    cells: np.ndarray

    @classmethod
    def of(cls, mesh: MeshLike) -> Bins:
        """Sort the cells of a mesh into the buckets that their bounding boxes meet."""
        corners = mesh.points.numpy()[mesh.cells.numpy()]
        low, high = corners.min(axis=1), corners.max(axis=1)
        lower, extent = low.min(axis=0), high.max(axis=0) - low.min(axis=0)
        side = (np.prod(extent) / max(mesh.n_cells, 1)) ** (1 / mesh.dim)
        shape = np.maximum(1, np.ceil(extent / side)).astype(np.int64)
        width = extent / shape * (1 + 1e-12)
        margin = 1e-9 * width
        first = np.clip((low - margin - lower) // width, 0, shape - 1).astype(np.int64)
        last = np.clip((high + margin - lower) // width, 0, shape - 1).astype(np.int64)
        spans = last - first + 1
        counts = spans.prod(axis=1)
        cell = np.repeat(np.arange(mesh.n_cells), counts)
        rest = _within(counts)
        bucket = np.zeros(len(cell), dtype=np.int64)
        stride = 1
        for axis in reversed(range(mesh.dim)):
            bucket += stride * (first[cell, axis] + rest % spans[cell, axis])
            rest //= spans[cell, axis]
            stride *= shape[axis]
        order = np.argsort(bucket, kind="stable")
        start = np.concatenate([[0], np.cumsum(np.bincount(bucket, minlength=stride))])
        return cls(lower, width, shape, start, cell[order])

    def candidates(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pairs (point, cell) that may belong together, for points x of shape (q, d)."""
        index = np.floor((x - self.lower) / self.width)
        near = (index >= -1) & (index <= self.shape)  # rounding at the outer boundary
        rows = np.flatnonzero(near.all(axis=1))
        clipped = np.clip(index[rows], 0, self.shape - 1).astype(np.int64)
        bucket = np.ravel_multi_index(tuple(clipped.T), tuple(self.shape))
        counts = self.start[bucket + 1] - self.start[bucket]
        return np.repeat(rows, counts), self.cells[np.repeat(self.start[bucket], counts) + _within(counts)]


class LocatedMesh(MeshLike, Protocol):
    """A mesh with what the search for a point needs."""

    @property
    def centroid_tree(self) -> cKDTree:
        """Search tree over the centroids of the cells."""

    @property
    def bins(self) -> Bins:
        """Buckets of a background grid with the cells whose bounding boxes meet them."""


def _within(counts: np.ndarray) -> np.ndarray:
    """Return 0 … c-1 for each count c in turn."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def locate(mesh: LocatedMesh, x: Tensor, tol: float = 1e-10) -> tuple[Tensor, Tensor]:
    """Find the cells that hold points.

    Args:
        mesh: A mesh whose cells fill the space.
        x: Points, shape (q, d).
        tol: How far outside the reference cell a point may lie, dimensionless.

    Returns:
        Cell ids (q,), -1 outside the mesh, and the values of the nodal basis at the points (q, k): barycentric
        coordinates of simplices, bilinear or trilinear weights otherwise; zeros outside.

    Raises:
        UsageError: If the dimensions differ, or the mesh is a surface in space.
    """
    if mesh.cell_dim != mesh.dim:
        raise UsageError(f"locate needs cells that fill the space, got {mesh.cell_type} in {mesh.dim}-D")
    if x.ndim != 2 or x.shape[1] != mesh.dim:
        raise UsageError(
            f"the mesh is {mesh.dim}-D but the points have shape {tuple(x.shape)}; pass (q, {mesh.dim})"
        )
    where = x.detach().to("cpu", torch.float64)
    found = torch.full((len(where),), -1, dtype=torch.int64)
    weights = torch.zeros(len(where), mesh.cells.shape[1], dtype=torch.float64)
    finite = torch.nonzero(torch.isfinite(where).all(dim=1)).flatten()
    for k in NEAREST:
        left = finite[found[finite] < 0]
        columns = [*range(1, min(k, mesh.n_cells) + 1)]
        near = torch.from_numpy(mesh.centroid_tree.query(where[left].numpy(), k=columns)[1].astype(np.int64))
        _accept(mesh, where, left.repeat_interleave(len(columns)), near.flatten(), tol, found, weights)
    left = finite[found[finite] < 0]
    if not len(left):
        return found, weights
    rows, cells = mesh.bins.candidates(where[left].numpy())
    for start in range(0, len(rows), PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        points = left[torch.from_numpy(rows[part])]
        _accept(mesh, where, points, torch.from_numpy(cells[part]), tol, found, weights)
    return found, weights


def _accept(
    mesh: LocatedMesh, x: Tensor, points: Tensor, cells: Tensor, tol: float, found: Tensor, weights: Tensor
) -> None:
    """Test pairs (point, cell) and enter the lowest cell that holds each point into found and weights."""
    corners = mesh.points[mesh.cells[cells]]  # (pairs, k, d)
    low, high = corners.amin(dim=1), corners.amax(dim=1)
    slack = (tol + 1e-12) * (high - low).amax(dim=1, keepdim=True)
    y = x[points]
    keep = ((y >= low - slack) & (y <= high + slack)).all(dim=1) & (found[points] < 0)
    points, cells, corners, y = points[keep], cells[keep], corners[keep], y[keep]
    xi, inside = invert(mesh, corners, y, tol)
    points, cells, xi = points[inside], cells[inside], xi[inside]
    lowest = torch.full((len(x),), mesh.n_cells, dtype=torch.int64).scatter_reduce(0, points, cells, "amin")
    winner = cells == lowest[points]
    found[points[winner]] = cells[winner]
    weights[points[winner]] = mesh.reference.shape_functions(xi[winner])


def invert(mesh: MeshLike, corners: Tensor, y: Tensor, tol: float) -> tuple[Tensor, Tensor]:
    """Solve x(ξ) = y in cells with given corners (p, k, d); return ξ (p, dim) and whether it lies inside."""
    cell = mesh.reference
    xi = torch.full_like(y, 0.5)
    active = torch.arange(len(y))
    for _ in range(1 if cell.simplex else NEWTON_STEPS):
        at, place = xi[active], corners[active]
        residual = y[active] - torch.einsum("pk,pkd->pd", cell.shape_functions(at), place)
        jacobian = torch.einsum("pkd,pkj->pdj", place, cell.shape_gradients(at))
        step = torch.linalg.solve_ex(jacobian, residual)[0].nan_to_num()
        xi[active] = at + step if cell.simplex else (at + step).clamp(-1.0, 2.0)
        active = active[(xi[active] - at).abs().amax(dim=1) > 1e-11]  # quadratic; far points stay put
        if not len(active):
            break
    if cell.simplex:
        return xi, torch.minimum(xi.amin(dim=1), 1 - xi.sum(dim=1)) >= -tol
    least = torch.minimum(xi.amin(dim=1), (1 - xi).amin(dim=1))
    residual = y - torch.einsum("pk,pkd->pd", cell.shape_functions(xi), corners)
    size = (corners.amax(dim=1) - corners.amin(dim=1)).amax(dim=1)
    return xi, (least >= -tol) & (residual.abs().amax(dim=1) <= 1e-12 * size + 1e-15 * y.abs().amax(dim=1))


def interpolate(mesh: LocatedMesh, u: Tensor, x: Tensor, outside: float = float("nan")) -> Tensor:
    """Evaluate nodal values at points: linear in simplices, bilinear or trilinear in mapped Q1 cells.

    Args:
        mesh: A mesh whose cells fill the space.
        u: Values at the points of the mesh, shape (..., n); gradients flow through them.
        x: Where to evaluate, shape (q, d); no gradient flows through them.
        outside: Value for points outside the mesh.

    Returns:
        Values, shape (..., q); exact for linear functions.

    Raises:
        UsageError: If u has another length, the dimensions differ, or the mesh is a surface in space.
    """
    if u.shape[-1] != mesh.n_points:
        raise UsageError(
            f"u has {u.shape[-1]} values on its last axis but the mesh has {mesh.n_points} points"
        )
    cell, weights = locate(mesh, x)
    vertices = mesh.cells[cell.clamp(min=0)]  # (q, k)
    if not (u.is_floating_point() or u.is_complex()):
        u = u.double()
    values = (u[..., vertices.to(u.device)] * weights.to(u.device, u.real.dtype)).sum(dim=-1)
    return torch.where((cell >= 0).to(u.device), values, outside)
