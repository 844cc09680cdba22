"""Datasets of other tools become one of ours: the format is told by content, splits by file names or folders.

Formats: neuraloperator's .pt, pairs of .npy arrays and our own export of them, PDEBench's HDF5, The Well's folders and files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np

from pdeflow.data.conversion import opened
from pdeflow.data.manifest import SPLITS, build_manifest
from pdeflow.data.neuralop import read_pt
from pdeflow.data.npy import README, read_npy_folder, read_pair
from pdeflow.data.pdebench import is_pdebench, read_pdebench
from pdeflow.data.store import Shard, check_fields, write_shard
from pdeflow.data.the_well import read_the_well, well_files
from pdeflow.errors import DataError, UsageError

READERS: Mapping[str, Callable[[Path], Shard]] = {
    "pt": read_pt,
    "pdebench": read_pdebench,
    "the_well": read_the_well,
}
KNOWN = "neuraloperator's .pt, a pair a.npy u.npy, PDEBench's or The Well's HDF5"
Parts = dict[str, list[Shard]]


def import_files(
    files: Sequence[str | Path], out: str | Path, *, valid: int = 0, test: int = 0, name: str | None = None
) -> Path:
    """Convert foreign files into a dataset without a problem.

    A file with the word "test" in its name becomes the test split, with "valid" or "val" the validation split, all
    others training; a folder of The Well says itself. Where a file does not say what its values sit at or measure,
    they are taken to sit at nodes, and units and long names say so. Trajectories get their first frames as inputs.

    Args:
        files: Files or folders; of .npy arrays the inputs first.
        out: Folder of the new dataset.
        valid: Last training samples that become the validation split.
        test: Last training samples, behind those, that become the test split.
        name: Name of the dataset; by default that of the folder.

    Returns:
        The folder.

    Raises:
        UsageError: If a file is missing, the folder holds a dataset already, or valid or test is too large.
        DataError: If a file is unknown or damaged, its arrays do not fit together, or a value is not finite.
    """
    out, paths = Path(out), [Path(file) for file in files]
    for path in paths:
        if not path.exists():
            raise UsageError(f"file {path} not found")
    if (out / "manifest.json").exists() or any(out.glob("data/*/*.hdf5")):
        raise UsageError(f"{out} holds a dataset already; choose another --out")
    parts = _hold_out(_hold_out(_read(paths), "test", test), "valid", valid)
    numbered = _number(parts, name or out.resolve().name)
    for split, shards in numbered.items():
        for i, shard in enumerate(shards):
            write_shard(out / "data" / split / f"{shard.name}-{i:05d}.hdf5", shard)
    origins = dict.fromkeys(shard.origin for shards in numbered.values() for shard in shards)
    facts = {
        "solver": " | ".join(origins),
        "rtol": None,
        "seconds": 0.0,
        "versions": {"pdeflow": version("pdeflow")},
    }
    build_manifest(out, facts)
    return out


def kind_of(path: Path) -> str:
    """Tell what a file or folder is, by its content.

    Args:
        path: The file or folder.

    Returns:
        "pt", "npy", "pdebench", "the_well", or for a folder "npy_folder", "well_folder".

    Raises:
        UsageError: If a folder holds no dataset, or one of ours.
        DataError: If a file is of none of the known formats.
    """
    if path.is_dir():
        if (path / "manifest.json").is_file():
            raise UsageError(f"{path} is a dataset of pdeflow already; use it as it is")
        if (path / README).is_file():
            return "npy_folder"
        if well_files(path):
            return "well_folder"
        raise UsageError(
            f"{path} has neither data/train/*.hdf5 (The Well) nor {README}; name the files themselves"
        )
    if h5py.is_hdf5(path):
        with opened(path) as file:
            if "t0_fields" in file:
                return "the_well"
            if is_pdebench(file):
                return "pdebench"
            raise DataError(
                f"{path} is HDF5 with {', '.join(list(file)[:6]) or 'nothing'}, known are {KNOWN}"
            )
    with open(path, "rb") as plain:
        start = plain.read(8)
    if start.startswith(b"\x93NUMPY"):
        return "npy"
    if start.startswith((b"PK", b"\x80")):
        return "pt"
    raise DataError(
        f"{path} is of an unknown format or damaged (it begins with {start!r}); known are {KNOWN}"
    )


def split_of(path: Path) -> str:
    """Return the split that a file name speaks of: darcy_test_16.pt is "test"."""
    words = set(re.split(r"[^a-z]+", path.stem.lower()))
    return "test" if "test" in words else "valid" if words & {"val", "valid", "validation"} else "train"


def _read(paths: Sequence[Path]) -> Parts:
    """Read all files by split."""
    kinds = {path: kind_of(path) for path in paths}
    if "npy" in kinds.values():
        if set(kinds.values()) != {"npy"}:
            raise UsageError(
                "arrays (.npy) and other files cannot be imported together; import them one by one"
            )
        return {"train": [read_pair(paths)]}
    parts: Parts = {}
    for path, kind in kinds.items():
        if kind == "well_folder":
            found = {
                split: [read_the_well(file) for file in files] for split, files in well_files(path).items()
            }
        else:
            found = read_npy_folder(path) if kind == "npy_folder" else {split_of(path): [READERS[kind](path)]}
        for split, shards in found.items():
            if split in parts:
                raise UsageError(f"two files for the {split} split, the second is {path}; join them first")
            parts[split] = shards
    return parts


def _hold_out(parts: Parts, split: str, count: int) -> Parts:
    """Move the last training samples to another split."""
    if not count:
        return parts
    if split in parts:
        raise UsageError(f"{split} = {count}, but one of the files is that split already; leave it out")
    train = parts.get("train", [])
    total = sum(shard.count for shard in train)
    if not 0 < count < total:
        raise UsageError(f"{split} = {count} must leave training samples, there are {total}")
    kept: list[Shard] = []
    held: list[Shard] = []
    start = 0
    for shard in train:
        cut = min(max(total - count - start, 0), shard.count)
        kept += [_rows(shard, slice(0, cut))] if cut else []
        held += [_rows(shard, slice(cut, None))] if cut < shard.count else []
        start += shard.count
    return {**parts, "train": kept, split: held}


def _rows(shard: Shard, rows: slice) -> Shard:
    columns = {
        key: {name: v[rows] for name, v in getattr(shard, key).items()}
        for key in ("inputs", "outputs", "scalars")
    }
    return replace(shard, **columns)  # type: ignore[arg-type]


def _number(parts: Parts, name: str) -> Parts:
    """Number the samples through the splits; all are checked before the first is written."""
    shapes = {split: shards[0].grid.shape for split, shards in parts.items()}
    if len(set(shapes.values())) > 1:
        raise DataError(f"the splits have different grids: {shapes}; import them into separate folders")
    found: Parts = {}
    first = 0
    for split in (split for split in SPLITS if split in parts):
        for shard in parts[split]:
            named = replace(shard, name=name, samples={"sample_id": np.arange(first, first + shard.count)})
            check_fields(named, split)
            found.setdefault(split, []).append(named)
            first += shard.count
    return found
