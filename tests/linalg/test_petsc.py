"""PETSc's preconditioners: a factorization inverts, Jacobi is ours, multigrid converges to the same x; what is missing is said."""

import sys

import numpy as np
import pytest
import scipy.sparse as sp
from pyamg.gallery import poisson

from pdeflow import solve
from pdeflow.errors import UsageError
from pdeflow.linalg import LinearSystem
from pdeflow.linalg.preconditioners import build


@pytest.fixture
def system():
    A = sp.csr_array(poisson((20, 17), format="csr"))
    b = np.random.default_rng(0).standard_normal(A.shape[0])
    return LinearSystem(A=A, b=b, symmetric=True, positive_definite=True)


def test_a_missing_package_is_named_with_what_to_use_instead(system, monkeypatch):
    monkeypatch.setitem(sys.modules, "petsc4py", None)
    with pytest.raises(UsageError, match=r"needs the package petsc4py.*amg, ic or ilu"):
        solve(system, method="cg", preconditioner="petsc:gamg")


def test_an_exact_factorization_is_the_inverse(system):
    pytest.importorskip("petsc4py")
    M = build("petsc:cholesky", system)
    x = np.random.default_rng(1).standard_normal(system.n)
    np.testing.assert_allclose(M @ (system.A @ x), x, rtol=1e-10)
    assert M.spd


def test_jacobi_is_ours(system):
    pytest.importorskip("petsc4py")
    r = np.random.default_rng(1).standard_normal(system.n)
    np.testing.assert_allclose(build("petsc:jacobi", system) @ r, build("jacobi", system) @ r, rtol=1e-14)


@pytest.mark.parametrize("kind", ["gamg", "icc"])
def test_conjugate_gradients_reach_the_same_solution_in_fewer_iterations(system, kind):
    pytest.importorskip("petsc4py")
    plain = solve(system, method="cg", preconditioner="none", rtol=1e-10)
    found = solve(system, method="cg", preconditioner=f"petsc:{kind}", rtol=1e-10)
    assert found.converged
    assert found.iterations < plain.iterations
    assert found.preconditioner == f"petsc:{kind}"
    np.testing.assert_allclose(found.x, plain.x, rtol=1e-7, atol=1e-8)


def test_what_petsc_does_not_have_is_refused_in_one_line(system):
    pytest.importorskip("petsc4py")
    with pytest.raises(UsageError, match="petsc:nonsense: PETSc refused it") as error:
        build("petsc:nonsense", system)
    assert "\n" not in str(error.value)


def test_a_matrix_of_petsc_is_taken_as_it_is(system):
    PETSc = pytest.importorskip("petsc4py.PETSc")
    A = sp.csr_matrix(system.A)
    matrix = PETSc.Mat().createAIJ(A.shape, csr=(A.indptr.astype(PETSc.IntType), A.indices.astype(PETSc.IntType), A.data))
    found = solve(matrix, system.b, rtol=1e-10)
    assert found.converged
    np.testing.assert_allclose(A @ found.x, system.b, atol=1e-8)
