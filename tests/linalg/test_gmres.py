"""FGMRES and MINRES: they minimise what they claim to minimise, and their residual norms are those of their iterates."""

from itertools import pairwise

import numpy as np
import pyamg
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.errors import UsageError
from pdeflow.linalg import Reason, solve
from pdeflow.linalg.gmres import fgmres
from pdeflow.linalg.iteration import Limits
from pdeflow.linalg.minres import minres


def limits(b, rtol=1e-10, maxiter=500, **others):
    size = float(np.linalg.norm(b))
    return Limits(rtol * size, size, maxiter, **others)


def random_system(n, seed, cplx=False):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, n)) + n**0.5 * np.eye(n)
    A = A + 1j * rng.standard_normal((n, n)) if cplx else A
    return A, rng.standard_normal(n).astype(A.dtype)


@pytest.mark.parametrize("cplx", [False, True])
def test_gmres_minimises_the_residual_over_the_krylov_space(cplx):
    A, b = random_system(25, 0, cplx)
    outcome = fgmres(A, b, np.zeros_like(b), None, limits(b, maxiter=6))
    K = np.linalg.qr(np.stack([np.linalg.matrix_power(A, k) @ b for k in range(6)], axis=1))[0]
    best = np.linalg.norm(b - A @ K @ np.linalg.lstsq(A @ K, b, rcond=None)[0])
    assert outcome.residual_norms[-1] == pytest.approx(best, rel=1e-8)


def test_gmres_iterates_equal_scipys():
    A, b = random_system(60, 1)
    theirs = []
    sla.gmres(A, b, rtol=0, restart=15, maxiter=1, callback=theirs.append, callback_type="pr_norm")
    ours = fgmres(A, b, np.zeros(60), None, limits(b, maxiter=15), restart=15)
    np.testing.assert_allclose(ours.residual_norms[1:], np.array(theirs) * np.linalg.norm(b), rtol=1e-8)


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 30), st.integers(0, 10**6), st.integers(2, 12), st.booleans())
def test_the_tracked_residual_is_the_true_one_for_any_preconditioner(n, seed, restart, cplx):
    A, b = random_system(n, seed, cplx)

    class Wild:
        def __matmul__(self, v):
            return v + 0.3 * np.abs(v) * np.roll(v, 1)  # nonlinear

    outcome = fgmres(A, b, np.zeros_like(b), Wild(), limits(b, maxiter=20), restart)
    assert outcome.residual_norms[-1] == pytest.approx(np.linalg.norm(b - A @ outcome.x), rel=1e-10)
    assert all(later <= earlier * (1 + 1e-9) for earlier, later in pairwise(outcome.residual_norms))


def test_restarted_gmres_that_cannot_move_says_so():
    shift = sp.csr_array(np.roll(np.eye(60), 1, axis=0))  # the classical example: no progress before step n
    stuck = solve(shift, np.eye(60)[0], method="fgmres", preconditioner="none")
    assert (stuck.converged, stuck.reason) == (False, Reason.stagnated)
    assert solve(shift, np.eye(60)[0], method="fgmres", preconditioner="none", restart=60).converged


def indefinite(n=20):
    return sp.csr_array(pyamg.gallery.poisson((n, n), format="csr") - 1.1 * sp.eye_array(n * n))


def test_minres_iterates_equal_those_of_full_gmres_for_a_symmetric_matrix():
    A, b = indefinite(), np.random.default_rng(0).standard_normal(400)
    short = minres(A, b, np.zeros(400), None, limits(b, maxiter=25))
    full = fgmres(A, b, np.zeros(400), None, limits(b, maxiter=25), restart=25)
    np.testing.assert_allclose(short.residual_norms, full.residual_norms, rtol=1e-6)
    assert (short.reason, short.iterations) == (Reason.maxiter, 25)


@pytest.mark.parametrize("scale", [2.0**-100, 1.0, 2.0**100])  # powers of two: every rounding is the same
def test_minres_does_not_see_the_scale_of_the_system(scale):
    A, b = indefinite(), np.random.default_rng(0).standard_normal(400)
    solution = solve(scale * A, scale * b, method="minres")
    assert solution.converged
    assert solution.iterations == solve(A, b, method="minres").iterations


def test_minres_with_a_network_like_preconditioner_is_not_taken_for_stagnating():
    """Residual norms are those of the iterates, so the guard sees progress where there is some."""
    A = sp.csr_array(sp.diags_array(np.r_[-np.linspace(1, 2, 30), np.linspace(1, 2, 30)]))

    class Halve:
        shape, linear, symmetric, positive, name = (60, 60), True, True, True, "halve"

        def __matmul__(self, r):
            return r / 2

    solution = solve(A, np.ones(60), method="minres", preconditioner=Halve())
    assert (solution.reason, solution.preconditioner) == (Reason.converged, "halve")
    assert len(set(solution.residual_norms)) > solution.iterations // 2


def test_minres_refuses_complex_systems_and_names_another_method():
    with pytest.raises(UsageError, match="fgmres"):
        solve(np.eye(3) * 1j, np.ones(3), method="minres")
