import numpy as np
import pytest

from pdeflow.discretization.newton import newton


def test_the_square_root_of_two_converges_quadratically():
    found = newton(lambda x: x**2 - 2, lambda x, r: -r / (2 * x), np.array([2.0]), 1e-14)
    assert found.converged
    assert found.x[0] == pytest.approx(np.sqrt(2), rel=1e-15)
    norms = np.array(found.residual_norms)
    assert (norms[1:] <= norms[:-1] ** 2 + 1e-15).all()  # the new residual is s², s = r / 2x with x > 1/2
    assert found.iterations == len(norms) - 1 <= 5


def test_the_line_search_saves_a_start_from_which_plain_steps_diverge():
    settings = (np.arctan, lambda x, r: -r * (1 + x**2), np.array([3.0]), 1e-12)
    damped, plain = newton(*settings), newton(*settings, damped=False, maxiter=6)
    assert damped.converged
    assert abs(damped.x[0]) < 1e-11
    assert np.diff(damped.residual_norms).max() < 0
    assert not plain.converged
    assert plain.residual_norms[-1] > plain.residual_norms[0]


def test_a_step_into_undefined_values_is_shortened():
    found = newton(
        lambda x: np.log(x, out=np.full_like(x, np.nan), where=x > 0),
        lambda x, r: -r * x, np.array([4.0]), 1e-12,
    )  # fmt: skip
    assert found.converged
    assert found.x[0] == pytest.approx(1.0)


def test_no_root_is_reported_and_not_hidden():
    found = newton(lambda x: x**2 + 1, lambda x, r: -r / (2 * x), np.array([2.0]), 1e-12, maxiter=50)
    assert not found.converged
    assert found.residual_norms[-1] >= 1


def test_a_start_that_solves_the_equation_costs_nothing():
    found = newton(lambda x: 0 * x, lambda x, r: 1 / 0, np.array([7.0]), 0.0)
    assert found.converged
    assert found.iterations == 0
