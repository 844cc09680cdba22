"""Samples on meshes, on curvilinear grids and in time come back from their files bit for bit."""

import h5py
import meshio
import numpy as np
import pytest
import torch

from pdeflow import seeds
from pdeflow.data import MeshDataset, PDEDataset, check, describe, export_vtu
from pdeflow.data.datamodule import PDEDataModule
from pdeflow.data.reading import read_shard
from pdeflow.errors import DataError, UsageError
from pdeflow.generation.samples import solve_sample, solvers_of
from pdeflow.problems import Burgers, Heat, PipeFlow, PolygonHeat, SlottedPlate, SpongeHelmholtz, StarPoisson
from tests.data.writing import write


@pytest.mark.parametrize(
    "problem", [StarPoisson(), PolygonHeat(modes=4), SlottedPlate()], ids=lambda p: type(p).__name__
)
def test_samples_on_meshes_come_back_bit_for_bit(problem, tmp_path):
    recipe = write(tmp_path, problem, problem.resolution)
    assert check(tmp_path) == []
    data = MeshDataset(tmp_path, "train", dtype=torch.float64)
    assert len(data) == 3
    for i in range(3):
        sample, found = solve_sample(problem, recipe, solvers_of(problem, recipe, "direct"), i), data[i]
        mesh = data.mesh(i)
        assert mesh.fingerprint == sample.layout.fingerprint  # points, cells and every named facet
        np.testing.assert_array_equal(found["u"][:, 0], sample.outputs["u"])
        for channel, name in enumerate(problem.inputs):
            np.testing.assert_array_equal(found["a"][:, channel], sample.inputs[name])
        assert {name: float(values[i]) for name, values in data.scalars.items()} == sample.scalars
    shared = describe(tmp_path)["mesh"]["shared"]
    assert shared == isinstance(problem, SlottedPlate)


def test_batches_of_meshes_are_padded_and_masked(tmp_path):
    write(tmp_path, PolygonHeat(modes=4), 0.25)
    module = PDEDataModule(str(tmp_path), batch_size=2)
    module.setup("fit")
    sizes = []
    for batch in module.train_dataloader():
        assert batch["x"].shape[:2] == batch["mask"].shape == batch["u"].shape[:2]
        assert bool((batch["u"][~batch["mask"]] == 0).all())
        for row, index in enumerate(batch["index"].tolist()):
            inside = batch["mask"][row]
            torch.testing.assert_close(
                batch["u"][row][inside], module._split("train")[index]["u"], atol=0, rtol=0
            )
            sizes.append(int(inside.sum()))
    assert len(sizes) == 3
    assert len(set(sizes)) > 1
    with pytest.raises(UsageError, match="samples on meshes"):
        module.training_fields()


def test_the_two_readers_refuse_each_others_data_with_the_right_name(tmp_path):
    write(tmp_path / "mesh", SlottedPlate(), 0.1)
    write(tmp_path / "grid", SpongeHelmholtz(wave_number=6.0, modes=4), (24, 24))
    with pytest.raises(UsageError, match="MeshDataset"):
        PDEDataset(tmp_path / "mesh")
    with pytest.raises(UsageError, match="PDEDataset"):
        MeshDataset(tmp_path / "grid")


def test_a_complex_solution_is_stored_as_two_fields_that_solve_the_system(tmp_path):
    problem = SpongeHelmholtz(wave_number=6.0, modes=4)
    write(tmp_path, problem, (24, 24))
    data = PDEDataset(tmp_path, "test", dtype=torch.float64)
    first = data.info["splits"]["test"]["first_id"]
    instance = problem.sample(seeds.generator(3, seeds.INPUTS, first))
    system = problem.system(instance, data.grid)
    u = torch.complex(*data[0]["u"]).reshape(-1).numpy()
    assert np.linalg.norm(system.b - system.A @ u) <= 1e-8 * np.linalg.norm(system.b)


def test_frames_are_channels_in_the_order_of_the_times(tmp_path):
    problem = Burgers(frames=4, final_time=0.1, modes=8)
    recipe = write(tmp_path, problem, (32,))
    data = PDEDataset(tmp_path, "train", dtype=torch.float64)
    assert data.times == problem.times == pytest.approx((0.0, 0.1 / 3, 0.2 / 3, 0.1))
    sample = solve_sample(problem, recipe, solvers_of(problem, recipe, "direct"), 1)
    np.testing.assert_array_equal(data[1]["u"], sample.outputs["u"])
    np.testing.assert_array_equal(data[1]["u"][0], data[1]["a"][0])
    assert describe(tmp_path)["fields"]["u"]["shape"] == (5, 4, 32)


