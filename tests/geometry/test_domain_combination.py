import math

import pytest
import torch

from pdeflow.errors import UsageError
from pdeflow.geometry.domain import Ball, Box, HalfSpace, SdfDomain
from tests.geometry.domain_cases import COMBINED, LEVEL_SET, around, square_with_hole


def test_de_morgan_at_1e4_points():
    a, b = square_with_hole(), Ball((1.0, 1.0), 0.8)
    x = around(a | b, 10_000)
    assert torch.equal((~(a | b)).sdf(x), (~a & ~b).sdf(x))
    assert torch.equal((~(a & b)).sdf(x), (~a | ~b).sdf(x))
    assert torch.equal((a - b).sdf(x), (a & ~b).sdf(x))
    assert ~~a is a


def test_membership_follows_the_operations_on_sets():
    a, b = square_with_hole(), Ball((1.0, 1.0), 0.8)
    x = around(a | b, 10_000)
    assert torch.equal((a | b).inside(x), a.inside(x) | b.inside(x))
    assert torch.equal((a & b).inside(x), a.inside(x) & b.inside(x))
    assert torch.equal((a - b).inside(x), a.inside(x) & ~b.inside(x))
    assert torch.equal((~a).inside(x), ~a.inside(x))


@pytest.mark.parametrize("name", COMBINED)
def test_the_signed_distance_never_exceeds_the_distance(name):
    domain, x = COMBINED[name], around(COMBINED[name], 2000)
    assert not domain.exact
    found = domain.project(x)
    assert bool((domain.sdf(x).abs() <= found.distance + 1e-12).all())
    assert float(domain.sdf(found.point).abs().max()) < 1e-8


def test_measures_of_combinations_agree_with_formulas():
    cap = math.acos(0.5) - 0.5 * math.sqrt(0.75)
    assert COMBINED["lens"].measure() == pytest.approx(2 * cap, rel=1e-3)
    assert COMBINED["lens"].boundary_measure() == pytest.approx(4 * math.pi / 3, rel=1e-2)
    assert COMBINED["pair"].measure() == pytest.approx(2 + 0.75 * math.pi, rel=1e-3)
    assert COMBINED["pair"].boundary_measure() == pytest.approx(4 + 1.5 * math.pi, rel=1e-2)
    assert COMBINED["spherical cap"].measure() == pytest.approx(math.pi * 0.7**2 * (3 - 0.7) / 3, rel=2e-3)
    area = math.pi * (1 - 0.09) + 2 * math.pi * 0.7  # the flat disk and the cap
    assert COMBINED["spherical cap"].boundary_measure() == pytest.approx(area, rel=1e-2)
    assert COMBINED["notched"].boundary_measure("x0-") == pytest.approx(0.5, rel=1e-3)


def test_a_shared_side_is_counted_once():
    both = Box.unit(2) & Box((0.0, 0.0), (0.5, 2.0))  # bottom and left sides coincide
    assert both.boundary_measure() == pytest.approx(3.0, rel=1e-2)
    x = both.sample_boundary(4000, generator=torch.Generator().manual_seed(0))
    share = float(((x[:, 0] == 0) & (x[:, 1] > 0)).double().mean())
    assert share == pytest.approx(1 / 3, abs=4 * math.sqrt(2 / 9 / 4000) + 0.01)


def test_corners_are_the_closest_points_where_both_boundaries_meet():
    lens, corner = COMBINED["lens"], torch.tensor([[0.0, math.sqrt(0.75)]], dtype=torch.float64)
    x = corner + torch.tensor([[0.0, 0.5]], dtype=torch.float64)
    found = lens.project(x)
    torch.testing.assert_close(found.point, corner, atol=1e-9, rtol=0)
    torch.testing.assert_close(found.normal, torch.tensor([[0.0, 1.0]]).double(), atol=1e-8, rtol=0)


def test_true_distances_from_a_level_set_converge_at_second_order():
    x = around(LEVEL_SET, 300)
    theta = torch.arange(100_000, dtype=torch.float64) * (2 * math.pi / 100_000)
    ellipse = torch.stack([theta.cos(), 0.5 * theta.sin()], dim=1)
    exact = torch.cat([torch.cdist(part, ellipse).amin(dim=1) for part in x.split(50)])
    errors = []
    for h in (0.2, 0.1, 0.05):
        true = LEVEL_SET.redistance(h)
        errors.append(float((true.sdf(x).abs() - exact).abs().max()))
        assert bool((true.distance_lower_bound(x) <= exact + 1e-9).all())
        assert torch.equal(true.inside(x), LEVEL_SET.inside(x))
    assert errors[-1] < 4e-3
    assert math.log(errors[0] / errors[-1], 4) == pytest.approx(2.0, abs=0.4)


