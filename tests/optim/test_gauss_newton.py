"""Gauss-Newton's forms agree, linear problems take one step, dampings have their limits, misuse is refused."""

import copy
import itertools

import pytest
import torch

from pdeflow.optim import ENGDW, SPRING, GaussNewton, GradientSmoothness, LevenbergMarquardt, Sven
from pdeflow.optim.damped_least_squares import DampedLeastSquares


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def matrix(n, p, condition=1e3):
    """A random matrix with singular values from 1 to 1/condition."""
    u, v = (torch.linalg.qr(normal(m, min(n, p), seed=seed)).Q for m, seed in ((n, 1), (p, 2)))
    return u * torch.logspace(0, -torch.tensor(condition).log10().item(), min(n, p), dtype=torch.float64) @ v.T


class Linear:
    """r = A θ - b."""

    def __init__(self, n, p, condition=1e3):
        self.a, self.b = matrix(n, p, condition), normal(n, seed=3)
        self.theta = normal(p, seed=4).requires_grad_()

    def residual(self):
        return self.a @ self.theta - self.b

    def jacobian(self, params):
        return self.residual().detach(), self.a

    def gradient(self):
        return self.a.T @ self.residual().detach()


class Curve:
    """Fit of sums of exponentials, nonlinear, with residuals that do not vanish."""

    def __init__(self):
        self.t = torch.linspace(0, 3, 25, dtype=torch.float64)
        self.y = 2 * torch.exp(-self.t) + torch.exp(-3 * self.t) + 0.02 * normal(25)
        self.theta = torch.tensor([1.0, 0.5, 1.5, 2.0], dtype=torch.float64, requires_grad=True)

    def value(self, theta):
        return theta[0] * torch.exp(-theta[1] * self.t) + theta[2] * torch.exp(-theta[3] * self.t) - self.y

    def residual(self):
        return self.value(self.theta)

    def jacobian(self, params):
        return self.residual().detach(), torch.func.jacfwd(self.value)(self.theta.detach())

    def loss(self):
        return 0.5 * float(self.residual().detach().square().sum())


def moved(system, optimizer, steps=1):
    before = system.theta.detach().clone()
    for _ in range(steps):
        optimizer.step(lambda: system)
    return before - system.theta.detach()


