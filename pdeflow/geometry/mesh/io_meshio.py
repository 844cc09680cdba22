"""Meshes of meshio, and the files it reads and writes: Gmsh, VTU and some thirty more.

Names travel three ways: as cell sets (meshio itself), as Gmsh's physical groups (.msh), or as integer cell data
"cell:NAME" (0 or 1) and "facet:NAME" (bit i marks local facet i) for formats without names, such as .vtu.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from pdeflow.errors import DataError, UsageError
from pdeflow.geometry.mesh.facets import find_facets
from pdeflow.geometry.mesh.protocol import AnyMesh, MeshLike
from pdeflow.geometry.reference_cells import REFERENCE_CELLS, ReferenceCell

NamesStyle = Literal["sets", "gmsh", "data"]
BY_MESHIO = {cell.meshio: cell for cell in REFERENCE_CELLS.values()}
BELOW = {"point": "vertex"} | {cell.name: cell.meshio for cell in REFERENCE_CELLS.values()}
DIMENSION = {"vertex": 0} | {name: cell.dim for name, cell in BY_MESHIO.items()}


def names_style(suffix: str) -> NamesStyle:
    """Return how a file format keeps names."""
    return {".msh": "gmsh", ".vtu": "data", ".vtk": "data", ".xdmf": "data"}.get(suffix, "sets")  # type: ignore[return-value]


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
        names: "sets" (named facets become a second block of cells, with cell sets), "gmsh" or "data".

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
    if names == "data":
        data = {name: [array] for name, array in (values | _names_as_data(mesh)).items()}
        return meshio.Mesh(points, [body], point_data=fields, cell_data=data)
    owners = {name: mesh.topology.oriented[ids].numpy() for name, ids in mesh.facet_tags.items()}
    blocks = [body, *((BELOW[mesh.reference.facet_type], rows) for rows in owners.values())]
    data = {
        name: [array, *(_blank(array, len(rows)) for rows in owners.values())]
        for name, array in values.items()
    }
    if names == "gmsh":
        physical, groups = _physical_groups(mesh)
        data |= {"gmsh:physical": physical, "gmsh:geometrical": physical}
        return meshio.Mesh(points, blocks, point_data=fields, cell_data=data, field_data=groups)
    sets = _names_as_sets(mesh, len(blocks))
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
    facet_tags, cell_tags = _names_from_data(bare, other, blocks)
    for name, members in _named_members(other).items():
        inner = _joined(members, other, blocks)
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


def write(other: Any, path: Path) -> None:
    """Write a meshio mesh; the suffix chooses the format, .msh is Gmsh 2.2 in text, 17 digits.

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
    except (meshio.WriteError, meshio.ReadError, LookupError, ValueError, SystemExit) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(
            f"meshio cannot write this mesh as {path.suffix!r} ({reason}); use .vtu or .npz"
        ) from error


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
            raise UsageError(f"{kind} field '{name}' must have {count} values, got shape {array.shape}")
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


def _names_as_data(mesh: MeshLike) -> dict[str, np.ndarray]:
    data = {}
    for name, ids in mesh.cell_tags.items():
        data[f"cell:{name}"] = np.isin(np.arange(mesh.n_cells), ids.numpy()).astype(np.int32)
    bits = 2 ** np.arange(len(mesh.reference.facets), dtype=np.int32)
    for name, ids in mesh.facet_tags.items():
        data[f"facet:{name}"] = (np.isin(mesh.topology.cell_facets.numpy(), ids.numpy()) @ bits).astype(
            np.int32
        )
    return data


def _names_as_sets(mesh: MeshLike, blocks: int) -> dict[str, list[np.ndarray]]:
    """List for each name the ids within each block: all cells first, then one block of facets per name."""
    empty = np.zeros(0, dtype=np.int64)
    sets = {name: [ids.numpy(), *[empty] * (blocks - 1)] for name, ids in mesh.cell_tags.items()}
    for place, (name, ids) in enumerate(mesh.facet_tags.items(), start=1):
        sets.setdefault(name, [empty] * blocks)[place] = np.arange(len(ids))
    return sets


def _names_from_data(
    mesh: MeshLike, other: Any, blocks: list[int]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    facet_tags, cell_tags = {}, {}
    for key, data in other.cell_data.items():
        kind, _, name = key.partition(":")
        values = np.concatenate([np.asarray(data[i]) for i in blocks])
        if kind not in ("cell", "facet") or not np.issubdtype(values.dtype, np.integer):
            continue
        if kind == "cell":
            cell_tags[name] = np.flatnonzero(values)
        else:
            local = np.arange(len(mesh.reference.facets))
            marked = (values[:, None] >> local) & 1 == 1
            facet_tags[name] = mesh.topology.cell_facets.numpy()[marked]
    return facet_tags, cell_tags


def _physical_groups(mesh: MeshLike) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """Number the names from 1; a cell carries at most one number, 0 for none."""
    inner = np.zeros(mesh.n_cells, dtype=np.int32)
    groups: dict[str, np.ndarray] = {}
    for number, (name, ids) in enumerate(mesh.cell_tags.items(), start=1):
        if inner[ids.numpy()].any():
            cell = int(ids[int(np.flatnonzero(inner[ids.numpy()])[0])])
            raise UsageError(
                f".msh keeps one name per cell but cell {cell} has two; save as .npz, .h5 or .vtu"
            )
        inner[ids.numpy()] = number
        groups[name] = np.array([number, mesh.cell_dim])
    physical = [inner]
    for number, (name, ids) in enumerate(mesh.facet_tags.items(), start=len(groups) + 1):
        if name in groups:
            raise UsageError(
                f".msh cannot give cells and facets one name, '{name}'; save as .npz, .h5 or .vtu"
            )
        groups[name] = np.array([number, mesh.cell_dim - 1])
        physical.append(np.full(len(ids), number, dtype=np.int32))
    return physical, groups


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


def _joined(members: Mapping[int, np.ndarray], other: Any, blocks: list[int]) -> np.ndarray:
    """Turn ids within blocks into ids of all cells."""
    starts = np.cumsum([0, *(len(other.cells[i].data) for i in blocks)])
    ids = [starts[place] + members[i] for place, i in enumerate(blocks) if i in members]
    return np.concatenate(ids).astype(np.int64) if ids else np.zeros(0, dtype=np.int64)


def _named_members(other: Any) -> dict[str, dict[int, np.ndarray]]:
    """Return for each name the ids within each block of cells."""
    members: dict[str, dict[int, np.ndarray]] = {}
    for name, sets in (other.cell_sets or {}).items():
        if not name.startswith("gmsh:"):
            pairs = ((i, ids) for i, ids in enumerate(sets) if ids is not None and len(ids))
            members[name] = {i: np.asarray(ids, dtype=np.int64) for i, ids in pairs}
    if members or "gmsh:physical" not in other.cell_data:
        return members
    names = {(int(v[0]), int(v[1])): name for name, v in other.field_data.items() if len(v) == 2}
    for i, numbers in enumerate(other.cell_data["gmsh:physical"]):
        dim = DIMENSION.get(other.cells[i].type, -1)
        for number in np.unique(numbers):
            if number:
                name = names.get((int(number), dim), str(int(number)))
                members.setdefault(name, {})[i] = np.flatnonzero(np.asarray(numbers) == number)
    return members
