"""Read one shard and check it: format, checksums, missing parts, values that are not finite.

The layout is that of `pdeflow.data.store`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdeflow.data.hdf5 import nonfinite
from pdeflow.data.mesh_store import LAYOUT, MeshShard, read_mesh_shard
from pdeflow.data.record import FORMAT, read_header
from pdeflow.data.store import Shard
from pdeflow.errors import DataError
from pdeflow.geometry import Grid

REMEDY = "make it anew with pdeflow generate --resume, or import it again"
REQUIRED = (
    "pdeflow_format", "complete", "dataset_name", "problem", "equation", "root_seed", "input_fields", "output_fields",
)  # fmt: skip
GRID = ("grid_location", "grid_bounds", "grid_periodic")
MESH = ("cell_type", "n_trajectories")


def read_shard(path: Path) -> Shard | MeshShard:
    """Read a shard and check it.

    Args:
        path: File.

    Returns:
        Its samples, in the precision of the file.

    Raises:
        DataError: If the file is truncated, damaged, of another format, incomplete, or holds a value that is not finite.
    """
    try:
        with h5py.File(path, "r") as file:
            return _read(file, path)
    except DataError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, IndexError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} is truncated or damaged ({reason}); {REMEDY}") from error


def _read(file: h5py.File, path: Path) -> Shard | MeshShard:
    on_mesh = file.attrs.get("layout") == LAYOUT
    missing = [name for name in (*REQUIRED, *(MESH if on_mesh else GRID)) if name not in file.attrs]
    if missing:
        raise DataError(
            f"{path} lacks the attribute {missing[0]!r}; it was not written by pdeflow, or only in part; {REMEDY}"
        )
    if int(file.attrs["pdeflow_format"]) > FORMAT:
        found = file.attrs["pdeflow_format"]
        raise DataError(f"{path} has format {found}, this pdeflow reads up to {FORMAT}; upgrade pdeflow")
    if on_mesh:
        return read_mesh_shard(file, path)
    times = tuple(float(t) for t in file["dimensions/time"][()])
    inputs = {name: _field(file, path, name) for name in file.attrs["input_fields"]}
    outputs = {name: _field(file, path, name) for name in file.attrs["output_fields"]}
    shape = next(iter(outputs.values())).shape[2:]
    if len(times) == 1:
        outputs = {name: values[:, 0] for name, values in outputs.items()}
    grid: Any = grid_of(file, shape)  # the attributes are there, they were asked for above
    return Shard(
        **read_header(file, "t0_fields"), grid=grid, inputs=inputs, outputs=outputs, times=times, mapped=file.attrs.get("layout") == "mapped", augmented=str(file.attrs.get("augmented", "")),
    )  # fmt: skip


def grid_of(file: h5py.File, shape: tuple[int, ...]) -> Grid | None:
    """Return the grid that the attributes of a file describe, or None where there are none.

    Args:
        file: Open file.
        shape: Number of values per axis.

    Raises:
        ValueError: If the attributes make no grid.
    """
    if any(name not in file.attrs for name in GRID):
        return None
    bounds = tuple((float(low), float(high)) for low, high in file.attrs["grid_bounds"])
    periodic = tuple(bool(wraps) for wraps in file.attrs["grid_periodic"])
    location: Any = str(file.attrs["grid_location"])  # Grid refuses what is neither "cell" nor "node"
    return Grid(shape, bounds, periodic, location)


def _field(file: h5py.File, path: Path, name: str) -> np.ndarray:
    """Read one field; name the sample that is damaged or not finite."""
    if name not in file["t0_fields"]:
        raise DataError(f"{path} lacks the field {name!r}; {REMEDY}")
    data = file["t0_fields"][name]
    if "units" not in data.attrs:
        raise DataError(f"{path}: field {name!r} lacks the attribute 'units'; {REMEDY}")
    try:
        values = data[()]
    except OSError as error:
        first = next((i for i in range(len(data)) if not _readable(data, i)), "?")
        raise DataError(
            f"{path}: field {name!r} is damaged in sample {first} (checksum); {REMEDY}"
        ) from error
    if values.dtype.kind != "f":
        raise DataError(
            f"{path}: field {name!r} has dtype {values.dtype}, expected float32 or float64; {REMEDY}"
        )
    bad = nonfinite(values)
    if bad.size:
        raise DataError(
            f"{path}: field {name!r} is not finite in {bad.size} of {len(values)} samples, first in sample {bad[0]}; {REMEDY}"
        )
    return values


def _readable(data: h5py.Dataset, sample: int) -> bool:
    try:
        data[sample]
    except OSError:
        return False
    return True
