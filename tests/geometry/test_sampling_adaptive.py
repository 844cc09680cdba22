"""Residual-based sampling: the published distribution, unbiased weights, rounds that can be resumed."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pdeflow.errors import UsageError
from pdeflow.geometry.domain import Box
from pdeflow.geometry.domain.ball import Ball
from pdeflow.geometry.sampling import R3, RAD, Sampler, SpaceTime, interior_points

DISK = Ball((0.0, 0.0), 1.0)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def peak(x):
    """A residual that is large near (0.5, 0)."""
    return torch.exp(-20 * ((x[:, 0] - 0.5).square() + x[:, 1].square()))


def draw(generator, method="random"):
    return lambda count: interior_points(DISK, count, method, generator=generator)


@given(st.lists(st.floats(0, 100), min_size=2, max_size=20), st.floats(0.5, 2), st.floats(0.1, 2))
def test_probabilities_are_those_of_the_published_formula(sizes, k, c):
    size = torch.tensor(sizes, dtype=torch.float64)
    p = RAD(k, c).probability(size)
    assert float(p.sum()) == pytest.approx(1.0)
    power = size**k
    if float(power.mean()) > 0:
        expected = power / power.mean() + c
        torch.testing.assert_close(p, expected / expected.sum())
    else:
        torch.testing.assert_close(p, torch.full_like(p, 1 / len(sizes)))


@pytest.mark.parametrize("rad", [RAD(), RAD(k=2.0, c=0.5), RAD(k=0.5, c=2.0)], ids=str)
def test_weighted_sums_over_adaptive_points_are_unbiased(rad):
    generator = seeded()
    means = []
    for _ in range(400):
        points = rad(draw(generator), 50, peak, None, generator)
        means.append(float((points.w * (1 + points.x[:, 0]).square()).sum()))
    means = torch.tensor(means, dtype=torch.float64)
    exact = torch.pi * 1.25  # ∫ 1 + x² over the disk
    assert abs(float(means.mean()) - exact) < 4 * float(means.std()) / 20


def test_adaptive_points_gather_where_the_residual_is_large_and_reduce_the_error_of_its_square():
    generator = seeded()
    adaptive = [RAD()(draw(generator), 200, peak, None, generator) for _ in range(40)]
    uniform = [interior_points(DISK, 200, "random", generator=generator) for _ in range(40)]
    near = [torch.tensor([float(peak(p.x).mean()) for p in sets]).mean() for sets in (adaptive, uniform)]
    assert near[0] > 2 * near[1]
    spread = [
        torch.tensor([float((p.w * peak(p.x) ** 2).sum()) for p in sets]).std()
        for sets in (adaptive, uniform)
    ]
    assert spread[0] < spread[1]


def test_r3_retains_what_exceeds_the_mean_and_draws_the_rest_anew():
    generator = seeded()
    previous = draw(generator)(100)
    points = R3()(draw(generator), 100, peak, previous, generator)
    size = peak(previous.x)
    kept = previous.x[size > size.mean()]
    assert torch.equal(points.x[: len(kept)], kept)
    assert len(points) == 100
    assert not bool((points.x[len(kept) :, None] == previous.x[None]).all(dim=2).any())


def test_rounds_change_on_time_and_do_not_depend_on_what_came_before():
    sampler = Sampler(DISK, {"interior": 32, "boundary": 8}, resample_every=10, seed=5)
    first, same, second = (sampler(step)["interior"].x for step in (0, 9, 10))
    assert torch.equal(first, same)
    assert not torch.equal(first, second)
    resumed = Sampler(DISK, {"interior": 32, "boundary": 8}, resample_every=10, seed=5)(14)
    assert torch.equal(resumed["interior"].x, second)
    assert len(resumed["boundary"]) == 8
    fixed = Sampler(DISK, {"interior": 4}, resample_every=0)
    assert torch.equal(fixed(0)["interior"].x, fixed(10**6)["interior"].x)


@pytest.mark.parametrize("adaptive", [RAD(), R3()], ids=lambda a: type(a).__name__)
def test_an_adaptive_sampler_moves_interior_points_only(adaptive):
    domain = SpaceTime(Box.unit(2), 0.0, 1.0)
    counts = {"interior": 256, "boundary": 64, "initial": 32}
    sampler = Sampler(domain, counts, resample_every=1, adaptive=adaptive)

    def residual(x):  # large at late times; two components
        return torch.stack([x[:, 2] ** 4, torch.zeros(len(x)).double()], dim=1)

    uniform = sampler(0)
    for step in range(1, 4):
        sets = sampler(step, residual)
    assert {name: len(points) for name, points in sets.items()} == counts
    assert float(sets["interior"].t.mean()) > float(uniform["interior"].t.mean()) + 0.1
    assert float(sets["boundary"].t.mean()) == pytest.approx(0.5, abs=0.02)
    with pytest.raises(UsageError, match="round 9 of an adaptive sampler needs the residual"):
        sampler(9)


def test_wrong_samplers_are_refused():
    with pytest.raises(UsageError, match="counts must name interior, boundary, got initial"):
        Sampler(DISK, {"initial": 4})
    with pytest.raises(UsageError, match="k >= 0"):
        RAD(k=-1.0)
    with pytest.raises(UsageError, match="8 finite values"):
        RAD(pool=8)(draw(seeded()), 1, lambda x: torch.full((len(x),), torch.nan), None, seeded())
