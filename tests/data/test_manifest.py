import json

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pdeflow.data import describe
from pdeflow.data.hdf5 import sha256
from pdeflow.data.manifest import build_manifest, merge, moments, read_manifest, statistics
from pdeflow.data.reading import read_shard
from pdeflow.errors import DataError, UsageError
from pdeflow.problems import StarPoisson
from tests.data.writing import write

numbers = st.lists(
    st.floats(-1e6, 1e6).map(lambda x: round(x, 6)), min_size=1, max_size=30
)  # no squares that underflow


@given(one=numbers, two=numbers)
def test_merged_moments_are_those_of_the_union(one, two):
    merged = merge(moments(np.array(one)), moments(np.array(two)))
    union = moments(np.array(one + two))
    scale = max(map(abs, one + two)) or 1.0
    assert merged["count"] == union["count"]
    assert (merged["min"], merged["max"]) == (union["min"], union["max"])
    assert merged["mean"] == pytest.approx(union["mean"], abs=1e-12 * scale)
    assert merged["m2"] == pytest.approx(union["m2"], abs=1e-11 * scale**2 * union["count"])


def test_statistics_equal_a_direct_computation_over_all_shards(made):
    shards = [read_shard(path) for path in sorted(made.glob("data/*/*.hdf5"))]
    stats = yaml.safe_load((made / "stats.yaml").read_text())
    for name in ("a", "u"):
        values = np.concatenate([shard.fields[name].ravel() for shard in shards])
        expected = {"mean": values.mean(), "std": values.std(), "rms": np.sqrt((values**2).mean())}
        for kind, value in expected.items():
            assert stats[kind][name] == pytest.approx(value, rel=1e-12)
        assert stats["std_delta"][name] == 0.0


def test_statistics_of_trajectories_and_of_their_changes_equal_a_direct_computation(heat):
    with_frames = [read_shard(path) for path in sorted(heat.glob("data/*/*.hdf5"))]
    stats = yaml.safe_load((heat / "stats.yaml").read_text())
    u = np.concatenate([shard.outputs["u"] for shard in with_frames])
    u0 = np.concatenate([shard.inputs["u0"] for shard in with_frames])
    assert u.shape == (5, 4, 12, 10)
    for suffix, tables in (
        ("", {"u": u, "u0": u0}),
        ("_delta", {"u": u[:, 1:] - u[:, :-1], "u0": np.zeros(1)}),
    ):
        for name, x in tables.items():
            for kind, value in (("mean", x.mean()), ("std", x.std()), ("rms", np.sqrt((x**2).mean()))):
                assert stats[kind + suffix][name] == pytest.approx(value, rel=1e-6, abs=1e-12)
    assert stats["std_delta"]["u"] > 0


def test_statistics_on_meshes_count_every_point_once(tmp_path):
    write(tmp_path, StarPoisson(), 0.2)
    meshed = [read_shard(path) for path in sorted(tmp_path.glob("data/*/*.hdf5"))]
    stats = yaml.safe_load((tmp_path / "stats.yaml").read_text())
    for name in ("f", "g", "u"):
        x = np.concatenate([values for shard in meshed for values in (shard.inputs | shard.outputs)[name]])
        assert len(x) == sum(len(shard.mesh(i).points) for shard in meshed for i in range(shard.count))
        for kind, value in (("mean", x.mean()), ("std", x.std()), ("rms", np.sqrt((x**2).mean()))):
            assert stats[kind][name] == pytest.approx(value, rel=1e-6)


def test_statistics_of_float32_values_far_from_zero_are_those_of_float64():
    x = (1e4 + np.random.default_rng(0).standard_normal((4, 1000))).astype(np.float32)
    merged = None
    for part in x:
        merged = merge(merged, moments(part))
    found, wide = statistics({"u": merged}), x.astype(np.float64)
    assert found["std"]["u"] == pytest.approx(wide.std(), rel=1e-6)
    assert found["mean"]["u"] == pytest.approx(wide.mean(), rel=1e-12)


def test_the_manifest_says_what_the_files_hold(made):
    found = describe(made)
    assert {name: (s["count"], s["first_id"]) for name, s in found["splits"].items()} == {
        "train": (6, 0), "valid": (3, 6), "test": (3, 9),
    }  # fmt: skip
    assert [entry["count"] for entry in found["splits"]["train"]["shards"]] == [4, 2]
    for split in found["splits"].values():
        for entry in split["shards"]:
            assert sha256(made / entry["file"]) == entry["sha256"]
    assert found["fields"]["a"] | {"mean": 0, "std": 0} == {
        "role": "input", "dtype": "float64", "units": "1", "min": 3.0, "max": 12.0, "mean": 0, "std": 0, "shape": (12, 8, 8),
    }  # fmt: skip
    assert found["problem"]["class_path"] == "pdeflow.problems.Darcy"
    assert found["seed"] == 7
    assert 0 < found["residual"]["median"] <= found["residual"]["max"] <= 1e-8


def test_a_missing_dataset_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(UsageError, match=r"not found.*pdeflow generate -c .*--out"):
        read_manifest(tmp_path / "nothing")
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(UsageError, match=r"--resume"):
        read_manifest(tmp_path)


def test_an_unusable_manifest_is_refused(dataset):
    path = dataset / "manifest.json"
    content = json.loads(path.read_text())
    for changed, message in (
        (content | {"format": 99}, "format 99.*upgrade"),
        ({key: value for key, value in content.items() if key != "splits"}, "lacks the key 'splits'"),
        ([], "damaged"),
    ):
        path.write_text(json.dumps(changed))
        with pytest.raises(DataError, match=message):
            read_manifest(dataset)
    path.write_text(path.read_text()[:-1])
    with pytest.raises(DataError, match="damaged"):
        read_manifest(dataset)


def test_shards_of_two_datasets_are_not_merged(dataset):
    import h5py

    with h5py.File(dataset / "data/test/darcy-00000.hdf5", "r+") as file:
        file.attrs["root_seed"] = 8
    with pytest.raises(DataError, match="has seed 8, the shards before it 7"):
        build_manifest(dataset, {})