def test_foot_points_of_a_level_set_are_orthogonal_and_close_to_the_nearest():
    x = around(LEVEL_SET, 500)
    near, found = LEVEL_SET.redistance(0.02).distance(x), LEVEL_SET.project(x)
    off = (x - found.point) / found.distance[:, None]
    cosine = (off * found.normal).sum(dim=1).abs()
    assert float(LEVEL_SET.sdf(found.point).abs().max()) < 1e-10
    assert float((cosine > 1 - 1e-3).double().mean()) > 0.95
    assert float(((found.distance - near) < 1e-2).double().mean()) > 0.95


HOLE = Ball((0.5, 0.5), 0.2, tag="hole")
BITE = Ball((1.0, 0.5), 0.25, tag="bite")  # centred on a side: half of it is cut off
ARC = math.pi * 0.25
LENGTHS = {  # domain: (domain, length of every part)
    "hole": (Box.unit(2) - HOLE, {"x0-": 1.0, "x0+": 1.0, "x1-": 1.0, "x1+": 1.0, "hole": 2 * math.pi * 0.2}),
    "bite": (Box.unit(2) - BITE, {"x0-": 1.0, "x0+": 0.5, "x1-": 1.0, "x1+": 1.0, "bite": ARC}),
    "knob": (Box.unit(2) | BITE, {"x0-": 1.0, "x0+": 0.5, "x1-": 1.0, "x1+": 1.0, "bite": ARC}),
    "half": (BITE & Box.unit(2), {"bite": ARC, "x0-": 0.0, "x0+": 0.5, "x1-": 0.0, "x1+": 0.0}),
}


@pytest.mark.parametrize("h", [None, 0.01])
@pytest.mark.parametrize("name", LENGTHS)
def test_every_part_of_a_combination_has_its_own_length_and_points(name, h):
    domain, lengths = LENGTHS[name]
    domain = domain if h is None else domain.redistance(h)
    assert set(domain.tags) == set(lengths)
    for tag, length in lengths.items():
        assert domain.boundary_measure(tag) == pytest.approx(length, abs=0.02)
        if length:
            x = domain.sample_boundary(500, tag, generator=torch.Generator().manual_seed(0))
            assert float((domain.project(x).tag == domain.tags.index(tag)).double().mean()) > 0.97
    assert domain.boundary_measure() == pytest.approx(sum(lengths.values()), rel=0.01)


def test_moving_keeps_the_parts_of_a_redistanced_domain():
    domain = (Box.unit(2) - HOLE).redistance(0.01).rotate(0.3).scale(2.0)
    assert domain.boundary_measure("hole") == pytest.approx(0.8 * math.pi, rel=1e-3)


class TwoNames(SdfDomain):
    """A level set that claims two boundary parts and cannot tell them apart."""

    tags = ("a", "b")

    def __init__(self):
        super().__init__(lambda x: x.norm(dim=1) - 1, ((-1, 1), (-1, 1)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Box.unit(2) | Box.unit(3), "2-D domain with a 3-D one"),
        (lambda: Box.unit(2) & Box((3.0, 3.0), (4.0, 4.0)), "do not meet"),
        (lambda: (~Box.unit(2)).sample_interior(3, generator=torch.Generator()), "unbounded"),
        (lambda: HalfSpace((0.0,), (1.0,)).sample_interior(3, generator=torch.Generator()), "unbounded"),
        (lambda: COMBINED["pair"].closest(torch.zeros(1, 2), "x0+"), "leave out tags"),
        (
            lambda: COMBINED["pair"].sample_boundary(5, "x9", generator=torch.Generator()),
            "unknown boundary tag 'x9'",
        ),
        (lambda: (~Box.unit(2)).redistance(0.1), "bounded 2-D"),
        (lambda: LEVEL_SET.redistance(0.0), "must be positive"),
        (lambda: LEVEL_SET.redistance(1e-5), "at most 8388608 cells"),
        (lambda: TwoNames().boundary_measure("a"), "measures its whole boundary only"),
        (lambda: TwoNames().sample_boundary(3, "a", generator=torch.Generator()), "samples its whole boundary only"),
        (
            lambda: (Box.unit(2) | SdfDomain(lambda x: x[:, 0], ((0, 1), (0, 1)))).distance_lower_bound(
                torch.zeros(1, 2)
            ),
            "lipschitz is unknown",
        ),
    ],
)
def test_wrong_combinations_give_one_clear_line(call, message):
    with pytest.raises(UsageError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
