"""Datasets of other tools: neuraloperator's .pt files and plain .npy arrays in, .pt files out.

neuraloperator stores {"x": (N, *grid), "y": (N, *grid)} without coordinates, units or equation (neuraloperator 2.0,
data/datasets/pt_dataset.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from pdeflow.data.dataset import PDEDataset
from pdeflow.data.manifest import SPLITS, build_manifest, read_manifest
from pdeflow.data.store import Shard, check_fields, write_shard
from pdeflow.errors import DataError, UsageError
from pdeflow.geometry import Grid

UNKNOWN = "unknown"
Pair = tuple[np.ndarray, np.ndarray]


def import_neuralop(
    files: Sequence[str | Path], out: str | Path, *, valid: int = 0, name: str | None = None
) -> Path:
    """Convert .pt files with x and y, or the pair a.npy u.npy, into a dataset without a problem.

    A file with the word "test" in its name becomes the test split, with "valid" or "val" the validation split, all
    others training. The files say nothing about the grid: values are taken to sit at the nodes of the unit cube, and
    units and long names say that the provenance is unknown.

    Args:
        files: The files; of .npy arrays the inputs first.
        out: Folder of the new dataset.
        valid: Last training samples that become the validation split.
        name: Name of the dataset; by default that of the folder.

    Returns:
        The folder.

    Raises:
        UsageError: If a file is missing, the folder holds a dataset already, or valid is too large.
        DataError: If a file is damaged, its arrays do not fit together, or a value is not finite.
    """
    out, paths = Path(out), [Path(file) for file in files]
    for path in paths:
        if not path.is_file():
            raise UsageError(f"file {path} not found")
    if (out / "manifest.json").exists() or any(out.glob("data/*/*.hdf5")):
        raise UsageError(f"{out} holds a dataset already; choose another --out")
    splits = _hold_out(_read_splits(paths), valid)
    origin = f"unknown provenance, imported from {', '.join(path.name for path in paths)}"
    for split, shard in _shards(splits, name or out.resolve().name, origin).items():
        write_shard(out / "data" / split / f"{shard.name}-00000.hdf5", shard)
    facts = {"solver": origin, "rtol": None, "seconds": 0.0, "versions": {"pdeflow": version("pdeflow")}}
    build_manifest(out, facts)
    return out


def _shards(splits: Mapping[str, Pair], name: str, origin: str) -> dict[str, Shard]:
    """Number the samples through the splits; all are checked before the first is written."""
    shapes = {split: a.shape[1:] for split, (a, _) in splits.items()}
    if len(set(shapes.values())) > 1:
        raise DataError(f"the splits have different grids: {shapes}; import them into separate folders")
    units, found, first = {"a": UNKNOWN, "u": UNKNOWN}, {}, 0
    for split in (split for split in SPLITS if split in splits):
        a, u = splits[split]
        grid = Grid.unit(a.shape[1:], location="node")
        columns = {"sample_id": np.arange(first, first + len(a))}
        found[split] = Shard(name, grid, {"a": a}, {"u": u}, columns, units=units, origin=origin)
        check_fields(found[split], split)
        first += len(a)
    return found


def _hold_out(splits: dict[str, Pair], valid: int) -> dict[str, Pair]:
    """Move the last training samples to the validation split."""
    if not valid:
        return splits
    if "valid" in splits:
        raise UsageError(
            f"valid = {valid}, but one of the files is the validation split already; leave it out"
        )
    a, u = splits.get("train", (np.empty(0), np.empty(0)))
    if not 0 < valid < len(a):
        raise UsageError(f"valid = {valid} must leave training samples, there are {len(a)}")
    return {**splits, "train": (a[:-valid], u[:-valid]), "valid": (a[-valid:], u[-valid:])}


def _read_splits(paths: Sequence[Path]) -> dict[str, Pair]:
    """Read input and output of every split as (N, *grid)."""
    if {path.suffix for path in paths} == {".npy"}:
        if len(paths) != 2:
            raise UsageError(f"expected a.npy and u.npy, got {len(paths)} arrays; give the inputs first")
        return {"train": _pair(paths[1], _read_npy(paths[0]), _read_npy(paths[1]))}
    splits: dict[str, Pair] = {}
    for path in paths:
        split = split_of(path)
        if split in splits:
            raise UsageError(f"two files for the {split} split, the second is {path}; join them first")
        splits[split] = _read_pt(path)
    return splits


def split_of(path: Path) -> str:
    """Return the split that a file name speaks of: darcy_test_16.pt is "test"."""
    words = set(re.split(r"[^a-z]+", path.stem.lower()))
    return "test" if "test" in words else "valid" if words & {"val", "valid", "validation"} else "train"


def _read_pt(path: Path) -> Pair:
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(f"{path} is not a readable .pt file ({reason}); download it again") from error
    keys = list(content) if isinstance(content, Mapping) else type(content).__name__
    if not isinstance(content, Mapping) or not all(isinstance(content.get(k), torch.Tensor) for k in "xy"):
        raise DataError(f"{path} must hold tensors x and y, found {keys}")
    return _pair(path, content["x"].numpy(), content["y"].numpy())


def _read_npy(path: Path) -> np.ndarray:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} is not a readable .npy file ({' '.join(str(error).split())})") from error


def _pair(path: Path, a: np.ndarray, u: np.ndarray) -> Pair:
    """Check two arrays and give them a floating type; truth values become 0 and 1."""
    if a.shape != u.shape or not 2 <= a.ndim <= 4 or not len(a):
        raise DataError(f"{path}: inputs {a.shape} and solutions {u.shape} must have one shape (N, *grid)")
    if a.dtype.kind not in "fiub" or u.dtype.kind not in "fiub":
        raise DataError(f"{path}: inputs are {a.dtype} and solutions {u.dtype}, expected real numbers")
    return _floating(a), _floating(u)


def _floating(values: np.ndarray) -> np.ndarray:
    wide = values.dtype.kind in "fiu" and values.dtype.itemsize == 8
    return values.astype(np.float64 if wide else np.float32, copy=False)


def export_neuralop(root: str | Path, out: str | Path) -> list[Path]:
    """Write the splits of a dataset as neuraloperator's .pt files NAME_SPLIT_N.pt, in float32.

    Args:
        root: Folder of the dataset.
        out: Folder for the files.

    Returns:
        The files.

    Raises:
        UsageError: If there is no dataset, it has several channels, or a file exists.
        DataError: If the dataset is damaged.
    """
    info, out = read_manifest(root), Path(out)
    if "mesh" in info:
        raise UsageError(f"{root} holds samples on meshes; .pt files hold grids, use --to vtu")
    if len(info["fields"]) != 2:
        raise UsageError(
            f"{root} has the fields {', '.join(info['fields'])}; .pt files hold one input and one solution"
        )
    names = {split: f"{info['name']}_{split}_{info['grid']['shape'][0]}.pt" for split in info["splits"]}
    for name in names.values():
        if (out / name).exists():
            raise UsageError(f"{out / name} exists; choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    for split, name in names.items():
        a, u = PDEDataset(root, split).tensors()
        aside = out / f".{name}.{os.getpid()}"
        torch.save({"x": a[:, 0].clone(), "y": u[:, 0].clone()}, aside)
        os.replace(aside, out / name)
    return [out / name for name in names.values()]
