"""Training data that never repeat: every epoch draws and solves new samples, on the device that trains.

With fresh samples the training loss is an unbiased estimate of the expected one, so nothing is there to overfit: stochastic
approximation, Robbins and Monro, Ann. Math. Statist. 22 (1951) 400. Validation and test come from a dataset.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from pdeflow.data.dataset import PDEDataset, problem_of
from pdeflow.data.manifest import read_manifest
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid
from pdeflow.problems import Problem
from pdeflow.tasks.fresh_samples import common_grid, draw, solve_instances

NORMALIZER_SAMPLES = 64
"""Training samples from which a network takes its means and deviations."""


class FreshDataModule(LightningDataModule):
    """Batches {"a", "u", "index"} of samples drawn anew in every epoch; validation and test samples from a dataset.

    Training sample n depends on (seed, n) only and is in no dataset. Epoch e has the samples e·N to (e + 1)·N - 1 with
    N = batches_per_epoch · batch_size, so a resumed training sees the batches that an uninterrupted one sees.

    Args:
        problem: What to draw; None takes that of the task, else the dataset's.
        grid: Values per axis; None takes the dataset's grid.
        batch_size: Samples of a batch.
        batches_per_epoch: Batches after which the trainer validates.
        path: Folder of the dataset, or None to train without validation.
        seed: Root seed.
        rtol: Largest accepted verdict of a sample; None is the problem's own.
    """

    def __init__(
        self, problem: Problem | None = None, grid: Sequence[int] | None = None, batch_size: int = 16,
        batches_per_epoch: int = 25, path: str | None = None, seed: int = 0, rtol: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._given, self._shape = problem, None if grid is None else tuple(grid)
        self.batch_size, self.batches_per_epoch = batch_size, batches_per_epoch
        self.path, self.seed, self._rtol = path, seed, rtol

    def setup(self, stage: str | None = None) -> None:
        """Check the settings.

        Args:
            stage: Any of Lightning's stages.

        Raises:
            UsageError: If a number is out of range, the dataset is not there or does not fit, or problem or grid is not known.
            DataError: If the dataset is damaged.
        """
        if min(self.batch_size, self.batches_per_epoch) < 1:
            raise UsageError(
                f"data.batch_size and data.batches_per_epoch must be at least 1, got {self.batch_size} and {self.batches_per_epoch}"
            )
        if stage in (None, "fit"):
            self._check_dataset()

    @cached_property
    def problem(self) -> Problem:
        """The problem that is drawn from.

        Raises:
            UsageError: If neither the settings nor the dataset name one.
        """
        task = getattr(getattr(self, "trainer", None), "lightning_module", None)
        found = self._given or getattr(task, "problem", None)
        if found is None and self.path is not None:
            found = problem_of(read_manifest(self.path))
        if found is None:
            raise UsageError(
                "fresh data need a problem; set `problem`, e.g. class_path: pdeflow.problems.Darcy"
            )
        return found

    @cached_property
    def grid(self) -> Grid:
        """Grid of the fields.

        Raises:
            UsageError: If it is not known, or the problem is not discretized on one uniform grid.
        """
        shape = self._shape
        if shape is None and self._splits:
            shape = self._stored(self._splits[0]).grid.shape
        if shape is None:
            raise UsageError(
                f"fresh data need a grid; set data.grid, e.g. {list(self.problem.cells)}, or data.path"
            )
        return common_grid(self.problem, draw(self.problem, self.seed, range(2)), shape)

    @property
    def rtol(self) -> float:
        """Largest accepted verdict of a sample."""
        return self.problem.rtol if self._rtol is None else self._rtol

    @property
    def device(self) -> torch.device:
        """Where samples are solved: the trainer's device where it has float64."""
        strategy = getattr(getattr(self, "trainer", None), "strategy", None)
        device = getattr(strategy, "root_device", torch.device("cpu"))
        return torch.device("cpu") if device.type == "mps" else device

    def batch(self, number: int) -> dict[str, Tensor]:
        """Draw and solve a training batch.

        Args:
            number: Batch k of epoch e is e · batches_per_epoch + k.

        Returns:
            "a" and "u", float32, and the numbers of the samples, "index".

        Raises:
            UsageError: If a sample cannot be solved.
        """
        numbers = range(number * self.batch_size, (number + 1) * self.batch_size)
        instances = draw(self.problem, self.seed, numbers)
        common_grid(self.problem, instances, self.grid.shape)
        a, u = solve_instances(self.problem, instances, self.grid, rtol=self.rtol, device=self.device)
        return {"a": a.float(), "u": u.float(), "index": torch.tensor(numbers, device=a.device)}

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the channels of a."""
        return self.problem.inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the fields of u, each of which has a channel for every one of `times`."""
        return self.problem.outputs

    @property
    def times(self) -> tuple[float, ...]:
        """Times of the frames, one for a steady problem."""
        return self.problem.times

    def training_fields(self) -> tuple[Tensor, Tensor]:
        """Return inputs and solutions of the first batches, about 64 samples, (N, channels, *grid)."""
        return self._first

    @cached_property
    def _first(self) -> tuple[Tensor, Tensor]:
        count = min(math.ceil(NORMALIZER_SAMPLES / self.batch_size), self.batches_per_epoch)
        batches = [self.batch(number) for number in range(count)]
        return torch.cat([b["a"] for b in batches]).cpu(), torch.cat([b["u"] for b in batches]).cpu()

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the batches of an epoch, which are drawn when they are asked for.

        Raises:
            UsageError: If there are fewer batches than processes that train.
        """
        trainer: Any = getattr(self, "trainer", None)
        world, rank = (trainer.world_size, trainer.global_rank) if trainer else (1, 0)
        if world > self.batches_per_epoch:
            raise UsageError(
                f"data.batches_per_epoch must be at least the number of devices, {world}, got {self.batches_per_epoch}"
            )

        def done() -> int:
            return trainer.fit_loop.epoch_loop.batch_progress.current.ready if trainer else 0

        return FreshLoader(FreshBatches(self), EpochBatches(self.batches_per_epoch, world, rank, done))

    @property
    def has_validation(self) -> bool:
        """Whether the dataset has a validation split."""
        return "valid" in self._splits

    def val_dataloader(self) -> Any:
        """Return the validation split in order, or nothing where there is none."""
        return self._in_order("valid") if self.has_validation else []

    def test_dataloader(self) -> DataLoader[Any]:
        """Return the test split in order.

        Raises:
            UsageError: If there is no dataset or it has no test split.
        """
        return self._in_order("test")

    def predict_dataloader(self) -> DataLoader[Any]:
        """Return the test split in order."""
        return self._in_order("test")

    @cached_property
    def _splits(self) -> list[str]:
        found = [] if self.path is None else read_manifest(self.path)["splits"]
        return sorted(found, key=["valid", "test", "train"].index)  # the small ones first

    def _in_order(self, split: str) -> DataLoader[Any]:
        return DataLoader(self._stored(split), batch_size=self.batch_size)

    def _stored(self, split: str) -> PDEDataset:
        if self.path is None:
            raise UsageError(f"no dataset to take the {split} samples from; set data.path")
        return PDEDataset(Path(self.path), split)

    def _check_dataset(self) -> None:
        """Check that the dataset has the fields and the grid of the training samples."""
        grid = self.grid
        if not self._splits:
            return
        data, problem = self._stored(self._splits[0]), self.problem
        own = len(problem.inputs), len(problem.outputs) * len(problem.times)
        a, u = data.tensors()
        if data.grid != grid or (a.shape[1], u.shape[1]) != own:
            raise UsageError(
                f"{self.path} has {a.shape[1]} inputs and {u.shape[1]} outputs on {data.grid}, fresh samples of "
                f"{type(problem).__name__} have {own[0]} and {own[1]} on {grid}; leave out data.grid and data.problem, or name "
                "another data.path"
            )


class FreshBatches(Dataset[dict[str, Tensor]]):
    """Whole batches by their number, without an end.

    Args:
        source: Draws and solves them.
    """

    def __init__(self, source: FreshDataModule) -> None:
        self.source = source

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        return self.source.batch(number)


class EpochBatches(DistributedSampler[int]):
    """Numbers of the batches of an epoch that one of several processes trains on, from where a checkpoint left off.

    Args:
        count: Batches of an epoch; as many are left out as do not divide evenly.
        world: Processes.
        rank: Number of this one.
        done: How many batches of the epoch this process has trained on; asked when the first one is taken.
    """

    def __init__(self, count: int, world: int = 1, rank: int = 0, done: Callable[[], int] = int) -> None:
        super().__init__(range(count), num_replicas=world, rank=rank, shuffle=False, drop_last=True)  # type: ignore[arg-type]
        self.count, self.done = count, done

    def __iter__(self) -> Iterator[int]:  # type: ignore[override]
        own = range(self.rank, len(self) * self.num_replicas, self.num_replicas)
        for place in own[self.done() :]:
            yield self.epoch * self.count + place

    def __len__(self) -> int:
        return self.count // self.num_replicas


class FreshLoader(DataLoader[Any]):
    """Loader that resumes in the middle of an epoch, by the trainer's own count of batches.

    Args:
        batches: Whole batches by number.
        order: Which numbers an epoch has.
    """

    def __init__(self, batches: FreshBatches, order: EpochBatches) -> None:
        super().__init__(batches, batch_size=None, sampler=order)

    def state_dict(self) -> dict[str, int]:
        """Return nothing: the trainer keeps the count. Lightning takes a loader that has this method for resumable."""
        return {}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Do nothing, for there is nothing to restore."""
