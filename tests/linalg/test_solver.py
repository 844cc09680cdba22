"""Set up once, solve many: the same bits as single solves, one factorization or preconditioner, SciPy's and PyAMG's interface."""

import importlib

import numpy as np
import pyamg
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla

from pdeflow.errors import UsageError
from pdeflow.linalg import Solver, solve
from pdeflow.linalg.preconditioners import build
from pdeflow.linalg.solution import Reason

A = sp.csr_array(pyamg.gallery.poisson((20, 20)))
C = sp.csr_array(A + 0.5 * sp.diags_array(np.ones(399), offsets=1, shape=(400, 400)))
B = np.random.default_rng(0).standard_normal((4, 400))
CASES = {
    "auto": (A, {}), "direct": (A, {"method": "direct"}), "cg + amg": (A, {"method": "cg", "preconditioner": "amg"}),
    "cg + ic": (A, {"method": "cg", "preconditioner": "ic"}), "LU": (C, {"method": "direct"}),
    "fgmres + ilu": (C, {"method": "fgmres", "preconditioner": "ilu"}), "auto, not symmetric": (C, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_right_hand_side_gets_the_bits_of_its_own_solve(name):
    matrix, options = CASES[name]
    solver = Solver(matrix, rtol=1e-9, **options)
    for b in B:
        one, many = solve(matrix, b, rtol=1e-9, **options), solver.solve(b)
        assert many.converged
        assert np.array_equal(one.x, many.x)
        assert one.iterations == many.iterations


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_set_up_twice(name, monkeypatch):
    matrix, options = CASES[name]
    calls = []
    module = importlib.import_module("pdeflow.linalg.solve")  # the package has the function under this name
    for made in ("build", "factorize"):
        whole = getattr(module, made)
        monkeypatch.setattr(module, made, lambda *args, whole=whole: (calls.append(1), whole(*args))[1])
    solver = Solver(matrix, **options)
    for b in B:
        solver.solve(b)
    assert len(calls) == 1


def test_options_of_one_solve_win_and_a_complex_right_hand_side_gets_its_own_set_up():
    solver = Solver(A, method="cg", preconditioner="amg", rtol=1e-10)
    assert solver.solve(B[0], rtol=1e-2).iterations < solver.solve(B[0]).iterations
    found = solver.solve(B[0] + 1j * B[1])
    assert found.converged
    np.testing.assert_allclose(found.x.imag, solver.solve(B[1]).x, atol=1e-8)
    assert solver.solve(np.zeros(400)).reason is Reason.zero_rhs
    with pytest.raises(UsageError, match="b has shape"):
        solver.solve(B[0][:-1])


def test_a_singular_matrix_keeps_its_null_space():
    n = 50
    N = sp.diags_array([np.r_[1.0, np.full(n - 2, 2.0), 1.0], -np.ones(n - 1), -np.ones(n - 1)], offsets=[0, 1, -1], format="csr")
    solver, b = Solver(N, nullspace="constant"), B[0][:n] - B[0][:n].mean()
    assert solver.solve(b).converged
    assert solver.solve(b + 1).reason is Reason.incompatible_nullspace


def test_scipy_takes_the_preconditioner():
    M = Solver(A, preconditioner="amg:sa").aspreconditioner()
    steps = []
    _, info = sla.cg(A, B[0], rtol=1e-10, M=M, callback=steps.append)
    assert info == 0
    assert len(steps) == solve(A, B[0], method="cg", preconditioner="amg:sa", rtol=1e-10).iterations
    np.testing.assert_array_equal(M @ B[1], build("amg:sa", Solver(A).system) @ B[1])
