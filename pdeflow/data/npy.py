"""Plain NumPy arrays: a pair a.npy, u.npy in; per split a.npy and u.npy with coordinates, times and a README.json out."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pdeflow.data.conversion import floating, new_files, pair, refuse_mesh
from pdeflow.data.dataset import read_split
from pdeflow.data.manifest import SPLITS, read_manifest
from pdeflow.data.store import AXES, Shard
from pdeflow.errors import DataError, UsageError
from pdeflow.geometry import Grid

README = "README.json"
FORMAT = "pdeflow-npy/1"


def read_pair(paths: Sequence[Path]) -> Shard:
    """Read inputs and solutions from two files.

    Args:
        paths: a.npy and u.npy, each (N, *grid).

    Returns:
        The samples, at the nodes of the unit cube.

    Raises:
        UsageError: If there are not two files.
        DataError: If one is damaged or they do not fit together.
    """
    if len(paths) != 2:
        raise UsageError(f"expected a.npy and u.npy, got {len(paths)} arrays; give the inputs first")
    return pair(paths[1], _read(paths[0]), _read(paths[1]))


def _read(path: Path) -> np.ndarray:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} is not a readable .npy file ({' '.join(str(error).split())})") from error


def export_npy(root: str | Path, out: str | Path) -> list[Path]:
    """Write SPLIT/a.npy, SPLIT/u.npy and SPLIT/sample_id.npy, and for all splits x.npy, times.npy and README.json.

    a has the axes (sample, field, *grid), u (sample, field, time, *grid); the axis of the fields is left out where
    there is one, that of the times for a steady problem. README.json names the axes, fields, units and the equation.

    Args:
        root: Folder of the dataset.
        out: Folder for the files.

    Returns:
        The files, README.json last.

    Raises:
        UsageError: If there is no dataset, its samples are on meshes, it has no inputs, or a file exists.
        DataError: If the dataset is damaged.
    """
    root, out, info = Path(root), Path(out), read_manifest(root)
    refuse_mesh(root, info, ".npy")
    new_files(out, [README, "x.npy", "times.npy", *(f"{split}/a.npy" for split in info["splits"])])
    written, count = [], {}
    for split in info["splits"]:
        shards = [shard for shard in read_split(root, split)[1] if isinstance(shard, Shard)]
        count[split] = sum(shard.count for shard in shards)
        for name, values in _arrays(shards).items():
            written.append(_save(out / split / f"{name}.npy", values))
    first = shards[0]
    if not first.mapped:
        written.append(_save(out / "x.npy", first.grid.coordinates().numpy()))
    written.append(_save(out / "times.npy", np.array(first.times)))
    return [*written, _save_text(out / README, json.dumps(_describe(first, count, info), indent=2) + "\n")]


def _arrays(shards: Sequence[Shard]) -> dict[str, np.ndarray]:
    """Return a, u and one column per number of the samples of a split."""
    first = shards[0]
    stacks = {
        "a": [_stack(shard.inputs) for shard in shards],
        "u": [_stack(shard.outputs) for shard in shards],
    }
    found = {name: np.concatenate(parts) for name, parts in stacks.items() if parts[0].size}
    found["sample_id"] = np.concatenate([shard.samples["sample_id"] for shard in shards])
    for name in first.scalars:
        found[f"scalar_{name}"] = np.concatenate([shard.scalars[name] for shard in shards])
    return found


def _stack(fields: Mapping[str, np.ndarray]) -> np.ndarray:
    """Put fields (N, …) beside each other, (N, fields, …); one field keeps its shape."""
    return (
        np.stack(list(fields.values()), axis=1)
        if len(fields) > 1
        else next(iter(fields.values()), np.empty(0))
    )


def _describe(first: Shard, count: Mapping[str, int], info: Mapping[str, Any]) -> dict[str, Any]:
    """Return what README.json says."""
    space, grid = list(AXES[: first.grid.ndim]), first.grid
    axes = {
        "a": ["sample", *(["field"] if len(first.inputs) > 1 else []), *space],
        "u": [
            "sample",
            *(["field"] if len(first.outputs) > 1 else []),
            *(["time"] if len(first.times) > 1 else []),
            *space,
        ],
        **({} if first.mapped else {"x": [*space, "coordinate"]}),
    }
    return {
        "format": FORMAT, "name": first.name, "equation": first.equation, "problem": first.problem,
        "splits": dict(count), "axes": axes, "a": list(first.inputs), "u": list(first.outputs), "units": dict(first.units),
        "scalars": list(first.scalars), "times": list(first.times),
        "grid": {"bounds": grid.bounds, "periodic": grid.periodic, "location": grid.location, "curvilinear": first.mapped},
        "seed": first.seed, "solver": info.get("solver"), "residual": info.get("residual"), "augmented": first.augmented,
    }  # fmt: skip


def _save(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with open(aside, "wb") as file:
        np.save(file, values)
    os.replace(aside, path)
    return path


def _save_text(path: Path, content: str) -> Path:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(content, encoding="utf-8")
    os.replace(aside, path)
    return path


def read_npy_folder(folder: Path) -> dict[str, list[Shard]]:
    """Read back what `export_npy` wrote.

    Args:
        folder: The one with README.json.

    Returns:
        Samples by split.

    Raises:
        DataError: If a file is missing or damaged, or the arrays are not those that README.json describes.
    """
    path = folder / README
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts["format"] != FORMAT:
            raise DataError(f"{path} has the format {facts['format']}, expected {FORMAT}; upgrade pdeflow")
        return {split: [_split(folder, split, facts)] for split in SPLITS if split in facts["splits"]}
    except DataError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DataError(f"{folder} is damaged ({' '.join(str(error).split())}); export it again") from error


def _split(folder: Path, split: str, facts: Mapping[str, Any]) -> Shard:
    def fields(letter: str) -> dict[str, np.ndarray]:
        names, path = facts[letter], folder / split / f"{letter}.npy"
        values = floating(path, f"the array {letter}", _read(path)) if names else np.empty(0)
        if names and (values.ndim != len(facts["axes"][letter]) or len(values) != facts["splits"][split]):
            raise DataError(
                f"{path} has shape {values.shape}, expected {facts['splits'][split]} samples and {facts['axes'][letter]}"
            )
        return {name: values[:, i] if len(names) > 1 else values for i, name in enumerate(names)}

    inputs, outputs, grid = fields("a"), fields("u"), facts["grid"]
    times = tuple(facts["times"])
    shape = next(iter(outputs.values())).shape[2 if len(times) > 1 else 1 :]
    bounds = tuple((low, high) for low, high in grid["bounds"])
    return Shard(
        Grid(shape, bounds, tuple(grid["periodic"]), grid["location"]), inputs, outputs, name=facts["name"], units=facts["units"],
        scalars={name: _read(folder / split / f"scalar_{name}.npy") for name in facts["scalars"]}, times=times,
        equation=facts["equation"], origin=f"imported from the arrays in {folder.name}", mapped=grid["curvilinear"],
        augmented=facts["augmented"],
    )  # fmt: skip
