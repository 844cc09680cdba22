"""Self-scaled quasi-Newton: SciPy's iterates, the secant equation, termination on quadratics, resume, misuse."""

import copy
from typing import get_args

import numpy as np
import pytest
import scipy.optimize
import torch

from pdeflow.optim import SelfScaledQN
from pdeflow.optim.self_scaled import Variant, scaling, update_inverse
from pdeflow.optim.wolfe import Trial, strong_wolfe

VARIANTS = get_args(Variant)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def spd(n, condition, seed=0):
    q = torch.linalg.qr(normal(n, n, seed=seed)).Q
    return q * torch.logspace(0, np.log10(condition), n, dtype=torch.float64) @ q.T


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def stepper(function, start, **options):
    """Parameters and a function that takes one step of the optimizer."""
    x = torch.as_tensor(start, dtype=torch.float64).clone().requires_grad_()
    optimizer = SelfScaledQN([x], **{"max_iter": 1, **options})

    def closure():
        optimizer.zero_grad()
        loss = function(x)
        loss.backward()
        return loss

    return x, optimizer, lambda: optimizer.step(closure)


@pytest.mark.parametrize("start", [[-1.2, 1.0], [-1.2, 1.0, 0.5, 2.0, -0.7], [3.0, -2.0, 1.0]])
def test_bfgs_visits_the_points_of_scipy(start):
    points = []
    scipy.optimize.minimize(
        scipy.optimize.rosen, start, jac=scipy.optimize.rosen_der, method="BFGS",
        callback=lambda x: points.append(x.copy()), options={"maxiter": 20},
    )  # fmt: skip
    x, _, step = stepper(rosenbrock, start, variant="bfgs")
    assert len(points) == 20
    for point in points:
        step()
        assert np.abs(x.detach().numpy() - point).max() <= 1e-6


@pytest.mark.parametrize("c2", [0.9, 0.1, 1e-3])
@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 10.0, 1e3])
@pytest.mark.parametrize(
    ("function", "slope"),
    [  # Moré and Thuente (1994), eqs. (5.1) and (5.2)
        (lambda a: -a / (a**2 + 2), lambda a: (a**2 - 2) / (a**2 + 2) ** 2),
        (lambda a: (a + 0.004) ** 5 - 2 * (a + 0.004) ** 4, lambda a: 5 * (a + 0.004) ** 4 - 8 * (a + 0.004) ** 3),
    ],
)
def test_the_line_search_meets_both_wolfe_conditions(function, slope, first, c2):
    start = Trial(0.0, function(0.0), slope(0.0))
    trial = strong_wolfe(lambda a: (function(a), slope(a)), start, first, 1e-4, c2)
    assert trial.value <= start.value + 1e-4 * trial.alpha * start.slope
    assert abs(trial.slope) <= c2 * abs(start.slope)


def test_the_line_search_steps_back_from_where_the_function_is_not_finite_and_says_when_nothing_helps():
    def barrier(a):
        return (1 / (1 - a) - 3 * a, 1 / (1 - a) ** 2 - 3) if a < 1 else (float("nan"), float("nan"))

    trial = strong_wolfe(barrier, Trial(0.0, *barrier(0.0)), 50.0)
    assert 0 < trial.alpha < 1
    assert trial.value < 1
    assert strong_wolfe(lambda a: (a, -1.0), Trial(0.0, 0.0, -1.0), 1.0) is None  # the slope lies


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("first", [True, False])
def test_the_update_satisfies_the_secant_equation_and_stays_positive(variant, first):
    for seed in range(20):
        inverse, s = spd(7, 1e3, seed), normal(7, seed=seed + 100)
        y = spd(7, 50, seed + 1) @ s
        curvature = float(s @ torch.linalg.solve(inverse, s))
        update_inverse(inverse, s, y, curvature, variant, first)
        assert torch.allclose(inverse @ y, s, rtol=1e-9, atol=1e-9)
        assert torch.allclose(inverse, inverse.T, rtol=1e-12)
        assert torch.linalg.eigvalsh(inverse)[0] > 0


