"""Plain arrays go out with all that is known about them, and come back the same."""

import json

import numpy as np
import pytest
import torch

from pdeflow.data import PDEDataset, check, describe, export_npy, import_files
from pdeflow.data.reading import read_shard
from pdeflow.errors import DataError, UsageError
from pdeflow.problems import PipeFlow, SlottedPlate, SpongeHelmholtz
from tests.data.writing import write


def test_the_arrays_are_the_dataset(heat, tmp_path):
    files = export_npy(heat, tmp_path / "npy")
    assert files[-1].name == "README.json"
    facts = json.loads(files[-1].read_text())
    data = PDEDataset(heat, "train", dtype=torch.float64)
    arrays = {
        name: np.load(tmp_path / "npy" / f"{name}.npy")
        for name in ("train/a", "train/u", "x", "times", "train/sample_id")
    }
    np.testing.assert_array_equal(arrays["train/a"], data.tensors()[0][:, 0])  # one field: no axis of fields
    np.testing.assert_array_equal(arrays["train/u"], data.tensors()[1])
    np.testing.assert_array_equal(arrays["x"], data.grid.coordinates())
    np.testing.assert_array_equal(arrays["times"], data.times)
    assert arrays["train/sample_id"].tolist() == [0, 1, 2]
    assert facts["axes"] == {
        "a": ["sample", "x", "y"],
        "u": ["sample", "time", "x", "y"],
        "x": ["x", "y", "coordinate"],
    }
    assert (facts["splits"], facts["a"], facts["u"]) == ({"train": 3, "test": 2}, ["u0"], ["u"])
    assert facts["equation"] == describe(heat)["equation"]
    with pytest.raises(UsageError, match=r"README.json exists; choose another --out"):
        export_npy(heat, tmp_path / "npy")


CASES = [
    (SpongeHelmholtz(wave_number=6.0, modes=4), (24, 24)),  # two inputs, two outputs, parameters
    (PipeFlow(), (24, 6)),  # curvilinear, three outputs
]


@pytest.mark.parametrize(("problem", "resolution"), CASES, ids=lambda value: type(value).__name__)
def test_export_and_import_are_inverse(problem, resolution, tmp_path):
    write(tmp_path / "data", problem, resolution, count=2)
    export_npy(tmp_path / "data", tmp_path / "npy")
    assert (tmp_path / "npy/x.npy").exists() == (
        not isinstance(problem, PipeFlow)
    )  # a has the points of curved grids
    back = import_files([tmp_path / "npy"], tmp_path / "back")
    assert check(back) == []
    for split in ("train", "test"):
        (one,) = (tmp_path / "data/data" / split).glob("*.hdf5")
        one, two = read_shard(one), read_shard(back / "data" / split / "back-00000.hdf5")
        assert (one.grid, one.units, one.mapped, one.equation) == (
            two.grid,
            two.units,
            two.mapped,
            two.equation,
        )
        for role in ("inputs", "outputs", "scalars"):
            first, second = getattr(one, role), getattr(two, role)
            assert list(first) == list(second) or role == "scalars"
            for name in first:
                np.testing.assert_array_equal(first[name], second[name])


def test_meshes_are_refused(tmp_path):
    write(tmp_path / "data", SlottedPlate(), 0.1, count=1)
    with pytest.raises(UsageError, match="samples on meshes"):
        export_npy(tmp_path / "data", tmp_path / "npy")
    assert not (tmp_path / "npy").exists()


def drop(folder):
    (folder / "train/u.npy").unlink()


def shorten(folder):
    np.save(folder / "train/u.npy", np.load(folder / "train/u.npy")[:-1])


def spoil(folder):
    (folder / "README.json").write_text("{}")


@pytest.mark.parametrize("harm", [drop, shorten, spoil])
def test_damaged_arrays_give_one_line(harm, heat, tmp_path):
    export_npy(heat, tmp_path / "npy")
    harm(tmp_path / "npy")
    with pytest.raises(DataError) as error:
        import_files([tmp_path / "npy"], tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()
