import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.geometry.candidates import CandidateGrid
from pdeflow.geometry.segments import closest_on_segment, nearest_by_brute_force, segment_table
from tests.geometry.domain_cases import star_loop


def distance(x, table, segment):
    return (x - closest_on_segment(x, table[:, segment])[0]).norm(dim=1)


def points(count, width, seed=0):
    return (
        2 * torch.rand(count, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1
    ) * width


@pytest.mark.parametrize("jagged", [1.0, 0.97])
@pytest.mark.parametrize("width", [1.4, 3.0, 500.0])
def test_candidate_grid_equals_brute_force_inside_and_outside_the_grid(jagged, width):
    table = segment_table(star_loop(1000, jagged), star_loop(1000, jagged).roll(-1, 0))
    x = points(4000, width)
    fast, slow = CandidateGrid.build(table).nearest(x), nearest_by_brute_force(x, table)
    assert float((distance(x, table, fast) - distance(x, table, slow)).abs().max()) <= 1e-14


def test_candidate_grid_equals_shapely_on_a_star_of_1000_segments():
    shapely = pytest.importorskip("shapely")
    loop = star_loop(1000)
    table = segment_table(loop, loop.roll(-1, 0))
    x = points(20_000, 1.5)
    ours = distance(x, table, CandidateGrid.build(table).nearest(x)).numpy()
    theirs = shapely.distance(shapely.points(x.numpy()), shapely.LinearRing(loop.numpy()))
    assert np.abs(ours - theirs).max() <= 1e-14 * 2 * 1.35


@settings(max_examples=40)
@given(
    st.lists(st.tuples(*[st.floats(-1, 1)] * 4), min_size=1, max_size=20),
    st.sampled_from([0.01, 1.0, 40.0]),
    st.floats(-1e4, 1e4),
)
def test_candidate_grid_equals_brute_force_for_any_segments(segments, width, shift):
    ends = torch.tensor(segments, dtype=torch.float64) + shift
    ends = ends[(ends[:, :2] - ends[:, 2:]).norm(dim=1) > 1e-6]
    if len(ends) == 0:
        return
    table = segment_table(ends[:, :2], ends[:, 2:])
    x = points(500, width) + shift
    grid = CandidateGrid.build(table, cells=16)
    gap = distance(x, table, grid.nearest(x)) - distance(x, table, nearest_by_brute_force(x, table))
    assert float(gap.abs().max()) <= 1e-14 * (2.0 + abs(shift))
    bound = grid.lower_bound(x)
    assert bool((bound >= 0).all())
    assert bool((bound <= distance(x, table, nearest_by_brute_force(x, table))).all())


def test_lower_bound_is_between_zero_and_the_distance_at_1e5_points():
    loop = star_loop(1000)
    table = segment_table(loop, loop.roll(-1, 0))
    grid = CandidateGrid.build(table)
    x = points(100_000, 3.0)
    bound, exact = grid.lower_bound(x), distance(x, table, grid.nearest(x))
    assert bool((bound >= 0).all())
    assert bool((bound <= exact).all())
    assert float((exact - bound).max()) < 2.0  # outside the grid the box of the star is used
    inner = x.abs().amax(dim=1) < 1.3
    assert float((exact - bound)[inner].max()) < 1.1 * float(grid.width.norm())  # 2 × half-diagonal


def test_lists_are_refined_until_they_are_short():
    for sides in (100, 1000, 2000):
        loop = star_loop(sides)
        grid = CandidateGrid.build(segment_table(loop, loop.roll(-1, 0)), mean=16.0)
        assert grid.mean_length <= 16
        assert max(grid.shape) >= 64


def test_lists_stay_within_memory_when_they_cannot_shrink():
    angle = torch.arange(500, dtype=torch.float64) * (2 * math.pi / 500)
    spokes = torch.stack([angle.cos(), angle.sin()], dim=1)
    grid = CandidateGrid.build(
        segment_table(0.0 * spokes, spokes), mean=0.5, most=128
    )  # all share the centre
    assert max(grid.shape) <= 128
    x = points(1000, 1.0)
    gap = distance(x, grid.table, grid.nearest(x)) - distance(
        x, grid.table, nearest_by_brute_force(x, grid.table)
    )
    assert float(gap.abs().max()) <= 1e-14


def test_a_single_segment_and_an_axis_parallel_one_have_a_grid():
    table = segment_table(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
    x = torch.tensor([[0.5, 0.25], [2.0, 0.0], [-3.0, 4.0]], dtype=torch.float64)
    grid = CandidateGrid.build(table)
    torch.testing.assert_close(distance(x, table, grid.nearest(x)), torch.tensor([0.25, 1.0, 5.0]).double())
    assert len(grid.nearest(x[:0])) == 0


def test_points_that_are_not_numbers_stay_so_and_spoil_no_others():
    loop = star_loop(100)
    table = segment_table(loop, loop.roll(-1, 0))
    grid, x = CandidateGrid.build(table), torch.tensor([[float("nan"), 0.0], [0.0, 0.0]], dtype=torch.float64)
    found = distance(x, table, grid.nearest(x))
    assert found.isnan().tolist() == [True, False]
    assert grid.lower_bound(x).isnan().tolist() == [True, False]
