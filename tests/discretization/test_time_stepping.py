import itertools
import math
from dataclasses import dataclass, replace

import pytest
import torch

from pdeflow.discretization.time_stepping import (
    ARS222,
    ARS443,
    ETDRK4,
    IFRK4,
    ImexEuler,
    courant_substeps,
    march,
    march_to_tolerance,
)
from pdeflow.discretization.time_stepping.exponential import etdrk4_coefficients
from pdeflow.errors import UsageError

METHODS = [ETDRK4, IFRK4, ImexEuler, ARS222, ARS443]


@dataclass(frozen=True, eq=False)
class Rotation:
    """u' = i u|u|² + cos t + L u: three modes of different stiffness."""

    symbol: torch.Tensor
    nonlinear: float = 1.0
    frequency: float = 0.0
    dtype: torch.dtype = torch.float64

    def explicit(self, u_hat, t):
        return self.nonlinear * (1j * u_hat * u_hat.abs() ** 2 + math.cos(t))

    def implicit(self, u_hat):
        return self.symbol.to(self.dtype) * u_hat if not self.symbol.is_complex() else self.symbol * u_hat

    def solve_implicit(self, u_hat, dt):
        return u_hat / (1 - dt * self.symbol)

    def rate(self, u_hat):
        return self.frequency


EQUATION = Rotation(torch.tensor([0.0, -0.7, -3.0], dtype=torch.float64))
START = torch.tensor([[1.0 + 0.5j, 0.3 - 1.0j, 0.2j], [0.1j, 1.0, -0.4]], dtype=torch.complex128)


def last(method, substeps, equation=EQUATION, start=START, final=1.0):
    return march(equation, start, (0.0, final), method=method, substeps=[substeps]).frames[-1]


@pytest.mark.parametrize("method", METHODS)
def test_methods_converge_at_their_order(method):
    exact = last(ETDRK4, 4096)
    errors = [float((last(method, n) - exact).abs().max()) for n in (16, 32, 64, 128)]
    rates = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert rates[1:] == pytest.approx([method.order] * 2, abs=0.2)


@pytest.mark.parametrize("method", [ETDRK4, IFRK4])
@pytest.mark.parametrize("dt", [1e-6, 1.0, 1e4])
def test_exponential_methods_solve_linear_equations_to_rounding(method, dt):
    symbol = torch.tensor([0.0, -1e-9, -1.0, -30.0, -1e6], dtype=torch.float64)
    equation = Rotation(symbol, nonlinear=0.0)
    start = torch.full((5,), 1.0 - 2.0j, dtype=torch.complex128)
    torch.testing.assert_close(
        last(method, 1, equation, start, dt), (dt * symbol).exp() * start, rtol=1e-14, atol=0
    )