@pytest.mark.parametrize(("n", "p"), [(40, 15), (15, 40), (20, 20)])
@pytest.mark.parametrize("solver", ["auto", "kernel", "normal", "qr"])
def test_a_linear_least_squares_problem_takes_one_step(n, p, solver):
    system = Linear(n, p, condition=10)
    before = system.gradient().norm()
    moved(system, ENGDW([system.theta], damping=1e-8, solver=solver))
    assert system.gradient().norm() <= 1e-6 * before
    expected = torch.linalg.lstsq(system.a, system.b).solution if n >= p else None
    assert expected is None or torch.allclose(system.theta.detach(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("n", "p"), [(40, 15), (15, 40)])
@pytest.mark.parametrize("damping", [1e-2, 1e-6])
def test_residual_space_parameter_space_qr_and_svd_give_the_same_step(n, p, damping):
    a, r = matrix(n, p, 1e2), normal(n)
    twin = torch.linalg.solve(a.T @ a + damping * torch.eye(p, dtype=a.dtype), a.T @ r)
    for solver in ("kernel", "normal", "qr", "svd"):
        found = DampedLeastSquares(a, solver, rcond=0.0).solve(r, damping)
        assert (found - twin).norm() <= 1e-8 * twin.norm(), solver


def test_qr_keeps_the_digits_that_the_squared_matrices_lose():
    a = matrix(60, 20, 1e7)
    exact = normal(20, seed=9)
    errors = {s: (DampedLeastSquares(a, s).solve(a @ exact, 0.0) - exact).norm() for s in ("qr", "normal")}
    assert errors["qr"] <= 1e-7 * exact.norm() < errors["normal"]


def test_truncation_is_the_pseudo_inverse_of_the_leading_singular_values():
    a, r = matrix(12, 30), normal(12)
    u, s, vh = torch.linalg.svd(a, full_matrices=False)
    expected = vh[:5].T @ ((u[:, :5].T @ r) / s[:5])
    assert torch.allclose(DampedLeastSquares(a, "svd", rank=5).solve(r, 0.0), expected)
    assert torch.allclose(DampedLeastSquares(a, "svd", rcond=float(s[5] / s[0])).solve(r, 0.0), expected)


def test_without_truncation_sven_solves_least_squares_in_one_step():
    system = Linear(30, 10)
    moved(system, Sven([system.theta], rcond=0.0))
    assert torch.allclose(system.theta.detach(), torch.linalg.lstsq(system.a, system.b).solution)


def test_large_damping_is_gradient_descent_and_small_damping_gauss_newton():
    a, r = matrix(30, 10, 10), normal(30)
    equations = DampedLeastSquares(a, "kernel")
    assert torch.allclose(1e8 * equations.solve(r, 1e8), a.T @ r, rtol=1e-6)
    small = DampedLeastSquares(a, "normal").solve(r, 1e-12)
    assert torch.allclose(small, torch.linalg.lstsq(a, r).solution, rtol=1e-7)


def test_spring_without_momentum_is_engdw():
    one, other = Curve(), Curve()
    moved(one, SPRING([one.theta], momentum=0.0, damping=1e-7), 5)
    moved(other, ENGDW([other.theta]), 5)
    assert torch.equal(one.theta, other.theta)


def test_spring_is_the_solution_of_the_linearised_equations_nearest_to_the_last_step():
    system = Linear(8, 20, condition=10)
    optimizer = SPRING([system.theta], momentum=0.9, damping=1e-12, line_search="none", lr=0.1)
    moved(system, optimizer)
    last, r = optimizer.state[system.theta]["velocity"].clone(), system.residual().detach()
    moved(system, optimizer)
    phi = optimizer.state[system.theta]["velocity"]
    expected = 0.9 * last + torch.linalg.pinv(system.a) @ (r - 0.9 * system.a @ last)
    assert torch.allclose(phi, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", [ENGDW, SPRING, Sven, LevenbergMarquardt, GradientSmoothness])
def test_no_preset_ever_raises_the_loss_and_all_find_the_minimum(kind):
    system, losses = Curve(), []
    optimizer = kind([system.theta])
    for _ in range(60):
        losses.append(system.loss())
        optimizer.step(lambda: system)
    assert all(b <= a for a, b in itertools.pairwise(losses))
    r, jacobian = system.jacobian(None)
    assert (jacobian.T @ r).norm() <= 1e-6


def test_the_first_damping_of_levenberg_marquardt_is_divided_by_three_after_a_good_step():
    system = Linear(20, 5)
    optimizer = LevenbergMarquardt([system.theta], damping=0.3)
    moved(system, optimizer)
    assert optimizer.state[system.theta]["damping"] == pytest.approx(0.1)


def test_geodesic_acceleration_vanishes_on_linear_residuals_and_helps_on_curved_ones():
    plain, curved = Linear(20, 5), Linear(20, 5)
    a = moved(plain, GaussNewton([plain.theta], damping=0.1, line_search="none"))
    b = moved(curved, GaussNewton([curved.theta], damping=0.1, line_search="none", geodesic=True))
    assert torch.allclose(a, b, rtol=1e-9)
    for seed in range(5, 10):
        losses = []
        for geodesic in (False, True):
            system = Curve()
            with torch.no_grad():
                system.theta.add_(0.1 * normal(4, seed=seed))
            moved(system, GaussNewton([system.theta], line_search="none", damping=0.1, geodesic=geodesic))
            losses.append(system.loss())
        assert losses[1] < losses[0]


def test_a_stationary_point_stays():
    system = Linear(10, 3)
    with torch.no_grad():
        system.theta.copy_(torch.zeros(3))
    system.b = torch.zeros(10, dtype=torch.float64)
    assert torch.equal(moved(system, ENGDW([system.theta])), torch.zeros(3, dtype=torch.float64))


@pytest.mark.parametrize("kind", [ENGDW, SPRING, LevenbergMarquardt, GradientSmoothness])
def test_a_saved_state_continues_bit_by_bit(kind):
    whole, half = Curve(), Curve()
    moved(whole, kind([whole.theta]), 6)
    first = kind([half.theta])
    moved(half, first, 3)
    again = kind([half.theta])
    again.load_state_dict(copy.deepcopy(first.state_dict()))
    moved(half, again, 3)
    assert torch.equal(whole.theta, half.theta)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "lu"}, "solver must be one of"),
        ({"damping_rule": "none"}, "damping_rule must be one of"),
        ({"line_search": "wolfe"}, "line_search must be one of"),
        ({"damping": -1.0}, "damping must be"),
        ({"lr": float("nan")}, "lr must be"),
        ({"momentum": 1.0}, "momentum must lie"),
        ({"rank": 0}, "rank must be"),
        ({"damping_rule": "lm", "damping": 0.0}, "needs a first damping"),
    ],
)
def test_bad_settings_are_refused_in_one_line(options, message):
    with pytest.raises(ValueError, match=message) as error:
        GaussNewton([torch.zeros(2, dtype=torch.float64, requires_grad=True)], **options)
    assert "\n" not in str(error.value)


def test_losses_in_place_of_residuals_complex_mixed_and_single_precision_are_named():
    system = Linear(5, 2)
    for closure in (None, lambda: torch.ones(())):
        with pytest.raises(ValueError, match="closure that returns residuals"):
            ENGDW([system.theta]).step(closure)
    with pytest.raises(ValueError, match="real parameters"):
        ENGDW([torch.zeros(2, dtype=torch.complex128, requires_grad=True)])
    single = torch.zeros(2, requires_grad=True)
    with pytest.warns(UserWarning, match="float32"):
        ENGDW([single])
    with pytest.raises(ValueError, match="one type"):
        ENGDW([single, system.theta])
