"""LV-HBA: a step is the written one, solutions stay, the authors' example and a choice of weights come out right."""

import pytest
import torch

from pdeflow.adapt.loss_weights import BilevelState, Rates, lv_hba_step, tune_loss_weights


def vector(*values):
    return torch.tensor(values, dtype=torch.float64)


def example_upper(x, y):
    return 0.5 * (x - y[1]).square().sum() + 0.5 * (y[0] - 1).square()


def example_lower(x, y):
    return 0.5 * y[0].square() - x[0] * y[0] + y[1]


def example_constraint(x, y):
    return (x.sum() + y.sum()).reshape(1)


def on_the_plane(x, y):
    excess = (x.sum() + y.sum()) / (len(x) + len(y))
    return x - excess, y - excess


def test_a_step_is_the_written_one():
    x, y = vector(0.3), vector(0.5, -0.2)
    theta, lam, z = vector(0.1, 0.4), vector(0.6), vector(-0.3)
    r = Rates(outer=0.01, inner=0.02, z=0.03, proximal=5.0, penalty=0.5)
    state = lv_hba_step(
        BilevelState(x, y, theta, lam, z, 7), example_upper, example_lower, example_constraint, rates=r, equality=True
    )
    new_theta = theta - 0.02 * (vector(0.1 - 0.3 + 0.6, 1 + 0.6) + (theta - y) / 5)
    new_lam = lam - 0.02 * (-(0.3 + new_theta.sum()) + (lam - z) / 5)
    c = 0.5 * 8**0.3
    new_x = x - 0.01 * (vector(0.3 + 0.2) / c - 0.5 - (-new_theta[0] + new_lam))
    slope = vector(0.5 - 1, -(0.3 + 0.2)) / c + vector(0.5 - 0.3, 1) - (y - new_theta) / 5
    torch.testing.assert_close(state.theta, new_theta)
    torch.testing.assert_close(state.lam, new_lam)
    torch.testing.assert_close(state.x, new_x)
    torch.testing.assert_close(state.y, y - 0.01 * slope)
    torch.testing.assert_close(state.z, z + 0.03 * (new_lam - z) / 5)
    assert state.steps == 8


def test_multipliers_of_inequalities_stay_positive():
    state = BilevelState.start(vector(0.0), vector(0.0), 1)
    step = lv_hba_step(state, lambda x, y: y.sum(), lambda x, y: y.square().sum(), lambda x, y: y - 1)
    assert step.lam.item() == 0
    step = lv_hba_step(state, lambda x, y: y.sum(), lambda x, y: y.square().sum(), lambda x, y: y + 1)
    assert step.lam.item() == pytest.approx(0.01)


def test_a_solution_of_both_levels_stays():
    x, y = vector(0.25), vector(0.25, -1.0)
    state = BilevelState.start(x, y)
    for _ in range(5):
        state = lv_hba_step(
            state, lambda x, y: (y[1] + 1).square(), lambda x, y: (y[0] - x[0]).square() + (y[1] + 1).square()
        )
    torch.testing.assert_close(state.x, x)
    torch.testing.assert_close(state.y, y)


@pytest.mark.slow
def test_the_example_of_the_authors_is_solved():
    state = BilevelState.start(vector(1.0), vector(1.0, 1.0), 1)
    for _ in range(20_000):
        state = lv_hba_step(state, example_upper, example_lower, example_constraint, equality=True, project=on_the_plane)
    # minimum by hand: y₁ = x + 1 and y₂ = -1 - 2x from the lower level, then F = ½ (3x + 1)² + ½ x²
    torch.testing.assert_close(torch.cat((state.x, state.y)), vector(-0.3, 0.7, -0.4), atol=0.15, rtol=0)


@pytest.mark.parametrize("wanted", [0.5, -0.6])
def test_weights_are_those_whose_minimiser_validates_best(wanted):
    rates = Rates(outer=0.05, inner=0.1, penalty=1.0)
    weights, y = tune_loss_weights(
        lambda y: torch.stack([(y[0] - 1).square(), (y[0] + 1).square()]), lambda y: (y[0] - wanted).square(),
        vector(0.0), 3000, rates=rates,
    )  # fmt: skip
    # w₁ (y - 1)² + w₂ (y + 1)² with w₁ + w₂ = 2 is least at y = (w₁ - w₂) / 2
    torch.testing.assert_close(weights, vector(1 + wanted, 1 - wanted), atol=0.03, rtol=0)
    assert y.item() == pytest.approx(wanted, abs=0.03)


def test_misuse_is_told_at_the_door():
    with pytest.raises(ValueError, match="must be positive"):
        Rates(outer=0.0)
    with pytest.raises(ValueError, match="at least two losses"):
        tune_loss_weights(lambda y: y.square(), lambda y: y.sum(), vector(1.0), 1)
    with pytest.raises(ValueError, match="diverged"):
        tune_loss_weights(lambda y: torch.stack([y[0] ** 2, y[0] ** 4]), lambda y: y[0] ** 4, vector(100.0), 50)
