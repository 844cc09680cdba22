"""Names of facets and cells in meshes of meshio.

Names travel three ways: as cell sets (meshio itself), as Gmsh's physical groups (.msh), or as integer cell data
"cell:NAME" and "facet:NAME" for formats without names, such as .vtu: 1 in the cells that have the name, 0 elsewhere,
where each facet with a name is a cell of its own behind the others and carries the values of the cell it belongs to.
Formats with one block of cells, such as .xdmf, get bits instead: bit i of "facet:NAME" marks local facet i of a cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from pdeflow.errors import UsageError
from pdeflow.geometry.mesh.facets import find_facets
from pdeflow.geometry.mesh.protocol import MeshLike
from pdeflow.geometry.reference_cells import REFERENCE_CELLS

NamesStyle = Literal["sets", "gmsh", "data", "bits"]
BY_MESHIO = {cell.meshio: cell for cell in REFERENCE_CELLS.values()}
BELOW = {"point": "vertex"} | {cell.name: cell.meshio for cell in REFERENCE_CELLS.values()}
DIMENSION = {"vertex": 0} | {name: cell.dim for name, cell in BY_MESHIO.items()}


def names_style(suffix: str) -> NamesStyle:
    """Return how a file format keeps names."""
    styles: dict[str, NamesStyle] = {".msh": "gmsh", ".vtu": "data", ".vtk": "data", ".xdmf": "bits", ".xmf": "bits"}
    return styles.get(suffix, "sets")


def names_as_data(
    mesh: MeshLike, body: tuple[str, np.ndarray], values: Mapping[str, np.ndarray]
) -> tuple[list[tuple[str, np.ndarray]], dict[str, list[np.ndarray]]]:
    """Return the cells and, behind them, the facets with a name; and for each name an array 0 or 1 per block."""
    none = np.zeros(0, dtype=np.int64)
    ids = np.unique(np.concatenate([none, *(found.numpy() for found in mesh.facet_tags.values())]))
    owner = mesh.facet_cells.numpy()[ids, 0]
    facets = (BELOW[mesh.reference.facet_type], mesh.topology.oriented.numpy()[ids])
    data = {name: [array, array[owner]] for name, array in values.items()}
    for name, members in mesh.cell_tags.items():
        marked = np.isin(np.arange(mesh.n_cells), members.numpy()).astype(np.int32)
        data[f"cell:{name}"] = [marked, marked[owner]]
    for name, members in mesh.facet_tags.items():
        on = np.isin(ids, members.numpy()).astype(np.int32)
        data[f"facet:{name}"] = [np.zeros(mesh.n_cells, dtype=np.int32), on]
    if not len(ids):
        return [body], {name: arrays[:1] for name, arrays in data.items()}
    return [body, facets], data


def names_as_bits(mesh: MeshLike) -> dict[str, np.ndarray]:
    """Return for each name an array of the cells, shape (m,), int32: 0 or 1, or the bits of its local facets."""
    data = {}
    for name, ids in mesh.cell_tags.items():
        data[f"cell:{name}"] = np.isin(np.arange(mesh.n_cells), ids.numpy()).astype(np.int32)
    bits = 2 ** np.arange(len(mesh.reference.facets), dtype=np.int32)
    for name, ids in mesh.facet_tags.items():
        marked = np.isin(mesh.topology.cell_facets.numpy(), ids.numpy()) @ bits
        data[f"facet:{name}"] = marked.astype(np.int32)
    return data


def names_as_sets(mesh: MeshLike, blocks: int) -> dict[str, list[np.ndarray]]:
    """List for each name the ids within each block: all cells first, then one block of facets per name."""
    empty = np.zeros(0, dtype=np.int64)
    sets = {name: [ids.numpy(), *[empty] * (blocks - 1)] for name, ids in mesh.cell_tags.items()}
    for place, (name, ids) in enumerate(mesh.facet_tags.items(), start=1):
        sets.setdefault(name, [empty] * blocks)[place] = np.arange(len(ids))
    return sets


def names_from_data(
    mesh: MeshLike, other: Any, blocks: list[int]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return facet ids and cell ids by name, from what `names_as_data` or `names_as_bits` wrote."""
    facet_tags, cell_tags = {}, {}
    sides = [i for i, block in enumerate(other.cells) if block.type == BELOW[mesh.reference.facet_type]]
    for key, data in other.cell_data.items():
        kind, _, name = key.partition(":")
        values = np.concatenate([np.asarray(data[i]) for i in blocks])
        if kind not in ("cell", "facet") or not np.issubdtype(values.dtype, np.integer):
            continue
        if kind == "cell":
            cell_tags[name] = np.flatnonzero(values)
        elif sides:
            rows = np.concatenate([other.cells[i].data[np.asarray(data[i]) != 0] for i in sides])
            found = find_facets(mesh, rows.astype(np.int64))
            facet_tags[name] = found[found >= 0]
        else:  # bits
            marked = (values[:, None] >> np.arange(len(mesh.reference.facets))) & 1 == 1
            facet_tags[name] = mesh.topology.cell_facets.numpy()[marked]
    return facet_tags, cell_tags


def physical_groups(mesh: MeshLike) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
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


def joined(members: Mapping[int, np.ndarray], other: Any, blocks: list[int]) -> np.ndarray:
    """Turn ids within blocks into ids of all cells."""
    starts = np.cumsum([0, *(len(other.cells[i].data) for i in blocks)])
    ids = [starts[place] + members[i] for place, i in enumerate(blocks) if i in members]
    return np.concatenate(ids).astype(np.int64) if ids else np.zeros(0, dtype=np.int64)


def named_members(other: Any) -> dict[str, dict[int, np.ndarray]]:
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
