"""Read a split of a dataset on meshes: points, inputs and solutions at the points, padded to batches."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pdeflow.data.dataset import problem_of, read_split
from pdeflow.data.mesh_store import MeshShard
from pdeflow.errors import UsageError
from pdeflow.geometry import Mesh


class MeshDataset(Dataset[dict[str, Any]]):
    """Samples {"x": (n, d), "a": (n, C_in), "u": (n, C_out), "index": i} of one split, held in memory.

    Args:
        root: Folder of the dataset.
        split: "train", "valid" or "test".
        dtype: Type of the tensors; float64 is the precision of the files.

    Attributes:
        info: The manifest.
        scalars: Parameters of the samples by name, shape (N,).
        sample_ids: Numbers of the samples, shape (N,), int64; not in order where neighbours were made similar.

    Raises:
        UsageError: If the dataset or the split is not there, or its samples are on a grid.
        DataError: If a file is missing, damaged, not the manifest's, or holds NaN.
    """

    def __init__(self, root: str | Path, split: str = "train", dtype: torch.dtype = torch.float32) -> None:
        self.root, self.split, self.dtype = Path(root), split, dtype
        self.info, found = read_split(self.root, split)
        parts = [part for part in found if isinstance(part, MeshShard)]
        if not parts:
            raise UsageError(f"the samples of {root} are on a grid; read them with pdeflow.data.PDEDataset")
        self._where = [(part, sample) for part in parts for sample in range(part.count)]
        self.scalars = {
            name: np.concatenate([part.scalars[name] for part in parts]) for name in parts[0].scalars
        }
        self.sample_ids = np.concatenate([part.samples["sample_id"] for part in parts])

    @cached_property
    def problem(self) -> Any:
        """The problem behind the data, or None where they were imported.

        Raises:
            DataError: If its class cannot be imported.
        """
        return problem_of(self.info)

    def mesh(self, index: int) -> Mesh:
        """Return the mesh of a sample."""
        part, sample = self._where[index]
        return part.mesh(sample)

    def __len__(self) -> int:
        return len(self._where)

    def __getitem__(self, index: int) -> dict[str, Any]:
        part, sample = self._where[index]
        points = part.mesh(sample).points

        def channels(fields: Any) -> Tensor:
            columns = [torch.from_numpy(values[sample]) for values in fields.values()]
            return (
                torch.stack(columns, dim=-1).to(self.dtype)
                if columns
                else points.new_zeros(len(points), 0).to(self.dtype)
            )

        return {
            "x": points.to(self.dtype),
            "a": channels(part.inputs),
            "u": channels(part.outputs),
            "index": index,
        }