def test_tau_and_phi_one_is_the_bfgs_update_of_the_textbook():
    inverse, s = spd(6, 100), normal(6, seed=1)
    y = spd(6, 10, 2) @ s
    rho, eye = 1 / (y @ s), torch.eye(6, dtype=torch.float64)
    left = eye - rho * torch.outer(s, y)
    expected = left @ inverse @ left.T + rho * torch.outer(s, s)  # Nocedal and Wright, eq. (6.17)
    update_inverse(inverse, s, y, 1.0, "bfgs")
    assert torch.allclose(inverse, expected, rtol=1e-10)
    assert scaling(2.0, 0.5, 6, "ssbroyden2", False) == (1.0, 1.0)  # s and y parallel: all members are BFGS


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("n", [3, 8])
def test_with_exact_line_searches_every_member_ends_on_a_quadratic_in_n_steps(variant, n):
    a, x, inverse = spd(n, 30), normal(n, seed=7), torch.eye(n, dtype=torch.float64)
    start = (a @ x).norm()
    for k in range(n):
        gradient = a @ x
        p = -(inverse @ gradient)
        alpha = float(-(gradient @ p) / (p @ a @ p))
        s, y = alpha * p, alpha * (a @ p)
        update_inverse(inverse, s, y, float(-alpha * (s @ gradient)), variant, k == 0)
        x = x + s
    assert (a @ x).norm() <= 1e-8 * start
    if variant == "bfgs":
        assert torch.allclose(inverse, torch.linalg.inv(a), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("transform", ["none", "sqrt", "log"])
def test_every_variant_minimises_rosenbrock(variant, transform):
    x, _, step = stepper(lambda x: rosenbrock(x) + 1e-3, [-1.2, 1.0, 0.5], variant=variant, transform=transform)
    for _ in range(150):
        step()
    assert torch.allclose(x.detach(), torch.ones(3, dtype=torch.float64), atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_vanishing_gradient_stops_cleanly(variant):
    x, _, step = stepper(lambda x: 0.5 * x @ x, [1.0, 2.0], variant=variant, max_iter=50)
    for _ in range(3):
        step()
    assert torch.isfinite(x).all()
    assert x.norm() <= 1e-8


def test_twenty_iterations_in_one_call_are_twenty_calls():
    one, _, long = stepper(rosenbrock, [-1.2, 1.0, 0.5], max_iter=20)
    other, _, short = stepper(rosenbrock, [-1.2, 1.0, 0.5], max_iter=1)
    long()
    for _ in range(20):
        short()
    assert torch.equal(one, other)


def test_a_saved_state_continues_bit_by_bit():
    whole, _, step = stepper(rosenbrock, [-1.2, 1.0, 0.5])
    for _ in range(20):
        step()
    half, optimizer, step = stepper(rosenbrock, [-1.2, 1.0, 0.5])
    for _ in range(10):
        step()
    rest, resumed, step = stepper(rosenbrock, half.detach())
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for _ in range(10):
        step()
    assert torch.equal(whole, rest)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "dfp"}, "variant must be one of"),
        ({"transform": "square"}, "transform must be one of"),
        ({"lr": 0.0}, "lr must be"),
        ({"c1": 0.95}, "0 < c1 < c2 < 1"),
        ({"max_iter": 0}, "max_iter"),
        ({"max_dim": 2}, "torch.optim.LBFGS"),
    ],
)
def test_bad_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SelfScaledQN([torch.zeros(3, dtype=torch.float64, requires_grad=True)], **options)


def test_a_missing_closure_and_a_loss_that_is_not_finite_are_refused():
    _, optimizer, _ = stepper(rosenbrock, [0.0, 0.0])
    with pytest.raises(ValueError, match="closure"):
        optimizer.step()
    _, _, step = stepper(lambda x: x.sum() / 0, [1.0, 0.0])
    with pytest.raises(ValueError, match="before the first step"):
        step()
