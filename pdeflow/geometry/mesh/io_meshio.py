"""Meshes of meshio, and the files it reads and writes: Gmsh, VTU and some thirty more."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pdeflow.errors import DataError, UsageError
from pdeflow.geometry.mesh import meshio_names
from pdeflow.geometry.mesh.facets import find_facets
from pdeflow.geometry.mesh.meshio_names import BELOW, BY_MESHIO, DIMENSION, NamesStyle
from pdeflow.geometry.mesh.protocol import AnyMesh, MeshLike
from pdeflow.geometry.reference_cells import ReferenceCell


def to_meshio(
    mesh: MeshLike,
    point_data: Mapping[str, Any] | None = None,
    cell_data: Mapping[str, Any] | None = None,
    names: NamesStyle = "sets",
) -> Any:
    """Copy to a meshio.Mesh.

    Args:
        mesh: The mesh.
        point_data: Named values at the points, shape (n,) or (n, c).
        cell_data: Named values in the cells, shape (m,) or (m, c).
        names: "sets" (named facets become a second block of cells, with cell sets), "gmsh", "data" or
            "bits", as the module `meshio_names` explains.

    Returns:
        The meshio mesh; points have three coordinates.

    Raises:
        UsageError: If meshio is missing, a field has another length, or Gmsh's format cannot hold the names.
    """
    meshio = _meshio()
    fields = _fields(point_data or {}, mesh.n_points, "point")
    values = _fields(cell_data or {}, mesh.n_cells, "cell")
    points = np.pad(mesh.points.numpy(), ((0, 0), (0, 3 - mesh.dim)))
    body = (mesh.reference.meshio, mesh.cells.numpy())
    if names == "bits":
        data = {name: [array] for name, array in (values | meshio_names.names_as_bits(mesh)).items()}
        return meshio.Mesh(points, [body], point_data=fields, cell_data=data)
    if names == "data":
        blocks, data = meshio_names.names_as_data(mesh, body, values)
        return meshio.Mesh(points, blocks, point_data=fields, cell_data=data)
    owners = {name: mesh.topology.oriented[ids].numpy() for name, ids in mesh.facet_tags.items()}
    blocks = [body, *((BELOW[mesh.reference.facet_type], rows) for rows in owners.values())]
    data = {
        name: [array, *(_blank(array, len(rows)) for rows in owners.values())]
        for name, array in values.items()
    }
    if names == "gmsh":
        physical, groups = meshio_names.physical_groups(mesh)
        data |= {"gmsh:physical": physical, "gmsh:geometrical": physical}
        return meshio.Mesh(points, blocks, point_data=fields, cell_data=data, field_data=groups)
    sets = meshio_names.names_as_sets(mesh, len(blocks))
    return meshio.Mesh(points, blocks, point_data=fields, cell_data=data, cell_sets=sets)


def from_meshio(kind: type[AnyMesh], other: Any) -> AnyMesh:
    """Copy from a meshio.Mesh the cells of its highest dimension, with names of cells and facets.

    Names are cell sets, Gmsh's physical groups (a group without a name is called by its number; what Gmsh adds
    itself, such as gmsh:bounding_entities, is left out), or the integer data that `to_meshio` writes.

    Args:
        kind: Class of the mesh.
        other: The meshio mesh.

    Raises:
        DataError: If the cells are of mixed, quadratic or unknown type, or there are none.
    """
    cell = _only_type(other)
    blocks = [i for i, block in enumerate(other.cells) if block.type == cell.meshio]
    cells = np.concatenate([other.cells[i].data for i in blocks]).astype(np.int64)
    points = np.asarray(other.points, dtype=np.float64)
    while points.shape[1] > cell.dim and not points[:, -1].any():
        points = points[:, :-1]
    if len(cells) and not 0 <= cells.min() <= cells.max() < len(points):
        raise DataError(f"cells name vertex {cells.max()} but there are {len(points)} points")
    bare = kind(torch.from_numpy(points.copy()), torch.from_numpy(cells), cell.name)
    facet_tags, cell_tags = meshio_names.names_from_data(bare, other, blocks)
    for name, members in meshio_names.named_members(other).items():
        inner = meshio_names.joined(members, other, blocks)
        if len(inner):
            cell_tags[name] = inner
        side = BELOW[cell.facet_type]
        rows = [other.cells[i].data[ids] for i, ids in members.items() if other.cells[i].type == side]
        if rows and len(vertices := np.concatenate(rows)):
            found = find_facets(bare, vertices.astype(np.int64))
            if len(found[found >= 0]):
                facet_tags[name] = found[found >= 0]
    as_ids = {k: torch.from_numpy(np.asarray(v, dtype=np.int64)) for k, v in facet_tags.items()}
    return kind(
        bare.points, bare.cells, cell.name, as_ids, {k: torch.from_numpy(v) for k, v in cell_tags.items()}
    )


def read(path: Path) -> Any:
    """Read a file with meshio.

    Raises:
        UsageError: If meshio is missing or the format is unknown.
        DataError: If the file is damaged.
    """
    meshio = _meshio()
    if path.suffix.lower() not in meshio.extension_to_filetypes:
        raise UsageError(f"unknown mesh format {path.suffix!r} of {path}; use .npz, .h5, .msh, .vtu, …")
    quiet = io.StringIO()
    try:
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            return meshio.read(path)
    except (Exception, SystemExit) as error:  # meshio prints and then leaves the interpreter
        reason = " ".join(str(error).split()) if not isinstance(error, SystemExit) else ""
        reason = reason or " ".join(quiet.getvalue().split()) or type(error).__name__
        raise DataError(
            f"not a readable {path.suffix} file ({reason}); write or download it again"
        ) from error


def check_writable(path: Path) -> None:
    """Refuse a file name whose suffix is no mesh format.

    Raises:
        UsageError: With the suffixes there are; or if meshio is missing.
    """
    known = _meshio().extension_to_filetypes
    if path.suffix.lower() not in known:
        others = ", ".join(sorted(set(known) - {".msh", ".vtu"}))
        raise UsageError(
            f"unknown mesh format {path.suffix!r} of {path}; the suffix must be .npz, .h5, .msh, .vtu, or one of "
            f"meshio's others: {others}"
        )


def write(other: Any, path: Path, target: Path) -> None:
    """Write a meshio mesh; the suffix chooses the format, .msh is Gmsh 2.2 in text, 17 digits.

    Args:
        other: The meshio mesh.
        path: Where it is written.
        target: The name that messages give the file.

    Raises:
        UsageError: If the format is unknown or cannot hold the mesh.
    """
    meshio = _meshio()
    options: dict[str, Any] = {}
    if path.suffix.lower() == ".msh":
        options = {"file_format": "gmsh22", "binary": False, "float_fmt": ".17g"}
    elif path.suffix.lower() == ".xdmf":
        options = {"data_format": "XML"}  # one file, not two
    quiet = io.StringIO()
    try:
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            meshio.write(path, other, **options)
    except OSError:
        raise
    except (Exception, SystemExit) as error:  # writers assert, or leave the interpreter, where a mesh does not fit
        reason = " ".join(str(error).replace(str(path), str(target)).split()) or type(error).__name__
        raise UsageError(f"meshio cannot write {target} ({reason}); use .vtu or .npz") from error


def _meshio() -> Any:
    try:
        import meshio
    except ImportError as error:
        raise UsageError(
            "this mesh format needs meshio: pip install 'pdeflow[mesh]', or use .npz or .h5"
        ) from error
    return meshio


def _fields(data: Mapping[str, Any], count: int, kind: str) -> dict[str, np.ndarray]:
    fields = {}
    for name, values in data.items():
        array = np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values)
        if array.ndim not in (1, 2) or len(array) != count:
            hint = ""
            if kind == "point" and array.ndim in (1, 2) and len(array) > count:
                hint = "; of a P2 space, values[: mesh.n_points] are the values at the vertices"
            raise UsageError(f"{kind} field '{name}' must have {count} values, got shape {array.shape}{hint}")
        if np.iscomplexobj(array):
            raise UsageError(
                f"{kind} field '{name}' is complex; pass its real and imaginary parts as two fields"
            )
        if array.ndim == 2 and array.shape[1] == 2:  # ParaView draws arrows from three components
            array = np.pad(array, ((0, 0), (0, 1)))
        fields[name] = np.ascontiguousarray(array.astype(np.uint8) if array.dtype == bool else array)
    return fields


def _blank(array: np.ndarray, count: int) -> np.ndarray:
    return np.zeros((count, *array.shape[1:]), dtype=array.dtype)


def _only_type(other: Any) -> ReferenceCell:
    counts: dict[str, int] = {}
    for block in other.cells:
        counts[block.type] = counts.get(block.type, 0) + len(block.data)
    unknown = [name for name in counts if name not in DIMENSION]
    listed = ", ".join(f"{count} {name}" for name, count in counts.items()) or "no cells"
    if unknown:
        raise DataError(f"it has {listed}; only {', '.join(BY_MESHIO)} are supported (first order)")
    top = max((DIMENSION[name] for name in counts), default=0)
    kinds = [name for name in counts if DIMENSION[name] == top]
    if top == 0 or len(kinds) != 1:
        raise DataError(
            f"it has {listed}; a mesh has cells of one type, so split the file or mesh with one type"
        )
    return BY_MESHIO[kinds[0]]
