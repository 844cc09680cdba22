"""Singular systems: compatible ones are solved, others refused by the part of b that no x can reach."""

import numpy as np
import pytest
import scipy.sparse as sp

from pdeflow.errors import UsageError
from pdeflow.linalg import LinearSystem, Reason, linear_system, solve
from pdeflow.linalg.nullspace import left_null_basis, unreachable_part

from .conftest import neumann_laplacian


def periodic_convection(n=120, seed=0):
    """Rows scaled at random: constants span the right null space, not the left one."""
    rng = np.random.default_rng(seed)
    A = sp.diags_array([2.0, -1.3, -0.7, -1.3, -0.7], offsets=[0, -1, 1, n - 1, 1 - n], shape=(n, n))
    return sp.csr_array(sp.diags_array(1 + rng.random(n)) @ A)


def test_the_left_null_vector_is_found_and_differs_from_the_right_one():
    system = linear_system(periodic_convection())
    W = left_null_basis(system, 1)
    exact = np.linalg.svd(system.A.toarray())[0][:, -1]
    assert abs(W[:, 0] @ exact) == pytest.approx(1, abs=1e-10)
    assert abs(W[:, 0] @ system.null_basis()[:, 0]) < 0.999


def test_a_nonsymmetric_singular_system_is_solved_or_refused_by_its_left_null_vector():
    A, rng = periodic_convection(), np.random.default_rng(1)
    w = left_null_basis(linear_system(A), 1)[:, 0]
    b = rng.standard_normal(120)
    assert solve(A, b - w * (w @ b)).converged
    refused = solve(A, b)
    assert (refused.converged, refused.reason) == (False, Reason.incompatible_nullspace)
    assert f"{abs(w @ b) / np.linalg.norm(b):.1e}" in refused.detail
    mean_free = solve(A, b - b.mean())  # the right null space does not help
    assert not mean_free.converged


def test_the_unreachable_part_is_the_smallest_residual():
    A, b = periodic_convection(), np.random.default_rng(2).standard_normal(120)
    x = np.linalg.lstsq(A.toarray(), b, rcond=None)[0]
    part = unreachable_part(linear_system(A, b))
    assert part == pytest.approx(np.linalg.norm(b - A @ x), rel=1e-8)


def test_a_null_space_of_two_vectors():
    A = sp.csr_array(sp.block_diag([neumann_laplacian(40), neumann_laplacian(30)]))
    Q = np.zeros((70, 2))
    Q[:40, 0] = Q[40:, 1] = 1
    b = np.random.default_rng(0).standard_normal(70)
    b -= b.mean()  # orthogonal to the sum of both vectors, not to each
    assert solve(A, b, nullspace=Q).reason is Reason.incompatible_nullspace
    basis = np.linalg.qr(Q)[0]
    solution = solve(A, b - basis @ (basis.T @ b), nullspace=Q)
    assert solution.converged


def test_a_wrong_null_space_is_refused_instead_of_a_solvable_system():
    A = sp.csr_array(np.diag(np.arange(1.0, 30)))
    with pytest.raises(UsageError, match="not one"):
        solve(A, np.ones(29), nullspace="constant")
    with pytest.raises(UsageError, match="not one"):
        solve(LinearSystem(A, np.ones(29), True, True), nullspace="constant")


def test_a_matrix_that_has_no_left_null_vector_gives_none():
    assert left_null_basis(linear_system(np.eye(5)), 1) is None
