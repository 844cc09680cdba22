"""A mesh as scikit-fem sees it, and back: points (d, n), cells (k, m), named boundaries and subdomains."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pdeflow.errors import UsageError
from pdeflow.geometry.mesh.protocol import AnyMesh, MeshLike
from pdeflow.geometry.mesh.repair import oriented
from pdeflow.geometry.reference_cells import REFERENCE_CELLS


def to_skfem(mesh: MeshLike, sort_t: bool = False) -> Any:
    """Copy to scikit-fem's MeshLine1, MeshTri1, MeshQuad1, MeshTet1 or MeshHex1 with all tags.

    Args:
        mesh: The mesh; facet ids mean the same facets in the copy.
        sort_t: Let scikit-fem sort the vertices of triangles, which its Argyris and Morley elements need.

    Returns:
        The scikit-fem mesh.

    Raises:
        UsageError: If the points have more coordinates than the cells (a surface).
    """
    import skfem

    if mesh.dim != mesh.cell_dim:
        raise UsageError(f"scikit-fem needs {mesh.cell_dim}-D points for {mesh.cell_type}, got {mesh.dim}-D")
    reference = mesh.reference
    cells = mesh.cells.numpy()[:, reference.from_vtk].T.astype(np.int32)
    options = {"sort_t": sort_t} if mesh.cell_type == "tri" else {}
    return getattr(skfem, reference.scikit_fem)(
        np.ascontiguousarray(mesh.points.numpy().T),
        np.ascontiguousarray(cells),
        _boundaries={name: ids.numpy().astype(np.int32) for name, ids in mesh.facet_tags.items()} or None,
        _subdomains={name: ids.numpy().astype(np.int32) for name, ids in mesh.cell_tags.items()} or None,
        **options,
    )


def from_skfem(kind: type[AnyMesh], other: Any) -> AnyMesh:
    """Copy a first-order scikit-fem mesh with its boundaries and subdomains; inverted cells are reordered.

    scikit-fem sorts the vertices of triangles, so about half of them come clockwise.

    Args:
        kind: Class of the mesh.
        other: The scikit-fem mesh.

    Raises:
        UsageError: If the mesh is of another kind.
    """
    names = {cell.scikit_fem: cell for cell in REFERENCE_CELLS.values()}
    bases = [base.__name__ for base in type(other).__mro__]
    cell = next((names[base] for base in bases if base in names), None)
    if cell is None or other.t.shape[0] != len(cell.corners) or other.p.shape[1] != other.nvertices:
        raise UsageError(
            f"expected a first-order scikit-fem mesh ({', '.join(names)}), got {type(other).__name__}"
        )
    to_vtk = np.argsort(cell.from_vtk)
    mesh = kind(
        torch.from_numpy(np.ascontiguousarray(other.p.T)),
        torch.from_numpy(np.ascontiguousarray(other.t[to_vtk].T.astype(np.int64))),
        cell.name,
        {k: torch.as_tensor(np.asarray(v), dtype=torch.int64) for k, v in (other.boundaries or {}).items()},
        {
            k: torch.as_tensor(np.asarray(v), dtype=torch.int64)
            for k, v in (other.subdomains or {}).items()
            if not k.startswith("gmsh:")
        },
    )
    return oriented(mesh)