@pytest.mark.parametrize("method", [ETDRK4, IFRK4])
def test_exponential_methods_take_complex_symbols(method):
    symbol = torch.tensor([2j, -1 + 5j, -0.3j], dtype=torch.complex128)
    equation = Rotation(symbol)
    exact = last(method, 2048, equation)
    errors = [float((last(method, n, equation) - exact).abs().max()) for n in (32, 64)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(4.0, abs=0.2)


def test_coefficients_equal_their_taylor_series_near_zero_and_their_formula_far_away():
    near = torch.tensor([0.0, -1e-8, -1e-3], dtype=torch.float64)
    taylor = [
        0.5 + near / 8 + near**2 / 48,
        1 / 6 + near / 6 + 3 * near**2 / 40,
        1 / 3 + near / 6 + near**2 / 20,
        1 / 6 + 0 * near - near**2 / 120,
    ]
    for found, expected in zip(etdrk4_coefficients(near), taylor, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)  # the next term, |z|³/20
        torch.testing.assert_close(found[:2], expected[:2], atol=1e-15, rtol=0)
    z = torch.tensor([-20.0, -1e3, -1e6], dtype=torch.float64)
    e, cube = z.exp(), z**3
    formula = [
        ((z / 2).exp() - 1) / z,
        (-4 - z + e * (4 - 3 * z + z**2)) / cube,
        2 * (2 + z + e * (z - 2)) / cube,
        (-4 - 3 * z - z**2 + e * (4 - z)) / cube,
    ]
    for found, expected in zip(etdrk4_coefficients(z), formula, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("method", METHODS)
def test_stiff_modes_stay_bounded_at_any_step(method):
    equation = Rotation(torch.tensor([-1.0, -1e4, -1e9], dtype=torch.float64))
    found = march(equation, START, (0.0, 1.0, 2.0), method=method, substeps=[10, 10]).frames[-1]
    assert float(found.abs().max()) < 2
    slaved = (
        -math.cos(2.0) / equation.symbol[1]
    )  # what a stiff mode follows; integrating factors leave dt/6 N instead
    assert float((found[:, 1] - slaved).abs().max()) < (1e-4 if method is not IFRK4 else 0.1 / 6)


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_equals_its_samples_one_by_one(method):
    together = march(EQUATION, START, (0.0, 0.5, 1.0), method=method, substeps=[4, 4]).frames
    for i in range(2):
        alone = march(EQUATION, START[i], (0.0, 0.5, 1.0), method=method, substeps=[4, 4]).frames
        torch.testing.assert_close(together[:, i], alone, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("method", METHODS)
def test_frames_do_not_depend_on_how_time_is_divided(method):
    whole = march(EQUATION, START, (0.0, 1.0), method=method, substeps=[20]).frames
    parts = march(EQUATION, START, (0.0, 0.2, 0.5, 1.0), method=method, substeps=[4, 6, 10]).frames
    assert len(parts) == 4
    torch.testing.assert_close(parts[-1], whole[-1], rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(parts[0], START, rtol=0, atol=0)


@pytest.mark.parametrize("method", METHODS)
def test_float32_states_stay_float32(method):
    single = replace(
        EQUATION, dtype=torch.float32, symbol=EQUATION.symbol.float() if method.order < 4 else EQUATION.symbol
    )
    found = last(method, 16, single, START.to(torch.complex64))
    assert found.dtype == torch.complex64
    assert float((found - last(method, 16)).abs().max()) < 5e-6


def test_substeps_are_the_smallest_power_of_two_below_the_courant_bound():
    assert [courant_substeps(1.0, rate) for rate in (0.0, 1.0, 1.1, 4.0, 5.0)] == [1, 1, 2, 4, 8]
    run = march(replace(EQUATION, frequency=5.0), START, (0.0, 1.0, 1.5))
    assert run.substeps == (8, 4)


def test_a_step_beyond_the_courant_limit_is_refused_before_marching():
    with pytest.raises(UsageError, match=r"above the stable 1\.7; take at least 8 steps"):
        march(replace(EQUATION, frequency=5.0), START, (0.0, 1.0), substeps=[2])


def test_a_blow_up_names_time_and_sample():
    equation = Rotation(torch.tensor([100.0, 0.0, 0.0], dtype=torch.float64))
    with pytest.raises(FloatingPointError, match=r"not finite at t = .* \(sample 1, 1 of 2\)"):
        march(
            replace(equation, nonlinear=0.0), torch.stack([0 * START[0], START[1]]), (0.0, 8.0), substeps=[8]
        )


@pytest.mark.parametrize(
    ("times", "substeps"), [((), None), ((0.0, 0.0), None), ((0.0, 1.0), [0]), ((0.0, 1.0), [1, 1])]
)
def test_times_and_substeps_that_do_not_fit_are_refused(times, substeps):
    with pytest.raises(UsageError, match="must"):
        march(EQUATION, START, times, substeps=substeps)


def test_marching_to_a_tolerance_halves_the_step_until_two_runs_agree():
    frames, change, taken = march_to_tolerance(
        EQUATION, START, (0.0, 0.5, 1.0), method=ETDRK4, tolerance=1e-9, norm=lambda u: u.norm(dim=-1)
    )
    assert change <= 1e-9
    assert taken == 2 * (2 ** (taken.bit_length() - 1) - 1)  # runs of 2, 4, 8, … steps
    assert float((frames[-1] - last(ETDRK4, 4096)).norm()) < 1e-9 * float(frames[-1].norm())


def test_a_first_run_that_blows_up_is_repeated_with_smaller_steps():
    explosive = Growing(torch.zeros(1, dtype=torch.float64))
    start = torch.tensor([1.0 + 0j], dtype=torch.complex128)
    with pytest.raises(FloatingPointError, match="take more steps"):
        march(explosive, start, (0.0, 1.0))
    frames, change, _ = march_to_tolerance(
        explosive, start, (0.0, 1.0), method=ETDRK4, tolerance=1e-6, norm=lambda u: u.norm(dim=-1)
    )
    assert change <= 1e-6
    assert float((frames[-1] - 201**-0.5).abs().max()) < 1e-7  # u' = -100 u³


@dataclass(frozen=True, eq=False)
class Growing(Rotation):
    """u' = -100 u³, whose explicit steps explode when they are long."""

    frequency: float = 4.0

    def explicit(self, u_hat, t):
        return -100 * u_hat**3
