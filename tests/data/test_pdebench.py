"""A loader written from PDEBench's description reads our files, and its kinds of files become datasets."""

import h5py
import numpy as np
import pytest
import torch

from pdeflow.data import PDEDataset, check, describe, export_pdebench, import_files
from pdeflow.data.reading import read_shard
from pdeflow.errors import DataError, UsageError
from pdeflow.geometry import Grid
from pdeflow.problems import PipeFlow, SlottedPlate, SpongeHelmholtz
from tests.data.writing import write


def load_flat(path, initial_steps=2, test_share=0.1):
    """Read a flat file as PDEBench lays it out: inputs, targets and points, float32."""
    assert not path.name.endswith("h5")  # that ending means one group per sample
    with h5py.File(path) as file:
        tensor = np.asarray(file["tensor"], dtype=np.float32)
        space = np.moveaxis(tensor, 1, -1)[..., None]  # (N, x[, y], t, 1)
        if "nu" in file:  # Darcy flow: the coefficient is the only input frame
            inputs = np.asarray(file["nu"], dtype=np.float32)[..., None, None]
        else:
            inputs = space[..., :initial_steps, :]
        axes = [file[f"{name}-coordinate"][()] for name in "xy"[: tensor.ndim - 2]]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        clock = file["t-coordinate"][:-1]  # the last entry is the end of the last step
    assert len(clock) == tensor.shape[1]
    first = int(test_share * len(tensor))
    return inputs[first:], space[first:], points, clock


def test_a_loader_of_pdebench_reads_our_darcy_flow(made, tmp_path):
    files = export_pdebench(made, tmp_path)
    assert [file.name for file in files] == ["darcy_train.hdf5", "darcy_valid.hdf5", "darcy_test.hdf5"]
    a, u, points, clock = load_flat(files[0], test_share=0.0)
    assert (a.shape, u.shape, points.shape, clock.tolist()) == (
        (6, 8, 8, 1, 1),
        (6, 8, 8, 1, 1),
        (8, 8, 2),
        [0.0],
    )
    ours = PDEDataset(made, "train")
    np.testing.assert_array_equal(a[..., 0, 0], ours.tensors()[0][:, 0])
    np.testing.assert_array_equal(u[..., 0, 0], ours.tensors()[1][:, 0])
    np.testing.assert_allclose(points, ours.grid.coordinates(), atol=1e-7)


def test_a_loader_of_pdebench_reads_our_trajectories(heat, tmp_path):
    files = export_pdebench(heat, tmp_path)
    ours = PDEDataset(heat, "train")
    a, u, points, clock = load_flat(files[0], test_share=0.34)
    assert (a.shape, u.shape, points.shape) == ((2, 12, 10, 2, 1), (2, 12, 10, 4, 1), (12, 10, 2))
    np.testing.assert_array_equal(np.moveaxis(u[..., 0], -1, 1), ours.tensors()[1][1:])
    np.testing.assert_allclose(clock, ours.times, rtol=1e-6)


@pytest.mark.parametrize("name", ["made", "heat"])
def test_export_and_import_are_inverse(name, request, tmp_path):
    root = request.getfixturevalue(name)
    back = import_files(export_pdebench(root, tmp_path / "flat"), tmp_path / "back")
    assert check(back) == []
    assert {field["units"] for field in describe(back)["fields"].values()} == {"1"}
    for split in describe(root)["splits"]:
        ours, theirs = PDEDataset(root, split), PDEDataset(back, split)
        assert ours.grid == theirs.grid  # cells or nodes, bounds, periodic axes
        np.testing.assert_allclose(theirs.times, ours.times, rtol=1e-6)
        for one, two in zip(ours.tensors(), theirs.tensors(), strict=True):
            assert torch.equal(one, two)


def darcy_flow(path, count=5, n=8, **changes):
    """A file as PDEBench publishes it: float32, no filters, the parameter of all samples as an attribute."""
    numbers = np.random.default_rng(0)
    x = (np.arange(n, dtype=np.float32) + 0.5) / n
    arrays = {
        "tensor": numbers.standard_normal((count, 1, n, n), dtype=np.float32),
        "nu": numbers.random((count, n, n), dtype=np.float32),
        "x-coordinate": x, "y-coordinate": x, "t-coordinate": np.array([0.0, 1.0], dtype=np.float32),
    }  # fmt: skip
    with h5py.File(path, "w") as file:
        for name, values in (arrays | changes).items():
            if values is not None:
                file[name] = values
        file.attrs["beta"] = 0.1
    return arrays | changes


def test_a_published_darcy_file_becomes_a_dataset_that_says_what_it_does_not_know(tmp_path):
    path = tmp_path / "2D_DarcyFlow_beta0.1_Train.hdf5"
    arrays = darcy_flow(path)
    root = import_files([path], tmp_path / "out", valid=1, test=2)
    assert check(root) == []
    found = describe(root)
    assert {name: split["count"] for name, split in found["splits"].items()} == {
        "train": 2,
        "valid": 1,
        "test": 2,
    }
    assert {name: (field["role"], field["units"]) for name, field in found["fields"].items()} == {
        "a": ("input", "unknown"), "u": ("output", "unknown"),
    }  # fmt: skip
    data = PDEDataset(root, "test")
    np.testing.assert_array_equal(data.tensors()[0][:, 0], arrays["nu"][3:])
    np.testing.assert_array_equal(data.tensors()[1], arrays["tensor"][3:])
    assert data.sample_ids.tolist() == [3, 4]
    assert data.scalars["beta"].tolist() == [0.1, 0.1]
    assert data.grid.location == "node"
    np.testing.assert_allclose(data.grid.axis(0), arrays["x-coordinate"], atol=1e-7)
    with h5py.File(root / "data/train/out-00000.hdf5") as file:
        name = file["t0_fields/u"].attrs["long_name"]
    assert "imported from PDEBench file 2D_DarcyFlow_beta0.1_Train.hdf5" in name
    assert "values taken to sit at nodes" in name


