import pytest
import torch
from lightning import LightningDataModule, Trainer
from scipy.sparse.linalg import spsolve
from torch.utils.data import DataLoader, Sampler

from pdeflow import seeds
from pdeflow.problems import Darcy


def darcy_fields(count, n, first=0):
    """Coefficients and direct solutions, shapes (count, 1, n, n), float64."""
    problem, a, u = Darcy(), [], []
    for i in range(first, first + count):
        system = problem.system(problem.sample(seeds.generator(0, seeds.INPUTS, i)), problem.grid((n, n)))
        a.append(torch.from_numpy(system.coefficient))
        u.append(torch.from_numpy(spsolve(system.A, system.b)).reshape(n, n))
    return torch.stack(a).unsqueeze(1), torch.stack(u).unsqueeze(1)


class EpochOrder(Sampler):
    """A permutation that depends on the epoch only."""

    def __init__(self, count):
        self.count, self.epoch = count, 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return self.count

    def __iter__(self):
        order = torch.randperm(self.count, generator=seeds.generator(0, seeds.ORDER, self.epoch))
        return iter(order.tolist())


class TinyFields(LightningDataModule):
    """20 training and 7 other samples of Darcy's problem on 8 x 8 cells, in memory."""

    def __init__(self, batch_size: int = 5, test_batch_size: int = 3):
        super().__init__()
        self.batch_size, self.test_batch_size = batch_size, test_batch_size
        self.problem, self.grid = Darcy(), Darcy().grid((8, 8))
        self.train, self.held_out = darcy_fields(20, 8), darcy_fields(7, 8, first=20)

    def training_fields(self):
        return self.train[0].float(), self.train[1].float()

    def _samples(self, fields):
        a, u = (field.float() for field in fields)
        return [{"a": a[i], "u": u[i], "index": i} for i in range(len(a))]

    def train_dataloader(self):
        return DataLoader(
            self._samples(self.train), batch_size=self.batch_size, sampler=EpochOrder(len(self.train[0]))
        )

    def val_dataloader(self):
        return DataLoader(self._samples(self.held_out), batch_size=self.test_batch_size)

    test_dataloader = predict_dataloader = val_dataloader


@pytest.fixture
def fields():
    return TinyFields()


@pytest.fixture
def make_fields():
    return TinyFields


@pytest.fixture
def solved():
    return darcy_fields


@pytest.fixture
def make_trainer(tmp_path):
    def make(**options):
        quiet = {
            "accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_checkpointing": False,
            "enable_model_summary": False, "num_sanity_val_steps": 0, "default_root_dir": tmp_path,
        }  # fmt: skip
        return Trainer(**(quiet | options))

    return make
