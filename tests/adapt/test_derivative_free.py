"""SPSA is unbiased and converges; PolyStep has the slope and the best corner as its limits; neither needs a derivative."""

import pytest
import torch
from torch import nn

from pdeflow.adapt.derivative_free import SPSA, PolyStep

A = torch.diag(torch.tensor([1.0, 2.0, 4.0, 0.5], dtype=torch.float64)) + 0.1
B = torch.tensor([1.0, -1.0, 0.5, 2.0], dtype=torch.float64)


def quadratic(theta):
    """A loss with gradient A θ - B, told as a plain number."""
    return lambda: float(0.5 * theta @ A @ theta - B @ theta)


def start(*values):
    return nn.Parameter(torch.tensor(values or (1.0, 0.0, -1.0, 2.0), dtype=torch.float64))


def test_spsa_is_unbiased_for_a_quadratic():
    theta = start()
    before = theta.detach().clone()
    optimizer, estimates = SPSA([theta], lr=1.0, radius=0.5), []
    for _ in range(4000):
        theta.data.copy_(before)
        optimizer.step(quadratic(theta))
        estimates.append(before - theta.detach())
    estimates = torch.stack(estimates)
    exact = A @ before - B
    error = (estimates.mean(0) - exact).abs()
    assert (error < 4 * estimates.std(0) / 4000**0.5).all()
    covariance = exact.square().sum() + exact.square()  # of normal directions: ‖g‖² I + g gᵀ
    torch.testing.assert_close(estimates.var(0), covariance, rtol=0.1, atol=0)


def test_more_directions_have_less_noise():
    theta = start()
    before, spread = theta.detach().clone(), []
    for directions in (1, 16):
        optimizer, moves = SPSA([theta], lr=1.0, directions=directions), []
        for _ in range(1000):
            theta.data.copy_(before)
            optimizer.step(quadratic(theta))
            moves.append(theta.detach() - before)
        spread.append(torch.stack(moves).var(0).sum())
    assert spread[0] / spread[1] == pytest.approx(16, rel=0.2)


@pytest.mark.parametrize("kind", [SPSA, PolyStep])
def test_a_resumed_run_is_the_same_bit_by_bit(kind):
    theta, resumed = start(), start()
    optimizer, later = kind([theta], seed=5), kind([resumed])
    for _ in range(3):
        optimizer.step(quadratic(theta))
    resumed.data.copy_(theta.detach())
    later.load_state_dict(optimizer.state_dict())
    for _ in range(3):
        optimizer.step(quadratic(theta))
        later.step(quadratic(resumed))
    assert torch.equal(theta, resumed)


def test_spsa_converges_with_the_gains_of_spall():
    theta = start()
    optimizer = SPSA([theta], lr=0.1, radius=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: (1 + k / 50) ** -0.602)
    for _ in range(3000):
        optimizer.step(quadratic(theta))
        schedule.step()
    torch.testing.assert_close(theta.detach(), torch.linalg.solve(A, B), atol=1e-3, rtol=0)


def test_a_hot_polytope_follows_the_slope():
    theta = start()
    before = theta.detach().clone()
    PolyStep([theta], lr=1.0, radius=1e-4, temperature=1e4, dimension=4).step(quadratic(theta))
    slope = A @ before - B
    # w_v - 1/8 is -(r q·g)/(8 T σ) to first order, σ² = r²‖g‖²/4: the sum over ±q of four directions is -g/(2 T ‖g‖)
    torch.testing.assert_close(theta.detach() - before, -slope / (2e4 * slope.norm()), rtol=1e-3, atol=1e-8)


def test_a_cold_polytope_moves_to_its_best_corner():
    theta = start()
    before, seen = theta.detach().clone(), []

    def loss():
        seen.append(theta.detach().clone())
        return quadratic(theta)()

    PolyStep([theta], lr=0.3, temperature=1e-6, dimension=3).step(loss)
    assert len(seen) == 6
    best = min(seen, key=lambda point: float(0.5 * point @ A @ point - B @ point))
    torch.testing.assert_close(theta.detach(), best)
    assert (theta.detach() - before).norm() == pytest.approx(0.3)


def test_a_flat_loss_moves_nothing():
    theta = start()
    PolyStep([theta], particles=2, dimension=2).step(lambda: 7.0)
    assert torch.equal(theta, start())


def test_polystep_is_blind_to_the_scale_of_the_loss():
    moved = []
    for scale in (1e-6, 1.0, 1e6):
        theta = start()
        PolyStep([theta]).step(lambda theta=theta, scale=scale: scale * quadratic(theta)() + scale)
        moved.append(theta.detach())
    torch.testing.assert_close(moved[0], moved[1])
    torch.testing.assert_close(moved[2], moved[1])


@pytest.mark.parametrize("particles", [1, 2])
def test_polystep_converges_on_a_loss_with_steps(particles):
    theta = start()
    target = torch.tensor([0.3, -0.2, 0.5, 0.1], dtype=torch.float64)
    optimizer = PolyStep([theta], lr=0.3, temperature=0.3, particles=particles, dimension=4 // particles)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 0.99**k)
    for _ in range(300):
        optimizer.step(lambda: float(torch.floor(100 * (theta - target).abs()).sum()))  # gradient zero wherever it exists
        schedule.step()
    assert (theta - target).abs().max() < 0.03


def test_all_parameters_of_a_module_move_and_keep_their_types():
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    before = [p.detach().clone() for p in layer.parameters()]
    x = torch.ones(1, 3)
    for optimizer in (SPSA(layer.parameters()), PolyStep(layer.parameters())):
        optimizer.step(lambda: layer(x).square().sum().item())
    assert all(p.dtype == torch.float32 and not torch.equal(p, q) for p, q in zip(layer.parameters(), before, strict=True))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SPSA([start()], radius=0.0), "radius > 0"),
        (lambda: PolyStep([start()], temperature=0.0), "positive radius, temperature"),
        (lambda: PolyStep([start()], particles=2), "2 particles of 4 directions exceed the 4 parameters"),
        (lambda: SPSA([nn.Parameter(torch.ones(2, dtype=torch.complex64))]), "view_as_real"),
        (lambda: SPSA([{"params": [start()]}, {"params": [start()]}]), "one parameter group, got 2"),
        (lambda: SPSA([start()]).step(lambda: float("nan")), "the loss is nan"),
    ],
)
def test_misuse_is_told_at_the_door(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_failed_loss_leaves_the_parameters_as_they_were():
    theta = start()
    with pytest.raises(ValueError, match="inf"):
        SPSA([theta]).step(lambda: float("inf"))
    assert torch.equal(theta, start())