def test_coordinates_of_walls_make_a_grid_of_cells(tmp_path):
    walls = np.linspace(-1, 1, 9)
    darcy_flow(tmp_path / "walls.hdf5", **{"x-coordinate": walls, "y-coordinate": walls})
    root = import_files([tmp_path / "walls.hdf5"], tmp_path / "out")
    assert PDEDataset(root).grid == Grid.uniform((8, 8), [(-1, 1)] * 2, location="cell")


def test_flow_files_with_one_array_per_field_are_trajectories_from_their_first_frames(tmp_path):
    numbers = np.random.default_rng(1)
    fields = {name: numbers.standard_normal((3, 4, 6, 5)) for name in ("Vx", "Vy", "density", "pressure")}
    with h5py.File(tmp_path / "cfd_test.hdf5", "w") as file:
        for name, values in fields.items():
            file[name] = values
        file["x-coordinate"], file["y-coordinate"], file["t-coordinate"] = (
            np.arange(6.0),
            np.arange(5.0),
            np.arange(5) / 10,
        )
    root = import_files([tmp_path / "cfd_test.hdf5"], tmp_path / "out")
    shard = read_shard(root / "data/test/out-00000.hdf5")
    assert list(shard.inputs) == ["Vx0", "Vy0", "density0", "pressure0"]
    assert shard.times == (0.0, 0.1, 0.2, 0.3)
    for name, values in fields.items():
        np.testing.assert_array_equal(shard.outputs[name], values)
        np.testing.assert_array_equal(shard.inputs[f"{name}0"], values[:, 0])


def test_grouped_files_are_stacked_in_the_order_of_their_names(tmp_path):
    data = np.random.default_rng(2).standard_normal((3, 4, 6, 6, 2)).astype(np.float32)
    with h5py.File(tmp_path / "2D_diff-react.h5", "w") as file:
        for i in (2, 0, 1):
            file[f"{i:04d}/data"] = data[i]
            for name, values in (
                ("x", np.linspace(-1, 1, 6)),
                ("y", np.linspace(-1, 1, 6)),
                ("t", np.arange(4) / 20),
            ):
                file[f"{i:04d}/grid/{name}"] = values.astype(np.float32)
    root = import_files([tmp_path / "2D_diff-react.h5"], tmp_path / "out")
    shard = read_shard(root / "data/train/out-00000.hdf5")
    assert (list(shard.inputs), list(shard.outputs)) == (["u1_0", "u2_0"], ["u1", "u2"])
    np.testing.assert_array_equal(np.stack(list(shard.outputs.values()), -1), data)
    assert shard.grid == Grid.uniform((6, 6), [(-1, 1)] * 2, location="node")


@pytest.mark.parametrize(
    ("problem", "resolution", "message"),
    [
        (SlottedPlate(), 0.1, "samples on meshes; PDEBench's files hold grids"),
        (
            SpongeHelmholtz(wave_number=6.0, modes=4),
            (24, 24),
            "fields k, f, u_re, u_im; PDEBench's flat files hold one input",
        ),
        (PipeFlow(), (24, 6), "curvilinear grid"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(problem, resolution, message, tmp_path):
    write(tmp_path / "data", problem, resolution, count=1)
    with pytest.raises(UsageError, match=message):
        export_pdebench(tmp_path / "data", tmp_path / "flat")
    assert not (tmp_path / "flat").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x-coordinate": None, "y-coordinate": None}, "lacks x-coordinate"),
        ({"tensor": None}, r"no array \(N, t, x, y\)"),
        ({"nu": None}, "nothing to predict it from"),
        ({"x-coordinate": np.arange(8) ** 2.0}, "axis 0 are not evenly spaced"),
        ({"y-coordinate": np.arange(7.0)}, r"axis 1 has coordinates of shape \(7,\), expected \(8,\)"),
        ({"tensor": np.full((5, 1, 8, 8), np.nan)}, "'u' of sample 0 is not finite"),
        ({"tensor": np.zeros((5, 3, 8, 8))}, "3 frames, but 2 times"),
        ({"nu": np.zeros((4, 8, 8))}, r"'a' has shape \(4, 8, 8\), expected \(5, 8, 8\)"),
        ({"tensor": np.zeros((5, 1, 8, 8), dtype=complex)}, "tensor is complex128"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_damaged_file_gives_one_line(changes, message, tmp_path):
    darcy_flow(tmp_path / "bad.hdf5", **changes)
    with pytest.raises(DataError, match=message) as error:
        import_files([tmp_path / "bad.hdf5"], tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_truncated_file_gives_one_line(tmp_path):
    path = tmp_path / "bad.hdf5"
    darcy_flow(path)
    path.write_bytes(path.read_bytes()[:-800])
    with pytest.raises(DataError, match=r"bad.hdf5 is truncated, damaged or incomplete") as error:
        import_files([path], tmp_path / "out")
    assert "\n" not in str(error.value)
