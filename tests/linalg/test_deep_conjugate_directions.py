"""Deep conjugate directions: theory that holds for every network, and guards that make every network converge."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse.linalg as sla
import torch

from pdeflow.errors import UsageError
from pdeflow.linalg import Reason, solve
from pdeflow.linalg.conjugate_window import inner
from pdeflow.linalg.deep_conjugate_directions import dcdm
from pdeflow.linalg.direction_columns import Columns
from pdeflow.linalg.preconditioners import Preconditioner

from .conftest import neumann_laplacian


def right_hand_sides(count, n, seed=0):
    return torch.randn(count, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def random_network(n, seed=1):
    """Untrained, nonlinear, neither symmetric nor positive."""
    generator = torch.Generator().manual_seed(seed)
    W, V = (torch.randn(n, n, dtype=torch.float64, generator=generator) / n**0.5 for _ in range(2))
    return lambda r: torch.relu(r @ W) @ V + 0.1


def broken(r):
    return torch.full_like(r, float("nan"))


def iterates(A, b, network, steps, **options):
    """x_0 .. x_steps of one right-hand side, as NumPy rows."""
    options = {"rtol": 1e-15, "guard": None} | options
    rows = [torch.zeros_like(b)] + [dcdm(A, b, network, maxiter=k, **options).x for k in range(1, steps + 1)]
    return torch.cat(rows).numpy()


def energies(A, exact, rows):
    return np.array([(exact - x) @ (A @ (exact - x)) for x in rows])


@pytest.mark.parametrize("window", [0, 2, 10])
def test_energy_falls_by_exactly_what_the_line_search_takes(darcy, window):
    """‖e_k‖²_A = ‖e_{k-1}‖²_A (1 - cos²_A(d, e_{k-1})) (equation 2.4), for a network that knows nothing."""
    b = right_hand_sides(1, darcy.n)
    exact = sla.spsolve(darcy.A.tocsc(), b[0].numpy())
    rows = iterates(darcy.A, b, random_network(darcy.n), 6, window=window)
    found = energies(darcy.A, exact, rows)
    assert all(after <= before * (1 + 1e-12) for before, after in pairwise(found))
    for x, following, before, after in zip(rows, rows[1:], found, found[1:], strict=False):
        d, r = following - x, b[0].numpy() - darcy.A @ x
        taken = (r @ d) ** 2 / (d @ (darcy.A @ d))
        assert after == pytest.approx(before - taken, rel=1e-10)


def test_length_and_sign_of_the_networks_answer_do_not_matter(darcy):
    b, network = right_hand_sides(2, darcy.n), random_network(darcy.n)
    one, other = (
        dcdm(darcy.A, b, f, guard=None, maxiter=20).x for f in (network, lambda r: -1e150 * network(r))
    )
    torch.testing.assert_close(one, other, rtol=0, atol=1e-12 * float(one.abs().max()))


def test_the_identity_with_a_window_of_one_is_conjugate_gradients(darcy):
    b, theirs = right_hand_sides(1, darcy.n), []
    sla.cg(darcy.A, b[0].numpy(), rtol=0, maxiter=50, callback=lambda x: theirs.append(x.copy()))
    ours = iterates(darcy.A, b, torch.clone, 50, window=1)[1:]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-8 * np.abs(theirs).max())


def test_a_full_window_ends_after_as_many_steps_as_unknowns():
    """n A-orthogonal directions span the space, whichever they are: finite termination for a random linear network."""
    B = np.random.default_rng(0).standard_normal((50, 50))
    A, W = torch.from_numpy(B @ B.T + 5 * np.eye(50)), right_hand_sides(50, 50, seed=2)
    found = dcdm(A, right_hand_sides(3, 50), lambda r: r @ W, window=50, guard=None, rtol=1e-9, maxiter=50)
    assert found.converged.all()
    assert found.residual_norms[40].min() > 1e-6 * found.residual_norms[0].max()  # and not long before


def test_the_multi_guard_is_at_every_step_at_least_as_good_as_a_classical_step(darcy):
    b, inverse = right_hand_sides(1, darcy.n), torch.from_numpy(1 / darcy.A.diagonal())
    exact = sla.spsolve(darcy.A.tocsc(), b[0].numpy())
    rows = iterates(
        darcy.A, b, random_network(darcy.n), 12, guard="multi", classical=lambda r: inverse * r, rtol=1e-13
    )
    for x, after in zip(rows, energies(darcy.A, exact, rows)[1:], strict=False):
        r = b[0].numpy() - darcy.A @ x
        d = inverse.numpy() * r
        classical = x + (r @ d) / (d @ (darcy.A @ d)) * d
        assert after <= energies(darcy.A, exact, [classical])[0] * (1 + 1e-12)


@pytest.mark.parametrize("window", [0, 2])
@pytest.mark.parametrize("make", [random_network, lambda n: broken, lambda n: lambda r: r @ torch.eye(n, dtype=r.dtype).roll(1, 0)])
def test_the_multi_guard_is_at_every_step_at_least_as_good_as_conjugate_gradients(darcy, make, window):
    """In the energy norm, whatever the network proposes, so with as many steps but for the norm that is looked at."""
    b, inverse = right_hand_sides(1, darcy.n), torch.from_numpy(1 / darcy.A.diagonal())
    exact, network = sla.spsolve(darcy.A.tocsc(), b[0].numpy()), make(darcy.n)
    guarded = {"guard": "multi", "classical": lambda r: inverse * r, "window": window}
    theirs = energies(darcy.A, exact, iterates(darcy.A, b, guarded["classical"], 40, window=1))
    ours = energies(darcy.A, exact, iterates(darcy.A, b, network, 40, **guarded))
    assert np.all(ours <= theirs * (1 + 1e-9))
    alone = dcdm(darcy.A, b, guarded["classical"], guard=None, window=1)
    found = dcdm(darcy.A, b, network, **guarded)
    assert found.converged.all()
    assert int(found.iterations) <= int(alone.iterations) + 3
    assert found.matvecs == 4 * int(found.iterations) + 4


def test_what_conjugate_gradients_gain_in_one_column_leaves_the_others_alone(darcy):
    b = right_hand_sides(3, darcy.n)
    solver = sla.splu(darcy.A.tocsc())

    def good_but_for_the_last(r):
        z = torch.from_numpy(solver.solve(r.numpy().T).T + 0.1 * np.tanh(r.numpy()))
        z[-1] = 1.0 if len(r) == 3 else z[-1]
        return z

    batch = dcdm(darcy.A, b, good_but_for_the_last, guard="multi", rtol=1e-9)
    assert batch.converged.all()
    for i in range(2):
        alone = dcdm(darcy.A, b[i : i + 1], good_but_for_the_last, guard="multi", rtol=1e-9)
        assert alone.iterations[0] == batch.iterations[i] < batch.iterations[2]
        torch.testing.assert_close(alone.x[0], batch.x[i], rtol=0, atol=1e-12 * float(batch.x[i].abs().max()))


@pytest.mark.parametrize("make", [random_network, lambda n: broken, lambda n: torch.zeros_like])
@pytest.mark.parametrize(("guard", "window"), [("switch", 0), ("switch", 2), ("multi", 2)])
def test_every_network_converges_under_a_guard(darcy, make, guard, window):
    b = right_hand_sides(3, darcy.n)
    found = dcdm(darcy.A, b, make(darcy.n), guard=guard, rtol=1e-8, maxiter=3000, window=window)
    assert found.converged.all()
    assert (np.linalg.norm(b.numpy().T - darcy.A @ found.x.numpy().T, axis=0) <= 1e-8 * b.norm(dim=1).numpy()).all()
    reason = Reason.converged_fallback if guard == "switch" else Reason.converged
    assert found.reasons == (reason,) * 3
    assert all((k is not None) == (guard == "switch") for k in found.switched_at)


def test_without_a_guard_a_bad_network_is_named_and_never_called_converged(darcy):
    b = right_hand_sides(1, darcy.n)
    cases = {Reason.nonfinite: broken, Reason.breakdown: torch.zeros_like, Reason.maxiter: random_network(darcy.n)}
    for reason, network in cases.items():
        found = dcdm(darcy.A, b, network, guard=None, maxiter=60)
        assert found.reasons == (reason,)
        assert not found.converged.any()


def test_columns_do_not_disturb_each_other(darcy):
    """A batch gives what each column gives alone, also beside one whose network fails."""
    b, scale = right_hand_sides(3, darcy.n), torch.from_numpy(darcy.A.diagonal())
    b[1] *= 1e-6  # tolerances are per column

    def fails_for_the_last(r):
        z = r / scale
        z[-1] = float("nan") if len(r) == 3 else z[-1]
        return z

    batch = dcdm(darcy.A, b, fails_for_the_last, guard=None, rtol=1e-8)
    assert batch.reasons == (Reason.converged, Reason.converged, Reason.nonfinite)
    for i in range(2):
        alone = dcdm(darcy.A, b[i : i + 1], fails_for_the_last, guard=None, rtol=1e-8)
        assert alone.iterations[0] == batch.iterations[i]
        torch.testing.assert_close(alone.x[0], batch.x[i], rtol=0, atol=1e-10 * float(b[i].norm()))


def test_a_column_that_ends_first_is_frozen_bit_by_bit(darcy):
    b = right_hand_sides(2, darcy.n)
    b[0] *= 1e-4
    whole = dcdm(darcy.A, b, torch.clone, guard=None, rtol=1e-9, atol=1e-6, check_every=4)
    first = int(whole.iterations.min())
    column = int(whole.iterations.argmin())
    assert whole.iterations.max() > first + 4
    stopped = dcdm(darcy.A, b, torch.clone, guard=None, rtol=1e-9, atol=1e-6, maxiter=first)
    assert torch.equal(whole.x[column], stopped.x[column])


@pytest.mark.parametrize("every", [1, 10])
def test_the_claim_holds_for_the_true_residual_in_float32(darcy, every):
    b = right_hand_sides(2, darcy.n).float()
    reached = dcdm(darcy.A, b, torch.clone, guard=None, rtol=1e-4, recompute_every=every)
    beyond = dcdm(darcy.A, b, torch.clone, guard=None, rtol=1e-12, recompute_every=every)
    true = np.linalg.norm(b.double().numpy().T - darcy.A @ reached.x.double().numpy().T, axis=0)
    assert reached.converged.all()
    assert (true <= 1.01e-4 * b.norm(dim=1).numpy()).all()
    assert beyond.reasons == (Reason.stagnated,) * 2  # it ends, and says that float32 ends there


def test_a_singular_matrix_is_solved_on_the_complement_of_its_null_space():
    A, n = neumann_laplacian(60), 60
    b = right_hand_sides(2, n)
    with pytest.raises(UsageError, match=r"component of relative size .* nullspace='constant'"):
        dcdm(A, b, torch.clone)
    found = dcdm(A, b, torch.clone, nullspace="constant", guard=None, window=1)
    basis = dcdm(A, b, torch.clone, nullspace=torch.ones(1, n), guard=None, window=1)
    compatible = b - b.mean(1, keepdim=True)
    assert found.converged.all()
    assert found.x.mean(1).abs().max() <= 1e-10 * found.x.abs().max()
    torch.testing.assert_close(found.x, basis.x, rtol=0, atol=1e-8 * float(found.x.abs().max()))
    exact = np.linalg.pinv(A.toarray()) @ compatible.numpy().T
    np.testing.assert_allclose(found.x.numpy().T, exact, atol=1e-4 * np.abs(exact).max())


def test_an_operator_that_is_not_symmetric_or_not_positive_is_found_out(darcy):
    b = right_hand_sides(1, 30)
    skew = torch.eye(30, dtype=torch.float64) + 0.1 * right_hand_sides(30, 30, seed=3)
    with pytest.raises(UsageError, match="not symmetric"):
        dcdm(skew, b, torch.clone)
    past_the_door = Columns(lambda v: v @ skew.mT, b, None, torch.clone, torch.clone, None, 2, None, 1e-8, 0.0)
    past_the_door.run(50, 1, 1, None)
    assert past_the_door.solutions().reasons == (Reason.breakdown,)  # the energy did not fall as it must
    indefinite = torch.diag(torch.linspace(-1, 2, 30, dtype=torch.float64))
    for guard in (None, "switch", "multi"):
        assert dcdm(indefinite, b, torch.clone, guard=guard).reasons == (Reason.indefinite,)


def test_a_function_of_fields_and_matrices_of_every_kind_give_the_same(darcy):
    b = right_hand_sides(2, darcy.n)
    dense = torch.from_numpy(darcy.A.toarray())
    function = lambda v: (v.flatten(1) @ dense).reshape(v.shape)  # noqa: E731
    operators = (darcy.A, dense, dense.to_sparse(), function, sla.aslinearoperator(darcy.A))
    flat = [dcdm(A, b, torch.clone, guard=None, rtol=1e-10).x for A in operators]
    field = dcdm(function, b.reshape(2, 32, 32), torch.clone, guard=None, rtol=1e-10)
    for x in (*flat[1:], field.x.flatten(1)):
        torch.testing.assert_close(x, flat[0], rtol=0, atol=1e-8 * float(flat[0].abs().max()))
    integers = torch.from_numpy(neumann_laplacian(9).toarray()).long() + torch.eye(9).long()
    found = [dcdm(integers.to(dtype), b[:, :9], torch.clone, guard="multi").x for dtype in (torch.float64, torch.float32, torch.int64)]
    assert all(torch.equal(x, found[0]) for x in found[1:])  # a matrix is converted to the type of b


def test_the_driver_takes_it_by_name_and_verifies_it(darcy, log_normal):
    for system in (darcy, log_normal):
        found = [solve(system, method="dcdm", preconditioner="jacobi", guard=g) for g in ("switch", "multi", "none")]
        same = solve(system, method="fcg", preconditioner="jacobi")
        assert all(solution.converged and solution.method == "dcdm" for solution in found)
        assert all(abs(solution.iterations - same.iterations) <= 2 for solution in found)
    wild = Preconditioner("wild", lambda r: np.tanh(r) * np.nan, darcy.A.shape, None, None, None)
    rescued = solve(darcy, method="dcdm", preconditioner=wild)
    assert rescued.reason is Reason.converged_fallback
    assert "direction of wild at step 1" in rescued.detail
    assert solve(darcy, method="dcdm", preconditioner=wild, guard="multi").reason is Reason.converged
    singular = neumann_laplacian(80)
    assert solve(singular, singular @ np.arange(80.0), method="dcdm", preconditioner="jacobi").converged


def test_wrong_input_is_refused_at_the_door(darcy):
    b = right_hand_sides(2, darcy.n)
    cases = [
        ((darcy.A, b[0], torch.clone), {}, r"use b\[None\]"),
        ((darcy.A, b.bfloat16(), torch.clone), {}, "float32 or float64"),
        ((darcy.A, b.fill_diagonal_(float("inf")), torch.clone), {}, r"2 non-finite entries, first inf at \(0, 0\)"),
        ((darcy.A, right_hand_sides(2, 9), torch.clone), {}, "has 9 entries"),
        ((darcy.A, right_hand_sides(2, darcy.n), torch.clone, torch.zeros(3)), {}, "x0 must be finite"),
        ((3.0, right_hand_sides(2, 9), torch.clone), {}, "A is a float"),
        ((lambda v: v[:, :5], right_hand_sides(2, 9), torch.clone), {}, "same shape"),
        ((torch.clone, right_hand_sides(2, 9), torch.clone), {"guard": "wait"}, "'wait'"),
        ((torch.clone, right_hand_sides(2, 9), torch.clone), {"rtol": 0.0}, "one of them positive"),
        ((torch.clone, right_hand_sides(2, 9), torch.clone), {"window": -1}, "window must be a whole number and at least 0, got -1"),
        ((torch.clone, right_hand_sides(2, 9), torch.clone), {"nullspace": "rotations"}, "'rotations'"),
        ((torch.clone, right_hand_sides(2, 9), torch.clone), {"nullspace": np.ones((1, 8))}, r"shape \(1, 8\), expected finite \(k, 9\)"),
        ((torch.clone, right_hand_sides(2, 9), torch.clone), {"maxiter": 1.5}, "maxiter must be a whole number and at least 1, got 1.5"),
        ((torch.clone, right_hand_sides(2, 9), torch.clone), {"window": 1.5}, "window must be a whole number"),
        ((torch.clone, right_hand_sides(2, 9), torch.clone), {"check_every": 0}, "check_every must be .* at least 1, got 0"),
        ((torch.clone, right_hand_sides(0, 9), torch.clone), {}, "at least one right-hand side"),
        ((torch.clone, right_hand_sides(2, 9), lambda r: r[:, :5]), {}, r"network returned torch.float64 \(2, 5\) for a batch of shape \(2, 9\)"),
        ((torch.clone, right_hand_sides(2, 9), lambda r: r.numpy()), {}, "network returned ndarray"),
        ((torch.clone, right_hand_sides(2, 9), torch.clone), {"guard": "multi", "classical": lambda r: r[:1]}, "classical returned"),
        ((torch.clone, right_hand_sides(2, 9), torch.clone, np.zeros((2, 9))), {}, "x0 must be finite .* got ndarray"),
        ((1j * darcy.A, right_hand_sides(2, darcy.n), torch.clone), {}, "real matrices"),
        ((torch.Tensor.double, right_hand_sides(2, 9).float(), torch.clone), {}, "maps torch.float32 .* to torch.float64"),
    ]
    for arguments, options, message in cases:
        with pytest.raises(UsageError, match=message):
            dcdm(*arguments, **options)
    with pytest.raises(UsageError, match="with method='dcdm', 'multi'"):
        solve(darcy, method="cg", guard="multi")
    with pytest.raises(UsageError, match="real systems"):
        solve(np.eye(4) * (1 + 0j), np.ones(4), method="dcdm", preconditioner="none")


def test_a_zero_right_hand_side_is_solved_by_zero(darcy):
    b = torch.zeros(2, darcy.n, dtype=torch.float64)
    b[1] = 1.0
    found = dcdm(darcy.A, b, torch.clone, torch.ones_like(b), guard=None)
    assert found.reasons == (Reason.zero_rhs, Reason.converged)
    assert not found.x[0].any()


def test_the_driver_does_not_need_torch():
    code = "import sys, pdeflow.linalg; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_steps_are_counted_with_their_products(darcy):
    """One product for the direction, one for the true residual, two for the size of A, one at each end."""
    found = dcdm(darcy.A, right_hand_sides(4, darcy.n), torch.clone, guard=None)
    assert found.matvecs == 2 * int(found.iterations.max()) + 4
    assert found.residual_norms.shape == (int(found.iterations.max()) + 1, 4)
    assert inner(found.x, found.x).dtype == torch.float64
    assert "4 of 4 right-hand sides converged" in str(found)
