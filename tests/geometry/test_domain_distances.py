import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.errors import UsageError
from pdeflow.geometry.domain import Ball, Box, HalfSpace, SdfDomain, StarShaped
from tests.geometry.domain_cases import BOUNDED, COMBINED, EXACT, around, gradient

exact = pytest.mark.parametrize("domain", EXACT.values(), ids=EXACT)
bounded = pytest.mark.parametrize("domain", BOUNDED.values(), ids=BOUNDED)


@bounded
def test_signed_distance_is_negative_inside_only(domain):
    x = around(domain, 4000)
    phi = domain.sdf(x)
    assert torch.equal(phi <= 0, domain.inside(x))
    assert bool((phi < 0).any())
    assert bool((phi > 0).any())
    assert torch.equal(domain.inside(x, tol=0.1), phi <= 0.1)


@exact
def test_the_gradient_of_an_exact_distance_has_length_one(domain):
    slope = gradient(domain.sdf, around(domain, 2000)).norm(dim=1)
    torch.testing.assert_close(slope, torch.ones(2000).double(), atol=1e-9, rtol=0)


@exact
def test_closest_points_lie_on_the_boundary_and_normals_are_the_gradient(domain):
    x = around(domain, 2000)
    phi, found = domain.sdf(x), domain.project(x)
    scale = domain.diameter
    assert float(domain.sdf(found.point).abs().max()) <= 1e-13 * scale
    torch.testing.assert_close(found.distance, phi.abs(), atol=1e-13 * scale, rtol=0)
    torch.testing.assert_close(found.normal.norm(dim=1), torch.ones(2000).double(), atol=1e-9, rtol=0)
    far = phi.abs() > 1e-3 * scale
    torch.testing.assert_close(((x - found.point) / phi[:, None])[far], found.normal[far], atol=1e-9, rtol=0)
    torch.testing.assert_close(gradient(domain.sdf, x)[far], found.normal[far], atol=1e-7, rtol=0)


@bounded
def test_projecting_twice_is_projecting_once(domain):
    once = domain.project(around(domain, 500)).point
    torch.testing.assert_close(domain.project(once).point, once, atol=1e-8 * domain.diameter, rtol=0)


@pytest.mark.parametrize("domain", {**EXACT, **COMBINED}.values(), ids={**EXACT, **COMBINED})
def test_no_boundary_point_is_closer_than_the_distance(domain):
    x = around(domain, 300)
    boundary = domain.sample_boundary(20_000, method="sobol", generator=torch.Generator().manual_seed(1))
    brute, distance = torch.cdist(x, boundary).amin(dim=1), domain.distance(x)
    assert bool((distance <= brute + 1e-12).all())
    if domain.dim <= 2:  # samples are dense enough to bound the distance from below as well
        assert float((brute - distance).max()) < 2e-2
    bound = domain.distance_lower_bound(x)
    assert bool((bound >= 0).all())
    assert bool((bound <= distance + 1e-15).all())


@pytest.mark.parametrize("name", ["box2", "disk", "annulus", "polygon", "star", "turned box", "rounded box"])
@settings(max_examples=30)
@given(
    angle=st.floats(-7, 7),
    factor=st.floats(0.1, 10),
    shift=st.tuples(st.floats(-5, 5), st.floats(-5, 5)),
)
def test_distance_commutes_with_rigid_motions_and_scales(name, angle, factor, shift):
    domain, x = EXACT[name], around(EXACT[name], 40)
    c, s = math.cos(angle), math.sin(angle)
    moved = domain.rotate(angle).scale(factor).translate(shift)
    y = factor * x @ torch.tensor([[c, s], [-s, c]], dtype=torch.float64) + torch.tensor(
        shift, dtype=torch.float64
    )
    torch.testing.assert_close(moved.sdf(y), factor * domain.sdf(x), atol=1e-11, rtol=1e-12)
    assert moved.measure() == pytest.approx(factor**2 * domain.measure(), rel=1e-12)
    assert moved.boundary_measure() == pytest.approx(factor * domain.boundary_measure(), rel=1e-12)
    assert moved.tags == domain.tags
    lower, upper = torch.tensor(moved.bounds, dtype=torch.float64).T
    inner = y[domain.sdf(x) < 0]
    assert bool(((inner >= lower - 1e-9) & (inner <= upper + 1e-9)).all())


def test_turning_about_a_centre_keeps_it_and_four_quarter_turns_are_none():
    box = Box((1.0, 0.0), (2.0, 0.5))
    turned, x = box, around(box, 100)
    for _ in range(4):
        turned = turned.rotate(math.pi / 2, centre=(1.0, 1.0))
    torch.testing.assert_close(turned.sdf(x), box.sdf(x), atol=1e-14, rtol=0)
    assert Box.unit(2).translate((1.0, 2.0)) == Box((1.0, 2.0), (2.0, 3.0))
    assert Ball((1.0, 0.0), 2.0).scale(2.0, centre=(1.0, 0.0)) == Ball((1.0, 0.0), 4.0)


@pytest.mark.parametrize("name", ["disk", "box2", "star", "polygon"])
def test_shrinking_moves_every_level_of_the_distance(name):
    domain, x = EXACT[name], around(EXACT[name], 200)
    torch.testing.assert_close(domain.offset(-0.1).sdf(x), domain.sdf(x) + 0.1, atol=1e-15, rtol=0)
    assert bool((domain.offset(-0.1).distance_lower_bound(x) <= domain.offset(-0.1).distance(x) + 1e-9).all())


