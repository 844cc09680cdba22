"""Block CG shares its space between the right-hand sides, and dependent ones do not break it."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.errors import UsageError
from pdeflow.linalg import Reason, solve
from pdeflow.linalg.block_cg import block_cg
from pdeflow.problems import LogNormalDarcy

from .conftest import darcy_system
from .test_solve import random_matrix

SMOOTH = LogNormalDarcy(alpha=2.5, tau=7.0, sigma=0.19)


@pytest.fixture(scope="module")
def system():
    return darcy_system(64, 0, SMOOTH)


def test_one_column_is_cg(system):
    alone = solve(system, method="cg", preconditioner="jacobi")
    block = block_cg(system, system.b[:, None], M="jacobi")[0]
    assert abs(block.iterations - alone.iterations) <= 1
    np.testing.assert_allclose(block.residual_norms[:60], alone.residual_norms[:60], rtol=1e-6)


@pytest.mark.parametrize("M", ["none", "jacobi"])
def test_sixteen_columns_need_less_than_half_the_steps_of_one(system, M):
    B = np.random.default_rng(0).standard_normal((system.n, 16))
    solutions = block_cg(system, B, M=M)
    alone = [solve(system, b, method="cg", preconditioner=M).iterations for b in B.T[:3]]
    assert solutions[0].iterations <= 0.45 * np.mean(alone)
    for b, solution in zip(B.T, solutions, strict=True):
        assert np.linalg.norm(b - system.A @ solution.x) <= 1e-8 * np.linalg.norm(b)


def test_the_block_needs_as_many_steps_as_its_columns_need_dimensions():
    """n unknowns, s columns: n / s steps at most in exact arithmetic (O'Leary, section 3)."""
    rng = np.random.default_rng(0)
    A = sp.diags_array(np.linspace(1, 2, 60))
    assert block_cg(A, rng.standard_normal((60, 20)), rtol=1e-10)[0].iterations == 3


def test_dependent_and_zero_columns_are_solved_too(system):
    rng = np.random.default_rng(1)
    B = rng.standard_normal((system.n, 3))
    B = np.c_[B, 1e6 * B @ rng.standard_normal((3, 2)), np.zeros(system.n), B[:, :1]]
    solutions = block_cg(system, B, M="jacobi")
    assert [solution.reason.name for solution in solutions] == ["converged"] * 5 + ["zero_rhs", "converged"]
    for b, solution in zip(B.T, solutions, strict=True):
        assert np.linalg.norm(b - system.A @ solution.x) <= 1e-8 * np.linalg.norm(b)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["spd", "hermitian", "indefinite"]),
    st.integers(2, 40),
    st.integers(1, 6),
    st.integers(0, 10**6),
)
def test_it_agrees_with_a_direct_solve_or_says_that_it_failed(kind, n, s, seed):
    A = random_matrix(kind, n, seed)
    B = np.random.default_rng(seed + 1).standard_normal((n, s))
    for b, solution in zip(B.T, block_cg(A, B), strict=True):
        assert solution.converged == bool(np.linalg.norm(b - A @ solution.x) <= 1e-8 * np.linalg.norm(b))
        if solution.converged:
            error = np.linalg.norm(solution.x - np.linalg.solve(A, b))
            assert error <= 10 * np.linalg.cond(A) * 1e-8 * np.linalg.norm(solution.x)


def test_starts_tolerances_and_refusals():
    A, B = np.diag([1.0, 2.0, 3.0]), np.ones((3, 2))
    assert block_cg(A, B, np.linalg.solve(A, B))[0].iterations == 0
    assert block_cg(A, B, rtol=0.0, atol=10.0)[1].iterations == 0
    assert block_cg(A, B, maxiter=1)[0].reason is Reason.maxiter
    assert block_cg(-A, B)[0].reason is Reason.indefinite
    with pytest.raises(UsageError, match=r"shape \(3,\)"):
        block_cg(A, np.ones(3))
    with pytest.raises(UsageError, match="rtol"):
        block_cg(A, B, rtol=2.0)
    for X0 in (np.ones((2, 2)), np.ones((2, 3)), np.full((3, 2), np.nan)):
        with pytest.raises(UsageError, match=r"X0 must be finite and have the shape of B \(3, 2\)"):
            block_cg(A, B, X0)
    assert all(solution.converged for solution in block_cg(A.astype(int), B))


def test_a_column_without_right_hand_side_is_solved_by_zero_from_any_start():
    A, B = np.diag([1.0, 2.0, 3.0]), np.ones((3, 2))
    B[:, 1] = 0
    for right, reasons in ((B, [Reason.converged, Reason.zero_rhs]), (0 * B, [Reason.zero_rhs] * 2)):
        found = block_cg(A, right, np.ones((3, 2)))
        assert [solution.reason for solution in found] == reasons
        assert not found[1].x.any()
