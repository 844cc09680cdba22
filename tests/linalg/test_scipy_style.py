"""SciPy's and PyAMG's callers get the answers and the info that they expect."""

import numpy as np
import pyamg
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla

from pdeflow.linalg import scipy_style, solve

A = sp.csr_array(pyamg.gallery.poisson((24, 24)))
b = np.random.default_rng(0).standard_normal(576)
NAMES = ("cg", "fcg", "fgmres", "minres", "gcro_dr")


@pytest.mark.parametrize("name", NAMES)
def test_the_residuals_are_those_of_solve_and_info_is_zero(name):
    residuals, seen = [], []
    x, info = getattr(scipy_style, name)(A, b[:, None], rtol=1e-8, residuals=residuals, callback=seen.append)
    one = solve(A, b, method=name, preconditioner="none", rtol=1e-8, guard="none")
    assert info == 0
    assert x.shape == (576, 1)
    assert np.array_equal(x[:, 0], one.x)
    assert residuals == list(one.residual_norms)
    assert seen


@pytest.mark.parametrize("name", ["cg", "fcg", "fgmres"])
def test_pyamg_accelerates_its_cycles_with_ours(name):
    hierarchy = pyamg.ruge_stuben_solver(sp.csr_matrix(A))
    ours, theirs = [], []
    x = hierarchy.solve(b, tol=1e-10, accel=getattr(scipy_style, name), residuals=ours)
    hierarchy.solve(b, tol=1e-10, accel="cg" if name != "fgmres" else name, residuals=theirs)
    assert np.linalg.norm(b - A @ x) <= 1e-10 * np.linalg.norm(b)
    assert abs(len(ours) - len(theirs)) <= 2


def test_scipys_operators_serve_as_preconditioner_and_running_out_of_steps_is_said():
    M = sla.LinearOperator(A.shape, matvec=sla.spilu(sp.csc_matrix(A), drop_tol=1e-3).solve)
    x, info = scipy_style.fgmres(A, b, M=M, rtol=1e-9)
    assert info == 0
    np.testing.assert_allclose(A @ x, b, atol=1e-7)
    assert scipy_style.cg(A, b, maxiter=3, rtol=1e-9)[1] == 3
    with pytest.raises(ValueError, match="b has shape"):
        scipy_style.cg(A, b[:-1])
