import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdeflow import seeds
from pdeflow.generation.ordering import features, greedy_order, hilbert_keys, similar_order, subspace_distance
from pdeflow.problems import LogNormalDarcy, SlottedPlate


def drawn(problem, count):
    return np.stack([features(problem, problem.sample(seeds.generator(0, seeds.INPUTS, i))) for i in range(count)])


def mean_step(points, order):
    return float(np.linalg.norm(np.diff(points[order], axis=0), axis=1).mean())


def test_neighbours_in_the_order_are_much_closer_than_random_ones():
    points = drawn(LogNormalDarcy(alpha=2.5, tau=7.0, sigma=0.2), 600)
    assert mean_step(points, similar_order(points)) <= 0.65 * mean_step(points, np.arange(600))
    assert mean_step(points, similar_order(points, group=128)) <= 0.75 * mean_step(points, np.arange(600))


def test_features_of_a_field_do_not_depend_on_the_units_of_a_factor_and_scalars_count():
    points = drawn(SlottedPlate(), 50)
    assert points.shape == (50, 2)
    assert mean_step(points, similar_order(points)) < 0.4 * mean_step(points, np.arange(50))


@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 10), st.integers(1, 50))
def test_an_order_is_a_permutation_and_depends_on_the_points_only(count, width, seed, group):
    points = np.random.default_rng(seed).normal(size=(count, width))
    order = similar_order(points, group=group)
    assert sorted(order.tolist()) == list(range(count))
    np.testing.assert_array_equal(order, similar_order(points.copy(), group=group))


def test_the_greedy_walk_agrees_with_its_slow_twin():
    points = np.random.default_rng(3).normal(size=(60, 4))
    here = int(np.argmin(np.linalg.norm(points - points.mean(0), axis=1)))
    left, slow = set(range(60)) - {here}, [here]
    while left:
        slow.append(min(left, key=lambda i: np.linalg.norm(points[i] - points[slow[-1]])))
        left.remove(slow[-1])
    assert greedy_order(points).tolist() == slow


@pytest.mark.parametrize(("axes", "bits"), [(1, 4), (2, 4), (3, 3), (4, 2)])
def test_the_hilbert_curve_visits_every_cell_and_moves_by_one_cell(axes, bits):
    cells = np.array(list(itertools.product(range(2**bits), repeat=axes)), dtype=np.uint64)
    keys = hilbert_keys(cells, bits)
    assert sorted(keys) == list(range(len(cells)))
    path = cells[np.argsort(keys)].astype(int)
    assert (np.abs(np.diff(path, axis=0)).sum(1) == 1).all()


def test_the_distance_of_spaces_is_zero_for_equal_and_one_for_orthogonal_ones():
    rng = np.random.default_rng(0)
    Q = rng.normal(size=(50, 4)) + 1j * rng.normal(size=(50, 4))
    assert subspace_distance(Q, Q @ rng.normal(size=(4, 4))) < 1e-12
    assert subspace_distance(Q, np.hstack([rng.normal(size=(50, 3)), Q])) < 1e-12
    U = np.linalg.qr(rng.normal(size=(50, 8)))[0]
    assert subspace_distance(U[:, :4], U[:, 4:]) == pytest.approx(1.0, abs=1e-14)
    angle = 1e-10
    tilted = np.cos(angle) * U[:, :1] + np.sin(angle) * U[:, 1:2]
    assert subspace_distance(tilted, U[:, :1]) == pytest.approx(np.sin(angle), rel=1e-4)


def test_features_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="finite"):
        similar_order(np.array([[0.0], [np.nan]]))
