"""What the conversions of foreign files share: real arrays, grids through given coordinates, first frames as inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdeflow.data.store import Shard
from pdeflow.errors import DataError, UsageError
from pdeflow.geometry import Grid

UNKNOWN = "unknown"
"""Unit of a field whose file names none."""

AT_NODES = "values taken to sit at nodes, the file does not say"
EVEN = 1e-3
"""Largest accepted deviation of a spacing from the mean one, relative: coordinates are often float32."""


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a foreign HDF5 file; whatever goes wrong while it is read becomes one line.

    Args:
        path: The file.

    Raises:
        DataError: If it is truncated, damaged, or not laid out as its reader expects.
    """
    try:
        with h5py.File(path, "r") as file:
            yield file
    except DataError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path} is truncated, damaged or incomplete ({reason}); download it again"
        ) from error


def text(value: Any) -> str:
    """Return a string that an HDF5 file may hold as bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)


def floating(path: Path, name: str, values: np.ndarray) -> np.ndarray:
    """Give real numbers a floating type: float64 stays, whole numbers of 8 bytes become it, all others float32.

    Args:
        path: File, for the message.
        name: Name of the array.
        values: The array; truth values become 0 and 1.

    Raises:
        DataError: If the values are complex, text or objects.
    """
    if values.dtype.kind not in "fiub":
        raise DataError(f"{path}: {name} is {values.dtype}, expected real numbers")
    wide = values.dtype.kind in "fiu" and values.dtype.itemsize == 8
    return values.astype(np.float64 if wide else np.float32, copy=False)


def pair(path: Path, a: np.ndarray, u: np.ndarray) -> Shard:
    """Put inputs and solutions without coordinates together, at the nodes of the unit cube.

    Args:
        path: File, for the message and the origin.
        a: Inputs, shape (N, *grid).
        u: Solutions, shape (N, *grid).

    Raises:
        DataError: If the shapes differ or the values are not real.
    """
    if a.shape != u.shape or not 2 <= a.ndim <= 4 or not len(a):
        raise DataError(f"{path}: inputs {a.shape} and solutions {u.shape} must have one shape (N, *grid)")
    inputs, outputs = {"a": floating(path, "the input", a)}, {"u": floating(path, "the solution", u)}
    origin = f"unknown provenance, imported from {path.name}, unit cube; {AT_NODES}"
    grid = Grid.unit(a.shape[1:], location="node")
    return Shard(name="", grid=grid, inputs=inputs, outputs=outputs, units={"a": UNKNOWN, "u": UNKNOWN}, origin=origin)


def grid_through(
    path: Path, axes: Sequence[np.ndarray], shape: Sequence[int], periodic: Sequence[bool]
) -> Grid:
    """Return the grid whose values sit at given coordinates.

    Args:
        path: File, for the message.
        axes: Coordinates of each axis, increasing, shape (n,), or (n + 1,) for the walls of n cells.
        shape: Number of values per axis.
        periodic: Whether each axis wraps around; its upper end is then one spacing behind the last value.

    Returns:
        A grid of nodes, or of cells where the coordinates are walls.

    Raises:
        DataError: If coordinates are not evenly spaced, or not as many as the values.
    """
    walls = [len(axis) == n + 1 for axis, n in zip(axes, shape, strict=True)]
    bounds = []
    for k, (axis, n) in enumerate(zip(axes, shape, strict=True)):
        x = np.asarray(axis, dtype=np.float64)
        if x.ndim != 1 or len(x) < 2 or (len(x) != n and not all(walls)):
            raise DataError(f"{path}: axis {k} has coordinates of shape {x.shape}, expected ({n},)")
        gaps = np.diff(x)
        h = (x[-1] - x[0]) / len(gaps)
        if not (h > 0 and np.abs(gaps - h).max() <= EVEN * h):
            raise DataError(
                f"{path}: the coordinates of axis {k} are not evenly spaced upwards; such grids are not read"
            )
        bounds.append((float(x[0]), float(x[-1] + h * (periodic[k] and not all(walls)))))
    return Grid(tuple(shape), tuple(bounds), tuple(periodic), "cell" if all(walls) else "node")


def assemble(
    path: Path, grid: Grid, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray],
    times: Sequence[float], units: Mapping[str, str], **others: Any,
) -> Shard:  # fmt: skip
    """Put the arrays of a foreign file together; the first frame of a trajectory becomes an input, as in our own: u0 for u.

    Args:
        path: File, for the message.
        grid: Where the values live.
        inputs: Fields (N, *grid) by name; one that has the name of a first frame already is kept.
        outputs: Solutions (N, T, *grid) by name.
        times: Times of the frames; steady where T = 1.
        units: Unit of the fields that have one.
        **others: Further attributes of the shard.

    Raises:
        DataError: If there is nothing to predict, or nothing to predict it from.
    """
    if not outputs:
        raise DataError(f"{path} has no field that changes in time: nothing to predict")
    sources = {first_name(name): name for name in outputs} if len(times) > 1 else {}
    frames = {first: outputs[name][:, 0] for first, name in sources.items() if first not in inputs}
    inputs = {**inputs, **frames}
    if not inputs:
        raise DataError(
            f"{path} has one frame and no field that is constant in time: nothing to predict it from"
        )
    if len(times) == 1:
        outputs = {name: values[:, 0] for name, values in outputs.items()}
    found = {
        name: units.get(name) or units.get(sources.get(name, "")) or UNKNOWN for name in (*inputs, *outputs)
    }
    return Shard(name="", grid=grid, inputs=inputs, outputs=outputs, units=found, times=tuple(times), **others)


def first_name(name: str) -> str:
    """Return the name of the first frame of a solution: u0 for u, u1_0 for u1."""
    return f"{name}0" if name[-1].isalpha() else f"{name}_0"


def new_files(out: Path, names: Sequence[str]) -> list[Path]:
    """Return the paths of files that are to be written.

    Args:
        out: Folder.
        names: Their names, relative to it.

    Raises:
        UsageError: If one exists.
    """
    paths = [out / name for name in names]
    for path in paths:
        if path.exists():
            raise UsageError(f"{path} exists; choose another --out")
    return paths


def refuse_mesh(root: str | Path, info: Mapping[str, Any], kind: str) -> None:
    """Refuse to export samples on meshes to a layout of arrays.

    Args:
        root: Folder of the dataset, for the message.
        info: Its manifest.
        kind: Name of the layout.

    Raises:
        UsageError: If the samples are on meshes.
    """
    if "mesh" in info:
        raise UsageError(f"{root} holds samples on meshes; {kind} files hold grids, use --to vtu")
