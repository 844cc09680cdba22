import json

import numpy as np
import pytest
import torch

from pdeflow.data import MeshDataset, PDEDataset
from pdeflow.data.manifest import build_manifest
from pdeflow.data.reading import read_shard
from pdeflow.errors import DataError, UsageError
from pdeflow.generation.chains import write_chain
from pdeflow.problems import Darcy, StarPoisson
from tests.data.writing import write


def test_samples_come_in_the_order_of_their_numbers(made):
    shards = [read_shard(path) for path in sorted(made.glob("data/train/*.hdf5"))]
    data = PDEDataset(made, "train", dtype=torch.float64)
    a, u = data.tensors()
    assert a.shape == u.shape == (6, 1, 8, 8)
    np.testing.assert_array_equal(u[:, 0], np.concatenate([shard.outputs["u"] for shard in shards]))
    sample = data[5]
    assert sample["index"] == 5
    assert torch.equal(sample["a"], a[5])
    assert torch.equal(sample["u"], u[5])


def test_samples_know_their_numbers_where_a_chain_is_sorted(tmp_path):
    for problem, resolution, kind in ((Darcy(), (8, 8), PDEDataset), (StarPoisson(), 0.3, MeshDataset)):
        plain, mixed = tmp_path / kind.__name__ / "plain", tmp_path / kind.__name__ / "mixed"
        recipe = write(plain, problem, resolution)
        order = {0: [2, 0], 1: [1], 2: [4, 3]}  # ids by chain
        for chain in recipe.chains():
            write_chain(mixed, recipe, chain, "direct", lambda iterations: None, order[chain.index])
        build_manifest(mixed, {})
        one, two = kind(plain, "train"), kind(mixed, "train")
        assert (one.sample_ids.tolist(), two.sample_ids.tolist()) == ([0, 1, 2], [2, 0, 1])
        assert kind(mixed, "test").sample_ids.tolist() == [4, 3]
        for place, number in enumerate(two.sample_ids):
            assert torch.equal(two[place]["u"], one[int(number)]["u"])


def test_the_problem_comes_back_equal(made):
    assert PDEDataset(made, "valid").problem == Darcy()
    assert PDEDataset(made, "valid").info["name"] == "darcy"


def test_float32_is_the_rounded_file(made):
    double, single = PDEDataset(made, "test", dtype=torch.float64), PDEDataset(made, "test")
    assert torch.equal(single.tensors()[1], double.tensors()[1].float())


def test_a_split_that_is_not_there_is_a_usage_error(made):
    with pytest.raises(UsageError, match="no split 'validation'; it has train, valid, test"):
        PDEDataset(made, "validation")


def test_fields_are_readable_where_the_problem_class_is_not(dataset):
    path = dataset / "manifest.json"
    content = json.loads(path.read_text())
    content["problem"]["class_path"] = "nowhere.Unknown"
    path.write_text(json.dumps(content))
    data = PDEDataset(dataset, "test")
    assert len(data) == 3
    with pytest.raises(DataError, match=r"nowhere\.Unknown.*cannot be built"):
        data.problem  # noqa: B018
