"""Files as The Well publishes them become datasets: vectors, constant fields, parameters, periodic axes."""

import json
import shutil

import h5py
import numpy as np
import pytest

from pdeflow.data import PDEDataset, check, describe, import_files
from pdeflow.data.reading import read_shard
from pdeflow.errors import DataError, UsageError


def well_file(path, count=2, frames=3, shape=(6, 5), grid_type="cartesian", seed=0):
    """Write a file by the rules of The Well, without this package: pressure, velocity, stress, a constant and a mask."""
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = np.random.default_rng(seed)
    fields = {
        "pressure": (0, True, True, numbers.standard_normal((count, frames, *shape), dtype=np.float32)),
        "velocity": (1, True, True, numbers.standard_normal((count, frames, *shape, 2), dtype=np.float32)),
        "stress": (2, True, True, numbers.standard_normal((count, frames, *shape, 2, 2), dtype=np.float32)),
        "mask": (0, False, False, numbers.random(shape, dtype=np.float32)),
        "depth": (0, True, False, numbers.random((count, shape[0], 1), dtype=np.float32)),
    }
    with h5py.File(path, "w") as file:
        file.attrs.update(
            dataset_name="made_up", grid_type=grid_type, n_spatial_dims=2, n_trajectories=count,
            simulation_parameters=["Re"], Re=100.0,
        )  # fmt: skip
        dimensions = file.create_group("dimensions")
        dimensions.attrs["spatial_dims"] = ["x", "y"]
        coordinates = {
            "time": np.arange(frames) * 0.5,
            "x": np.arange(shape[0]) / 6,
            "y": np.linspace(-1, 1, shape[1]),
        }
        for name, values in coordinates.items():
            dimensions[name] = values.astype(np.float32)
            dimensions[name].attrs.update(sample_varying=False, time_varying=name == "time")
        wall = file.create_group("boundary_conditions/x_periodic")
        wall.attrs.update(bc_type="PERIODIC", associated_dims=["x"], associated_fields=[])
        scalars = file.create_group("scalars")
        scalars.attrs["field_names"] = ["nu", "drive"]
        scalars["nu"], scalars["drive"] = np.arange(count) + 0.5, np.zeros((count, frames))
        scalars["nu"].attrs.update(sample_varying=True, time_varying=False)
        scalars["drive"].attrs.update(sample_varying=True, time_varying=True)
        for order in range(3):
            group = file.create_group(f"t{order}_fields")
            group.attrs["field_names"] = [name for name, field in fields.items() if field[0] == order]
        for name, (order, samples, moves, values) in fields.items():
            data = file.create_dataset(f"t{order}_fields/{name}", data=values)
            data.attrs.update(sample_varying=samples, time_varying=moves, dim_varying=[True, name != "depth"])
    return {name: field[3] for name, field in fields.items()}


def test_a_folder_of_the_well_becomes_a_dataset(tmp_path):
    first = well_file(tmp_path / "made_up/data/train/re_100.hdf5")
    second = well_file(tmp_path / "made_up/data/train/re_200.hdf5", count=1, seed=1)
    well_file(tmp_path / "made_up/data/test/re_100.h5", count=1, seed=2)
    root = import_files([tmp_path / "made_up"], tmp_path / "out", valid=2)
    assert check(root) == []
    assert {name: s["count"] for name, s in describe(root)["splits"].items()} == {
        "train": 1,
        "valid": 2,
        "test": 1,
    }
    paths = sorted((root / "data").glob("[tv][ra]*/*.hdf5"))
    assert [path.relative_to(root).as_posix() for path in paths] == [
        "data/train/out-00000.hdf5", "data/valid/out-00000.hdf5", "data/valid/out-00001.hdf5",
    ]  # fmt: skip
    shards = [read_shard(path) for path in paths]
    assert [id for shard in shards for id in shard.samples["sample_id"]] == [0, 1, 2]
    for name, values in {
        "pressure": np.s_[...],
        "velocity_x": np.s_[..., 0],
        "stress_yx": np.s_[..., 1, 0],
    }.items():
        field, whole = name.split("_")[0], np.concatenate([shard.outputs[name] for shard in shards])
        np.testing.assert_array_equal(whole, np.concatenate([first[field], second[field]])[values])
        np.testing.assert_array_equal(shards[1].inputs[f"{name}0"], shards[1].outputs[name][:, 0])
    np.testing.assert_array_equal(shards[1].inputs["mask"], first["mask"][None])
    np.testing.assert_array_equal(shards[1].inputs["depth"], np.tile(first["depth"][1:], (1, 1, 5)))
    assert (shards[1].scalars["nu"].tolist(), shards[1].scalars["Re"].tolist()) == ([1.5], [100.0])
    grid = shards[0].grid
    assert (grid.location, grid.periodic) == ("node", (True, False))
    np.testing.assert_allclose(
        grid.bounds, [(0, 1), (-1, 1)], atol=1e-6
    )  # the periodic axis ends one spacing later
    with h5py.File(paths[0]) as file:
        name = file["t0_fields/pressure"].attrs["long_name"]
    assert "The Well file re_100.hdf5 of made_up" in name
    assert "left out: drive" in name
    assert "taken to sit at nodes" in name


