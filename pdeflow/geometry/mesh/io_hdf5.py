"""A mesh as named arrays: the layout of an HDF5 group and of a .npz archive.

`points` (n, d) float64, `cells` (m, k) int64, `facet_tags/NAME` and `cell_tags/NAME` int64, and the attribute
(or text array) `cell_type`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from pdeflow.errors import DataError, UsageError
from pdeflow.geometry.mesh.protocol import AnyMesh, MeshLike
from pdeflow.geometry.reference_cells import REFERENCE_CELLS


def arrays(mesh: MeshLike) -> dict[str, np.ndarray]:
    """Return all arrays of a mesh by name."""
    named = {"points": mesh.points.numpy(), "cells": mesh.cells.numpy()}
    named |= {f"facet_tags/{quoted(name)}": ids.numpy() for name, ids in mesh.facet_tags.items()}
    named |= {f"cell_tags/{quoted(name)}": ids.numpy() for name, ids in mesh.cell_tags.items()}
    return named


def quoted(name: str) -> str:
    """Return a tag name without the separators of HDF5 paths."""
    return name.replace("%", "%25").replace("/", "%2F")


def from_arrays(kind: type[AnyMesh], cell_type: str | None, named: Mapping[str, Any]) -> AnyMesh:
    """Build a mesh from what `arrays` gave.

    Args:
        kind: Class of the mesh.
        cell_type: Type of its cells, None if it is missing.
        named: The arrays.

    Raises:
        DataError: If an array is missing or has another shape, or the type is unknown.
    """
    missing = [name for name in ("points", "cells") if name not in named]
    if cell_type not in REFERENCE_CELLS or missing:
        raise DataError(
            f"not a mesh: cell_type is {cell_type!r} and {', '.join(missing) or 'nothing'} missing"
        )
    tags: dict[str, dict[str, torch.Tensor]] = {"facet_tags": {}, "cell_tags": {}}
    for key, value in named.items():
        part, _, name = key.partition("/")
        if part in tags and name:
            tags[part][name.replace("%2F", "/").replace("%25", "%")] = torch.as_tensor(np.array(value))
    points, cells = (torch.as_tensor(np.array(named[name])) for name in ("points", "cells"))
    try:
        return kind(points, cells, cell_type, **tags)  # type: ignore[arg-type]
    except UsageError as error:
        raise DataError(f"not a mesh: {error}") from error


def write_group(mesh: MeshLike, group: Any) -> None:
    """Write a mesh into an open, empty h5py group; the bytes depend on the mesh only.

    Raises:
        UsageError: If the group already holds a mesh.
    """
    if "points" in group:
        raise UsageError(f"the group {group.name} already holds a mesh; write into a new group")
    group.attrs["cell_type"] = mesh.cell_type
    for name, array in arrays(mesh).items():
        group.create_dataset(name, data=array, track_times=False)


def read_group(kind: type[AnyMesh], group: Any) -> AnyMesh:
    """Read a mesh from an open h5py group written by `write_group`.

    Args:
        kind: Class of the mesh.
        group: The group.

    Raises:
        DataError: If an array is missing or has another shape, or the type is unknown.
    """
    import h5py

    named: dict[str, Any] = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            named[name] = item[()]

    group.visititems(collect)
    cell_type = group.attrs.get("cell_type")
    return from_arrays(kind, cell_type.decode() if isinstance(cell_type, bytes) else cell_type, named)
