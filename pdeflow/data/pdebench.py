"""PDEBench's HDF5 files: flat ones, with one array per field, and those with one group per sample.

Takamoto et al., PDEBench, NeurIPS 2022. Flat: `tensor` (N, t, x[, y]), for Darcy flow (N, 1, x, y) beside the coefficient
`nu` (N, x, y), or density, pressure, Vx, Vy, Vz; `x-coordinate`, `y-coordinate`; `t-coordinate` has t + 1 entries.
Grouped: `0000/data` (t, x[, y], channels) with `0000/grid/{x, y, t}`. The file's loader tells them apart by the ending:
"h5" is grouped, "hdf5" flat.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdeflow.data.conversion import (
    AT_NODES,
    assemble,
    floating,
    grid_through,
    new_files,
    opened,
    refuse_mesh,
    text,
)  # fmt: skip
from pdeflow.data.dataset import read_split
from pdeflow.data.hdf5 import create, write_aside
from pdeflow.data.manifest import read_manifest
from pdeflow.data.reading import grid_of
from pdeflow.data.store import AXES, Shard
from pdeflow.errors import DataError, UsageError

NAMES = {"tensor": "u", "nu": "a"}
"""What this package calls their fields."""


def is_pdebench(file: h5py.File) -> bool:
    """Tell whether an open file is laid out like one of PDEBench's."""
    first = next(iter(file.values()), None)
    return (
        "x-coordinate" in file
        or "tensor" in file
        or (isinstance(first, h5py.Group) and {"data", "grid"} <= set(first))
    )


def read_pdebench(path: Path) -> Shard:
    """Read a file of PDEBench; trajectories get their first frames as inputs, Darcy flow has its coefficient.

    Args:
        path: The file.

    Returns:
        Its samples, without names and numbers.

    Raises:
        DataError: If the file is damaged or incomplete, or there is nothing to predict the solution from.
    """
    with opened(path) as file:
        flat = "x-coordinate" in file or "tensor" in file
        axes, clock, fields = _flat(file, path) if flat else _grouped(file, path)
        outputs = {name: values for name, values in fields.items() if values.ndim == 2 + len(axes)}
        inputs = {name: values for name, values in fields.items() if values.ndim == 1 + len(axes)}
        if not outputs:
            raise DataError(f"{path} has no array (N, t, {', '.join(AXES[: len(axes)])}) as PDEBench has it")
        count, frames, *shape = next(iter(outputs.values())).shape
        grid = grid_of(file, tuple(shape)) or grid_through(path, axes, shape, [False] * len(shape))
        times = _times(path, clock, frames)
        units = {NAMES.get(name, name): text(data.attrs.get("units", "")) for name, data in file.items()}
        note = "" if "grid_location" in file.attrs else f"; {AT_NODES}"
        others = {
            "scalars": {name: np.full(count, value) for name, value in _numbers(file).items()}
            | {name: column[()] for name, column in file.get("scalars", {}).items()},
            "origin": f"imported from PDEBench file {path.name}{note}",
            "augmented": text(file.attrs.get("augmented", "")),
        }
    return assemble(path, grid, inputs, outputs, times, units, **others)


def _times(path: Path, clock: np.ndarray | None, frames: int) -> tuple[float, ...]:
    """Return the times of the frames; those of a steady problem mean nothing."""
    if frames == 1:
        return (0.0,)
    if clock is None or len(clock) < frames:
        known = 0 if clock is None else len(clock)
        raise DataError(f"{path} has {frames} frames, but {known} times in t-coordinate")
    return tuple(float(t) for t in clock[:frames])


def _numbers(file: h5py.File) -> dict[str, float]:
    """Return the numbers among the attributes of a file: parameters of all its samples."""
    found = {
        name: np.asarray(value)
        for name, value in file.attrs.items()
        if not name.startswith(("grid_", "complete"))
    }
    return {
        name: float(value) for name, value in found.items() if value.size == 1 and value.dtype.kind in "fi"
    }


def _flat(file: h5py.File, path: Path) -> tuple[list[np.ndarray], np.ndarray | None, dict[str, np.ndarray]]:
    """Return coordinates, times and fields by our names."""
    axes = [file[f"{axis}-coordinate"][()] for axis in AXES if f"{axis}-coordinate" in file]
    if not axes:
        raise DataError(f"{path} lacks x-coordinate, which every flat file of PDEBench has")
    arrays = {
        name: data for name, data in file.items() if isinstance(data, h5py.Dataset) and data.ndim > len(axes)
    }
    fields = {NAMES.get(name, name): floating(path, name, data[()]) for name, data in arrays.items()}
    return axes, file["t-coordinate"][()] if "t-coordinate" in file else None, fields


