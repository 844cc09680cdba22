"""Basis values and weights on boundary facets, and which condition holds on which facet.

Ern and Guermond, Theory and Practice of Finite Elements (2004), section 8.1.4 (surface quadrature).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import skfem
import torch
from torch import Tensor

from pdeflow.discretization.finite_element.cell_tables import CellTables
from pdeflow.errors import UsageError
from pdeflow.geometry.mesh import Mesh

REST = ("*", "boundary")
"""Tags that stand for all boundary facets that no other tag of the conditions names."""


@dataclass(frozen=True, eq=False)
class FacetTables:
    """The basis of the adjacent cells on F facets at r quadrature points each.

    Attributes:
        cells: The cell of each facet, shape (F,).
        points: Quadrature points, shape (F, r, d).
        weights: Quadrature weights, shape (F, r); sum to the measure of the facets.
        normals: Outward unit normals, shape (F, r, d).
        values: Basis values φ_i, shape (F, r, k).
    """

    cells: np.ndarray
    points: Tensor
    weights: np.ndarray
    normals: np.ndarray
    values: np.ndarray

    @classmethod
    def build(cls, space: CellTables, ids: np.ndarray) -> FacetTables:
        """Tabulate; the rule is exact for the facet's mass matrix.

        Args:
            space: The space.
            ids: Ids of boundary facets, shape (F,).
        """
        basis = skfem.FacetBasis(
            space.skfem_mesh,
            space.skfem_element,
            facets=np.asarray(ids, dtype=np.int32),
            intorder=2 * space.degree + 1,
            disable_doflocs=True,
        )
        shape = basis.dx.shape
        values = np.stack([np.broadcast_to(b[0], shape) for b in basis.basis], axis=-1)
        points = np.ascontiguousarray(np.moveaxis(np.asarray(basis.global_coordinates()), 0, 2))
        normals = np.moveaxis(np.broadcast_to(np.asarray(basis.normals), (space.dim, *shape)), 0, 2)
        return cls(basis.tind.astype(np.int64), torch.from_numpy(points), basis.dx, normals.copy(), values)

    def local_load(self, g: np.ndarray) -> np.ndarray:
        """Integrate g φ_i over each facet; g of shape (F, r); returns (F, k)."""
        return np.einsum("fr,frk->fk", self.weights * g, self.values)

    def local_mass(self, c: np.ndarray) -> np.ndarray:
        """Integrate c φ_i φ_j over each facet; c of shape (F, r); returns (F, k, k)."""
        return np.einsum("fr,fri,frj->fij", self.weights * c, self.values, self.values)


def facet_sets(mesh: Mesh, tags: Sequence[str]) -> list[np.ndarray]:
    """Split the boundary facets among the tags that carry a condition, each facet to exactly one.

    Args:
        mesh: The mesh.
        tags: Facet tags; "*" or "boundary" (unless it is a tag of the mesh) covers the facets not named.

    Returns:
        Facet ids of each tag.

    Raises:
        UsageError: If a tag is unknown, holds interior facets, two tags overlap, or facets are left without a condition.
    """
    owner = np.full(len(mesh.facets), -2)
    owner[mesh.boundary_facets.numpy()] = -1  # -2 inside, -1 free, else the number of the tag
    rest = next((k for k, tag in enumerate(tags) if tag in REST and tag not in mesh.facet_tags), None)
    for k, tag in enumerate(tags):
        if k == rest:
            continue
        ids = mesh.facets_named(tag).numpy()
        taken = owner[ids]
        if (taken == -2).any():
            raise UsageError(
                f"tag '{tag}' has {int((taken == -2).sum())} interior facets, first {ids[taken == -2][0]}; "
                "a boundary condition needs facets of the boundary"
            )
        if (taken >= 0).any():
            facet = ids[taken >= 0][0]
            raise UsageError(
                f"facet {facet} belongs to '{tags[owner[facet]]}' and '{tag}'; give it one condition"
            )
        owner[ids] = k
    left = np.flatnonzero(owner == -1)
    if left.size and rest is None:
        raise UsageError(_uncovered(mesh, left, tags))
    return [left if k == rest else np.flatnonzero(owner == k) for k in range(len(tags))]


def _uncovered(mesh: Mesh, left: np.ndarray, tags: Sequence[str]) -> str:
    """Say which facets have no condition, by tag where they have one."""
    unused = [
        tag for tag, ids in mesh.facet_tags.items() if tag not in tags and np.isin(ids.numpy(), left).any()
    ]
    middle = mesh.points[mesh.facets[left[0]]].mean(dim=0).tolist()
    named = f"tags {', '.join(map(repr, unused))}" if unused else "they have no tag"
    return (
        f"{left.size} boundary facets have no condition ({named}; first facet {left[0]} at "
        f"{tuple(round(c, 6) for c in middle)}); name them, or cover the rest with '*'"
    )
