"""One shard of a dataset: an HDF5 file in The Well's layout, with residuals, units and the problem added.

Ohana et al., The Well, NeurIPS 2024 (format); the additions are ours. The bytes depend on the samples only:
no dates, seconds or hosts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from pdeflow.data.hdf5 import annotate, create, nonfinite, write_aside, write_columns
from pdeflow.data.record import Record, header
from pdeflow.errors import DataError
from pdeflow.geometry import Grid

AXES = "xyz"


@dataclass(frozen=True)
class Shard(Record):
    """Samples of one file; values on a grid.

    Attributes:
        grid: Grid of all fields.
        inputs: Input fields by name, shape (N, *grid.shape).
        outputs: Solution fields by name, shape (N, *grid.shape), or (N, T, *grid.shape) for T > 1 frames.
        origin: Where the fields come from, added to their long names; "" for our own.
        times: Times of the frames, T entries; one for a steady problem.
        mapped: Whether the grid holds the indices of a curvilinear one, whose points are the inputs x, y (and z).
        augmented: How the samples were derived from others instead of drawn from the problem, e.g. "operator_action"; "" for
            draws.
    """

    grid: Grid
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    origin: str = ""
    times: tuple[float, ...] = (0.0,)
    mapped: bool = False
    augmented: str = ""

    @property
    def fields(self) -> dict[str, np.ndarray]:
        """Inputs, then solutions."""
        return {**self.inputs, **self.outputs}

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(next(iter(self.outputs.values())))


def write_shard(path: Path, shard: Shard) -> str:
    """Write a shard aside, then rename.

    Args:
        path: File to write; its folder is made.
        shard: The samples.

    Returns:
        The file's sha256.

    Raises:
        DataError: If a value is not finite or a shape is wrong.
    """
    check_fields(shard, path.name)

    def write(file: h5py.File) -> None:
        _write_header(file, shard)
        _write_fields(file, shard)
        write_columns(file, shard.scalars, shard.samples)

    return write_aside(path, write)


def check_fields(shard: Shard, file: str) -> None:
    """Refuse values that are not finite and shapes that do not fit.

    Args:
        shard: The samples.
        file: Name used in the message.

    Raises:
        DataError: Naming field and sample.
    """
    for name, values in shard.fields.items():
        frames = () if name in shard.inputs or len(shard.times) == 1 else (len(shard.times),)
        expected = (shard.count, *frames, *shard.grid.shape)
        if values.shape != expected:
            raise DataError(f"{file}: field {name!r} has shape {values.shape}, expected {expected}")
        bad = nonfinite(values)
        if bad.size:
            raise DataError(f"{file}: field {name!r} of sample {bad[0]} is not finite; nothing was written")


def _write_header(file: h5py.File, shard: Shard) -> None:
    """Attributes, coordinates and boundary conditions."""
    grid, axes = shard.grid, list(AXES[: shard.grid.ndim])
    file.attrs.update(
        **header(shard, list(shard.inputs), list(shard.outputs), shard.count), grid_type="cartesian",
        n_spatial_dims=grid.ndim, simulation_parameters=[], grid_location=grid.location,
        grid_bounds=np.array(grid.bounds), grid_periodic=np.array(grid.periodic), layout="mapped" if shard.mapped else "grid", **({"augmented": shard.augmented} if shard.augmented else {}),
    )  # fmt: skip
    dimensions = file.create_group("dimensions")
    dimensions.attrs["spatial_dims"] = axes
    time = dimensions.create_dataset("time", data=np.array(shard.times, dtype=np.float64))
    annotate(time, sample_varying=False, time_varying=True, units="1")
    for k, axis in enumerate(axes):
        coordinate = dimensions.create_dataset(axis, data=grid.axis(k).numpy())
        annotate(
            coordinate, sample_varying=False, time_varying=False, units="1", long_name=f"coordinate {axis}"
        )
    walls = file.create_group("boundary_conditions")
    for k, axis in enumerate(axes):
        kind = "PERIODIC" if grid.periodic[k] else "WALL"
        wall = walls.create_group(f"{axis}_{kind.lower()}")
        ends = np.zeros(grid.shape[k], dtype=bool)
        ends[[0, -1]] = True
        annotate(wall, bc_type=kind, associated_dims=[axis], associated_fields=[])
        annotate(wall, sample_varying=False, time_varying=False)
        wall.create_dataset("mask", data=ends)


def _write_fields(file: h5py.File, shard: Shard) -> None:
    """Scalar fields: inputs without a time axis, solutions with the frames as one."""
    group = file.create_group("t0_fields")
    group.attrs["field_names"] = [*shard.inputs, *shard.outputs]
    origin = f", {shard.origin}" if shard.origin else ""
    for name, values in shard.fields.items():
        steady = name in shard.inputs
        create(
            file, f"t0_fields/{name}", values[:, None] if not steady and len(shard.times) == 1 else values,
            dim_varying=[True] * shard.grid.ndim, sample_varying=True, time_varying=not steady,
            units=shard.units.get(name, "1"), long_name=f"{'input' if steady else 'solution'} {name}{origin}",
            coordinates=" ".join(AXES[: shard.grid.ndim]),
        )  # fmt: skip
    for order in (1, 2):
        file.create_group(f"t{order}_fields").attrs["field_names"] = np.array([], dtype="S1")


def shards(root: Path, split: str) -> Sequence[Path]:
    """Return the shard files of a split, in order."""
    return sorted((Path(root) / "data" / split).glob("*.hdf5"))
