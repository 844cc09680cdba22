"""The pictures of a dataset show what is in it, whatever it lives on, and no label leaves the figure."""

import csv
from unittest import mock

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from pdeflow.data.dataset import read_split
from pdeflow.data.manifest import build_manifest
from pdeflow.generation import Recipe
from pdeflow.generation.chains import write_chain
from pdeflow.geometry import Ball, Box, Mesh, mesh_domain
from pdeflow.problems import Burgers, Darcy, Heat, PipeFlow, PolygonHeat, SlottedPlate, SpongeHelmholtz
from pdeflow.report import plot_mesh, plot_mesh_samples, solves
from pdeflow.report.dataset_pictures import plot_dataset
from pdeflow.report.solves import plot_race, plot_solves

CASES = {
    "grid": (Darcy(modes=8), (12, 12)),
    "complex": (SpongeHelmholtz(wave_number=5.0, modes=4), (16, 16)),
    "frames": (Heat(frames=3, modes=4), (8, 8)),
    "line": (Burgers(frames=3, final_time=0.05, modes=4), (32,)),
    "mapped": (PipeFlow(), (24, 6)),
    "meshes": (PolygonHeat(modes=4), 0.25),
    "one mesh": (SlottedPlate(), 0.1),
}


def complete(picture):
    """Whether nothing touches the edge of a picture: its outermost pixels are white."""
    image = imread(picture)[..., :3]
    edge = [image[0], image[-1], image[:, 0], image[:, -1]]
    return all(float(side.min()) > 0.99 for side in edge) and float(image.std()) > 0.01


def written(root, problem, resolution):
    grid, h = (resolution, None) if isinstance(resolution, tuple) else (None, resolution)
    recipe = Recipe.of(problem, "any", {"train": 2}, grid, h=h, seed=1, method="direct", rtol=problem.rtol, chain_length=2)
    for chain in recipe.chains():
        write_chain(root, recipe, chain, "direct", lambda iterations: None)
    race = {"seconds_per_sample": {"good": 1e-3}, "slower": {"slow": 5e-3}}
    build_manifest(root, {"rtol": recipe.rtol, "solver": "x", "seconds": 1.0, "versions": {}, "race": race})


@pytest.mark.parametrize("name", CASES)
def test_every_layout_is_drawn_and_its_numbers_are_the_data(name, tmp_path):
    written(tmp_path, *CASES[name])
    pictures = plot_dataset(tmp_path, tmp_path / "figures")
    assert {path.name for path in pictures} == {"samples.png", "data_histograms.png", "solves.png", "race.png"}
    assert all(complete(path) for path in pictures)
    _, (shard,) = read_split(tmp_path, "train")
    rows = list(csv.DictReader((tmp_path / "figures" / "samples.csv").open()))
    assert rows
    for row in rows:
        field = shard.fields[row["field"]] if name not in ("meshes", "one mesh") else None
        parts = {**shard.inputs, **shard.outputs}[row["field"]]
        values = np.asarray(parts[int(row["sample"])]) if field is None else field[int(row["sample"])]
        if "time" in row:
            values = values[int(np.argmin(np.abs(np.array(shard.times) - float(row["time"]))))]
        assert float(row["min"]) == pytest.approx(values.min(), rel=1e-9, abs=1e-12)
        assert float(row["max"]) == pytest.approx(values.max(), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("stretch", [(3.0, 1.0), (1.0, 3.0), (1000.0, 1000.0), (1e-4, 1e-4), (40.0, 1.0)])
def test_no_label_of_a_mesh_picture_is_cut_off(stretch, tmp_path):
    mesh = Mesh.rectangle((6, 6), (0.0, 0.0), stretch, "tri")
    assert complete(plot_mesh(tmp_path / "mesh.png", mesh.points, mesh.cells, "tri"))
    samples = [(mesh, 1e-7 * mesh.points[:, 0]), (mesh, 3e-7 * mesh.points[:, 1])]
    assert complete(plot_mesh_samples(tmp_path / "samples.png", samples))


def test_a_mesh_and_its_arrays_give_the_same_picture(tmp_path):
    mesh = mesh_domain(Box.unit(2) - Ball((0.5, 0.5), 0.2), 0.2)
    u = mesh.points[:, 0]
    one = plot_mesh_samples(tmp_path / "one.png", [(mesh, u)])
    two = plot_mesh_samples(tmp_path / "two.png", [(mesh.points, mesh.cells, mesh.cell_type, u)])
    assert one.read_bytes() == two.read_bytes()


def test_the_race_shows_the_winner_first_and_the_others_by_their_times(tmp_path):
    path = plot_race(tmp_path / "race.png", {"b": 2e-3, "a": 1e-3}, {"d": 3e-3, "c": 15e-4, "e": 9e-4})
    rows = list(csv.DictReader(path.with_suffix(".csv").open()))
    assert [row["solver"] for row in rows] == ["a", "e", "c", "b", "d"]
    assert [row["ran to the end"] for row in rows] == ["yes", "no", "no", "yes", "no"]
    assert complete(path)
    with pytest.raises(ValueError, match="at least one solver"):
        plot_race(tmp_path / "none.png", {})


def test_the_iterations_by_place_are_means_over_the_chains(tmp_path):
    places, iterations = np.array([0, 1, 0, 1]), np.array([10, 4, 20, 8])
    path = plot_solves(tmp_path / "solves.png", np.full(4, 1e-9), iterations, places, rtol=1e-8)
    rows = list(csv.DictReader(path.with_suffix(".csv").open()))
    assert [float(row["mean iterations"]) for row in rows] == [15.0, 6.0]
    assert complete(path)
    with pytest.raises(ValueError, match="at least one sample"):
        plot_solves(tmp_path / "none.png", torch.zeros(0).numpy(), iterations[:0], places[:0])


@pytest.mark.parametrize(("rtol", "drawn"), [(1e-8, False), (3e-13, True)])
def test_residuals_fill_their_picture_and_a_tolerance_far_above_is_named_beside_them(rtol, drawn, tmp_path):
    residuals, figures = np.geomspace(1e-14, 4e-14, 20), []
    with mock.patch.object(solves, "save_figure", side_effect=lambda figure, path: figures.append(figure)):
        plot_solves(tmp_path / "s.png", residuals, np.ones(20, int), np.arange(20), rtol=rtol)
    (axes,) = figures[0].axes
    low, high = axes.get_xlim()
    assert low < residuals[0] < residuals[-1] < high
    assert np.log10(residuals[-1] / residuals[0]) > 0.15 * np.log10(high / low)
    assert bool(axes.lines) == drawn
    assert bool(axes.texts) == (not drawn)
