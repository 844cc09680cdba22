import shutil

import pytest
import torch

from pdeflow.data.manifest import build_manifest
from pdeflow.generation import Recipe
from pdeflow.generation.chains import write_chain
from pdeflow.problems import Darcy, Heat
from tests.data.writing import write


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Twelve Darcy samples on 8 x 8 cells: 6 train (two shards), 3 valid, 3 test; written in this process."""
    root = tmp_path_factory.mktemp("darcy")
    recipe = Recipe.of(
        Darcy(),
        None,
        {"train": 6, "valid": 3, "test": 3},
        [8, 8],
        seed=7,
        method="direct",
        rtol=1e-8,
        chain_length=4,
    )
    torch.set_num_threads(1)
    for chain in recipe.chains():
        write_chain(root, recipe, chain, "direct", lambda iterations: None)
    build_manifest(root, {"rtol": 1e-8, "solver": "sparse direct", "seconds": 1.0, "versions": {}})
    return root


@pytest.fixture(scope="session")
def heat(tmp_path_factory):
    """Five trajectories of four frames on 12 x 10 periodic nodes: 3 train (two shards), 2 test."""
    root = tmp_path_factory.mktemp("heat")
    write(root, Heat(frames=4, modes=4), (12, 10))
    return root


@pytest.fixture
def dataset(made, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(made, tmp_path / "darcy")
