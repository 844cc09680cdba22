"""def-CG is CG where nothing is carried, and needs ever fewer steps along a sequence."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.errors import UsageError
from pdeflow.linalg import Reason, solve
from pdeflow.linalg.deflated_cg import deflated_cg
from pdeflow.linalg.gcro_dr import gcro_dr
from pdeflow.linalg.recycle_space import RecycleSpace
from pdeflow.problems import Darcy, LogNormalDarcy

from .conftest import darcy_system, neumann_laplacian
from .test_solve import random_matrix

SMOOTH = LogNormalDarcy(alpha=2.5, tau=7.0, sigma=0.19)


@pytest.mark.parametrize("M", ["none", "jacobi"])
def test_without_a_carried_space_it_is_cg(M):
    system = darcy_system(32, 0, SMOOTH)
    plain = solve(system, method="cg", preconditioner=M)
    ours = deflated_cg(system, M=M)
    np.testing.assert_allclose(ours.residual_norms[:60], plain.residual_norms[:60], rtol=1e-6)
    assert abs(ours.iterations - plain.iterations) <= 1


@pytest.mark.parametrize("problem", [SMOOTH, Darcy()], ids=["log-normal", "two-phase"])
def test_after_ten_systems_it_needs_three_fifths_of_the_steps_of_cg(problem):
    """Every residual is the true one."""
    recycle, ours, plain = None, [], []
    for index in range(13):
        system = darcy_system(64, index, problem)
        solution = deflated_cg(system, M="jacobi", recycle=recycle)
        assert np.linalg.norm(system.b - system.A @ solution.x) <= 1e-8 * np.linalg.norm(system.b)
        recycle = solution.recycle
        ours.append(solution.iterations)
        plain.append(solve(system, method="cg", preconditioner="jacobi").iterations)
    assert np.mean(ours[10:]) <= 0.6 * np.mean(plain[10:])


def test_deflating_exact_eigenvectors_leaves_the_condition_of_the_others():
    """Steps of a diagonal matrix with p distinct eigenvalues outside W: p (Saad et al., section 4)."""
    values = np.r_[1e-4, 1e-3, 1e-2, np.repeat([1.0, 2.0, 3.0], 20)]
    solution = deflated_cg(sp.diags_array(values), np.ones(63), recycle=RecycleSpace(np.eye(63)[:, :3]))
    assert (solution.converged, solution.iterations) == (True, 3)


def test_a_right_hand_side_in_the_carried_image_needs_no_step():
    system = darcy_system(32, 0, SMOOTH)
    W = deflated_cg(system).recycle.U
    np.testing.assert_allclose(W.T @ (system.A @ W) - np.diag(np.diag(W.T @ (system.A @ W))), 0, atol=1e-8)
    inside = deflated_cg(system.A, system.A @ W @ np.ones(W.shape[1]), recycle=RecycleSpace(W))
    assert (inside.iterations, inside.converged) == (0, True)


def test_it_takes_the_space_of_gcro_dr_and_gcro_dr_takes_its_own():
    first, second = darcy_system(32, 0, SMOOTH), darcy_system(32, 1, SMOOTH)
    fresh = deflated_cg(second, M="jacobi").iterations
    assert (
        deflated_cg(second, M="jacobi", recycle=gcro_dr(first, M="jacobi").recycle).iterations < 0.8 * fresh
    )
    carried = gcro_dr(second, M="jacobi", recycle=deflated_cg(first, M="jacobi").recycle)
    assert carried.iterations < gcro_dr(second, M="jacobi").iterations


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["spd", "hermitian", "indefinite"]), st.integers(2, 40), st.integers(0, 10**6))
def test_it_agrees_with_a_direct_solve_or_says_that_it_failed(kind, n, seed):
    A = random_matrix(kind, n, seed)
    b, recycle = np.random.default_rng(seed + 1).standard_normal(n), None
    for factor in (1.0, 1.01):
        solution = solve(factor * A, b, method="def_cg", preconditioner="none", recycle=recycle)
        recycle = solution.recycle
        assert solution.converged == bool(
            np.linalg.norm(b - factor * A @ solution.x) <= 1e-8 * np.linalg.norm(b)
        )
        if solution.converged:
            error = np.linalg.norm(solution.x - np.linalg.solve(factor * A, b))
            assert error <= 10 * np.linalg.cond(A) * 1e-8 * np.linalg.norm(solution.x)


def test_a_singular_matrix_with_a_known_null_space_is_solved():
    b = np.sin(np.arange(50.0))
    recycle = None
    for _ in range(2):
        solution = solve(
            neumann_laplacian(50), b - b.mean(), method="def_cg", preconditioner="none", recycle=recycle
        )
        assert solution.converged
        assert abs(solution.x.mean()) <= 1e-9 * np.abs(solution.x).max()
        recycle = solution.recycle


def test_what_it_cannot_serve_is_refused_or_named():
    bad = deflated_cg(np.diag([1.0, -1.0, 2.0]), np.ones(3))
    assert bad.reason is Reason.indefinite
    assert "p·Ap" in bad.detail
    with pytest.raises(UsageError, match="def_cg needs a symmetric matrix"):
        solve(np.array([[1.0, 2.0], [0.0, 1.0]]), np.ones(2), method="def_cg")
    with pytest.raises(UsageError, match="method='fcg'"):
        solve(
            np.diag([1.0, 2.0]),
            np.ones(2),
            method="def_cg",
            preconditioner=np.array([[1.0, 1.0], [0.0, 1.0]]),
        )
