"""Direct solvers: agreement with dense algebra, honest breakdown, and cost estimates within a factor of four of the fill."""

import numpy as np
import pyamg
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla

from pdeflow.errors import UsageError
from pdeflow.linalg import LinearSystem, Reason, direct, linear_system, solve
from pdeflow.linalg.compare import Entry, compare
from pdeflow.linalg.direct import estimate_cost, separator_width


def poisson(*shape):
    return sp.csr_array(pyamg.gallery.poisson(shape, format="csr"))


@pytest.mark.parametrize(("shape", "width"), [((20, 20), 20), ((50, 8), 8), ((300,), 1)])
def test_the_width_of_a_grid_is_its_short_side(shape, width):
    assert separator_width(poisson(*shape)) == width


@pytest.mark.parametrize("shape", [(64, 64), (128, 128), (12, 12, 12), (20, 20, 20)])
def test_estimated_entries_are_within_a_factor_of_four(shape, monkeypatch):
    monkeypatch.setattr(direct, "find_spec", lambda name: None)  # SuperLU, which tells its fill
    A = poisson(*shape)
    factor = sla.splu(
        sp.csc_matrix(A), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    )
    assert 0.25 < estimate_cost(linear_system(A)).entries / (factor.L.nnz + factor.U.nnz) < 4


def test_a_three_dimensional_factorization_is_skipped_with_its_needs(monkeypatch):
    monkeypatch.setattr(direct, "find_spec", lambda name: None)
    system = linear_system(poisson(64, 64, 64))
    (row,) = compare(system, [Entry("direct", "direct")], memory_limit=1.0)
    assert row.solution is None
    assert "GB" in row.skipped
    with pytest.raises(UsageError, match="amg"):
        solve(system, method="direct", timeout=5.0)


@pytest.mark.parametrize("without", [False, True])
def test_cholmod_and_superlu_agree_with_dense_algebra(without, monkeypatch):
    if without:
        monkeypatch.setattr(direct, "find_spec", lambda name: None)
    A, b = poisson(15, 15), np.random.default_rng(0).standard_normal(225)
    solution = solve(A, b, method="direct", rtol=1e-12)
    np.testing.assert_allclose(solution.x, np.linalg.solve(A.toarray(), b), rtol=1e-9, atol=1e-12)
    assert solution.preconditioner in (("SuperLU",) if without else ("CHOLMOD", "SuperLU"))


def test_an_indefinite_matrix_declared_definite_is_not_solved_wrongly():
    A = sp.csr_array(np.array([[1.0, 2.0], [2.0, 1.0]]))
    solution = solve(LinearSystem(A, np.ones(2), True, True), method="direct")
    assert solution.converged == (np.linalg.norm(np.ones(2) - A @ solution.x) < 1e-7)


def test_a_singular_matrix_breaks_down():
    A = sp.csr_array(np.array([[1.0, 1.0, 0], [1.0, 1.0, 0], [0, 1.0, 2.0]]))
    solution = solve(A, np.array([1.0, 2.0, 3.0]), method="direct")
    assert not solution.converged
    assert solution.reason in (Reason.breakdown, Reason.nonfinite, Reason.stagnated)