def test_the_points_of_a_curvilinear_grid_are_its_first_inputs(tmp_path):
    problem = PipeFlow()
    recipe = write(tmp_path, problem, (24, 6), count=2)
    shard = read_shard(tmp_path / "data" / "train" / f"{recipe.name}-00000.hdf5")
    sample = solve_sample(problem, recipe, solvers_of(problem, recipe, "direct"), 1)
    assert shard.mapped
    x = np.stack([shard.inputs["x"][1], shard.inputs["y"][1]], axis=-1)
    np.testing.assert_array_equal(x, sample.layout.coordinates())
    assert list(shard.inputs) == ["x", "y"]


def damage_points(file):
    file["mesh/points"][0] = np.nan


def damage_values(file):
    file["fields/u"][5] = np.inf


def drop_offsets(file):
    del file["mesh_offsets/cells"]


def turn_a_cell(file):
    file["mesh/cells"][3] = file["mesh/cells"][3][::-1]


def change_the_type(file):
    values, attributes = file["fields/u"][()], dict(file["fields/u"].attrs)
    del file["fields/u"]
    file["fields/u"] = values.astype(complex)
    file["fields/u"].attrs.update(attributes)


@pytest.mark.parametrize("harm", [damage_points, damage_values, drop_offsets, turn_a_cell, change_the_type])
def test_a_damaged_mesh_shard_gives_one_line_with_its_name(harm, tmp_path):
    recipe = write(tmp_path, SlottedPlate(), 0.1)
    path = tmp_path / "data" / "train" / f"{recipe.name}-00000.hdf5"
    with h5py.File(path, "r+") as file:
        harm(file)
    lines = check(tmp_path)
    assert lines
    assert all("\n" not in line for line in lines)
    assert path.name in lines[0]
    with pytest.raises(DataError, match=path.name):
        MeshDataset(tmp_path)


def test_files_for_paraview_hold_the_fields_at_their_places(tmp_path):
    star, rubber = StarPoisson(), PipeFlow()
    flow = Heat(frames=2, modes=4)
    wave = SpongeHelmholtz(wave_number=6.0, modes=4)
    for problem, resolution in ((star, 0.2), (rubber, (24, 6)), (flow, (8, 8)), (wave, (24, 24))):
        name = type(problem).__name__.lower()
        recipe = write(tmp_path / name, problem, resolution, count=1)
        files = export_vtu(tmp_path / name, tmp_path / "vtu", "train")
        sample = solve_sample(problem, recipe, solvers_of(problem, recipe, "direct"), 0)
        instance = problem.sample(seeds.generator(3, seeds.INPUTS, 0))
        found = meshio.read(files[-1])
        x = torch.from_numpy(found.points[:, :2].copy())
        if name == "starpoisson":
            np.testing.assert_array_equal(found.point_data["u"], sample.outputs["u"])
            assert len(sample.scalars) == 2 * problem.modes
            for scalar, value in sample.scalars.items():
                np.testing.assert_array_equal(found.point_data[scalar], np.full(len(x), value))
        elif name == "pipeflow":
            np.testing.assert_array_equal(found.point_data["x"], found.points[:, 0])
        elif name == "heat":  # two frames; the periodic grid is closed
            assert len(files) == 2
            np.testing.assert_allclose(found.point_data["u0"], instance.fields["u0"].at(x), atol=1e-13)
        else:
            centres = x[torch.from_numpy(found.cells_dict["quad"])].mean(1)
            np.testing.assert_allclose(
                found.cell_data_dict["k"]["quad"], instance.fields["k"].at(centres), rtol=1e-12
            )
    with pytest.raises(UsageError, match="exists"):
        export_vtu(tmp_path / "heat", tmp_path / "vtu", "train")
    unnamed = export_vtu(tmp_path / "heat", tmp_path / "unnamed")  # two splits: the test one
    assert unnamed[0].name == "heat_test_00000_0000.vtu"
