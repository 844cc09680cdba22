"""One small experiment, run once by the command line in this process."""

import contextlib
import os

import pytest
import yaml

from pdeflow.cli.main import main

TINY = {
    "name": "tiny",
    "seed_everything": 3,
    "problem": {"class_path": "pdeflow.problems.Darcy", "init_args": {"modes": 8}},
    "generate": {"count": {"train": 12, "valid": 4, "test": 5}, "grid": [16, 16], "chain_length": 8},
    "fit.operator": {
        "model": {
            "class_path": "pdeflow.tasks.OperatorLearning",
            "init_args": {
                "network": {
                    "class_path": "pdeflow.models.TFNO",
                    "init_args": {"n_modes": [6, 6], "hidden_channels": 8, "n_layers": 2, "rank": 0.3},
                }
            },
        },
        "data": {"class_path": "pdeflow.data.PDEDataModule", "init_args": {"batch_size": 4}},
        "optimizer": {"class_path": "pdeflow.optim.Muon", "init_args": {"lr": 0.02}},
        "lr_scheduler": {"class_path": "pdeflow.optim.WarmupCosine"},
        "trainer": {"max_epochs": 4},
    },
    "fit.preconditioner": {
        "model": {
            "class_path": "pdeflow.tasks.DirectionLearning",
            "init_args": {"network": {"class_path": "pdeflow.models.LearnedVCycle"}, "steps_per_epoch": 2, "batch_size": 2, "grids": [[32, 32]]},
        },
        "trainer": {"max_steps": 4},
    },
    "evaluate": {},
    "solve": {
        "grid": [32, 32], "rtol": 1e-8, "preconditioner": "fit.preconditioner", "method": "fcg", "compare": "all", "unseen": 2,
        "unseen_grids": [[32, 32]],
    },
}  # fmt: skip


@contextlib.contextmanager
def inside(folder):
    """Work in another folder."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@pytest.fixture(scope="session")
def experiment(tmp_path_factory):
    """The folder in which tiny.yaml was run, and the run itself at runs/tiny/latest."""
    folder = tmp_path_factory.mktemp("experiment")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY, sort_keys=False))
    with inside(folder):
        assert main(["run", "tiny.yaml"]) == 0
    return folder


@pytest.fixture
def here(experiment):
    """Work in the experiment's folder."""
    with inside(experiment):
        yield experiment
