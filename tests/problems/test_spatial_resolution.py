"""A grid that does not hold the modes of an evolution is refused: shares of energy are exact, and only coarse grids lose much."""

import math
from dataclasses import replace

import pytest
import torch

from pdeflow import seeds
from pdeflow.errors import UsageError
from pdeflow.problems import Burgers, Function, Heat, Instance, NavierStokes
from pdeflow.problems.instance import StoredField
from pdeflow.problems.spatial_resolution import gained_share, lost_share


def waves(*sizes):
    """A field with one cosine wave of each (mode, size)."""
    return Function(lambda x: sum(size * torch.cos(2 * math.pi * mode * x[..., 0]) for mode, size in sizes))


def draw(problem, number=0):
    return problem.sample(seeds.generator(0, seeds.INPUTS, number))


@pytest.mark.parametrize(("nodes", "share"), [(7, 0.1), (8, 0.1), (10, 0.0), (16, 0.0)])
def test_the_lost_share_is_the_energy_beyond_the_last_mode(nodes, share):
    start = waves((1, 3.0), (5, 1.0))  # energies 9 and 1
    assert lost_share(start, Burgers().grid((nodes,))) == pytest.approx(share, abs=1e-12)


def test_the_gained_share_is_what_comes_to_the_outer_modes_after_the_start():
    grid = Burgers().grid((36,))  # kept: below 12, outer: above 8
    x = grid.coordinates()
    frames = torch.stack([waves((1, 3.0), (9, size)).at(x) for size in (0.5, 1.0, 0.25)])
    assert gained_share(frames, grid) == pytest.approx((1 - 0.25) / 10)
    assert gained_share(frames[[1, 0]], grid) == 0.0
    assert gained_share(0 * frames, grid) == 0.0


def test_a_field_that_has_decayed_to_its_mean_gains_nothing_by_rounding():
    grid = Heat().grid((16, 16))
    still = 1 + 1e-16 * torch.randn(2, 16, 16, dtype=torch.float64)
    assert gained_share(still, grid) < 1e-20


def test_a_grid_too_coarse_for_the_start_is_refused_with_one_that_does():
    problem = replace(Burgers(), frames=2, final_time=0.1)
    messages = []
    for number in range(3):
        try:
            problem.compute(draw(problem, number), problem.grid((7,)), None)
        except UsageError as error:
            messages.append(str(error))
    assert messages
    assert "Burgers on a grid of 7: " in messages[0]
    assert "modes that the grid does not have (at most 1%); take grid: [" in messages[0]
    nodes = int(messages[0].split("take grid: [")[1].split("]")[0])
    assert problem.compute(draw(problem), problem.grid((nodes,)), None).residual < 1e-8


def test_fronts_thinner_than_the_grid_are_refused_and_the_finer_grid_holds_them():
    problem = replace(Burgers(viscosity=1e-3, alpha=2.5, tau=7.0, scale=49.0), frames=3)
    with pytest.raises(UsageError, match=r"come to the outer third of the modes .*take grid: \[") as caught:
        problem.compute(draw(problem), problem.grid((32,)), None)
    nodes = int(str(caught.value).split("take grid: [")[1].split("]")[0])
    assert problem.compute(draw(problem), problem.grid((nodes,)), None).residual < 1e-8


@pytest.mark.parametrize(
    ("problem", "shape"),
    [(Burgers(), (128,)), (Burgers(), (32,)), (Heat(), (32, 32)), (Heat(modes=4), (8, 8)), (NavierStokes(), (64, 64))],
)
def test_the_grids_of_the_datasets_lose_little_of_any_start(problem, shape):
    grid = problem.grid(shape)
    assert max(lost_share(draw(problem, k).fields[problem.inputs[0]], grid) for k in range(20)) < 4e-3


def test_a_stored_start_is_known_on_its_grid_only_and_is_marched():
    problem = replace(Burgers(), frames=2, final_time=0.1)
    grid = problem.grid((16,))
    values = draw(problem).fields["u0"].on(grid)
    assert problem.compute(Instance({"u0": StoredField(values, grid)}), grid, None).fields["u"].shape == (2, 16)
