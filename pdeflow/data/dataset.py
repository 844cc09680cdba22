"""Read a split of a dataset as tensors: inputs `a` and solutions `u`, one channel per field (and frame)."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pdeflow.data.hdf5 import sha256
from pdeflow.data.manifest import read_manifest
from pdeflow.data.mesh_store import MeshShard
from pdeflow.data.reading import REMEDY, read_shard
from pdeflow.data.store import Shard
from pdeflow.errors import DataError, UsageError
from pdeflow.geometry import Grid


class PDEDataset(Dataset[dict[str, Any]]):
    """Samples {"a": (C_in, *grid), "u": (C_out, *grid), "index": i} of one split on a grid, held in memory.

    The frames of an evolution problem are channels of u, in the order of `times`.

    Args:
        root: Folder of the dataset.
        split: "train", "valid" or "test".
        dtype: Type of the tensors; float64 is the precision of the files.

    Attributes:
        grid: Grid of the fields.
        inputs: Names of the channels of a.
        outputs: Names of the channels of u, each of them with its frames.
        info: The manifest.
        scalars: Parameters of the samples by name, shape (N,).
        sample_ids: Numbers of the samples, shape (N,), int64; not in order where neighbours were made similar.
        times: Times of the frames.

    Raises:
        UsageError: If the dataset or the split is not there, or its samples are on meshes.
        DataError: If a file is missing, damaged, not the manifest's, or holds NaN.
    """

    def __init__(self, root: str | Path, split: str = "train", dtype: torch.dtype = torch.float32) -> None:
        self.root, self.split, self.dtype = Path(root), split, dtype
        self.info, found = read_split(self.root, split)
        parts = [part for part in found if isinstance(part, Shard)]
        if not parts:
            raise UsageError(f"the samples of {root} are on meshes; read them with pdeflow.data.MeshDataset")
        self.grid: Grid = parts[0].grid
        self.times = parts[0].times
        self.scalars = {
            name: np.concatenate([part.scalars[name] for part in parts]) for name in parts[0].scalars
        }
        self.sample_ids = np.concatenate([part.samples["sample_id"] for part in parts])
        self.inputs, self.outputs = tuple(parts[0].inputs), tuple(parts[0].outputs)
        inputs = [list(part.inputs.values()) for part in parts]
        self._a = _stack([[values[:, None] for values in fields] for fields in inputs], dtype)
        outputs = [list(part.outputs.values()) for part in parts]
        single = len(self.times) == 1
        self._u = _stack(
            [[values[:, None] if single else values for values in fields] for fields in outputs], dtype
        )

    @cached_property
    def problem(self) -> Any:
        """The problem behind the data, or None where they were imported.

        Raises:
            DataError: If its class cannot be imported.
        """
        return problem_of(self.info)

    def __len__(self) -> int:
        return len(self._u)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"a": self._a[index], "u": self._u[index], "index": index}

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Return all inputs (N, C_in, *grid) and solutions (N, C_out, *grid)."""
        return self._a, self._u


def read_split(root: Path, split: str) -> tuple[dict[str, Any], list[Shard | MeshShard]]:
    """Read all shards of a split.

    Args:
        root: Folder of the dataset.
        split: "train", "valid" or "test".

    Returns:
        (manifest, shards).

    Raises:
        UsageError: If the dataset or the split is not there.
        DataError: If a file is missing, damaged, not the manifest's, or holds NaN.
    """
    manifest = read_manifest(root)
    if split not in manifest["splits"]:
        found = ", ".join(manifest["splits"])
        raise UsageError(f"dataset {root} has no split {split!r}; it has {found}")
    return manifest, [read_listed_shard(root, entry) for entry in manifest["splits"][split]["shards"]]


def problem_of(manifest: Mapping[str, Any]) -> Any:
    """Return the problem that a manifest names, or None where the data were imported.

    Raises:
        DataError: If its class cannot be imported.
    """
    settings = manifest["problem"]
    return None if settings is None else build(settings)


def read_listed_shard(root: Path, entry: Mapping[str, Any]) -> Shard | MeshShard:
    """Read a shard that the manifest lists, and compare the two.

    Args:
        root: Folder of the dataset.
        entry: {"file", "sha256", "count"}.

    Returns:
        Its samples.

    Raises:
        DataError: If the file is missing, damaged, or another one than the manifest's.
    """
    path = root / entry["file"]
    if not path.is_file():
        raise DataError(f"{path} is missing; {REMEDY}")
    shard = read_shard(path)
    if shard.count != entry["count"]:
        raise DataError(f"{path} holds {shard.count} samples, the manifest says {entry['count']}; {REMEDY}")
    if sha256(path) != entry["sha256"]:
        raise DataError(
            f"{path}: sha256 differs from the manifest (damaged, or of another dataset); {REMEDY}"
        )
    return shard


def build(settings: Mapping[str, Any]) -> Any:
    """Make the object that a dataset names, so that this folder need not know the problems.

    Args:
        settings: {"class_path", "init_args"}.

    Returns:
        The object.

    Raises:
        DataError: If the class cannot be imported or refuses its arguments.
    """
    path = str(settings.get("class_path"))
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)(**settings.get("init_args", {}))
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        reason = f"the problem {path} of the dataset cannot be built ({error})"
        raise DataError(f"{reason}; make its module importable, e.g. through PYTHONPATH") from error


def _stack(parts: list[list[np.ndarray]], dtype: torch.dtype) -> Tensor:
    """Put fields (N, frames, *grid) beside each other as channels, and shards behind each other."""
    return torch.cat([torch.from_numpy(np.concatenate(fields, axis=1)).to(dtype) for fields in parts])
