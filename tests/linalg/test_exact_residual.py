"""The residual behind a verdict agrees with exact rational arithmetic, whatever the cancellation."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from pdeflow.linalg import solve
from pdeflow.linalg.exact_residual import careful_norm, exact_residual


def rational(A, x, b):
    """b - A x in exact arithmetic, rounded at the end; real."""
    return np.array([float(Fraction(b[i]) - sum(Fraction(a) * Fraction(v) for a, v in zip(A[i], x, strict=True))) for i in range(len(b))])


def badly_scaled(seed, n):
    """Matrix, vector and right-hand side over thirty decades; every second b is A x as double precision has it."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, n)) * 10.0 ** rng.integers(-12, 12, (n, 1)) * 10.0 ** rng.integers(-12, 12, (1, n))
    A[rng.random((n, n)) < 0.3] = 0
    x = rng.standard_normal(n) * 10.0 ** rng.integers(-15, 15, n)
    return A, x, A @ x if seed % 2 else rng.standard_normal(n)


@given(seed=st.integers(0, 10**6), n=st.integers(1, 9))
def test_the_residual_is_that_of_exact_arithmetic(seed, n):
    A, x, b = badly_scaled(seed, n)
    exact = rational(A, x, b)
    scale = np.abs(b) + np.abs(A) @ np.abs(x)
    assert np.all(np.abs(exact_residual(sp.csr_array(A), x, b) - exact) <= 1e-15 * np.abs(exact) + 1e-28 * scale)


@given(seed=st.integers(0, 10**6), n=st.integers(1, 6))
def test_a_complex_residual_is_the_real_one_of_its_parts(seed, n):
    (A, x, b), (C, y, d) = badly_scaled(seed, n), badly_scaled(seed + 1, n)
    found = exact_residual(sp.csr_array(A + 1j * C), x + 1j * y, b + 1j * d)
    real = rational(np.hstack([A, -C]), np.concatenate([x, y]), b)
    imaginary = rational(np.hstack([A, C]), np.concatenate([y, x]), d)
    scale = np.abs(b) + np.abs(d) + (np.abs(A) + np.abs(C)) @ (np.abs(x) + np.abs(y))
    assert np.all(np.abs(found - (real + 1j * imaginary)) <= 2e-15 * (np.abs(real) + np.abs(imaginary)) + 1e-27 * scale)


@given(seed=st.integers(0, 10**6), n=st.integers(1, 9), decades=st.floats(-20, 5))
def test_a_norm_lies_on_the_side_of_the_target_where_exact_arithmetic_puts_it(seed, n, decades):
    A, x, b = badly_scaled(seed, n)
    exact, target = float(np.linalg.norm(rational(A, x, b))), 10.0**decades
    norm = float(np.linalg.norm(b - A @ x))
    if norm <= target and abs(exact - target) > 1e-12 * target:
        assert (careful_norm(sp.csr_array(A), x, b, norm, target) <= target) == (exact <= target)


@pytest.mark.parametrize("options", [{}, {"method": "fgmres", "preconditioner": "ilu"}, {"method": "gcro_dr"}])
def test_rounding_of_the_check_itself_is_no_convergence(options):
    A = np.array([[7.891662067327639e17, 1.0], [1.781837079147687, 0.0]])
    b = np.array([16.0, 0.2425009847664089])
    s = solve(A, b, **options)
    true = float(np.linalg.norm(rational(A, s.x, b)) / np.linalg.norm(b))
    assert s.converged == (true <= 1e-8)
    assert s.residual == pytest.approx(true, rel=1e-6) or not s.converged
