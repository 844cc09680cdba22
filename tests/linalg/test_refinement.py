"""Refinement reaches float64's accuracy with a solver in float32, at the rate of that solver, and says where it cannot."""

import numpy as np
import pytest
import torch

from pdeflow.errors import UsageError
from pdeflow.linalg.deep_conjugate_directions import dcdm
from pdeflow.linalg.refinement import refine
from pdeflow.linalg.solution import Reason


def right_hand_sides(n, count=3):
    return torch.from_numpy(np.random.default_rng(0).standard_normal((count, n)))


def inner(A, rtol):
    return lambda r: dcdm(A, r, torch.clone, guard=None, rtol=rtol, maxiter=500)


def test_float32_conjugate_gradients_reach_1e_12_and_each_step_wins_their_digits(darcy):
    b = right_hand_sides(darcy.n)
    found = refine(darcy.A, b, inner(darcy.A, 1e-3), rtol=1e-12)
    assert found.converged.all()
    assert found.reasons == (Reason.converged,) * 3
    x = found.x.numpy()
    assert np.all(np.linalg.norm(b.numpy() - (darcy.A @ x.T).T, axis=1) <= 1e-12 * np.linalg.norm(b.numpy(), axis=1))
    fall = found.residual_norms[1:] / found.residual_norms[:-1]
    assert float(fall.max()) <= 2e-3  # of steps of rtol 1e-3, in float32
    assert int(found.iterations.max()) == 4
    alone = dcdm(darcy.A, b.float(), torch.clone, guard=None, rtol=1e-12, maxiter=500)
    assert not alone.converged.any()


def test_an_exact_inverse_in_sixteen_bits_contracts_by_their_rounding():
    n = 30
    Q = torch.linalg.qr(torch.from_numpy(np.random.default_rng(1).standard_normal((n, n))))[0]
    A = Q @ torch.diag(torch.linspace(1, 4, n, dtype=torch.float64)) @ Q.mT
    inverse = torch.linalg.inv(A).bfloat16()
    found = refine(A, right_hand_sides(n), lambda r: r @ inverse, rtol=1e-13, maxiter=40, dtype=torch.bfloat16)
    assert found.converged.all()
    assert float((found.residual_norms[1] / found.residual_norms[0]).max()) <= 0.05


def test_a_column_that_does_not_improve_is_called_stagnated_and_spoils_no_other(darcy):
    b = right_hand_sides(darcy.n)
    solve, count = inner(darcy.A, 1e-3), [0]

    def fails_for_the_last(r):
        count[0] += 1
        x = solve(r).x
        x[-1] = float("nan") if count[0] > 1 else x[-1]
        return x

    found = refine(darcy.A, b, fails_for_the_last)
    assert found.reasons == (Reason.converged, Reason.converged, Reason.stagnated)
    assert found.x.isfinite().all()
    assert float(found.residual[-1]) == pytest.approx(float((b - torch.from_numpy((darcy.A @ found.x.numpy().T).T))[-1].norm() / b[-1].norm()))
    assert torch.equal(found.x[:2], refine(darcy.A, b, solve).x[:2])


def test_ends_are_named(darcy):
    b = right_hand_sides(darcy.n)
    assert refine(darcy.A, 0 * b, inner(darcy.A, 1e-3)).reasons == (Reason.zero_rhs,) * 3
    assert refine(darcy.A, b, inner(darcy.A, 1e-2), maxiter=1).reasons == (Reason.maxiter,) * 3
    solve = inner(darcy.A, 1e-3)
    cases = [
        ((darcy.A, b.float(), solve), {}, "float64"),
        ((darcy.A, b[:0], solve), {}, "at least one right-hand side"),
        ((darcy.A, b[:, :9], solve), {}, "has 9 entries"),
        ((darcy.A, b * float("nan"), solve), {}, "non-finite"),
        ((darcy.A, b, lambda r: r[:, :5]), {}, r"inner returned torch.float32 \(3, 5\) for a batch of shape \(3, 1024\)"),
        ((darcy.A, b, lambda r: r.numpy()), {}, "inner returned ndarray"),
        ((darcy.A, b, solve), {"rtol": -1.0}, "rtol must lie"),
        ((darcy.A, b, solve), {"maxiter": 1.5}, "maxiter must be a whole number"),
    ]
    for arguments, options, message in cases:
        with pytest.raises(UsageError, match=message):
            refine(*arguments, **options)
