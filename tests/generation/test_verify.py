"""What --verify finds: flipped bits, samples that are wrong, missing or doubled; and nothing in a good dataset."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from pdeflow.cli.main import main
from pdeflow.data import check
from pdeflow.data.manifest import build_manifest, read_manifest
from pdeflow.data.reading import read_shard
from pdeflow.data.store import write_shard
from pdeflow.errors import UsageError
from pdeflow.generation import Recipe, generate
from pdeflow.generation.solvers import raced
from pdeflow.generation.verify import chosen, recipe_from, verify
from pdeflow.problems import Darcy, PolygonHeat

SETTINGS = {
    "count": {"train": 10, "test": 4},
    "grid": [12, 12],
    "seed": 2,
    "method": "direct",
    "chain_length": 4,
}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    root = tmp_path_factory.mktemp("good")
    generate(Darcy(), root, workers=2, **SETTINGS)
    return root


@pytest.fixture
def dataset(good, tmp_path):
    return shutil.copytree(good, tmp_path / "copy")


def rewrite(root, change):
    """Change a shard and make everything that the files say about each other right again."""
    path = root / "data/train/darcy-00001.hdf5"
    digest = write_shard(path, change(read_shard(path)))
    sidecar = path.with_suffix(".json")
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {"sha256": digest}))
    kept = ("rtol", "verdict", "solver", "race", "order", "seconds", "versions")
    build_manifest(root, {key: value for key, value in read_manifest(root).items() if key in kept})


def test_a_good_dataset_passes_with_all_samples_solved_again(good):
    assert verify(good, fraction=1.0) == []


@pytest.mark.parametrize("place", [0.3, 0.5, 0.9])
def test_a_flipped_bit_is_found(dataset, place):
    path = dataset / "data/test/darcy-00000.hdf5"
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 4
    path.write_bytes(content)
    found = verify(dataset)
    assert len(found) == 1
    assert str(path) in found[0]
    assert "\n" not in found[0]


def test_a_wrong_sample_that_fits_its_checksum_is_found_by_solving_it_again(dataset):
    def wrong(shard):
        u = shard.outputs["u"].copy()
        u[2] *= 1.001
        return replace(shard, outputs={"u": u})

    rewrite(dataset, wrong)
    assert check(dataset) == []
    (line,) = verify(dataset, fraction=1.0)
    assert (
        "darcy-00001.hdf5: row 2, sample 6: 'u' differs by 1.0e-03 from the sample solved again, expected at most 1e-04"
        in line
    )


def test_rows_in_another_order_than_their_numbers_are_found(dataset):
    rewrite(dataset, lambda shard: replace(shard, inputs={"a": shard.inputs["a"][[1, 0, 2, 3]]}))
    assert [line.split("row ")[1][:13] for line in verify(dataset, fraction=1.0)] == [
        "0, sample 4: ",
        "1, sample 5: ",
    ]


def test_a_lost_and_a_doubled_sample_are_named(dataset):
    rewrite(
        dataset, lambda shard: replace(shard, samples=shard.samples | {"sample_id": np.array([4, 5, 5, 7])})
    )
    found = verify(dataset, fraction=1e-9)
    assert [line for line in found if line.endswith("train: sample 6 is missing, expected once")]
    assert [line for line in found if line.endswith("train: sample 5 is there 2 times, expected once")]


def test_another_recipe_is_told(dataset):
    plan = json.loads((dataset / "plan.json").read_text())
    plan["recipe"]["seed"] = 3
    (dataset / "plan.json").write_text(json.dumps(plan))
    found = verify(dataset)
    assert [line for line in found if line.endswith("seed is 2, plan.json has 3")]
    assert [line for line in found if "'a' differs by" in line]
    (dataset / "plan.json").unlink()
    assert [line for line in verify(dataset) if "plan.json: missing" in line]


def test_a_chain_that_recycles_agrees_with_samples_solved_alone(tmp_path):
    word = next(word for word in raced() if word.startswith("gcro"))
    generate(Darcy(), tmp_path, workers=1, **SETTINGS | {"method": word, "order": "similar"})
    assert verify(tmp_path, fraction=1.0) == []


def test_samples_on_meshes_are_solved_again(tmp_path):
    generate(PolygonHeat(), tmp_path, count={"train": 2}, h=0.3, seed=1, method="direct")
    assert verify(tmp_path, fraction=1.0) == []


def test_one_sample_in_a_thousand_is_chosen_and_at_least_one():
    recipe = Recipe.of(
        Darcy(),
        None,
        {"train": 4500, "test": 500},
        [8, 8],
        seed=0,
        method="direct",
        rtol=1e-8,
        chain_length=64,
    )
    rows = chosen(recipe, 1e-3, torch.Generator().manual_seed(1))
    assert len(rows) == len(set(rows)) == 5
    assert all(0 <= row < chain.count for chain, row in rows)
    assert rows == chosen(recipe, 1e-3, torch.Generator().manual_seed(1))
    assert any(chosen(recipe, 1e-3, None) != rows for _ in range(3))
    assert len(chosen(recipe, 1e-9, None)) == 1
    assert recipe_from(json.loads(json.dumps(recipe.as_dict()))) == recipe


def test_the_command_says_what_is_wrong_and_exits_with_4(dataset, capsys):
    assert main(["generate", "--verify", "--out", str(dataset)]) == 0
    assert "no damage found" in capsys.readouterr().out
    (dataset / "data/test/darcy-00000.hdf5").unlink()
    assert main(["generate", "--verify", "--out", str(dataset)]) == 4
    out = capsys.readouterr().out.splitlines()
    assert any("darcy-00000.hdf5 is missing" in line for line in out)
    assert main(["generate", "--verify", "--out", str(dataset / "nowhere")]) == 2
    assert main(["generate", "--verify", "--count", "3"]) == 2


def test_without_a_dataset_there_is_nothing_to_verify(tmp_path):
    with pytest.raises(UsageError, match="not found"):
        verify(tmp_path)
