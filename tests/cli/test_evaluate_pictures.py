"""What `evaluate` and `solve` draw: the middle slice of fields in space, all inputs by name, and obstacles in grey."""

import csv
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn

from pdeflow import seeds
from pdeflow.cli.evaluate import draw
from pdeflow.cli.main import main
from pdeflow.data import PDEDataset
from pdeflow.data.manifest import build_manifest
from pdeflow.generation import Recipe
from pdeflow.generation.chains import write_chain
from pdeflow.geometry import Grid
from pdeflow.problems import Burgers, PlumePressure, Poisson
from pdeflow.report import fields as drawing
from pdeflow.report import line_predictions
from pdeflow.report.cut import middle_slice, where_cut
from pdeflow.run_folder import Trained
from pdeflow.tasks.accuracy import accuracy

from .conftest import inside


class Half(nn.Module):
    """A network whose prediction is half the source."""

    def forward(self, a):
        return 0.5 * a[:, -1:]


def drawn(problem, shape, folder):
    """Write a dataset, evaluate the network on it, and return the figures by name with data and prediction."""
    recipe = Recipe.of(problem, "small", {"test": 2}, shape, seed=1, method="direct", rtol=1e-8, chain_length=2)
    for chain in recipe.chains():
        write_chain(folder, recipe, chain, "direct", lambda iterations: None)
    build_manifest(folder, {"rtol": recipe.rtol, "solver": "x", "seconds": 1.0, "versions": {}})
    dataset = PDEDataset(folder, "test")
    a, u = dataset.tensors()
    trained = Trained(Half(), {"grid": list(shape)}, problem, folder)
    prediction, figures = trained.predict(a), {}
    exact = PDEDataset(folder, "test", dtype=torch.float64).tensors()
    with mock.patch.object(drawing, "save_figure", side_effect=lambda figure, path: figures.setdefault(path.stem, figure)):
        draw(folder, trained, dataset, a, u, prediction, accuracy(problem, dataset.grid, *exact, prediction))
    return figures, dataset, prediction


def images(figure):
    return [axes.get_images()[0].get_array() for axes in figure.axes if axes.get_images()]


@pytest.fixture(scope="module")
def plume(tmp_path_factory):
    problem = PlumePressure(dim=3, centre=(0.5, 0.5, 0.5), radius=0.2)
    return drawn(problem, (8, 8, 8), tmp_path_factory.mktemp("plume"))


@pytest.mark.parametrize("location", ["cell", "node"])
def test_the_title_names_the_plane_whose_values_are_shown(location):
    grid = Grid((4, 3, 6), ((0.0, 1.0), (0.0, 1.0), (-1.0, 2.0)), (False,) * 3, location)
    x2 = middle_slice(grid.coordinates()[..., 2].numpy(), grid)
    assert x2.shape == (4, 3)
    assert where_cut(grid) == f"cut at x2 = {x2[0, 0]:.3g}"
    plane = Grid.unit((4, 3))
    assert where_cut(plane) == ""
    assert middle_slice(x2, plane) is x2


def test_predictions_in_space_are_drawn_on_their_middle_slice_which_the_title_names(plume):
    figures, dataset, prediction = plume
    assert set(figures) == {"predictions", "error_estimate"}
    for figure in figures.values():
        assert figure.get_suptitle() == "cut at x2 = 0.562, grey: obstacles"
    solid = dataset.tensors()[0][:, 0, :, :, 4].numpy() == 0
    shown = [image for image in images(figures["predictions"]) if np.ma.is_masked(image)]
    assert solid.any()
    for image in shown:
        assert any(np.array_equal(np.ma.getmaskarray(image), each.T) for each in solid)
    expected = [np.where(cells, np.nan, p).T for p, cells in zip(prediction[:, 0, :, :, 4].numpy(), solid, strict=True)]
    assert any(np.allclose(image.filled(np.nan), each, equal_nan=True) for image in shown for each in expected)


def test_predictions_in_the_plane_have_no_title_and_no_mask_without_obstacles(tmp_path):
    figures, _, _ = drawn(Poisson(), (8, 8), tmp_path)
    assert figures["predictions"].get_suptitle() == ""
    assert not any(np.ma.is_masked(image) for image in images(figures["predictions"]))


