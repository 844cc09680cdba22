"""Charts and what they do to a region."""

import math

import pytest
import torch
from gradient_cases import unit_cell

from pdeflow.errors import UsageError
from pdeflow.geometry.chart import affine_chart, chart_diagnostics, harmonic_chart, index_chart
from pdeflow.geometry.gradient import gradient
from pdeflow.geometry.grid import Grid
from pdeflow.geometry.mapped_grid import MappedGrid
from pdeflow.geometry.mesh import Mesh
from pdeflow.geometry.o_grid import o_grid


@pytest.mark.parametrize("cell", ["tri", "quad"])
def test_the_harmonic_chart_of_a_rectangle_is_its_affine_chart(cell):
    mesh = Mesh.rectangle((6, 5), (1.0, -1.0), (4.0, 1.0), cell)
    chart = harmonic_chart(mesh, [("x0-", "x0+"), ("x1-", "x1+")])
    torch.testing.assert_close(chart, affine_chart(mesh.points), atol=1e-12, rtol=0)
    torch.testing.assert_close(
        affine_chart(mesh.points, [(1.0, 4.0), (-1.0, 1.0)]), affine_chart(mesh.points)
    )
    figures = chart_diagnostics(chart, gradient(mesh), mesh.node_weights())
    assert figures.fold_fraction == 0
    assert figures.min_singular_value == pytest.approx(2 / 3)
    assert figures.min_determinant == pytest.approx(2 / 3)


def test_the_radial_harmonic_chart_of_a_ring_is_a_logarithm():
    grid = o_grid(0.1, (64, 33), outer_radius=0.4, center=(0.0, 0.0))
    mesh = grid.to_mesh("quad")
    radius = mesh.points.norm(dim=1)
    expected = 2 * torch.log(radius / 0.1) / math.log(4.0) - 1
    torch.testing.assert_close(harmonic_chart(mesh, [("inner", "outer")])[:, 0], expected, atol=2e-3, rtol=0)


def test_index_charts_span_the_square_and_leave_out_the_end_of_a_ring():
    chart = index_chart(Grid((5, 4), ((0.0, 1.0), (0.0, 9.0)), (False, True), "node"))
    assert chart[:, 0, 0].tolist() == [-1, -0.5, 0, 0.5, 1]
    assert chart[0, :, 1].tolist() == [-1, -0.5, 0, 0.5]
    mapped = MappedGrid(Grid.unit((5, 5), location="node").coordinates())
    torch.testing.assert_close(index_chart(mapped), affine_chart(mapped.coordinates()))


def test_an_even_chart_uses_both_directions_and_a_line_only_one():
    mesh = Mesh.rectangle((12, 12))
    chart, operator = affine_chart(mesh.points), gradient(mesh)
    even = chart_diagnostics(chart, operator, mesh.node_weights())
    assert even.participation_ratio == pytest.approx(2.0, abs=1e-3)
    line = chart_diagnostics(chart[:, :1] * torch.tensor([1.0, 2.0]).double(), operator)
    assert line.participation_ratio == pytest.approx(1.0, abs=1e-12)
    assert line.min_singular_value == pytest.approx(0.0, abs=1e-12)
    single = chart_diagnostics(chart[:, :1], operator)
    assert math.isnan(single.fold_fraction)
    assert single.shares == (1.0,)


def test_the_fold_fraction_is_the_area_of_the_minority_orientation():
    mesh = unit_cell(40)
    operator = gradient(mesh)
    x, y = affine_chart(mesh.points).unbind(dim=1)
    folded = chart_diagnostics(torch.stack([(x - 0.6) ** 2, y], dim=1), operator, mesh.node_weights())
    beyond = (
        mesh.node_weights()[x > 0.6].sum() / mesh.node_weights().sum()
    )  # where the first coordinate turns back
    assert folded.fold_fraction == pytest.approx(float(beyond), abs=0.02)
    straight = chart_diagnostics(torch.stack([x, y + 0.1 * x], dim=1), operator, mesh.node_weights())
    assert straight.fold_fraction == 0


def test_charts_that_make_no_sense_are_refused():
    mesh = Mesh.rectangle((4, 4))
    with pytest.raises(UsageError, match="'x0-' and 'x1-' of a chart must be apart"):
        harmonic_chart(mesh, [("x0-", "x1-")])
    with pytest.raises(UsageError, match="unknown tag"):
        harmonic_chart(mesh, [("x0-", "lid")])
    with pytest.raises(UsageError, match="constant"):
        chart_diagnostics(torch.ones(25, 2), gradient(mesh))
    with pytest.raises(UsageError, match=r"got \(7, 2\)"):
        chart_diagnostics(torch.ones(7, 2), gradient(mesh))
    with pytest.raises(UsageError, match="lower < upper"):
        affine_chart(torch.zeros(3, 2))
