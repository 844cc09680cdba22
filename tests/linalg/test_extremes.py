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
from pdeflow.linalg.solution import verify

A = sp.csr_array(pyamg.gallery.poisson((20, 20), format="csr"))


SCALES = {"auto": "auto", "cg": "jacobi", "fcg": "amg", "fgmres": "ilu", "minres": "jacobi", "gcro_dr": "none", "bicgstab": "ilu", "def_cg": "jacobi"}


@pytest.mark.parametrize("size", [1.0, 1e49, 1e-49])
@pytest.mark.parametrize("scale", [1e-290, 1e-200, 1e-85, 1e-30, 1e30, 1e165, 1e290])
@pytest.mark.parametrize("method", SCALES)
def test_the_size_of_a_right_hand_side_and_of_a_matrix_change_nothing(method, scale, size):
    b = np.random.default_rng(0).standard_normal(400)
    one = solve(A, b, method=method, preconditioner=SCALES[method], rtol=1e-10)
    if not 1e-290 < scale / size < 1e290:  # x itself is no float64
        return
    found = solve(A * size, scale * b, method=method, preconditioner=SCALES[method], rtol=1e-10)
    assert found.converged
    np.testing.assert_allclose(found.x / (scale / size), one.x, atol=1e-7 * np.abs(one.x).max())
    assert found.residual_norms[-1] == pytest.approx(found.residual * np.linalg.norm(b) * scale, rel=1e-2, abs=0)


@pytest.mark.parametrize("size", [1e-200, 1e-60, 1e60, 1e160])
def test_a_matrix_whose_entries_cannot_be_squared_is_refused(size):
    with pytest.raises(UsageError, match="divide A and b by it"):
        solve(A * size, np.ones(400))


def test_a_right_hand_side_whose_norm_no_float_holds_is_never_called_solved():
    b = np.full(400, 1.7e308)
    assert not solve(A, b).converged
    assert not verify(linear_system(A, b), np.zeros(400), Reason.converged, rtol=1e-8).converged


def test_an_infinite_unknown_behind_an_empty_column_is_no_solution():
    Z = A.tolil()
    Z[:, 7] = 0
    x = np.random.default_rng(0).standard_normal(400)
    system = linear_system(sp.csr_array(Z), Z @ x)
    assert verify(system, x, Reason.converged, rtol=1e-8).converged
    x[7] = np.inf
    assert verify(system, x, Reason.converged, rtol=1e-8).reason is Reason.nonfinite


def test_a_callback_sees_residuals_of_the_size_of_b():
    seen = []
    found = solve(A, np.full(400, 1e-120), method="cg", preconditioner="none", callback=lambda state: seen.append(state.residual_norm))
    assert np.allclose(seen, found.residual_norms[1:], rtol=1e-10, atol=0)


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
