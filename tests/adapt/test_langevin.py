"""Langevin steps have the stationary law of their discrete chain, a mean with less noise, and SGD as their cold limit."""

import pytest
import torch
from torch import nn

from pdeflow.adapt.langevin import Langevin


@pytest.mark.parametrize("lr", [0.05, 0.5, 1.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_variance_on_a_quadratic_is_that_of_the_chain(lr, dtype):
    curvature, temperature, chains, steps = 1.6, 0.3, 20_000, 200 if lr == 0.05 else 30
    theta = nn.Parameter(torch.zeros(chains, dtype=dtype))  # independent chains: an exact standard error
    optimizer = Langevin([theta], lr=lr, temperature=temperature)
    for _ in range(steps):
        theta.grad = curvature * theta.detach()
        optimizer.step()
    values = theta.detach() if dtype == torch.float64 else torch.view_as_real(theta.detach()).flatten()
    exact = temperature / (curvature * (1 - lr * curvature / 2))
    assert (values.square().mean() - exact).abs() < 4 * exact * (2 / len(values)) ** 0.5
    assert values.mean().abs() < 4 * (exact / len(values)) ** 0.5


def test_the_mean_nears_the_minimum_as_one_over_the_steps():
    theta, target = nn.Parameter(torch.zeros(2000, dtype=torch.float64)), 0.7
    optimizer = Langevin([theta], lr=0.5, temperature=1.0, burn_in=20)
    errors = {}
    for step in range(1, 821):
        theta.grad = theta.detach() - target
        optimizer.step()
        if step in (220, 820):
            optimizer.swap_mean()
            errors[step] = (theta.detach() - target).square().mean().item()
            optimizer.swap_mean()
    assert errors[220] * 200 == pytest.approx(2 * 1.0 / 0.5, rel=0.2)  # sum of the autocovariances: 2 T / (η h²) over the count
    assert errors[820] / errors[220] == pytest.approx(1 / 4, rel=0.2)


def test_without_temperature_it_is_gradient_descent():
    torch.manual_seed(0)
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    pairs = [
        (ours, Langevin(ours.parameters(), lr=0.1, temperature=0.0, weight_decay=0.01)),
        (theirs, torch.optim.SGD(theirs.parameters(), lr=0.1, weight_decay=0.01)),
    ]
    x = torch.randn(5, 3)
    for _ in range(10):
        for layer, optimizer in pairs:
            optimizer.zero_grad()
            layer(x).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours.weight, theirs.weight)


def test_the_mean_is_the_mean_of_the_visits_after_the_burn_in():
    theta, visits = nn.Parameter(torch.zeros(3, dtype=torch.float64)), []
    optimizer = Langevin([theta], lr=0.1, temperature=1.0, burn_in=2)
    for _ in range(6):
        theta.grad = theta.detach().clone()
        optimizer.step()
        visits.append(theta.detach().clone())
    optimizer.swap_mean()
    torch.testing.assert_close(theta.detach(), torch.stack(visits[2:]).mean(0))
    optimizer.swap_mean()
    assert torch.equal(theta, visits[-1])


def test_a_resumed_run_is_the_same_bit_by_bit():
    theta = nn.Parameter(torch.ones(4))
    optimizer = Langevin([theta], lr=0.1, temperature=1.0, seed=3)

    def run(p, steps, chain):
        for _ in range(steps):
            p.grad = p.detach().clone()
            chain.step()

    run(theta, 3, optimizer)
    resumed = nn.Parameter(theta.detach().clone())
    later = Langevin([resumed])
    later.load_state_dict(optimizer.state_dict())
    run(theta, 3, optimizer)
    run(resumed, 3, later)
    assert torch.equal(theta, resumed)


def test_misuse_is_told_at_the_door():
    theta = nn.Parameter(torch.ones(2))
    with pytest.raises(ValueError, match="'temperature': -1"):
        Langevin([theta], temperature=-1.0)
    with pytest.raises(ValueError, match="no mean yet"):
        Langevin([theta]).swap_mean()
