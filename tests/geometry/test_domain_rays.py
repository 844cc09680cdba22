import math

import pytest
import torch

from pdeflow.geometry.domain import Ball, Box, HalfSpace, StarShaped
from tests.geometry.domain_cases import BOUNDED, EXACT, around

bounded = pytest.mark.parametrize("domain", BOUNDED.values(), ids=BOUNDED)


def rays(domain, count, seed=0):
    v = torch.randn(count, domain.dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return around(domain, count, seed), v / v.norm(dim=1, keepdim=True)


@bounded
def test_hits_lie_on_the_boundary_and_nothing_lies_before_them(domain):
    x, v = rays(
        domain, 30 if isinstance(domain, StarShaped) else 150
    )  # rays that graze a curve take many steps
    found = domain.intersect(x, 3.0 * v)
    assert torch.equal(found.mask, found.t.isfinite())
    torch.testing.assert_close(
        found.point[found.mask], (x + found.t[:, None] * v)[found.mask], atol=1e-12, rtol=0
    )
    assert float(domain.sdf(found.point)[found.mask].abs().max()) < 1e-9
    assert bool((found.tag[found.mask] >= 0).all())
    assert bool((found.tag[~found.mask] == -1).all())
    start, end = domain.sdf(x) > 0, torch.where(found.mask, found.t, domain.diameter)
    for share in torch.linspace(0.02, 0.98, 15).tolist():
        phi = domain.sdf(x + (share * end)[:, None] * v)
        assert bool((((phi > 0) == start) | (phi.abs() < 1e-5)).all())


@bounded
def test_every_ray_from_inside_leaves_through_the_outward_side(domain):
    x = domain.sample_interior(200, generator=torch.Generator().manual_seed(0))
    found = domain.intersect(x, rays(domain, 200)[1])
    assert bool(found.mask.all())
    outward = (found.normal * rays(domain, 200)[1]).sum(dim=1)
    assert bool((outward > -1e-6).all())


@bounded
def test_a_ray_shorter_than_the_distance_meets_nothing(domain):
    x = domain.sample_interior(100, generator=torch.Generator().manual_seed(0))
    v, tmax = rays(domain, 100)[1], 0.02 * domain.diameter
    far = domain.distance(x) > tmax
    found = domain.intersect(x[far], v[far], tmax)
    assert not bool(found.mask.any())
    torch.testing.assert_close(found.point, x[far] + tmax * v[far])


@pytest.mark.parametrize("name", ["box2", "disk", "polygon", "box3"])
def test_a_ray_that_starts_on_the_boundary_does_not_hit_its_start(name):
    domain = EXACT[name]
    x = domain.sample_boundary(200, generator=torch.Generator().manual_seed(0))
    normal = domain.project(x).normal
    found = domain.intersect(x, -normal)
    assert bool(found.mask.all())
    assert float(found.t.min()) > 1e-3
    assert (
        domain.intersect(x, normal).mask.double().mean() < 0.3
    )  # only into the L's notch or across its hole


def test_lengths_agree_with_geometry_at_school():
    origin, right = torch.zeros(1, 2).double(), torch.tensor([2.0, 0.0])
    assert float(Ball((3.0, 0.0), 1.0).intersect(origin, right).t) == pytest.approx(2.0, abs=1e-14)
    assert float(Box((1.0, -1.0), (2.0, 1.0)).intersect(origin, right).t) == pytest.approx(1.0, abs=1e-14)
    assert float(HalfSpace((4.0, 0.0), (1.0, 1.0)).intersect(origin, right).t) == pytest.approx(
        4.0, abs=1e-14
    )
    assert float(HalfSpace((-4.0, 0.0), (1.0, 1.0)).intersect(origin, right).t) == math.inf
    gap = Ball((3.0, 0.0), 1.0) - Ball((2.0, 0.0), 0.5)
    assert float(gap.intersect(origin, right).t) == pytest.approx(2.5, abs=1e-12)