def test_every_input_is_drawn_under_its_name(plume):
    figures, dataset, _ = plume
    titles = [axes.get_title() for axes in figures["predictions"].axes if axes.get_images()][:5]
    assert titles == ["input mask", "input f", "target p", "prediction p", "prediction − target"]
    a = dataset.tensors()[0][..., 4].numpy()
    mask, f = images(figures["predictions"])[:2]
    assert any(np.array_equal(mask, each.T) for each in a[:, 0])
    assert any(np.array_equal(f.compressed(), each.T[~np.ma.getmaskarray(f)].astype(float)) for each in a[:, 1])


def test_the_numbers_beside_the_picture_of_a_solution_leave_out_obstacles(tmp_path):
    with inside(tmp_path):
        assert main(["solve", "--problem", "pdeflow.problems.PlumePressure", "--grid", "16,16", "--run", "run", "-q"]) == 0
    problem = PlumePressure()
    instance = problem.sample(seeds.generator(0, seeds.SOLVE, 0))
    fluid = instance.fields["mask"].on(problem.grid((16, 16))).numpy() == 1
    p = np.load(tmp_path / "run" / "solve" / "x.npy").reshape(16, 16)[fluid]
    row = next(row for row in csv.DictReader((tmp_path / "run" / "figures" / "solution.csv").open()) if row["field"] == "p")
    assert [float(row[name]) for name in ("min", "mean", "max")] == pytest.approx([p.min(), p.mean(), p.max()], rel=1e-8)
    assert 0 < fluid.mean() < 1


def test_an_evolution_on_an_interval_is_drawn_as_lines_of_its_last_frame(tmp_path):
    recipe = Recipe.of(Burgers(), "small", {"test": 2}, (32,), seed=1, method="direct", rtol=1e-8, chain_length=2)
    for chain in recipe.chains():
        write_chain(tmp_path, recipe, chain, "direct", lambda iterations: None)
    build_manifest(tmp_path, {"rtol": recipe.rtol, "solver": "x", "seconds": 1.0, "versions": {}})
    dataset = PDEDataset(tmp_path, "test")
    a, u = dataset.tensors()
    figures, prediction = {}, 0.5 * u  # of sample 1 the last frame is worse than the others
    prediction[1, -1] = -u[1, -1]
    with mock.patch.object(line_predictions, "save_figure", side_effect=lambda figure, path: figures.setdefault(path.stem, figure)):
        draw(tmp_path, None, dataset, a, u, prediction, {"rel_l2": np.array([0.5, 0.6])})
    figure, last = figures["predictions"], u[:, -1].numpy()
    assert figure.get_suptitle() == (
        f"the first relative error is that of all {u.shape[1]} frames, the second that of the frame shown"
    )
    when, own = f"t = {dataset.times[-1]:.3g}", ("50", "50", "200")
    for row, sample in enumerate((0, 0, 1)):  # the best, the median and the worst
        left, middle, right = (axes.get_lines() for axes in figure.axes[3 * row : 3 * row + 3])
        assert np.array_equal(left[0].get_ydata(), a[sample, 0])
        assert np.array_equal(middle[0].get_ydata(), last[sample])
        assert np.array_equal(middle[1].get_ydata(), prediction[sample, -1])
        assert np.allclose(right[0].get_ydata(), prediction[sample, -1] - last[sample])
        label = f"relative L2 error {(50, 50, 60)[row]} %,\nat {when}: {own[row]} %\n"
        assert label in figure.axes[3 * row].get_ylabel()
    rows = list(csv.DictReader((tmp_path / "predictions.csv").open()))
    assert [float(row[f"relative_l2_error at {when}"]) for row in rows] == pytest.approx([0.5, 0.5, 2.0])
    assert figure.axes[1].get_title() == f"u at {when}: target and prediction"


def test_lines_that_do_not_fit_together_are_refused(tmp_path):
    x, w = np.linspace(0, 1, 5), np.zeros((2, 5))
    with pytest.raises(ValueError, match=r"expected shape \(2, 5\) of samples and points, found \{'f': \(2, 4\)\}"):
        line_predictions.plot_line_predictions(tmp_path / "p.png", x, {"f": w[:, :4]}, w, w, np.zeros(2))
    assert not list(tmp_path.iterdir())
