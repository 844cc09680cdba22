import json

import numpy as np
import pytest
import torch

from pdeflow.data import PDEDataset
from pdeflow.data.reading import read_shard
from pdeflow.errors import DataError, UsageError
from pdeflow.problems import Darcy


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
