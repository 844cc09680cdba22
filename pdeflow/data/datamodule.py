"""The Lightning data module of a dataset: the order of training samples depends on seed and epoch only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler, Subset

from pdeflow import seeds
from pdeflow.data.dataset import PDEDataset
from pdeflow.data.manifest import read_manifest
from pdeflow.data.mesh_dataset import MeshDataset
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid
from pdeflow.geometry.mesh_batch import collate


class EpochSampler(DistributedSampler[int]):
    """A permutation drawn from (seed, epoch), so that a resumed training sees the same batches, however many processes share it.

    Args:
        count: Number of samples; where it does not divide evenly, the first ones of the epoch are seen twice.
        seed: Root seed.
        world: Processes.
        rank: Number of this one.
    """

    def __init__(self, count: int, seed: int, world: int = 1, rank: int = 0) -> None:
        super().__init__(range(count), num_replicas=world, rank=rank, shuffle=False)  # type: ignore[arg-type]
        self.count, self.root = count, seed

    def __iter__(self) -> Iterator[int]:  # type: ignore[override]
        order = torch.randperm(self.count, generator=seeds.generator(self.root, seeds.ORDER, self.epoch)).tolist()
        order += order[: self.total_size - self.count]
        return iter(order[self.rank :: self.num_replicas])


class PDEDataModule(LightningDataModule):
    """Batches {"a", "u", "index"} of a dataset on a grid, {"x", "a", "u", "mask", "index"} of one on meshes.

    Args:
        path: Folder of the dataset; nothing is read before `setup`.
        batch_size: Samples of a step, over all processes that train together.
        seed: Root seed of the order of training samples.
        n_train: Use the first so many training samples only.
    """

    def __init__(self, path: str, batch_size: int = 16, seed: int = 0, n_train: int | None = None) -> None:
        super().__init__()
        self.path, self.batch_size, self.seed, self.n_train = path, batch_size, seed, n_train
        self._splits: dict[str, PDEDataset | MeshDataset] = {}

    def setup(self, stage: str | None = None) -> None:
        """Check the settings, and read the training split where it is needed.

        Args:
            stage: Lightning's stage; the other splits are read when their loaders are made.

        Raises:
            UsageError: If the dataset is not there, batch_size or n_train is out of range, or processes cannot share a batch.
            DataError: If it is damaged.
        """
        if self.batch_size < 1:
            raise UsageError(f"data.batch_size must be at least 1, got {self.batch_size}")
        if self.batch_size % self.processes:
            raise UsageError(
                f"data.batch_size counts the samples of all processes and must be a multiple of their number, {self.processes}; got {self.batch_size}"
            )
        if stage not in (None, "fit"):
            return
        count = len(self._split("train"))
        if self.n_train is not None and not 1 <= self.n_train <= count:
            raise UsageError(f"data.n_train must be between 1 and {count}, got {self.n_train}")

    @property
    def processes(self) -> int:
        """Processes that share the samples: those that train together, unless `trainer.use_distributed_sampler` is false."""
        connector = getattr(self.trainer, "_accelerator_connector", None)
        shared = getattr(connector, "use_distributed_sampler", True)
        return int(getattr(self.trainer, "world_size", 1) or 1) if shared else 1

    @property
    def grid(self) -> Grid:
        """Grid of the fields.

        Raises:
            UsageError: If the samples are on meshes.
        """
        return _on_grid(self._any()).grid

    @property
    def problem(self) -> Any:
        """The problem behind the data, or None where they were imported."""
        return self._any().problem

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the channels of a.

        Raises:
            UsageError: If the samples are on meshes.
        """
        return _on_grid(self._any()).inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the fields of u, each of which has a channel for every one of `times`.

        Raises:
            UsageError: If the samples are on meshes.
        """
        return _on_grid(self._any()).outputs

    @property
    def times(self) -> tuple[float, ...]:
        """Times of the frames, one for a steady problem.

        Raises:
            UsageError: If the samples are on meshes.
        """
        return tuple(_on_grid(self._any()).times)

    def training_fields(self) -> tuple[Tensor, Tensor]:
        """Return the inputs and solutions that are trained on, (N, channels, *grid)."""
        a, u = _on_grid(self._split("train")).tensors()
        return a[: self.n_train], u[: self.n_train]

    def train_dataloader(self) -> DataLoader[Any]:
        """Return shuffled batches of the training split."""
        data = self._split("train")
        part = Subset(data, range(self.n_train)) if self.n_train else data
        rank = int(getattr(self.trainer, "global_rank", 0) or 0) % self.processes
        order = EpochSampler(len(part), self.seed, self.processes, rank)
        return DataLoader(part, batch_size=self.batch_size // self.processes, sampler=order, collate_fn=_collate(data))

    @property
    def has_validation(self) -> bool:
        """Whether the dataset has a validation split."""
        return "valid" in self._any().info["splits"]

    def val_dataloader(self) -> Any:
        """Return the validation split in order, or nothing where the dataset has none."""
        return self._in_order("valid") if self.has_validation else []

    def test_dataloader(self) -> DataLoader[Any]:
        """Return the test split in order."""
        return self._in_order("test")

    def predict_dataloader(self) -> DataLoader[Any]:
        """Return the test split in order."""
        return self._in_order("test")

    def _in_order(self, split: str) -> DataLoader[Any]:
        data = self._split(split)
        return DataLoader(data, batch_size=max(1, self.batch_size // self.processes), collate_fn=_collate(data))

    def _any(self) -> PDEDataset | MeshDataset:
        """A split that is in memory already, else the training split."""
        return next(iter(self._splits.values()), None) or self._split("train")

    def _split(self, name: str) -> PDEDataset | MeshDataset:
        if name not in self._splits:
            kind = MeshDataset if "mesh" in read_manifest(self.path) else PDEDataset
            self._splits[name] = kind(self.path, name)
        return self._splits[name]


def _collate(data: PDEDataset | MeshDataset) -> Callable[[Any], Any] | None:
    return collate if isinstance(data, MeshDataset) else None


def _on_grid(data: PDEDataset | MeshDataset) -> PDEDataset:
    if isinstance(data, MeshDataset):
        raise UsageError(
            f"{data.root} holds samples on meshes, and this network needs fields on a grid; where the domain is a box generate with "
            "cells per axis, e.g. grid: [32, 32], else read the samples with pdeflow.data.MeshDataset"
        )
    return data
