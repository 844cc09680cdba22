"""Sizes that float64 cannot square, and tolerances that rounding does not allow, end in words and not in wrong answers."""

import numpy as np
import pyamg
import pytest
import scipy.sparse as sp

from pdeflow.errors import UsageError
from pdeflow.linalg import Reason, linear_system, solve
from pdeflow.linalg.cg import cg, flexible_cg
from pdeflow.linalg.iteration import Limits
from pdeflow.linalg.preconditioners import identity

A = sp.csr_array(pyamg.gallery.poisson((20, 20), format="csr"))


@pytest.mark.parametrize("scale", [1e-200, 1e-165, 1e165, 1e200])
@pytest.mark.parametrize("method", ["auto", "cg", "fgmres"])
def test_a_right_hand_side_whose_norm_is_not_a_number_is_refused(scale, method):
    with pytest.raises(UsageError, match="divide b by it"):
        solve(A, scale * np.ones(400), method=method)


@pytest.mark.parametrize("scale", [1e-90, 1e-30, 1e30, 1e90])
def test_other_scales_change_nothing(scale):
    b = np.random.default_rng(0).standard_normal(400)
    plain, scaled = (solve(A, c * b, method="cg", preconditioner="jacobi", rtol=1e-10) for c in (1.0, scale))
    np.testing.assert_allclose(scaled.x / scale, plain.x, atol=1e-8 * np.abs(plain.x).max())


@pytest.mark.parametrize("method", [cg, flexible_cg])
def test_a_tolerance_below_rounding_ends_as_stagnated_and_not_at_maxiter(method):
    system = linear_system(A, np.random.default_rng(0).standard_normal(400))
    size = float(np.linalg.norm(system.b))
    limits = Limits(1e-17 * size, size, 100_000)
    outcome = method(A, system.b, np.zeros(400), identity(system), limits)
    assert outcome.reason is Reason.stagnated
    assert outcome.iterations < 2000
    assert outcome.residual_norms[-1] < 1e-12 * size


def test_an_unreachable_tolerance_names_what_to_ask_for():
    with pytest.raises(UsageError, match="ask for 1e-15"):
        solve(A, np.ones(400), rtol=1e-16)


def test_an_indefinite_system_is_solved_although_the_network_that_was_given_fails():
    class Network:
        shape, linear, symmetric, positive, name = (400, 400), False, False, None, "network"

        def __matmul__(self, r):
            return np.full_like(r, np.nan)

    indefinite = sp.csr_array(A - 1.1 * sp.eye_array(400))
    solution = solve(indefinite, np.ones(400), preconditioner=Network())
    assert solution.reason is Reason.converged_fallback
    assert "network" in solution.detail
