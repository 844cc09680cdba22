"""Conjugate gradients: theory (finite termination, Krylov optimality, energy identity) and agreement with SciPy."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla

from pdeflow.linalg import Reason, linear_system
from pdeflow.linalg.cg import cg, flexible_cg
from pdeflow.linalg.iteration import Limits, stagnates
from pdeflow.linalg.preconditioners import Preconditioner, jacobi


def limits(b, rtol=1e-10, maxiter=1000, **others):
    size = float(np.linalg.norm(b))
    return Limits(rtol * size, size, maxiter, **others)


def with_eigenvalues(values, seed=0):
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((len(values), len(values))))[0]
    return Q * values @ Q.T, rng.standard_normal(len(values))


@pytest.mark.parametrize("method", [cg, flexible_cg])
@pytest.mark.parametrize("distinct", [1, 3, 7])
def test_as_many_steps_as_distinct_eigenvalues(method, distinct):
    A, b = with_eigenvalues(np.resize(np.linspace(1, 10, distinct), 40))
    M = None if method is cg else np.eye(40)
    assert method(A, b, np.zeros(40), M, limits(b)).iterations == distinct


def test_iterates_equal_scipys(darcy):
    ours, theirs = cg(darcy.A, darcy.b, np.zeros(darcy.n), None, limits(darcy.b, maxiter=20)), []
    sla.cg(
        darcy.A,
        darcy.b,
        rtol=0,
        maxiter=20,
        callback=lambda x: theirs.append(np.linalg.norm(darcy.b - darcy.A @ x)),
    )
    np.testing.assert_allclose(ours.residual_norms[1:], theirs, rtol=1e-8)
    assert ours.reason is Reason.maxiter


@pytest.mark.parametrize("window", [1, 2, 5])
def test_flexible_equals_plain_for_a_symmetric_positive_definite_preconditioner(log_normal, window):
    M, zero = jacobi(log_normal), np.zeros(log_normal.n)
    plain = cg(log_normal.A, log_normal.b, zero, M, limits(log_normal.b, maxiter=40))
    flexible = flexible_cg(log_normal.A, log_normal.b, zero, M, limits(log_normal.b, maxiter=40), window)
    np.testing.assert_allclose(flexible.residual_norms, plain.residual_norms, rtol=1e-6)


def test_energy_falls_by_what_the_line_search_says_for_any_preconditioner(darcy):
    """‖e_k‖² = ‖e_{k-1}‖² - (r·d)²/(d·Ad) in the A-norm, also for a nonlinear, nonsymmetric M."""
    rng = np.random.default_rng(0)
    W = rng.standard_normal((darcy.n, 8))
    M = Preconditioner(
        "wild", lambda r: np.abs(r) * r + W @ np.tanh(W.T @ r), darcy.A.shape, None, None, None
    )
    exact, energies = sla.spsolve(darcy.A.tocsc(), darcy.b), []
    for k in range(8):
        x = (
            flexible_cg(
                darcy.A, darcy.b, np.zeros(darcy.n), M, limits(darcy.b, maxiter=max(k, 1)), window=10
            ).x
            if k
            else 0 * exact
        )
        energies.append(float((exact - x) @ (darcy.A @ (exact - x))))
    assert all(later <= earlier * (1 + 1e-12) for earlier, later in pairwise(energies))
    assert energies[-1] < energies[0]


def test_flexible_does_not_see_the_scale_of_its_preconditioner(darcy):
    M = jacobi(darcy)
    scaled = Preconditioner("scaled", lambda r: 1e6 * (M @ r), darcy.A.shape)
    one, other = (
        flexible_cg(darcy.A, darcy.b, np.zeros(darcy.n), N, limits(darcy.b, maxiter=30)) for N in (M, scaled)
    )
    np.testing.assert_allclose(one.x, other.x, rtol=1e-8)


def test_an_indefinite_matrix_is_proved_so_with_the_value():
    A, b = with_eigenvalues(np.r_[-1.0, np.linspace(1, 2, 19)])
    for outcome in (
        cg(A, b, np.zeros(20), None, limits(b)),
        flexible_cg(A, b, np.zeros(20), np.eye(20), limits(b), 20),
    ):
        assert outcome.reason is Reason.indefinite
        assert "p·Ap = -" in outcome.detail


def test_complex_hermitian_systems():
    rng = np.random.default_rng(3)
    B = rng.standard_normal((30, 30)) + 1j * rng.standard_normal((30, 30))
    A, b = B @ B.conj().T + 30 * np.eye(30), rng.standard_normal(30) + 1j * rng.standard_normal(30)
    x = cg(A, b, np.zeros(30, complex), None, limits(b)).x
    np.testing.assert_allclose(x, np.linalg.solve(A, b), rtol=1e-8)


def test_limits_stop_at_the_callers_wish_and_at_stagnation(darcy):
    seen = []
    stop = limits(darcy.b, callback=lambda state: seen.append(state.relative) or len(seen) == 5)
    outcome = cg(darcy.A, darcy.b, np.zeros(darcy.n), None, stop)
    assert (outcome.reason, outcome.iterations) == (Reason.stopped, 5)
    np.testing.assert_allclose(seen, np.array(outcome.residual_norms[1:]) / np.linalg.norm(darcy.b))
    assert stagnates([0.999**k for k in range(20)])
    assert not stagnates([0.9**k for k in range(20)])
    assert not stagnates([1.0] * 8)  # too early to tell


def test_float32_recurrence_does_not_decide():
    """The recomputed residual ends the loop: the claim `converged` holds for b - A x itself."""
    A = sp.csr_array(sp.diags_array(np.logspace(0, 5, 200)))
    system = linear_system(A)
    outcome = cg(system.A, system.b, np.zeros(200), None, limits(system.b, rtol=1e-8, maxiter=5000))
    assert outcome.reason is Reason.converged
    assert np.linalg.norm(system.b - A @ outcome.x) <= 1e-8 * np.linalg.norm(system.b)
