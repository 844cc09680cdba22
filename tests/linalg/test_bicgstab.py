"""BiCGStab takes SciPy's steps, but its residuals are true, and a breakdown is a restart or is said."""

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.errors import UsageError
from pdeflow.linalg import Reason, solve
from pdeflow.linalg.bicgstab import bicgstab

from .test_solve import KINDS, random_matrix


def convection(n=40, cplx=False):
    """Upwind convection-diffusion on n x n cells, rotating flow: not symmetric."""
    rng = np.random.default_rng(0)
    line = sp.diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1])
    wind = sp.diags_array([-np.ones(n - 1), np.ones(n)], offsets=[-1, 0])
    A = sp.kron(line, sp.eye_array(n)) + sp.kron(sp.eye_array(n), line) + 0.7 * sp.kron(wind, sp.eye_array(n))
    A = sp.csr_array(A + (0.1j * sp.eye_array(n * n) if cplx else 0 * sp.eye_array(n * n)))
    return A, rng.standard_normal(n * n).astype(A.dtype)


@pytest.mark.parametrize("cplx", [False, True])
def test_iterates_equal_scipys(cplx):
    A, b = convection(cplx=cplx)
    theirs = []
    sla.bicgstab(A, b, rtol=0, maxiter=15, callback=lambda x: theirs.append(np.linalg.norm(b - A @ x)))
    ours = bicgstab(A, b, maxiter=15)
    np.testing.assert_allclose(ours.residual_norms[1:], theirs, rtol=1e-6)
    assert ours.matvecs == 2 * 15 + 2


@pytest.mark.parametrize("M", ["none", "jacobi", "ilu"])
def test_every_converged_residual_is_true(M):
    A, b = convection()
    solution = bicgstab(A, b, M=M, rtol=1e-10)
    assert solution.converged
    assert np.linalg.norm(b - A @ solution.x) <= 1e-10 * np.linalg.norm(b)
    assert solution.residual_norms[-1] == pytest.approx(np.linalg.norm(b - A @ solution.x), rel=1e-3)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(KINDS), st.integers(2, 40), st.integers(0, 10**6))
def test_it_agrees_with_a_direct_solve_or_says_that_it_failed(kind, n, seed):
    A = random_matrix(kind, n, seed)
    b = np.random.default_rng(seed + 1).standard_normal(n)
    solution = solve(A, b, method="bicgstab", preconditioner="none", nullspace="none")
    assert solution.converged == bool(np.linalg.norm(b - A @ solution.x) <= 1e-8 * np.linalg.norm(b))
    if solution.converged and kind != "singular":
        error = np.linalg.norm(solution.x - np.linalg.solve(A, b))
        assert error <= 10 * np.linalg.cond(A) * 1e-8 * np.linalg.norm(solution.x)


def test_a_breakdown_is_said():
    rotation = np.array([[0.0, 1.0], [-1.0, 0.0]])  # r · A r = 0 for every real r
    solution = bicgstab(rotation, np.array([1.0, 0.0]))
    assert (solution.converged, solution.reason) == (False, Reason.breakdown)


def test_a_start_a_stop_and_a_nonlinear_preconditioner():
    A, b = convection(12)
    x = np.linalg.solve(A.toarray(), b)
    assert bicgstab(A, b, x).iterations == 0
    stopped = solve(A, b, method="bicgstab", preconditioner="none", callback=lambda s: s.iteration == 4)
    assert (stopped.reason, stopped.iterations) == (Reason.stopped, 4)
    nothing = bicgstab(A, 0 * b)
    assert nothing.reason is Reason.zero_rhs

    class Network:
        shape, linear, symmetric, positive, name = A.shape, False, False, None, "network"

        def __matmul__(self, r):
            return r * np.abs(r)

    with pytest.raises(UsageError, match="method='gcro_dr'"):
        solve(A, b, method="bicgstab", preconditioner=Network(), guard="none")
