"""Measures of cells, facets and vertices, exact for simplices, quadrilaterals and trilinear hexahedra.

Polygon areas by the shoelace formula; hexahedra by Gauss quadrature of the Jacobian (degree 2 per axis).
"""

from __future__ import annotations

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.mesh.facets import facets_named
from pdeflow.geometry.mesh.protocol import MeshLike
from pdeflow.geometry.reference_cells import REFERENCE_CELLS


def vector_area(corners: Tensor) -> Tensor:
    """Return ½ Σ x_i × x_(i+1) of polygons, shape (..., k, 3) to (..., 3); triangles and quadrilaterals.

    It is the integral of the normal over any surface with that rim, so sums over closed surfaces vanish.
    """
    if corners.shape[-2] == 3:
        a, b = corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :]
    else:
        a, b = corners[..., 2, :] - corners[..., 0, :], corners[..., 3, :] - corners[..., 1, :]
    return 0.5 * torch.linalg.cross(a, b)


def jacobians(corners: Tensor, cell_type: str, xi: Tensor) -> Tensor:
    """Return ∂x/∂ξ of cells with corners (m, k, d) at reference points xi (q, dim), shape (m, q, d, dim)."""
    return torch.einsum("mkd,qkj->mqdj", corners, REFERENCE_CELLS[cell_type].shape_gradients(xi))


def signed_measure(mesh: MeshLike) -> Tensor:
    """Return lengths, areas or volumes with the sign of the orientation, shape (m,); embedded cells unsigned."""
    corners = mesh.points[mesh.cells]
    if mesh.cell_dim < mesh.dim:
        return _embedded_measure(corners, mesh.cell_type)
    if mesh.cell_type == "line":
        return corners[:, 1, 0] - corners[:, 0, 0]
    if mesh.cell_dim == 2:
        a, b = (1, 2) if mesh.cell_type == "tri" else (2, 3)
        c = 0 if mesh.cell_type == "tri" else 1
        p, q = corners[:, a] - corners[:, 0], corners[:, b] - corners[:, c]  # edges, or the two diagonals
        return 0.5 * (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0])
    xi, weights = mesh.reference.quadrature()
    return torch.linalg.det(jacobians(corners, mesh.cell_type, xi)) @ weights


def _embedded_measure(corners: Tensor, cell_type: str) -> Tensor:
    if cell_type == "line":
        return (corners[:, 1] - corners[:, 0]).norm(dim=-1)
    return vector_area(corners).norm(dim=-1)


def oriented_measures(mesh: MeshLike) -> tuple[Tensor, Tensor]:
    """Return outward unit normals and measures of all facets, shapes (F, d) and (F,).

    Outward means out of the first cell of each facet. A warped quadrilateral counts with the length of its
    vector area, so that Σ n |f| over the boundary of every cell vanishes (divergence theorem for constants).
    """
    if mesh.cell_dim != mesh.dim:
        raise UsageError(
            f"normals need cells that fill the space, got {mesh.cell_type} cells in {mesh.dim}-D points"
        )
    corners = mesh.points[mesh.topology.oriented]  # (F, kf, d)
    if mesh.cell_dim == 1:
        first = mesh.cells[mesh.facet_cells[:, 0]]
        sign = torch.where(mesh.topology.oriented[:, 0] == first[:, 1], 1.0, -1.0).double()
        return sign[:, None], torch.ones(len(corners), dtype=torch.float64)
    if mesh.cell_dim == 2:
        tangent = corners[:, 1] - corners[:, 0]
        vector = torch.stack([tangent[:, 1], -tangent[:, 0]], dim=1)
    else:
        vector = vector_area(corners)
    size = vector.norm(dim=1)
    return vector / size[:, None], size


def facet_measure(mesh: MeshLike) -> Tensor:
    """Return lengths or areas of all facets (1 for points), shape (F,)."""
    if mesh.cell_dim == mesh.dim:
        return oriented_measures(mesh)[1]
    kind = mesh.reference.facet_type
    if kind == "point":
        return torch.ones(len(mesh.facets), dtype=torch.float64)
    return _embedded_measure(mesh.points[mesh.topology.oriented], kind)


def node_weights(mesh: MeshLike) -> Tensor:
    """Return ∫ φ_i dx of the P1 or Q1 basis: row sums of the mass matrix, shape (n,)."""
    measure = signed_measure(mesh).abs()
    if mesh.reference.simplex:
        share = (measure / mesh.cells.shape[1])[:, None].expand(mesh.cells.shape)
    else:
        xi, weights = mesh.reference.quadrature()
        jacobian = jacobians(mesh.points[mesh.cells], mesh.cell_type, xi)
        if mesh.cell_dim == mesh.dim:
            size = torch.linalg.det(jacobian)  # (m, q)
        else:
            size = torch.linalg.cross(jacobian[..., 0], jacobian[..., 1]).norm(dim=-1)
        share = (size * weights) @ mesh.reference.shape_functions(xi)  # (m, k)
        share = share * (measure / share.sum(dim=1))[:, None]
    total = torch.zeros(mesh.n_points, dtype=torch.float64)
    return total.index_add(0, mesh.cells.reshape(-1), share.reshape(-1))


def cell_measure(mesh: MeshLike) -> Tensor:
    """Return lengths, areas or volumes of the cells, shape (m,)."""
    return signed_measure(mesh).abs()


def centroids(mesh: MeshLike) -> Tensor:
    """Return the means of the cells' vertices, shape (m, d)."""
    return mesh.points[mesh.cells].mean(dim=1)


def normals(mesh: MeshLike, tag: str | None = None) -> Tensor:
    """Return outward unit normals of a tag's facets, or of all boundary facets, shape (F_b, d).

    A facet inside the mesh gets the normal out of its first cell.

    Raises:
        UsageError: If the mesh has no such tag, or its cells do not fill the space.
    """
    return oriented_measures(mesh)[0][facets_named(mesh, tag)]
