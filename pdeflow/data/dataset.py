"""Read a split of a dataset as tensors: inputs `a` and solutions `u`, one channel per field."""

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

from pdeflow.data.manifest import read_manifest
from pdeflow.data.reading import REMEDY, read_shard
from pdeflow.data.store import Shard, sha256
from pdeflow.errors import DataError, UsageError
from pdeflow.geometry import Grid


class PDEDataset(Dataset[dict[str, Any]]):
    """Samples {"a": (C_in, *grid), "u": (C_out, *grid), "index": i} of one split, held in memory.

    Args:
        root: Folder of the dataset.
        split: "train", "valid" or "test".
        dtype: Type of the tensors; float64 is the precision of the files.

    Attributes:
        grid: Grid of the fields.
        info: The manifest.
        scalars: Parameters of the samples by name, shape (N,).

    Raises:
        UsageError: If the dataset or the split is not there.
        DataError: If a file is missing, damaged, not the manifest's, or holds NaN.
    """

    def __init__(self, root: str | Path, split: str = "train", dtype: torch.dtype = torch.float32) -> None:
        self.root, self.split, self.dtype = Path(root), split, dtype
        self.info = read_manifest(root)
        if split not in self.info["splits"]:
            found = ", ".join(self.info["splits"])
            raise UsageError(f"dataset {root} has no split {split!r}; it has {found}")
        parts = [read_listed_shard(self.root, entry) for entry in self.info["splits"][split]["shards"]]
        self.grid: Grid = parts[0].grid
        self.scalars = {
            name: np.concatenate([part.scalars[name] for part in parts]) for name in parts[0].scalars
        }
        self._a = _stack([list(part.inputs.values()) for part in parts], dtype)
        self._u = _stack([list(part.outputs.values()) for part in parts], dtype)

    @cached_property
    def problem(self) -> Any:
        """The problem behind the data, or None where they were imported.

        Raises:
            DataError: If its class cannot be imported.
        """
        settings = self.info["problem"]
        return None if settings is None else build(settings)

    def __len__(self) -> int:
        return len(self._u)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"a": self._a[index], "u": self._u[index], "index": index}

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Return all inputs (N, C_in, *grid) and solutions (N, C_out, *grid)."""
        return self._a, self._u


def read_listed_shard(root: Path, entry: Mapping[str, Any]) -> Shard:
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
    """Put fields beside each other as channels, and shards behind each other."""
    return torch.cat([torch.from_numpy(np.stack(fields, axis=1)).to(dtype) for fields in parts])
