"""Nyström preconditioning and Newton-CG: exact on low rank, fewer iterations, quadratics in one step."""

import copy
import itertools

import pytest
import torch

from pdeflow.optim import NystromNewtonCG
from pdeflow.optim.nystrom import conjugate_gradients, nystrom, preconditioner

from .test_gauss_newton import Curve, Linear, moved, normal
from .test_self_scaled import spd


def generator():
    return torch.Generator().manual_seed(0)


def test_a_matrix_of_low_rank_is_found_exactly():
    factor = normal(20, 4)
    a = factor @ factor.T
    u, values = nystrom(lambda v: a @ v, factor[:, 0], 8, generator())
    assert torch.allclose(u * values @ u.T, a, atol=1e-8)
    assert torch.allclose(u.T @ u, torch.eye(u.shape[1], dtype=a.dtype), atol=1e-10)


def test_the_preconditioner_of_full_rank_makes_one_iteration():
    a, b, counts = spd(12, 1e6), normal(12, seed=1), []
    for rank in (0, 12):
        calls = []

        def product(v, calls=calls):
            calls.append(1)
            return a @ v + 1e-3 * v

        factors = nystrom(lambda v: a @ v, b, rank, generator()) if rank else (None, None)
        x = conjugate_gradients(product, b, preconditioner(*factors, 1e-3), 1e-8, 500)
        assert (a @ x + 1e-3 * x - b).norm() <= 1e-7 * b.norm()
        counts.append(len(calls))
    assert counts[1] <= 3 < counts[0]


def test_cg_stops_at_negative_curvature_with_a_descent_direction():
    a, b = torch.diag(torch.tensor([1.0, 2.0, -3.0], dtype=torch.float64)), torch.ones(3, dtype=torch.float64)
    assert conjugate_gradients(lambda v: a @ v, b, lambda v: v, 1e-10, 10) @ b > 0


def test_a_quadratic_takes_one_step():
    system = Linear(30, 10, condition=100)
    before = system.gradient().norm()
    moved(system, NystromNewtonCG([system.theta], damping=1e-12, rtol=1e-12))
    assert system.gradient().norm() <= 1e-7 * before


def test_a_nonlinear_fit_converges_to_a_stationary_point_and_never_rises():
    system, losses = Curve(), []
    optimizer = NystromNewtonCG([system.theta], rank=2, rtol=1e-10)
    for _ in range(40):
        losses.append(system.loss())
        optimizer.step(lambda: system)
    assert all(b <= a for a, b in itertools.pairwise(losses))
    r, jacobian = system.jacobian(None)
    assert (jacobian.T @ r).norm() <= 1e-8


def test_a_saved_state_continues_bit_by_bit():
    whole, half = Curve(), Curve()
    options = {"rank": 3, "rebuild_every": 4}
    moved(whole, NystromNewtonCG([whole.theta], **options), 10)
    first = NystromNewtonCG([half.theta], **options)
    moved(half, first, 5)
    again = NystromNewtonCG([half.theta], **options)
    again.load_state_dict(copy.deepcopy(first.state_dict()))
    moved(half, again, 5)
    assert torch.equal(whole.theta, half.theta)


@pytest.mark.parametrize(("options", "message"), [({"damping": 0.0}, "damping"), ({"rank": -1}, "rank"), ({"rtol": 2.0}, "rtol")])
def test_bad_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        NystromNewtonCG([torch.zeros(2, dtype=torch.float64, requires_grad=True)], **options)
