import csv
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdeflow.report import fields as module
from pdeflow.report import (
    plot_error_estimate_fields,
    plot_histograms,
    plot_predictions,
    plot_samples,
    plot_solution,
    ranked_samples,
)


def read(path):
    with open(path.with_suffix(".csv"), newline="") as file:
        return list(csv.DictReader(file))


def drawn(call):
    """Images of a figure, row by row, as saved by one plotting call."""
    with mock.patch.object(module, "save_figure", side_effect=lambda figure, path: figure):
        figure = call()
    return [axes.get_images()[0] for axes in figure.axes if axes.get_images()]


@given(st.lists(st.floats(0, 10) | st.just(float("nan")), min_size=1, max_size=30))
def test_ranks_are_ordered_and_what_is_not_finite_counts_as_worst(errors):
    ranks = ranked_samples(np.array(errors))
    key = np.where(np.isfinite(errors), errors, np.inf)
    assert key[ranks["best"]] == key.min()
    assert key[ranks["worst"]] == key.max()
    assert np.sum(key < key[ranks["median"]]) <= len(errors) / 2 <= np.sum(key <= key[ranks["median"]]) + 0.5


def test_target_and_prediction_share_their_colour_limits_and_errors_are_centred(fields, tmp_path):
    a, u, guess = fields
    images = drawn(lambda: plot_predictions(tmp_path / "p.png", a, u, guess, np.arange(6.0)))
    for _, target, prediction, error in (images[i : i + 4] for i in (0, 4, 8)):
        assert target.get_clim() == prediction.get_clim()
        both = np.concatenate([target.get_array(), prediction.get_array()])
        assert target.get_clim() == (both.min(), both.max())
        assert target.get_cmap().name == "viridis"
        assert error.get_clim()[0] == -error.get_clim()[1]
        assert error.get_cmap().name == "RdBu_r"
        difference = prediction.get_array() - target.get_array()
        np.testing.assert_allclose(error.get_array(), difference, atol=1e-12)


def test_predictions_show_best_median_and_worst_by_rank(fields, tmp_path):
    a, u, guess = fields
    errors = np.array([0.3, 0.1, 0.9, 0.2, 0.5, 0.4])
    rows = read(plot_predictions(tmp_path / "p.png", a, u, guess, errors))
    assert [(r["rank"], int(r["sample"])) for r in rows] == [("best", 1), ("median", 0), ("worst", 2)]
    assert [float(r["relative_l2_error"]) for r in rows] == [0.1, 0.3, 0.9]


def test_true_and_estimated_error_share_one_centred_scale(fields, tmp_path):
    _, u, guess = fields
    error = guess[0] - u[0]
    left, right = drawn(lambda: plot_error_estimate_fields(tmp_path / "e.png", error, 0.9 * error, 0.9))
    assert left.get_clim() == right.get_clim()
    assert left.get_clim()[1] == np.abs(error).max()


def test_samples_of_a_row_share_one_scale_and_the_csv_holds_their_ranges(fields, tmp_path):
    a, u, _ = fields
    images = drawn(lambda: plot_samples(tmp_path / "s.png", a, u))
    assert (
        len({image.get_clim() for image in images[:4]})
        == len({image.get_clim() for image in images[4:]})
        == 1
    )
    rows = read(plot_samples(tmp_path / "s.png", a, u))
    for line in rows:
        values = {"a": a, "u": u}[line["field"]][int(line["sample"])]
        found = [float(line[k]) for k in ("min", "mean", "max")]
        np.testing.assert_allclose(found, [values.min(), values.mean(), values.max()], rtol=1e-9)


def test_histogram_counts_add_up_to_the_finite_values(fields, tmp_path):
    values = {"a": fields[0], "holes": np.array([1.0, np.nan, 2.0, np.inf])}
    rows = read(plot_histograms(tmp_path / "h.png", values, bins=7))
    for name, total in (("a", fields[0].size), ("holes", 2)):
        assert sum(int(r["count"]) for r in rows if r["quantity"] == name) == total


def test_pictures_of_fields_are_not_blank(figures, is_blank):
    for name in ("samples", "data_histograms", "predictions", "error_estimate", "solution"):
        assert not is_blank(figures / f"{name}.png"), name


@pytest.mark.parametrize(
    "call",
    [
        lambda p, a: plot_samples(p, a[0], a),
        lambda p, a: plot_samples(p, a, a[:2]),
        lambda p, a: plot_predictions(p, a, a, a[:, :4], np.ones(6)),
        lambda p, a: plot_error_estimate_fields(p, a[0], a[0, :4], 1.0),
        lambda p, a: plot_solution(p, a, a[0]),
        lambda p, a: plot_histograms(p, {}),
    ],
)
def test_shapes_that_do_not_fit_are_refused_before_anything_is_written(call, fields, tmp_path):
    with pytest.raises(ValueError, match=r"expected|do not fit"):
        call(tmp_path / "x.png", fields[0])
    assert not list(tmp_path.iterdir())


def test_of_many_inputs_the_first_four_are_drawn_and_the_title_says_so(fields, tmp_path):
    a, u, guess = fields
    inputs = {f"a{k}": (k + 1) * a for k in range(6)}
    with mock.patch.object(module, "save_figure", side_effect=lambda figure, path: figure):
        figure = plot_predictions(tmp_path / "p.png", inputs, u, guess, np.arange(6.0), title="t")
    panels = [axes for axes in figure.axes if axes.get_images()][:7]
    assert [axes.get_title() for axes in panels[:5]] == ["input a0", "input a1", "input a2", "input a3", "target"]
    for k, axes in enumerate(panels[:4]):
        np.testing.assert_allclose(axes.get_images()[0].get_array(), (k + 1) * a[0].T)
    assert figure.get_suptitle() == "t, 4 of 6 inputs"


def test_beside_the_error_that_ranks_a_row_stands_that_of_the_part_which_is_drawn_unless_it_has_none(fields, tmp_path):
    a, u, guess = fields
    own, path = np.array([0.5, 1.25, np.nan, 2.0, 2.0, 2.0]), tmp_path / "p.png"
    errors = np.array([0.3, 0.1, 0.9, 0.2, 0.5, 0.4])
    with mock.patch.object(module, "save_figure", side_effect=lambda figure, path: figure):
        figure = plot_predictions(path, a, u, guess, errors, shown=("t = 1", own))
    labels = [axes.get_ylabel() for axes in figure.axes if "sample" in axes.get_ylabel()]
    assert labels == [
        "best (sample 1)\nrelative L2 error 10 %,\nat t = 1: 125 %",
        "median (sample 0)\nrelative L2 error 30 %,\nat t = 1: 50 %",
        "worst (sample 2)\nrelative L2 error 90 %",
    ]
    np.testing.assert_array_equal([float(row["relative_l2_error at t = 1"]) for row in read(path)], own[[1, 0, 2]])
