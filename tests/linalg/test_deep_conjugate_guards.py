"""Deep conjugate directions: what the guards leave a network for, what they fall back to, and what they say."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla
import torch

from pdeflow.errors import UsageError
from pdeflow.linalg import Reason, solve
from pdeflow.linalg.column_events import ENERGY
from pdeflow.linalg.deep_conjugate_directions import dcdm
from pdeflow.linalg.direction_columns import Columns
from pdeflow.linalg.preconditioners import amg, jacobi
from pdeflow.linalg.system import LinearSystem

LAYOUTS = {
    "dense": torch.clone,
    "coo": torch.Tensor.to_sparse,
    "twice the same entry": lambda A: torch.sparse_coo_tensor(A.to_sparse().indices().repeat(1, 2), (A.to_sparse().values() / 2).repeat(2), A.shape),
    "csr": torch.Tensor.to_sparse_csr,
    "csc": torch.Tensor.to_sparse_csc,
    "bsr": lambda A: A.to_sparse_bsr((4, 4)),
    "bsc": lambda A: A.to_sparse_bsc((4, 4)),
}


def poisson(n):
    T = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(n, n))
    return sp.kronsum(T, T, format="csr")


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def broken(r):
    return torch.full_like(r, float("nan"))


def contracting(factor):
    """For A = 1 in the plane: d at an angle to r whose sine is the factor, by which the line search then shortens r."""
    turn = torch.tensor([[math.sqrt(1 - factor**2), -factor], [factor, math.sqrt(1 - factor**2)]], dtype=torch.float64)
    return lambda r: r @ turn


def decades(n, count):
    """Dense symmetric matrix with eigenvalues from 1 to 10^-count, and its inverse."""
    Q = torch.linalg.qr(normal(n, n))[0]
    values = torch.logspace(0, -count, n, dtype=torch.float64)
    A = (Q * values) @ Q.T
    return (A + A.T) / 2, (Q / values) @ Q.T


@pytest.mark.parametrize(("factor", "left"), [(0.975, None), (0.985, 9)])
def test_a_network_is_left_where_its_residuals_fall_by_less_than_two_percent_a_step(factor, left):
    """Measured over 5 steps, 5 times in a row: after 9 steps at the earliest."""
    b = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    found = dcdm(torch.clone, b, contracting(factor), window=0, maxiter=20)
    torch.testing.assert_close(found.residual_norms[:10, 0], 5 * factor ** torch.arange(10.0, dtype=torch.float64))
    assert found.switched_at == (left,)
    assert found.reasons == (Reason.maxiter if left is None else Reason.converged_fallback,)
    assert ("falls too slowly" in found.details[0]) == (left is not None)


@pytest.mark.parametrize("share", [0.8, 1.25, 1.4])
def test_converged_means_a_residual_within_the_tolerance_and_nothing_above(share):
    """Three steps that halve leave an eighth of b, whichever tolerance beside that was asked for; a claim does not help."""
    found = dcdm(torch.clone, torch.ones(1, 2, dtype=torch.float64), contracting(0.5), window=0, guard=None, maxiter=3, rtol=0.125 / share)
    assert float(found.residual) == pytest.approx(0.125, rel=1e-12)
    assert found.converged.tolist() == [share < 1]
    x = torch.full((1, 2), 0.5 - 0.5 * share * 1e-3)
    claims = Columns(lambda v: 2 * v, torch.ones(1, 2), x, torch.clone, torch.clone, None, 2, None, 1e-3, 0.0)
    claims.active = torch.zeros_like(claims.active)
    assert claims.solutions().converged.tolist() == [share < 1]


def test_the_default_preconditioners_of_an_assembled_matrix_are_multigrid_and_jacobi():
    """Bit by bit what these give when they are passed."""
    A, b = poisson(32), normal(1, 32 * 32)
    system = LinearSystem(A, np.zeros(A.shape[0]), symmetric=True)
    for guard, M in (("switch", amg(system)), ("multi", jacobi(system))):
        passed = dcdm(A, b, broken, guard=guard, classical=lambda r, M=M: torch.from_numpy(M @ r[0].numpy())[None])
        default = dcdm(A, b, broken, guard=guard)
        assert default.converged.all()
        assert torch.equal(default.x, passed.x)
        assert (int(default.iterations) <= 12) == (guard == "switch")  # Jacobi needs a hundred


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch calls its sparse layouts a beta
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("guard", ["switch", "multi"])
def test_jacobi_is_the_default_for_torch_matrices_of_every_layout(layout, guard):
    D = sp.diags_array(10 ** np.linspace(0, 4, 256))
    dense = torch.from_numpy((D @ poisson(16) @ D).toarray())
    inverse, b = 1 / dense.diagonal(), normal(1, 256)
    passed = dcdm(dense, b, broken, guard=guard, classical=lambda r: inverse * r)
    found = dcdm(LAYOUTS[layout](dense), b, broken, guard=guard)
    assert found.converged.all()
    assert abs(int(found.iterations) - int(passed.iterations)) <= 1
    assert int(found.iterations) <= 60


@pytest.mark.parametrize("guard", [None, "switch", "multi"])
@pytest.mark.parametrize(("dtype", "count"), [(torch.float32, 5), (torch.float32, 6), (torch.float32, 7), (torch.float64, 12), (torch.float64, 14)])
@pytest.mark.parametrize("every", [1, 10])
def test_rounding_is_not_taken_for_a_matrix_that_is_not_symmetric(dtype, count, guard, every):
    """An inverse as network goes where ‖A d‖ / ‖d‖ is the smallest eigenvalue; b - A x is as uncertain as the largest makes it."""
    A, inverse = decades(400, count)
    b = normal(3, 400, seed=1).to(dtype)
    found = dcdm(A.to(dtype), b, lambda r: (r.double() @ inverse).to(r.dtype), guard=guard, recompute_every=every, maxiter=100)
    assert set(found.reasons) <= {Reason.stagnated, Reason.converged, Reason.converged_fallback}
    assert not any("symmetric" in detail for detail in found.details)
    assert found.residual.max() <= torch.finfo(dtype).eps * 10**count


@pytest.mark.parametrize("n", [20, 40])
def test_rounding_is_no_proof_of_an_indefinite_matrix(n):
    """In float32, with a window that the proposals have filled: what is left of them is rounding, and its d·Ad as well."""
    A, _ = decades(n, 6)
    found = dcdm(A.float(), normal(40, n, seed=1).float(), torch.ones_like, guard="multi", window=10, maxiter=100)
    assert torch.linalg.eigvalsh(A.float().double()).min() > 0
    assert Reason.indefinite not in found.reasons


@pytest.mark.parametrize("every", [1, 3])
def test_an_energy_that_does_not_fall_as_it_must_leaves_the_network_and_goes_on(every):
    """From b - A x computed anew: only the products with the first directions are disturbed."""
    S, skew = torch.diag(torch.linspace(1, 3, 30, dtype=torch.float64)), normal(30, 30, seed=3) / 10
    calls = []

    def disturbed(v):
        calls.append(1)
        return v @ S + (v @ skew if 3 < len(calls) <= 3 + every else 0)  # two for the size of A and a residual came before

    def run(guard):
        calls.clear()
        columns = Columns(disturbed, normal(1, 30), None, torch.tanh, torch.clone, None, 2, guard, 1e-8, 0.0)
        columns.run(200, every, 1, None)
        return columns

    left, ended = run("switch"), run(None)
    assert left.left.causes() == ended.ended.causes() == [ENERGY]
    found = left.solutions()
    assert found.reasons == (Reason.converged_fallback,)
    torch.testing.assert_close(found.x @ S, normal(1, 30), rtol=0, atol=1e-7)
    assert ended.solutions().reasons == (Reason.breakdown,)
    assert f"at iteration {every}" in ended.solutions().details[0]


@pytest.mark.parametrize("every", [2, 4, 10])
def test_iterations_are_what_was_done_for_a_column_however_often_one_looks(every):
    A, b = poisson(32), normal(2, 32 * 32)
    W = normal(32 * 32, 4)
    for network in (broken, lambda r: torch.relu(r @ W) @ W.mT):
        watched, seldom = (dcdm(A, b, network, check_every=k) for k in (1, every))
        assert watched.switched_at == seldom.switched_at
        assert (watched.iterations - seldom.iterations).abs().max() <= 1  # idle steps push earlier directions out
        assert len(seldom.residual_norms) - 1 <= 1.5 * int(seldom.iterations.max()) + 1
    assert torch.equal(dcdm(A, b, broken, check_every=every).iterations, dcdm(A, b, broken).iterations)


def test_looks_come_closer_in_the_first_steps():
    seen = []
    dcdm(poisson(32), normal(1, 32 * 32), torch.clone, guard=None, maxiter=45, check_every=10, stop=lambda k, now: seen.append(k))
    assert seen == [0, 1, 2, 3, 4, 6, 9, 13, 19, 28, 38, 45]


def test_a_column_says_why_it_ended_or_left_its_network():
    indefinite = torch.diag(torch.linspace(-1, 2, 30, dtype=torch.float64))
    e = torch.zeros(1, 30, dtype=torch.float64)
    e[0, 0] = 4.0
    found = dcdm(indefinite, e, torch.clone)
    assert found.details == ("the operator is not positive definite: d^T A d = -1.00e+00 for a direction of length one at iteration 1",)
    A, b = poisson(8), torch.full((2, 64), 0.5, dtype=torch.float64)
    b[1] = 0
    text = "the network returned non-finite values for residual norm 4.00e+00 at iteration 1"
    for guard, detail in ((None, text), ("switch", text), ("multi", "")):
        assert dcdm(A, b, broken, guard=guard).details == (detail, "")
    assert "zero, or lies in the span" in dcdm(A, b, torch.zeros_like, guard=None).details[0]
    assert "residual norm" in dcdm(A, b.float(), torch.clone, guard=None, rtol=1e-12).details[0]  # stagnated
    wild = sla.LinearOperator(A.shape, matvec=lambda r: r * np.nan, dtype=float)
    told = solve(A, b[0].numpy(), method="dcdm", preconditioner=wild).detail
    assert "non-finite values for residual norm 4.00e+00" in told


def test_a_scipy_matrix_and_right_hand_sides_on_another_device_are_refused():
    b = torch.ones(1, 64, device="meta")
    for A in (poisson(8), sla.aslinearoperator(poisson(8))):
        with pytest.raises(UsageError, match="works on the CPU and b is on meta; pass a torch matrix or a function"):
            dcdm(A, b, torch.clone)
    with pytest.raises(UsageError, match="A is on cpu and b on meta"):
        dcdm(torch.eye(64), b, torch.clone)
