import sys
import time

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.data import PDEDataset
from pdeflow.data.hdf5 import CHUNK_BYTES, chunk_shape, sha256
from pdeflow.data.reading import read_shard
from pdeflow.data.store import Shard, write_shard
from pdeflow.errors import DataError
from pdeflow.geometry import Grid
from pdeflow.problems.problem import problem_from


def random_shard(shape, count, location, periodic, seed=0, dtype=np.float64):
    numbers = np.random.default_rng(seed)
    grid = Grid.uniform(shape, [(-1.0, 2.5)] * len(shape), location=location, periodic=periodic)
    fields = [numbers.standard_normal((count, *shape)).astype(dtype) for _ in range(3)]
    return Shard(
        grid, {"a": fields[0], "f": fields[1]}, {"u": fields[2]}, name="any", samples={"sample_id": np.arange(count)},
        units={"a": "m2", "u": "Pa"}, seed=3, scalars={"k": numbers.standard_normal(count)},
    )  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(
    shape=st.lists(st.integers(2, 5), min_size=1, max_size=3),
    count=st.integers(1, 4),
    location=st.sampled_from(["cell", "node"]),
    periodic=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_reading_returns_what_was_written(tmp_path_factory, shape, count, location, periodic, dtype):
    path = tmp_path_factory.mktemp("shard") / "any.hdf5"
    written = random_shard(shape, count, location, periodic, dtype=dtype)
    write_shard(path, written)
    found = read_shard(path)
    assert (found.grid, found.seed, found.problem, found.name) == (written.grid, 3, None, "any")
    assert found.units == {"a": "m2", "f": "1", "u": "Pa"}
    for name, values in written.fields.items():
        assert found.fields[name].dtype == dtype
        np.testing.assert_array_equal(found.fields[name], values)
    np.testing.assert_array_equal(found.scalars["k"], written.scalars["k"])


def test_the_bytes_do_not_depend_on_the_time_or_the_place(tmp_path):
    shard = random_shard((4, 4), 3, "cell", False)
    one = write_shard(tmp_path / "one" / "x.hdf5", shard)
    time.sleep(1.1)  # HDF5's own time stamps count seconds
    assert write_shard(tmp_path / "two" / "x.hdf5", shard) == one == sha256(tmp_path / "two" / "x.hdf5")


def test_the_bytes_do_not_depend_on_who_looks_at_the_stack_meanwhile(tmp_path):
    """A profiler that holds frames keeps the variables in them alive, and with them open HDF5 objects."""
    shard, kept = random_shard((4, 4), 3, "cell", False), []
    one = write_shard(tmp_path / "x.hdf5", shard)
    sys.setprofile(lambda frame, event, argument: kept.append(frame))
    try:
        two = write_shard(tmp_path / "x.hdf5", shard)
    finally:
        sys.setprofile(None)
    assert len({id(frame) for frame in kept}) > 100
    assert one == two


def test_no_half_written_file_stays_when_a_value_is_not_finite(tmp_path):
    shard = random_shard((4, 4), 3, "cell", False)
    shard.outputs["u"][1, 2, 3] = np.inf
    with pytest.raises(DataError, match="'u' of sample 1 is not finite; nothing was written"):
        write_shard(tmp_path / "x.hdf5", shard)
    assert not any(tmp_path.iterdir())


@given(shape=st.lists(st.integers(1, 3000), min_size=2, max_size=4), itemsize=st.sampled_from([4, 8]))
def test_a_chunk_holds_one_sample_or_less_and_at_most_a_mebibyte(shape, itemsize):
    chunk = chunk_shape(tuple(shape), itemsize)
    assert chunk[0] == 1
    assert all(1 <= c <= n for c, n in zip(chunk, shape, strict=True))
    assert np.prod(chunk) * itemsize <= CHUNK_BYTES


def test_every_dataset_of_samples_is_compressed_shuffled_and_checksummed(made):
    with h5py.File(made / "data/train/darcy-00000.hdf5") as file:
        for data in (file["t0_fields/a"], file["t0_fields/u"], *file["samples"].values()):
            assert (data.compression, data.compression_opts, data.shuffle, data.fletcher32) == (
                "gzip",
                4,
                True,
                True,
            )


def test_a_reader_recomputes_the_stored_residual_from_the_file(made):
    ids = []
    for path in sorted(made.glob("data/*/*.hdf5")):
        shard = read_shard(path)
        problem = problem_from(shard.problem)
        ids += list(shard.samples["sample_id"])
        for i in range(shard.count):
            fields = {name: torch.from_numpy(values[i]) for name, values in shard.inputs.items()}
            system = problem.system(problem.stored_instance(fields, {}, shard.grid), shard.grid)
            u = shard.outputs["u"][i].reshape(-1)
            residual = np.linalg.norm(system.b - system.A @ u) / np.linalg.norm(system.b)
            assert abs(residual - shard.samples["residual_rel"][i]) <= 1e-10
            assert residual <= 1e-8
    assert sorted(ids) == list(range(12))


def test_cell_values_sit_half_a_cell_off_the_wall_and_the_file_says_so(made):
    with h5py.File(made / "data/test/darcy-00000.hdf5") as file:
        assert file.attrs["grid_location"] == "cell"
        np.testing.assert_allclose(file["dimensions/x"][()], (np.arange(8) + 0.5) / 8, rtol=0, atol=1e-15)
        assert file["t0_fields/a"].attrs["units"] == "1"
    assert PDEDataset(made, "test").grid == Grid.unit((8, 8))
