"""Obstacles are grey in pictures of fields, and their values neither stretch the colours nor enter the numbers."""

import csv

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from pdeflow.data.dataset import read_split
from pdeflow.data.manifest import build_manifest
from pdeflow.generation import Recipe
from pdeflow.generation.chains import write_chain
from pdeflow.problems import Darcy, PlumePressure
from pdeflow.report.canvas import MASK_COLOUR, new_figure, show_field
from pdeflow.report.colours import limits, symmetric_limits
from pdeflow.report.dataset_pictures import plot_dataset
from pdeflow.report.obstacles import mask_solids, solid_cells


@pytest.fixture(scope="module")
def plume(tmp_path_factory):
    """Folder of a dataset with one ball, 12 x 12, and its only shard."""
    root = tmp_path_factory.mktemp("plume")
    recipe = Recipe.of(PlumePressure(radius=0.2), "plume", {"train": 2}, (12, 12), seed=1, method="direct", rtol=1e-8, chain_length=2)
    for chain in recipe.chains():
        write_chain(root, recipe, chain, "direct", lambda iterations: None)
    build_manifest(root, {"rtol": recipe.rtol, "solver": "x", "seconds": 1.0, "versions": {}})
    return root, read_split(root, "train")[1][0]


def test_the_solid_cells_of_stored_samples_are_those_outside_the_fluid(plume):
    _, shard = plume
    solid = solid_cells(PlumePressure(radius=0.2), shard.grid, shard.inputs, shard.scalars)
    assert np.array_equal(solid, shard.inputs["mask"] == 0)
    assert 0 < solid.mean() < 1


def test_nothing_is_masked_without_obstacles_or_without_a_problem(plume):
    _, shard = plume
    a = np.ones((2, 12, 12))
    assert solid_cells(Darcy(), Darcy().grid((12, 12)), {"a": a}, {}) is None
    assert solid_cells(None, shard.grid, shard.inputs, {}) is None
    assert solid_cells(PlumePressure(), shard.grid, {"f": shard.inputs["f"]}, {}) is None  # the mask was not stored
    assert mask_solids(a, None) is a


def test_the_field_that_says_where_obstacles_are_is_not_masked_but_all_others_are(plume):
    _, shard = plume
    solid = shard.inputs["mask"] == 0
    assert not np.ma.is_masked(mask_solids(shard.inputs["mask"], solid))
    for name in ("f", "p"):
        assert np.array_equal(np.ma.getmaskarray(mask_solids(shard.fields[name], solid)), solid)


def test_masked_values_do_not_stretch_the_colour_limits():
    field = np.ma.masked_array([[1.0, 3.0], [99.0, -2.0]], [[0, 0], [1, 0]])
    assert limits(field) == (-2.0, 3.0)
    assert symmetric_limits(field) == (-3.0, 3.0)


def test_masked_cells_are_grey_and_those_that_are_not_finite_stay_blank():
    field = np.ma.masked_array([[1.0, np.nan], [0.0, 2.0]], [[0, 0], [1, 0]])
    axes = new_figure(2, 2).subplots()
    show_field(axes, field, limits(field), bar=False)
    values, grey = axes.get_images()
    assert np.array_equal(np.ma.getmaskarray(values.get_array()), [[False, True], [True, False]])  # transposed, y upwards
    assert np.array_equal(np.ma.getmaskarray(grey.get_array()), [[True, False], [True, True]])
    assert grey.to_rgba(grey.get_array())[0, 1, :3] == pytest.approx(to_rgb(MASK_COLOUR))


def test_the_numbers_beside_a_picture_of_a_dataset_are_those_of_the_fluid(plume, tmp_path):
    root, shard = plume
    plot_dataset(root, tmp_path)
    rows = list(csv.DictReader((tmp_path / "samples.csv").open()))
    assert {row["field"] for row in rows} == {"mask", "f", "p"}
    for row in rows:
        i, fluid = int(row["sample"]), shard.inputs["mask"] == 1
        values = shard.fields[row["field"]][i]
        values = values if row["field"] == "mask" else values[fluid[i]]
        for name in ("min", "mean", "max"):
            assert float(row[name]) == pytest.approx(getattr(values, name)(), rel=1e-9, abs=1e-12)


def test_the_histograms_count_the_cells_of_the_fluid(plume, tmp_path):
    root, shard = plume
    plot_dataset(root, tmp_path)
    counts: dict[str, int] = {}
    for row in csv.DictReader((tmp_path / "data_histograms.csv").open()):
        counts[row["quantity"].split()[1]] = counts.get(row["quantity"].split()[1], 0) + int(row["count"])
    fluid = int((shard.inputs["mask"] == 1).sum())
    assert counts == {"mask": shard.inputs["mask"].size, "f": fluid, "p": fluid}
