"""The estimated energy error of a candidate is within 10 % of the true one, and the estimated field improves it."""

import numpy as np
import pytest

from pdeflow.errors import UsageError
from pdeflow.linalg import LinearSystem, linear_system, solve
from pdeflow.linalg.error_estimate import error_field, error_norm
from pdeflow.problems import Darcy, LogNormalDarcy

from .conftest import darcy_system, neumann_laplacian


def network_like(n, seed, rough):
    """Error of unit size: the low sine modes that a network misses, and a share of white noise."""
    rng, x = np.random.default_rng(seed), (np.arange(n) + 0.5) / n
    modes = np.arange(1, 7)
    sines = np.sin(np.pi * np.outer(modes, x))
    weights = rng.standard_normal((6, 6)) / (modes[:, None] ** 2 + modes**2)
    smooth, noise = (sines.T @ weights @ sines).ravel(), rng.standard_normal(n * n)
    return smooth / np.linalg.norm(smooth) + rough * noise / np.linalg.norm(noise)


@pytest.mark.parametrize("problem", [Darcy(), LogNormalDarcy(sigma=1.0)])
@pytest.mark.parametrize("n", [32, 64])
@pytest.mark.parametrize("rough", [0.0, 0.1, 10.0])
def test_effectivity_lies_within_ten_percent(problem, n, rough):
    for index in range(3):
        system = darcy_system(n, index, problem)
        exact, e = solve(system, method="direct", rtol=1e-10).x, network_like(n, index, rough)
        effectivity = error_norm(system, exact - e) / np.sqrt(e @ (system.A @ e))
        assert 0.9 < effectivity < 1.02


def test_the_estimated_field_takes_most_of_the_error_away(darcy):
    exact, e = solve(darcy, method="direct", rtol=1e-12).x, network_like(32, 0, 0.1)
    left = e - error_field(darcy, exact - e)
    assert np.sqrt(left @ (darcy.A @ left)) < 0.02 * np.sqrt(e @ (darcy.A @ e))


def test_the_estimate_vanishes_with_the_error_and_scales_with_it(darcy):
    exact, e = solve(darcy, method="direct", rtol=1e-12).x, network_like(32, 0, 0.1)
    one = error_norm(darcy, exact - e)
    assert error_norm(darcy, exact - 3 * e) == pytest.approx(3 * one, rel=1e-6)
    assert error_norm(darcy, exact) < 1e-6 * one


def test_systems_without_an_energy_norm_are_refused(darcy):
    for system in (linear_system(neumann_laplacian(9)), LinearSystem(darcy.A, darcy.b, True, None)):
        with pytest.raises(UsageError, match="positive definite"):
            error_norm(system, np.zeros(system.n))
