import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdeflow.report.canvas import (
    line_style,
    new_figure,
    save_figure,
    save_numbers,
    scale_ticks,
    show_field,
)
from pdeflow.report.colours import limits, symmetric_limits

numbers = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20).map(np.array)


@given(numbers, numbers)
def test_limits_enclose_every_value_of_every_field(first, second):
    low, high = limits(first, second)
    assert low < high
    assert low <= min(first.min(), second.min())
    assert max(first.max(), second.max()) <= high


@given(numbers)
def test_symmetric_limits_are_centred_and_enclose_the_field(field):
    low, high = symmetric_limits(field)
    assert low == -high < 0
    assert np.abs(field).max() <= high


def test_limits_ignore_what_is_not_finite():
    assert limits(np.array([np.nan, 1.0, np.inf, 3.0])) == (1.0, 3.0)
    assert limits(np.array([np.nan])) == (0.0, 1.0)


def test_first_axis_of_a_field_is_drawn_to_the_right_and_the_second_upwards():
    field = np.arange(6.0).reshape(3, 2)  # value 4 at (x, y) = (2, 0)
    axes = new_figure(3, 3).subplots()
    image = show_field(axes, field, limits(field))
    assert image.origin == "lower"
    np.testing.assert_array_equal(image.get_array()[0], field[:, 0])
    assert axes.get_aspect() == 1


@given(st.floats(1e-12, 1e12), st.booleans())
def test_scaled_ticks_and_factor_multiply_to_the_value(value, negative):
    axis = new_figure(2, 2).subplots().yaxis
    value = -value if negative else value
    factor = scale_ticks(axis, min(value, 0.0), max(value, 0.0))
    if factor:
        power = int(factor.removeprefix("× 10").translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")))
        shown = float(axis.get_major_formatter()(value, 0).replace("−", "-"))
        assert shown * 10.0**power == pytest.approx(value, rel=1e-5)
        assert 0.999 <= abs(shown) <= 10
    else:
        assert abs(value) * 1.001 >= 1e-2
        assert abs(value) < 1e4 * 1.001


def test_28_lines_look_different():
    looks = {(s["color"], s["linestyle"]) for s in map(line_style, range(28))}
    assert len(looks) == 28


def test_numbers_survive_the_csv_and_nothing_else_is_left_in_the_folder(tmp_path):
    values = [(i, float(v)) for i, v in enumerate(np.random.default_rng(0).standard_normal(5))]
    path = save_numbers(tmp_path / "deep" / "picture.png", ("i", "value"), values)
    with open(path, newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0] == ["i", "value"]
    np.testing.assert_allclose([float(r[1]) for r in lines[1:]], [v for _, v in values], rtol=1e-9)
    figure = new_figure(2, 2)
    figure.subplots().plot([0, 1])
    save_figure(figure, path.with_suffix(".png"))
    assert sorted(p.name for p in path.parent.iterdir()) == ["picture.csv", "picture.png"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = save_numbers(tmp_path / "p.csv", ("a",), [(1,)])

    def rows():
        yield (2,)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        save_numbers(path, ("a",), rows())
    assert path.read_text() == "a\n1\n"
