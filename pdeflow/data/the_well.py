"""Files of The Well: trajectories of scalar, vector and tensor fields on tensor-product grids.

Ohana et al., The Well, NeurIPS 2024 (the-well 1.2, data/datasets.py). Fields that do not change in time are inputs;
a vector field v on axes x, y is read as v_x and v_y, a tensor field as D_xx, D_xy, …
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdeflow.data.conversion import (
    AT_NODES,
    assemble,
    floating,
    grid_through,
    opened,
    text,
)
from pdeflow.data.manifest import SPLITS
from pdeflow.data.reading import grid_of
from pdeflow.data.store import Shard
from pdeflow.errors import DataError


def well_files(folder: Path) -> dict[str, list[Path]]:
    """Return the files of a folder in The Well's layout by split; empty where it is none.

    Args:
        folder: The one that holds data/train, data/valid and data/test.
    """
    found = {
        split: [p for kind in ("hdf5", "h5") for p in (folder / "data" / split).glob(f"*.{kind}")]
        for split in SPLITS
    }
    return {split: sorted(paths) for split, paths in found.items() if paths}


def read_the_well(path: Path) -> Shard:
    """Read a file of The Well; trajectories get their first frames as further inputs.

    Args:
        path: The file.

    Returns:
        Its samples, without numbers.

    Raises:
        DataError: If the file is damaged, on a grid that is not uniform, or has nothing to predict or to predict it from.
    """
    with opened(path) as file:
        if text(file.attrs["grid_type"]) != "cartesian":
            raise DataError(
                f"{path} has a {text(file.attrs['grid_type'])} grid; only cartesian ones are read"
            )
        dimensions, count = file["dimensions"], int(file.attrs["n_trajectories"])
        names = [text(name) for name in dimensions.attrs["spatial_dims"]]
        axes = [_same_for_all(path, dimensions[name], name) for name in names]
        times = tuple(float(t) for t in _same_for_all(path, dimensions["time"], "time"))
        shape = tuple(len(axis) for axis in axes)
        waves = _periodic_axes(file)
        grid = grid_of(file, shape) or grid_through(path, axes, shape, [name in waves for name in names])
        fields = _fields(file, path, (count, len(times), *shape), names)
        scalars, left_out = _scalars(file, count)
        note = "" if "grid_location" in file.attrs else f"; {AT_NODES}"
        note += f"; left out: {', '.join(left_out)}" if left_out else ""
        origin = f"imported from The Well file {path.name} of {text(file.attrs['dataset_name'])}{note}"
        augmented = text(file.attrs.get("augmented", ""))
    inputs, outputs, units = fields
    return assemble(
        path, grid, inputs, outputs, times, units, scalars=scalars, origin=origin, augmented=augmented
    )


def _same_for_all(path: Path, data: h5py.Dataset, name: str) -> np.ndarray:
    """Read coordinates, which may be stored for each sample but must be equal."""
    values = np.asarray(data[()], dtype=np.float64)
    rows = values.reshape(-1, values.shape[-1])
    if not (rows == rows[0]).all():
        raise DataError(
            f"{path}: the coordinates {name} differ from sample to sample; such grids are not read"
        )
    return rows[0]


def _periodic_axes(file: h5py.File) -> set[str]:
    walls = file.get("boundary_conditions", {}).values()
    kinds = [(text(wall.attrs["bc_type"]).upper(), wall.attrs["associated_dims"]) for wall in walls]
    return {text(name) for kind, names in kinds if kind == "PERIODIC" for name in names}


def _fields(
    file: h5py.File, path: Path, shape: tuple[int, ...], axes: list[str]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, str]]:
    """Return inputs (N, *grid), solutions (N, T, *grid) and the units of both."""
    inputs, outputs, units = {}, {}, {}
    for order in range(3):
        group = file[f"t{order}_fields"]
        for name in map(text, group.attrs["field_names"]):
            data = group[name]
            values = _everywhere(floating(path, f"field {name!r}", data[()]), data.attrs, shape, order)
            for label, component in _components(name, values, axes, order):
                units[label] = text(data.attrs.get("units", ""))
                if data.attrs["time_varying"]:
                    outputs[label] = component
                else:
                    inputs[label] = component[:, 0]
    return inputs, outputs, units


def _everywhere(values: np.ndarray, attributes: Any, shape: tuple[int, ...], order: int) -> np.ndarray:
    """Repeat a field along the axes that it does not depend on: (N, T or 1, *grid, *components)."""
    if not attributes["sample_varying"]:
        values = values[None]
    if not attributes["time_varying"]:
        values = np.expand_dims(values, 1)
    whole = 2 + len(attributes["dim_varying"]) + order
    for k, varies in enumerate(attributes["dim_varying"]):
        if not varies and values.ndim < whole:
            values = np.expand_dims(values, 2 + k)
    frames = shape[1] if attributes["time_varying"] else 1
    return np.broadcast_to(values, (shape[0], frames, *shape[2:], *values.shape[len(shape) :]))


def _components(
    name: str, values: np.ndarray, axes: list[str], order: int
) -> Iterator[tuple[str, np.ndarray]]:
    for index in product(range(len(axes)), repeat=order):
        place: Any = (..., *index)
        yield (f"{name}_{''.join(axes[i] for i in index)}" if order else name), values[place]


def _scalars(file: h5py.File, count: int) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return parameters (N,) by name, and the names of those that change in time, which have no place here."""
    group = file["scalars"]
    names = [text(name) for name in group.attrs["field_names"]]
    moving = [name for name in names if group[name].attrs["time_varying"]]
    found = {name: group[name][()] for name in names if name not in moving}
    for name in map(text, file.attrs.get("simulation_parameters", ())):
        value = np.asarray(file.attrs.get(name, "missing"))
        if value.ndim == 0 and value.dtype.kind in "fiub":
            found.setdefault(name, value)
    return {
        name: np.broadcast_to(np.asarray(v, dtype=np.float64), (count,)) for name, v in found.items()
    }, moving
