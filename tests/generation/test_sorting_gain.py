import json

import pytest

from pdeflow.data.reading import read_shard
from pdeflow.generation import generate
from pdeflow.problems import Darcy, LogNormalDarcy

SETTINGS = {"count": {"train": 24, "test": 6}, "grid": (24, 24), "chain_length": 12, "seed": 3, "rtol": 1e-8}


def made(problem, root, **settings):
    generate(problem, root, **SETTINGS | settings)
    return json.loads((root / "manifest.json").read_text())


def test_the_manifest_tells_what_sorting_brought_whatever_it_is(tmp_path):
    problem = LogNormalDarcy(sigma=1.0)
    sorted_one = made(problem, tmp_path / "a", order="similar", method="gcro_dr_jacobi")["sorting"]
    assert 0.3 < sorted_one["neighbour_distance"] < 0.8
    made(problem, tmp_path / "b", method="gcro_dr_jacobi", count={"train": 12})
    chain = json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert chain["sorting"] is None
    shard = read_shard(next((tmp_path / "b" / "data" / "train").glob("*.hdf5")))
    assert sorted_one["unsorted_iterations"] == shard.samples["iterations"].tolist()  # the same samples in the order of their numbers


@pytest.mark.parametrize("method", ["direct", "cg"])
def test_an_order_that_cannot_matter_is_not_solved_again(method, tmp_path):
    gain = made(Darcy(), tmp_path, order="similar", method=method)["sorting"]
    assert gain["unsorted_iterations"] == []
    assert gain["neighbour_distance"] < 1


def test_a_single_sample_has_no_neighbour(tmp_path):
    assert made(Darcy(), tmp_path, order="similar", method="direct", count={"train": 1})["sorting"]["neighbour_distance"] is None
