import math

import pytest
import torch
from scipy import stats

from pdeflow.errors import UsageError
from pdeflow.geometry.domain import Ball, Box, SdfDomain
from tests.geometry.domain_cases import BOUNDED, COMBINED, EXACT, LEVEL_SET, square_with_hole

bounded = pytest.mark.parametrize("domain", BOUNDED.values(), ids=BOUNDED)
methods = pytest.mark.parametrize("method", ["random", "sobol"])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@bounded
@methods
def test_interior_samples_stay_inside_and_equal_states_give_equal_points(domain, method):
    x = domain.sample_interior(700, method, generator=seeded())
    assert x.shape == (700, domain.dim)
    assert x.dtype == torch.float64
    assert bool(domain.inside(x, tol=1e-12).all())
    assert torch.equal(x, domain.sample_interior(700, method, generator=seeded()))


@bounded
@methods
def test_boundary_samples_lie_on_the_boundary(domain, method):
    x = domain.sample_boundary(300, method=method, generator=seeded())
    assert x.shape == (300, domain.dim)
    assert float(domain.sdf(x).abs().max()) < 1e-12 * domain.diameter


@methods
@pytest.mark.parametrize(("dim", "inner"), [(2, 0.0), (5, 0.0), (2, 0.4), (3, 0.5)])
def test_radii_in_balls_and_shells_are_uniform_by_volume(dim, inner, method):
    name = {(2, 0.0): "disk", (5, 0.0): "ball5", (2, 0.4): "annulus", (3, 0.5): "shell"}[dim, inner]
    domain = EXACT[name]
    outer = getattr(domain, "radius", None) or domain.outer
    y = domain.sample_interior(4096, method, generator=seeded(3)) - torch.tensor(
        domain.centre, dtype=torch.float64
    )
    volume = (y.norm(dim=1) ** dim - inner**dim) / (outer**dim - inner**dim)
    assert stats.kstest(volume.numpy(), "uniform").pvalue > 1e-3
    assert float(y.mean(dim=0).abs().max()) < 4 * outer / math.sqrt(4096)


def test_counts_in_parts_of_a_polygon_follow_their_areas():
    domain = square_with_hole()
    x = domain.sample_interior(20_000, generator=seeded(1))
    right, top = x[:, 0] > 1, x[:, 1] > 1
    counts = [int((~right & ~top).sum()), int(right.sum()), int(top.sum())]
    expected = [20_000 * part / 2.75 for part in (0.75, 1.0, 1.0)]
    assert stats.chisquare(counts, expected).pvalue > 1e-3
    assert domain.measure() == pytest.approx(2.75, rel=1e-14)


def test_counts_on_sides_follow_their_lengths():
    box = Box((0.0, 0.0, 0.0), (1.0, 2.0, 3.0))
    for domain in (box, box.rotate(torch.eye(3, dtype=torch.float64)[[1, 2, 0]])):
        tags = domain.project(domain.sample_boundary(20_000, generator=seeded(2))).tag
        counts = torch.bincount(tags, minlength=6).tolist()
        areas = [domain.boundary_measure(tag) for tag in domain.tags]
        assert stats.chisquare(counts, [20_000 * area / 22 for area in areas]).pvalue > 1e-3


def test_boundary_samples_of_a_polygon_are_uniform_by_length():
    domain = square_with_hole()
    x = domain.sample_boundary(20_000, generator=seeded(4))
    counts = torch.bincount(domain.project(x).facet, minlength=10).tolist()
    lengths = domain.table[2:4].norm(dim=0)
    assert stats.chisquare(counts, (20_000 * lengths / lengths.sum()).tolist()).pvalue > 1e-3
    hole = domain.sample_boundary(500, "hole0", generator=seeded(4))
    assert float((hole - 0.5).abs().amax(dim=1).sub(0.25).abs().max()) < 1e-15


def test_boundary_samples_of_a_star_are_uniform_by_length():
    domain = EXACT["star"]
    fine = domain.curve(torch.linspace(0, 2 * math.pi, 200_001, dtype=torch.float64)[:-1])
    arc = (fine.roll(-1, 0) - fine).norm(dim=1).cumsum(0)
    x = domain.sample_boundary(5000, generator=seeded(5)) - torch.tensor(domain.centre, dtype=torch.float64)
    angle = torch.atan2(x[:, 1], x[:, 0]) % (2 * math.pi)
    position = arc[(angle / (2 * math.pi) * 200_000).long().clamp(max=199_999)] / arc[-1]
    assert stats.kstest(position.numpy(), "uniform").pvalue > 1e-3


def test_boundary_samples_of_a_level_set_are_uniform_by_length():
    ring = SdfDomain(lambda x: (x**2).sum(dim=1) - 1, ((-1, 1), (-1, 1)))
    x = ring.sample_boundary(5000, generator=seeded(6))
    angle = torch.atan2(x[:, 1], x[:, 0]) / (2 * math.pi) + 0.5
    assert stats.kstest(angle.numpy(), "uniform").pvalue > 1e-3
    assert ring.boundary_measure() == pytest.approx(2 * math.pi, rel=1e-2)
    assert LEVEL_SET.measure() == pytest.approx(math.pi / 2, rel=1e-3)


def test_the_two_arcs_of_a_lens_get_equal_shares():
    x = COMBINED["lens"].sample_boundary(4000, generator=seeded(7))
    assert int((x[:, 0] > 0).sum()) == pytest.approx(2000, abs=4 * math.sqrt(1000))


def test_sobol_points_integrate_better_than_random_ones():
    domain, errors = Ball((0.0, 0.0), 1.0), {"random": [], "sobol": []}
    for method, seed in [(m, s) for m in errors for s in range(10)]:
        x = domain.sample_interior(4096, method, generator=seeded(seed))
        errors[method].append(float((x[:, 0] ** 2).mean()) - 0.25)
    random, sobol = (torch.tensor(errors[m]).square().mean().sqrt() for m in ("random", "sobol"))
    assert sobol < random / 3


def test_wrong_sampling_gives_one_clear_line():
    with pytest.raises(UsageError, match="'random' or 'sobol', got 'halton'"):
        Box.unit(2).sample_interior(3, "halton", generator=seeded())
    empty = SdfDomain(lambda x: 1 + 0 * x[:, 0], ((0, 1), (0, 1)))
    with pytest.raises(UsageError, match="very thin"):
        empty.sample_interior(3, generator=seeded())