def _grouped(file: h5py.File, path: Path) -> tuple[list[np.ndarray], np.ndarray, dict[str, np.ndarray]]:
    """Return coordinates, times and the channels: u, or u1, u2, …"""
    groups = [file[name] for name in sorted(file)]
    place = groups[0]["grid"]
    names = [axis for axis in AXES if axis in place]
    for group in groups:
        if any(not np.array_equal(group["grid"][name], place[name]) for name in (*names, "t")):
            raise DataError(
                f"{path}: the grid of sample {group.name} differs from the first one's; such files are not read"
            )
    values = floating(
        path, "data", np.stack([group["data"][()] for group in groups])
    )  # (N, t, *grid, channels)
    channels = range(values.shape[-1])
    fields = {"u" if len(channels) == 1 else f"u{c + 1}": values[..., c] for c in channels}
    return [place[name][()] for name in names], place["t"][()], fields


def export_pdebench(root: str | Path, out: str | Path) -> list[Path]:
    """Write the splits of a dataset as PDEBench's flat files NAME_SPLIT.hdf5, in float32.

    The parameters of the samples, and what PDEBench has no place for (whether values sit at cells or nodes), are added
    where its loader does not look.

    Args:
        root: Folder of the dataset.
        out: Folder for the files.

    Returns:
        The files.

    Raises:
        UsageError: If there is no dataset, it does not fit the layout, or a file exists.
        DataError: If the dataset is damaged.
    """
    root, info = Path(root), read_manifest(root)
    refuse_mesh(root, info, "PDEBench's")
    paths = new_files(Path(out), [f"{info['name']}_{split}.hdf5" for split in info["splits"]])
    for split, path in zip(info["splits"], paths, strict=True):
        shards = [shard for shard in read_split(root, split)[1] if isinstance(shard, Shard)]
        arrays = _arrays(root, shards)
        write_aside(path, lambda file, shards=shards, arrays=arrays: _write(file, shards, arrays))  # type: ignore[misc]
    return paths


def _arrays(root: Path, shards: list[Shard]) -> dict[str, np.ndarray]:
    """Return `tensor` and, for a steady problem, `nu`; refuse what the layout does not hold."""
    first = shards[0]
    fields = {
        name: np.concatenate([shard.fields[name] for shard in shards]).astype(np.float32)
        for name in first.fields
    }
    if first.mapped or first.grid.ndim > 2:
        kind = "a curvilinear grid" if first.mapped else f"{first.grid.ndim} axes"
        raise UsageError(
            f"{root} has {kind}; PDEBench's flat files have one or two straight axes, use --to npy"
        )
    (u, *more), inputs = first.outputs, list(first.inputs)
    moving = len(first.times) > 1
    if moving and len(inputs) == 1 and np.array_equal(fields[inputs[0]], fields[u][:, 0]):
        inputs = []  # the initial values are the first frame
    if more or len(inputs) != (0 if moving else 1):
        expected = "a trajectory that starts from its input" if moving else "one input and one solution"
        raise UsageError(
            f"{root} has the fields {', '.join(fields)}; PDEBench's flat files hold {expected}, use --to npy"
        )
    return {"tensor": fields[u]} if moving else {"tensor": fields[u][:, None], "nu": fields[inputs[0]]}


def _write(file: h5py.File, shards: list[Shard], arrays: dict[str, np.ndarray]) -> None:
    first: Any = shards[0]
    names = {"tensor": next(iter(first.outputs)), "nu": next(iter(first.inputs))}
    for name, values in arrays.items():
        create(file, name, values, units=first.units.get(names[name], "1"))
    for k, axis in enumerate(AXES[: first.grid.ndim]):
        file[f"{axis}-coordinate"] = first.grid.axis(k).numpy().astype(np.float32)
    step = first.times[-1] - first.times[-2] if len(first.times) > 1 else 1.0
    file["t-coordinate"] = np.array([*first.times, first.times[-1] + step], dtype=np.float32)
    for name in first.scalars:
        create(file, f"scalars/{name}", np.concatenate([shard.scalars[name] for shard in shards]))
    file.attrs.update(
        grid_location=first.grid.location, grid_bounds=np.array(first.grid.bounds), grid_periodic=np.array(first.grid.periodic),
        **({"augmented": first.augmented} if first.augmented else {}),
    )  # fmt: skip
