"""How this package writes HDF5: aside and renamed, compressed, with checksums, and the same bytes every time.

The bytes depend on the samples only: no dates, seconds or hosts.
"""

from __future__ import annotations

import hashlib
import math
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

CHUNK_BYTES = 2**20
SAMPLE_COLUMNS = {
    "sample_id": np.int64, "chain_id": np.int64, "chain_pos": np.int64, "iterations": np.int64,
    "residual_rel": np.float64, "status": np.int8,
}  # fmt: skip


def write_aside(path: Path, write: Callable[[h5py.File], None]) -> str:
    """Fill a file in memory, mark it complete, write it aside, then rename it.

    HDF5 itself never meets a full disk: its library would complain at every open object, and crash when the process ends.

    Args:
        path: File to write; its folder is made.
        write: Fills the open file.

    Returns:
        The file's sha256.
    """
    with h5py.File(path.name, "w", libver=("earliest", "v110"), driver="core", backing_store=False) as file:
        write(file)
        file.attrs["complete"] = True
        file.flush()
        image = file.id.get_file_image()
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}.tmp")
    try:
        aside.write_bytes(image)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    return hashlib.sha256(image).hexdigest()


def create(
    file: h5py.File, name: str, values: np.ndarray, *, ragged: bool = False, **attributes: Any
) -> None:
    """Write an array in chunks, gzip 4 after a byte shuffle, with a checksum of every chunk, and close it.

    HDF5 gives chunks their place in the file when the dataset is closed. Left to Python, that is when the last reference
    goes: later where somebody looks at the stack, like the profiler of a Dask worker, and then the bytes would differ.

    Args:
        file: Open file.
        name: Path inside it.
        values: The array; samples come first.
        ragged: Whether rows are points or cells instead of samples, so that a chunk holds many.
        **attributes: Of the dataset.
    """
    options: dict[str, Any] = {}
    if values.size:
        row = math.prod(values.shape[1:]) * values.itemsize
        chunks = (
            (min(len(values), max(CHUNK_BYTES // row, 1)), *values.shape[1:])
            if ragged
            else chunk_shape(values.shape, values.itemsize)
        )
        options = {
            "chunks": chunks,
            "compression": "gzip",
            "compression_opts": 4,
            "shuffle": True,
            "fletcher32": True,
        }
    data = file.create_dataset(name, data=values, track_times=False, **options)
    annotate(data, **attributes)
    data.id.close()


def chunk_shape(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return one sample, its longest axes halved until a chunk fits CHUNK_BYTES.

    Args:
        shape: Shape of the data, samples first.
        itemsize: Bytes of a value.

    Returns:
        Shape of a chunk; a column (N,) is one chunk.
    """
    chunk = [1, *shape[1:]] if len(shape) > 1 else list(shape)
    while math.prod(chunk) * itemsize > CHUNK_BYTES:
        longest = chunk.index(max(chunk))
        chunk[longest] = -(-chunk[longest] // 2)
    return tuple(chunk)


def write_columns(
    file: h5py.File, scalars: Mapping[str, np.ndarray], samples: Mapping[str, np.ndarray]
) -> None:
    """Write parameters and verdicts, one entry a sample.

    Args:
        file: Open file.
        scalars: Parameters by name, shape (N,).
        samples: Columns of SAMPLE_COLUMNS, shape (N,).
    """
    group = file.create_group("scalars")
    group.attrs["field_names"] = list(scalars) or np.array([], dtype="S1")
    for name, column in scalars.items():
        values = np.asarray(column, dtype=np.float64)
        create(
            file, f"scalars/{name}", values,
            sample_varying=True, time_varying=False, units="1", long_name=f"parameter {name}",
        )  # fmt: skip
    for name, column in samples.items():
        create(file, f"samples/{name}", np.asarray(column, dtype=SAMPLE_COLUMNS[name]), units="1")


def annotate(target: Any, **attributes: Any) -> None:
    """Set attributes of a dataset or group."""
    for name, value in attributes.items():
        target.attrs[name] = value


def nonfinite(values: np.ndarray) -> np.ndarray:
    """Return the numbers of the samples that hold NaN or an infinity, values of shape (N, ...)."""
    return np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(1))


def sha256(path: Path) -> str:
    """Return the hexadecimal sha256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
