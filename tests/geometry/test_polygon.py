import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.geometry.domain import Polygon
from pdeflow.geometry.domain.crossing import crosses
from pdeflow.geometry.segments import closest_on_segment, nearest_by_brute_force
from tests.geometry.domain_cases import around, gradient, square_with_hole, star_loop


def brute_force(polygon, x):
    point, _ = closest_on_segment(x, polygon.table[:, nearest_by_brute_force(x, polygon.table)])
    inside = crosses(x[:, None], polygon.table[:, None]).sum(dim=1) % 2 == 1
    return torch.where(inside, -1.0, 1.0) * (x - point).norm(dim=1)


def random_star(seed, sides, spiky):
    generator = torch.Generator().manual_seed(seed)
    step = torch.rand(sides, generator=generator, dtype=torch.float64) + 0.3
    theta = step.cumsum(0) / step.sum() * 2 * math.pi
    r = 1 - spiky * torch.rand(sides, generator=generator, dtype=torch.float64)
    return torch.stack([r * theta.cos(), r * theta.sin()], dim=1)


@pytest.mark.parametrize("polygon", [square_with_hole(), Polygon(star_loop()), Polygon(star_loop(1000, 0.9))])
def test_signed_distance_equals_brute_force(polygon):
    x = around(polygon, 3000, margin=0.5)
    error = (polygon.sdf(x) - brute_force(polygon, x)).abs().max()
    assert float(error) <= 1e-14 * polygon.diameter


@settings(max_examples=30)
@given(st.integers(0, 1000), st.integers(5, 60), st.sampled_from([0.2, 0.9, 0.999]))
def test_signed_distance_equals_brute_force_for_any_star(seed, sides, spiky):
    polygon = Polygon(random_star(seed, sides, spiky))
    x = around(polygon, 300, seed)
    torch.testing.assert_close(polygon.sdf(x), brute_force(polygon, x), atol=1e-14, rtol=0)
    assert torch.equal(polygon.side(x) < 0, brute_force(polygon, x) < 0)


def test_signs_and_distances_equal_shapely():
    shapely = pytest.importorskip("shapely")
    ours = square_with_hole()
    theirs = shapely.Polygon(ours.vertices.numpy(), [hole.numpy() for hole in ours.holes])
    x = around(ours, 5000)
    points = shapely.points(x.numpy())
    assert torch.equal(ours.inside(x), torch.from_numpy(shapely.covers(theirs, points)))
    distance = torch.from_numpy(shapely.distance(points, theirs.boundary))
    torch.testing.assert_close(ours.distance(x), distance, atol=1e-14 * ours.diameter, rtol=0)
    assert ours.measure() == pytest.approx(theirs.area, rel=1e-14)
    assert ours.boundary_measure() == pytest.approx(theirs.length, rel=1e-14)


def test_area_and_length_of_a_regular_polygon_are_exact():
    theta = torch.arange(1000, dtype=torch.float64) * (2 * math.pi / 1000)
    polygon = Polygon(torch.stack([5 + theta.cos(), theta.sin()], dim=1))
    assert polygon.measure() == pytest.approx(500 * math.sin(2 * math.pi / 1000), rel=1e-12)
    assert polygon.boundary_measure() == pytest.approx(2000 * math.sin(math.pi / 1000), rel=1e-12)


def test_orientation_of_the_input_does_not_matter():
    given_ = square_with_hole()
    turned = Polygon(given_.vertices.flip(0), tuple(hole.flip(0) for hole in given_.holes))
    x = around(given_, 500)
    assert torch.equal(turned.sdf(x), given_.sdf(x))
    torch.testing.assert_close(turned.project(x).normal, given_.project(x).normal, atol=1e-13, rtol=0)


def test_tags_follow_their_edges_when_a_loop_is_turned_round():
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    straight = Polygon(corners, edge_tags={"floor": [0], "lid": [2]})
    turned = Polygon(corners.flip(0), edge_tags={"floor": [2], "lid": [0]})  # (0,1) (1,1) (1,0) (0,0)
    for polygon in (straight, turned):
        assert polygon.tags == ("floor", "lid", "outer")
        floor = polygon.closest(torch.tensor([[0.25, 0.9]]), "floor")
        torch.testing.assert_close(floor.point, torch.tensor([[0.25, 0.0]]).double())
        torch.testing.assert_close(floor.normal, torch.tensor([[0.0, -1.0]]).double())
        assert polygon.boundary_measure("outer") == pytest.approx(2.0)
        assert polygon.rotate(0.3).boundary_measure("lid") == pytest.approx(1.0)


def test_closest_points_on_a_part_equal_brute_force():
    polygon = Polygon(star_loop(200), edge_tags={"left": range(50, 150)})
    x = around(polygon, 1000)
    for tag, ids in (
        ("left", torch.arange(50, 150)),
        ("outer", torch.tensor([*range(50), *range(150, 200)])),
    ):
        table = polygon.table[:, ids]
        point, _ = closest_on_segment(x, table[:, nearest_by_brute_force(x, table)])
        torch.testing.assert_close(
            polygon.closest(x, [tag]).distance, (x - point).norm(dim=1), atol=1e-14, rtol=0
        )
        assert bool((torch.isin(polygon.closest(x, tag).facet, ids)).all())


def test_points_on_vertices_edges_and_their_extensions_have_the_right_sign():
    polygon = square_with_hole()
    outside = torch.tensor([[1.5, 1.5], [-1.0, 0.0], [3.0, 1.0], [0.5, 0.5], [-1.0, 2.0], [3.0, 2.0]])
    inside = torch.tensor([[0.1, 0.25], [0.9, 0.75], [0.5, 1.0], [1.5, 0.25], [0.8, 0.25]])
    assert bool((polygon.sdf(outside) > 0).all())
    assert bool((polygon.sdf(inside) < 0).all())
    edge = polygon.sample_boundary(500, generator=torch.Generator().manual_seed(0))
    assert float(polygon.sdf(torch.cat([edge, *polygon.loops])).abs().max()) < 1e-15


def test_the_distance_to_an_edge_is_linear_and_to_a_vertex_is_that_of_a_point():
    polygon = square_with_hole()
    x = torch.tensor([[1.5, 0.4], [3.0, 3.0]], dtype=torch.float64)
    torch.testing.assert_close(gradient(polygon.sdf, x)[0], torch.tensor([0.0, -1.0]).double())
    y = x.clone().requires_grad_()
    slope = torch.autograd.grad(polygon.sdf(y).sum(), y, create_graph=True)[0]
    curvature = torch.autograd.grad(slope[:, 0].sum(), y)[0][:, 0]
    r = math.hypot(1, 2)
    torch.testing.assert_close(curvature, torch.tensor([0.0, 1 / r - 1 / r**3]).double())


def test_lower_bound_is_between_zero_and_the_distance_at_1e5_points():
    polygon = Polygon(star_loop())
    x = around(polygon, 100_000)
    bound = polygon.distance_lower_bound(x)
    assert bool((bound >= 0).all())
    assert bool((bound <= polygon.distance(x)).all())
