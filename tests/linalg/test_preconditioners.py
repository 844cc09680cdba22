"""Preconditioners keep their promises: flags against dense algebra, names, objects of others, and misuse."""

import numpy as np
import pyamg
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import aslinearoperator

from pdeflow.errors import UsageError
from pdeflow.linalg import Reason, linear_system, solve
from pdeflow.linalg.custom_preconditioner import probe
from pdeflow.linalg.preconditioners import NAMES, build, incomplete_cholesky
from pdeflow.models import LearnedVCycle

from .conftest import darcy_system


def dense(M, n):
    return np.stack([M @ column for column in np.eye(n)], axis=1)


@pytest.fixture(scope="module")
def small():
    return darcy_system(12)


@pytest.mark.parametrize("name", NAMES)
def test_flags_are_true_of_the_matrix(small, name):
    if name == "ic":
        pytest.importorskip("ilupp")
    M = build(name, small)
    B = dense(M, small.n)
    u, v = np.random.default_rng(0).standard_normal((2, small.n))
    np.testing.assert_allclose(M @ (u + 2 * v), B @ (u + 2 * v), atol=1e-10 * np.linalg.norm(B))
    if M.symmetric:
        np.testing.assert_allclose(B, B.T, atol=1e-10 * np.abs(B).max())
    if M.positive:
        assert np.linalg.eigvalsh((B + B.T) / 2)[0] > 0


@pytest.mark.parametrize(("name", "largest"), [("amg:rs", 2.0), ("amg:sa", 3.0)])
def test_multigrid_bounds_the_condition_number_independently_of_the_grid(name, largest):
    for n in (8, 16, 24):
        system = darcy_system(n)
        values = np.linalg.eigvals(dense(build(name, system), system.n) @ system.A.toarray()).real
        assert values.max() / values.min() < largest
        assert values.max() < 1 + 1e-8  # a symmetric cycle never overshoots in the energy norm


def test_auto_takes_classical_multigrid_for_m_matrices_only(small):
    assert build("amg", small).name == "amg:rs"
    bar = linear_system(pyamg.gallery.load_example("bar")["A"])
    assert build("amg", bar).name == "amg:sa"


def test_probing_finds_what_is_missing(small):
    rng = np.random.default_rng(0)
    W = np.eye(small.n) + 0.1 * rng.standard_normal((small.n, small.n))
    cases = {
        (True, True, True): lambda r: 2 * r,
        (True, True, False): lambda r: -r,
        (True, False, True): lambda r: W @ r,
        (False, False, True): lambda r: np.abs(r) * r,
    }
    for (linear, symmetric, positive), apply in cases.items():
        found = probe(apply, small)
        assert (found["linear"], found["symmetric"]) == (linear, symmetric)
        assert found["positive"] == positive


class Object:
    """A preconditioner of others: 1/4, with habits."""

    linear = symmetric = positive = True
    name = "object"

    def __init__(self, n, habit=lambda r: r / 4):
        self.shape, self.habit = (n, n), habit

    def __matmul__(self, r):
        return self.habit(r)


def overwrite(r):
    r /= 4
    return r


def test_an_object_that_overwrites_what_it_gets_does_no_harm():
    A, b = pyamg.gallery.poisson((20, 20), format="csr"), np.ones(400)
    for method in ("cg", "fcg", "fgmres", "minres"):
        clean, rude = (
            solve(A, b, method=method, preconditioner=Object(400, habit), guard="none")
            for habit in (lambda r: r / 4, overwrite)
        )
        assert clean.converged
        assert rude.iterations == clean.iterations


def test_objects_that_do_not_fit_are_refused_at_the_door(small):
    with pytest.raises(UsageError, match="shape"):
        build(Object(small.n + 1), small)
    with pytest.raises(UsageError, match=r"returned shape \(3,\)"):
        solve(small, method="cg", preconditioner=Object(small.n, lambda r: np.ones(3)))
    with pytest.raises(UsageError, match="neither"):
        build(object(), small)
    with pytest.raises(UsageError, match="unknown"):
        build("magic", small)
    with pytest.raises(UsageError, match="does not fit"):
        build(LearnedVCycle(), darcy_system(33))


@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: m.aspreconditioner()])
def test_solvers_of_pyamg_and_operators_of_scipy_are_taken(wrap):
    A = sp.csr_array(pyamg.gallery.poisson((30, 30), format="csr"))
    solution = solve(A, np.ones(900), preconditioner=wrap(pyamg.ruge_stuben_solver(A)))
    assert (solution.reason, solution.method) == (Reason.converged, "cg")
    assert solution.iterations < 12


def test_an_operator_needs_no_entries_but_says_so_where_they_are_asked_for():
    A = aslinearoperator(pyamg.gallery.poisson((20, 20), format="csr"))
    for method in ("auto", "cg", "fcg", "fgmres", "minres"):
        assert solve(A, np.ones(400), method=method).converged, method
    for name in ("jacobi", "ilu", "ic", "amg"):
        with pytest.raises(UsageError, match="operator"):
            solve(A, np.ones(400), method="fcg", preconditioner=name)


@pytest.mark.parametrize(
    ("method", "name"),
    [("auto", "auto"), ("direct", "none"), ("cg", "amg"), ("fgmres", "ilu"), ("fcg", "ilu")],
)
def test_a_real_matrix_takes_a_complex_right_hand_side(method, name):
    A = sp.csr_array(pyamg.gallery.poisson((15, 15), format="csr"))
    rng = np.random.default_rng(0)
    b = rng.standard_normal(225) + 1j * rng.standard_normal(225)
    solution = solve(A, b, method=method, preconditioner=name)
    assert solution.converged
    real, imaginary = (solve(A, part, method="direct").x for part in (b.real, b.imag))
    np.testing.assert_allclose(solution.x, real + 1j * imaginary, atol=1e-6 * np.abs(solution.x).max())


def test_incomplete_cholesky_of_an_indefinite_matrix_is_refused_and_reads_no_foreign_memory():
    pytest.importorskip("ilupp")
    A = -sp.diags_array([-np.ones(99), 2 * np.ones(100), -np.ones(99)], offsets=[-1, 0, 1], format="csr")
    with pytest.raises(UsageError, match="broke down"):
        incomplete_cholesky(linear_system(A))
