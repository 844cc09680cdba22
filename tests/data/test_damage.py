"""Each kind of damage gives one line from `check` and one DataError from the reader, with the file's name."""

import json

import h5py
import numpy as np
import pytest

from pdeflow.data import PDEDataset, check
from pdeflow.errors import DataError, UsageError

SHARD = "data/train/darcy-00001.hdf5"


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1000])


def flip_a_byte_of_sample_one(path):
    with h5py.File(path) as file:
        chunk = file["t0_fields/u"].id.get_chunk_info(1)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 1
    path.write_bytes(content)


def drop_an_attribute(path):
    with h5py.File(path, "r+") as file:
        del file.attrs["grid_location"]


def drop_the_units(path):
    with h5py.File(path, "r+") as file:
        del file["t0_fields/a"].attrs["units"]


def drop_a_field(path):
    with h5py.File(path, "r+") as file:
        del file["t0_fields/u"]


def put_a_nan(path):
    with h5py.File(path, "r+") as file:
        file["t0_fields/u"][1, 0, 3, 4] = np.nan


def raise_the_format(path):
    with h5py.File(path, "r+") as file:
        file.attrs["pdeflow_format"] = 99


def change_a_value(path):
    with h5py.File(path, "r+") as file:
        file["t0_fields/u"][0, 0, 3, 4] *= 1.01


def change_the_type(path):
    with h5py.File(path, "r+") as file:
        values, attributes = file["t0_fields/u"][()], dict(file["t0_fields/u"].attrs)
        del file["t0_fields/u"]
        file["t0_fields/u"] = (100 * values).astype(np.int16)
        file["t0_fields/u"].attrs.update(attributes)


def remove(path):
    path.unlink()


def replace_by_text(path):
    path.write_text("not HDF5")


DAMAGES = [
    (truncate, "truncated"),
    (flip_a_byte_of_sample_one, "'u' is damaged in sample 1"),
    (drop_an_attribute, "lacks the attribute 'grid_location'"),
    (drop_the_units, "'a' lacks the attribute 'units'"),
    (drop_a_field, "lacks the field 'u'"),
    (put_a_nan, "'u' is not finite in 1 of 2 samples, first in sample 1"),
    (raise_the_format, "format 99, this pdeflow reads up to 1"),
    (change_a_value, "sha256 differs"),
    (change_the_type, "'u' has dtype int16, expected float32 or float64"),
    (remove, "missing"),
    (replace_by_text, "damaged"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES, ids=[damage.__name__ for damage, _ in DAMAGES])
def test_damage_is_named_in_one_line(dataset, damage, message):
    assert check(dataset) == []
    damage(dataset / SHARD)
    (line,) = check(dataset)
    assert str(dataset / SHARD) in line
    assert message in line
    assert "\n" not in line
    with pytest.raises(DataError) as error:
        PDEDataset(dataset, "train")
    assert str(error.value) == line
    assert len(PDEDataset(dataset, "test")) == 3  # the other splits still serve


def test_check_finds_files_that_do_not_belong(dataset):
    (dataset / "data/test/other-00000.hdf5").write_bytes((dataset / SHARD).read_bytes())
    (line,) = check(dataset)
    assert "other-00000.hdf5: not in the manifest" in line


def test_check_compares_residuals_grid_and_statistics(dataset):
    path = dataset / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"rtol": 1e-18}))
    assert all("residual_rel" in line for line in check(dataset))
    path.write_text(json.dumps(content | {"grid": content["grid"] | {"location": "node"}}))
    assert all("cells, expected" in line for line in check(dataset))
    path.write_text(json.dumps(content))
    stats = dataset / "stats.yaml"
    stats.write_text(stats.read_text().replace("mean:\n  a: ", "mean:\n  a: 1"))
    (line,) = check(dataset)
    assert "stats.yaml: mean of 'a'" in line
    stats.unlink()
    assert "stats.yaml: missing" in check(dataset)[0]


def test_check_of_nothing_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="not found"):
        check(tmp_path)