def test_a_grown_ball_is_a_ball_and_a_grown_square_has_round_corners():
    assert Ball((0.0, 0.0), 1.0).offset(0.5) == Ball((0.0, 0.0), 1.5)
    assert Box.unit(2).offset(0.5).measure() == pytest.approx(1 + 4 * 0.5 + math.pi / 4, rel=1e-3)


def test_a_star_of_constant_radius_is_a_disk_to_second_derivatives():
    star, disk = StarShaped((0.75,), centre=(0.5, -0.25)), Ball((0.5, -0.25), 0.75)
    x = around(disk, 100)
    torch.testing.assert_close(star.sdf(x), disk.sdf(x), atol=1e-14, rtol=0)
    curvature = [gradient(lambda y, d=d: _laplacian_integrand(d, y), x) for d in (star, disk)]
    torch.testing.assert_close(curvature[0], curvature[1], atol=1e-8, rtol=1e-8)


def _laplacian_integrand(domain, y):
    """Σ_k ∂φ/∂x_k: its gradient has the rows of the Hessian, summed."""
    return torch.autograd.grad(domain.sdf(y).sum(), y, create_graph=True)[0].sum(dim=1)


def test_a_star_has_the_measures_of_its_formula_and_of_its_polygon():
    star = StarShaped((1.0, 0.0, 0.1, 0.0, 0.15), (0.0, 0.05), sides=4000)
    theta = torch.arange(100_000, dtype=torch.float64) * (2 * math.pi / 100_000)
    assert star.measure() == pytest.approx(float(star.radius(theta).square().mean()) * math.pi, rel=1e-12)
    assert star.polygon.measure() == pytest.approx(star.measure(), rel=1e-5)
    assert star.polygon.boundary_measure() == pytest.approx(star.boundary_measure(), rel=1e-5)


def test_measures_of_simple_shapes_are_exact():
    assert Ball((0.0,) * 3, 2.0).measure() == pytest.approx(4 / 3 * math.pi * 8, rel=1e-14)
    assert Ball((0.0, 0.0), 2.0).boundary_measure() == pytest.approx(4 * math.pi, rel=1e-14)
    assert EXACT["annulus"].measure() == pytest.approx(math.pi * (1 - 0.16), rel=1e-12)
    assert EXACT["annulus"].boundary_measure("inner") == pytest.approx(0.8 * math.pi, rel=1e-12)
    assert Box((0.0, 0.0, 0.0), (1.0, 2.0, 3.0)).boundary_measure() == pytest.approx(22, rel=1e-14)
    assert Box((0.0, 0.0, 0.0), (1.0, 2.0, 3.0)).boundary_measure("x1+") == 3.0
    assert HalfSpace((0.0, 0.0), (1.0, 0.0)).measure() == math.inf


@pytest.mark.parametrize("name", ["box2", "box3", "annulus"])
def test_closest_points_on_parts_are_the_best_of_each_part(name):
    domain, x = EXACT[name], around(EXACT[name], 500)
    parts = {tag: domain.closest(x, tag) for tag in domain.tags}
    for i, (tag, found) in enumerate(parts.items()):
        assert bool((found.tag == i).all())
        assert float(domain.sdf(found.point).abs().max()) < 1e-14
        samples = domain.sample_boundary(4000, tag, generator=torch.Generator().manual_seed(0))
        assert bool((found.distance <= torch.cdist(x, samples).amin(dim=1) + 1e-12).all())
    nearest = torch.stack([found.distance for found in parts.values()]).amin(dim=0)
    torch.testing.assert_close(nearest, domain.closest(x).distance, atol=1e-15, rtol=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Box.unit(2).sdf(torch.zeros(3, 3)), r"2-D but the points have shape \(3, 3\)"),
        (lambda: Ball((0.0, 0.0), 1.0).sdf(torch.zeros(2)), r"2-D but the points have shape \(2,\)"),
        (lambda: Ball((0.0, 0.0), -1.0), "positive radius"),
        (
            lambda: Box.unit(2).closest(torch.zeros(1, 2), "top"),
            "unknown boundary tag 'top'; the domain has x0-, x0",
        ),
        (lambda: Box.unit(2).boundary_measure("top"), "unknown boundary tag 'top'"),
        (lambda: StarShaped((0.1, 0.2)), "radius must be positive"),
        (lambda: Box.unit(2).rotate(torch.ones(2, 2)), "orthogonal with determinant 1"),
        (lambda: Box.unit(2).scale(0.0), "positive and finite, got 0"),
        (lambda: Box.unit(2).offset(-0.6), "nothing is left"),
        (lambda: COMBINED["pair"].offset(0.1), r"call .redistance\(h\) first"),
        (
            lambda: SdfDomain(lambda x: x, ((0, 1), (0, 1))).sdf(torch.zeros(4, 2)),
            r"values \(4,\), got shape \(4, 2\)",
        ),
        (
            lambda: SdfDomain(lambda x: x[:, 0], ((0, 1), (0, 1))).distance_lower_bound(torch.zeros(4, 2)),
            r"domain.exact is False and lipschitz is unknown; pass lipschitz=... or call .redistance\(h\)",
        ),
        (lambda: Box.unit(2).intersect(torch.zeros(1, 2), torch.zeros(2)), "direction zero"),
    ],
)
def test_wrong_arguments_give_one_clear_line(call, message):
    with pytest.raises(UsageError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
