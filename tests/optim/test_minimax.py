"""Minimax compositions: equioscillation, published tables, bounds that hold everywhere."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.optim import minimax_polynomials
from pdeflow.optim.minimax import evaluate, extrema, image, minimax_quintic

# Amsel et al., arXiv 2505.16932, algorithm 1: lower end 1e-3, cushion 0.024
POLAR_EXPRESS = [
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    (1.8750014808534479, -1.2500016453999487, 0.3750001645474248),
    (1.875, -1.25, 0.375),
]
# Grishina, Smirnov, Rakhuba, arXiv 2506.10935: the same lower end without a cushion
CANS = [
    (8.4703, -25.1081, 18.6293), (4.1828, -3.1087, 0.5806), (3.9619, -2.9541, 0.5630), (3.2866, -2.4647, 0.5074),
    (2.2737, -1.6447, 0.4162),
]  # fmt: skip


def composed(triples, x):
    for triple in triples:
        x = evaluate(triple, x)
    return x


def test_published_tables_come_out():
    found = minimax_polynomials(1e-3, 8, 0.02407327424182761).triples
    for triple, expected in zip(found, POLAR_EXPRESS, strict=True):
        assert triple == pytest.approx(expected, abs=1e-10)
    for triple, expected in zip(minimax_polynomials(1e-3, 5).triples, CANS, strict=True):
        assert triple == pytest.approx(expected, abs=5e-5)


@settings(max_examples=50, deadline=None)
@given(low=st.floats(1e-6, 0.99), size=st.floats(0.5, 2))
def test_error_takes_its_largest_size_at_four_points_with_alternating_sign(low, size):
    """Chebyshev's theorem: this alone makes it the best odd quintic."""
    triple = minimax_quintic(low * size, size)
    points = [low * size, *(r for r in extrema(triple) if low * size < r < size), size]
    errors = [1 - evaluate(triple, x) for x in points]
    level = max(map(abs, errors))
    assert len(points) == 4
    assert all(a * b < 0 for a, b in pairwise(errors))
    assert [abs(e) for e in errors] == pytest.approx([level] * 4, rel=1e-6, abs=1e-14)


@settings(max_examples=40, deadline=None)
@given(lower=st.floats(1e-7, 0.9), steps=st.integers(1, 12), cushion=st.sampled_from([0.0, 0.02, 0.1]), seed=st.integers(0, 999))
def test_bounds_hold_at_every_point(lower, steps, cushion, seed):
    found = minimax_polynomials(lower, steps, cushion)
    random = torch.rand(200, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    inside = lower ** random  # as many points per decade
    assert (1 - composed(found.triples, inside)).abs().max() <= found.error
    for k in range(steps + 1):
        assert composed(found.triples[:k], random).abs().max() <= found.peak
    assert found.peak <= 2 * (1 + 1e-9)


def test_bound_is_sharp():
    found = minimax_polynomials(1e-3, 5)
    inside = 1e-3 ** torch.linspace(0, 1, 200_001, dtype=torch.float64)
    assert (1 - composed(found.triples, inside)).abs().max().item() == pytest.approx(found.error, rel=1e-5)


def test_no_other_five_steps_from_the_same_lower_end_are_as_good():
    best = minimax_polynomials(1e-3, 5).error
    inside = 1e-3 ** torch.linspace(0, 1, 2001, dtype=torch.float64)
    for triples in ([(15 / 8, -10 / 8, 3 / 8)] * 5, [(3.4445, -4.7750, 2.0315)] * 5, POLAR_EXPRESS[:5]):
        assert (1 - composed(triples, inside)).abs().max() > best


def test_images_are_exact():
    low, high = image((3.4445, -4.7750, 2.0315), 0.0, 1.0)
    grid = torch.linspace(0, 1, 100_001, dtype=torch.float64)
    values = evaluate((3.4445, -4.7750, 2.0315), grid)
    assert (low, high) == pytest.approx((values.min().item(), values.max().item()), abs=1e-8)


@pytest.mark.parametrize("arguments", [(0.0, 3), (1.0, 3), (0.1, 0), (0.1, 3, 1.0)])
def test_wrong_values_are_refused(arguments):
    with pytest.raises(ValueError, match="minimax needs"):
        minimax_polynomials(*arguments)
