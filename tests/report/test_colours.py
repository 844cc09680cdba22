"""Colour scales: what is piecewise constant keeps its values, positive decades get a logarithm, and axes round numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import AsinhNorm, LogNorm, Normalize

from pdeflow.geometry import Mesh
from pdeflow.report.canvas import add_colour_bar, new_figure, number, show_field
from pdeflow.report.colours import PhaseScale, input_scale, limits
from pdeflow.report.mesh_panels import round_ticks, show_mesh_field


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=5, unique=True))
def test_every_phase_has_a_colour_of_its_own(values):
    phases = np.sort(values)
    if np.diff(phases).min() < 1e-9 * np.abs(phases).max():
        return
    scale = input_scale(np.resize(phases, 200))
    assert isinstance(scale, PhaseScale)
    assert len(set(scale(phases).tolist())) == len(phases)


def test_a_positive_field_over_decades_is_coloured_by_its_logarithm_and_a_pulse_is_not():
    x = np.linspace(0, 1, 100)
    assert isinstance(input_scale(10 ** (4 * x)), LogNorm)
    for field in (1 + x, 10 ** (1.5 * x), np.exp(-400 * x**2), x - 0.5, np.full(100, np.nan)):
        assert type(input_scale(field)) is Normalize
        assert (input_scale(field).vmin, input_scale(field).vmax) == limits(field)


def test_rare_extremes_of_both_signs_leave_colours_for_the_rest():
    field = np.sin(np.linspace(0, 20, 1000))
    field[:3], field[-3:] = 60.0, -40.0
    scale = input_scale(field)
    assert isinstance(scale, AsinhNorm)
    assert (scale.vmin, scale.vmax) == (-40.0, 60.0)
    assert float(scale(1.0) - scale(-1.0)) > 5 * 2 / 100  # of a linear scale's share


@pytest.mark.parametrize("value", [0.0, -2.5])
def test_a_constant_field_is_one_phase_with_its_value_at_the_bar(value):
    axes, field = new_figure(2, 2).subplots(), np.full((3, 3), value)
    add_colour_bar(axes, show_field(axes, field, input_scale(field), bar=False), "c")
    assert [label.get_text() for label in axes.child_axes[0].get_yticklabels()] == [number(value)]
    assert np.isfinite(input_scale(field)(field)).all()


def test_masked_cells_do_not_count_as_a_phase():
    field = np.ma.masked_equal(np.resize([0.0, 3.0, 12.0], 90), 0.0)
    assert input_scale(field).values.tolist() == [3.0, 12.0]


def test_two_phases_on_triangles_are_drawn_without_values_between_them_and_each_has_its_share_of_the_area():
    mesh = Mesh.rectangle((6, 6), (0.0, 0.0), (1.0, 1.0), "tri")
    a = np.where(mesh.points[:, 0].numpy() < 0.4, 3.0, 12.0)
    image = show_mesh_field(new_figure(2, 2).subplots(), mesh.points, mesh.cells, "tri", a, input_scale(a), bar=False)
    assert set(image.get_array().tolist()) == {3.0, 12.0}
    area = 0.0
    for path, value in zip(image.get_paths(), image.get_array(), strict=True):
        x, y = path.vertices[:4].T
        area += (value == 3.0) * 0.5 * abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))
    assert area == pytest.approx(2.5 / 6)  # the columns of points at 0, 1/6 and 2/6, half a cell around each


def test_the_colour_bar_of_phases_names_their_values_with_one_kind_of_minus():
    axes = new_figure(2, 2).subplots()
    field = np.resize([-3.5, 12.0], (4, 5))
    image = show_field(axes, field, input_scale(field), bar=False)
    add_colour_bar(axes, image, "a")
    (bar,) = (child for child in axes.child_axes)
    assert [label.get_text() for label in bar.get_yticklabels()] == ["−3.5", "12"]
    assert number(-1.25e-3) == "−0.00125"


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_ticks_lie_in_the_picture_and_those_between_its_ends_are_short(low, size):
    ticks = round_ticks(low, low + size)
    assert 2 <= len(ticks) <= 5
    assert all(low <= tick <= low + size for tick in ticks)


def test_a_box_is_marked_at_its_ends_and_a_polygon_at_round_numbers():
    assert round_ticks(0.0, 1.0) == [0.0, 1.0]
    assert round_ticks(-0.9754, 0.935) == [-0.5, 0.0, 0.5]