def test_one_frame_is_a_steady_dataset_with_the_constant_fields_as_inputs(tmp_path):
    arrays = well_file(tmp_path / "steady_test.hdf5", frames=1)
    root = import_files([tmp_path / "steady_test.hdf5"], tmp_path / "out")
    data = PDEDataset(root, "test")
    assert (data.times, len(data)) == ((0.0,), 2)
    assert {name for name, field in data.info["fields"].items() if field["role"] == "input"} == {
        "mask",
        "depth",
    }
    np.testing.assert_array_equal(data.tensors()[1][:, 0], arrays["pressure"][:, 0])


@pytest.mark.parametrize("name", ["made", "heat"])
def test_our_own_files_without_a_manifest_come_in_unchanged(name, request, tmp_path):
    source = request.getfixturevalue(name)
    with pytest.raises(UsageError, match="is a dataset of pdeflow already"):
        import_files([source], tmp_path / "back")
    shutil.copytree(source / "data", tmp_path / "bare/data")
    back = import_files([tmp_path / "bare"], tmp_path / "back", name=describe(source)["name"])
    for split in describe(source)["splits"]:
        ours, theirs = PDEDataset(source, split), PDEDataset(back, split)
        assert (ours.grid, ours.times) == (theirs.grid, theirs.times)
        assert (ours.tensors()[0] == theirs.tensors()[0]).all()
        assert (ours.tensors()[1] == theirs.tensors()[1]).all()
    assert json.loads((back / "manifest.json").read_text())["fields"]["u"]["units"] == "1"


def spherical(path):
    well_file(path, grid_type="spherical")


def uneven(path):
    well_file(path)
    with h5py.File(path, "r+") as file:
        file["dimensions/y"][2] = 0.3


def nothing_moves(path):
    well_file(path)
    with h5py.File(path, "r+") as file:
        for name in ("t0_fields/pressure", "t1_fields/velocity", "t2_fields/stress"):
            values, attributes = file[name][:, 0], dict(file[name].attrs)
            del file[name]
            file[name] = values
            file[name].attrs.update(attributes | {"time_varying": False})


def no_attribute(path):
    well_file(path)
    with h5py.File(path, "r+") as file:
        del file["t0_fields/pressure"].attrs["sample_varying"]


def nan(path):
    well_file(path)
    with h5py.File(path, "r+") as file:
        file["t0_fields/pressure"][1, 2, 3, 4] = np.nan


def unknown(path):
    with h5py.File(path, "w") as file:
        file["temperature"] = np.zeros(3)


HARMS = [
    (spherical, "has a spherical grid"), (uneven, "axis 1 are not evenly spaced"), (nan, "'pressure' of sample 1 is not finite"),
    (no_attribute, "sample_varying"), (nothing_moves, "no field that changes in time: nothing to predict"), (unknown, "HDF5 with temperature, known are"),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "message"), HARMS, ids=[harm.__name__ for harm, _ in HARMS])
def test_an_unusable_file_gives_one_line_with_its_name(harm, message, tmp_path):
    harm(tmp_path / "bad.hdf5")
    with pytest.raises(DataError, match=message) as error:
        import_files([tmp_path / "bad.hdf5"], tmp_path / "out")
    assert "\n" not in str(error.value)
    assert "bad.hdf5" in str(error.value) or harm is nan
    assert not (tmp_path / "out").exists()


def test_folders_that_hold_nothing_are_usage_errors(tmp_path):
    with pytest.raises(UsageError, match=r"neither data/train/\*.hdf5 \(The Well\) nor README.json"):
        import_files([tmp_path], tmp_path / "out")
