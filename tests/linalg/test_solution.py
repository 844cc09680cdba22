"""The verdict follows the true residual, whatever a method believes and however large or small the numbers are."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from pdeflow.linalg import LinearSystem, Reason
from pdeflow.linalg.solution import true_residual, verify

A = sp.csr_array(np.array([[4.0, 1.0], [1.0, 3.0]]))
X = np.array([1.0, -2.0])


@given(
    st.sampled_from(list(Reason)),
    st.floats(-12, 0),
    st.sampled_from([1e-200, 1e-170, 1e-20, 1.0, 1e20, 1e170, 1e200]),
)
def test_the_true_residual_alone_decides(belief, exponent, scale):
    b = scale * (A @ X)
    wrong = scale * (X + 10.0**exponent * np.array([1.0, 0.0]))
    solution = verify(LinearSystem(A, b), wrong, belief, rtol=1e-6)
    relative = float(np.linalg.norm((b - A @ wrong) / scale) / np.linalg.norm(b / scale))
    assert solution.residual == pytest.approx(relative, rel=1e-3, abs=1e-15)
    assert solution.converged == (relative <= 1e-6)
    good = (Reason.converged, Reason.converged_fallback, Reason.zero_rhs)
    assert solution.converged == (solution.reason in good)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_zero_is_no_solution_however_small_or_large_b_is(scale):
    solution = verify(LinearSystem(A, scale * np.ones(2)), np.zeros(2), Reason.converged, rtol=1e-6)
    assert not solution.converged
    assert solution.residual == pytest.approx(1.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_never_converged(bad):
    solution = verify(LinearSystem(A, np.ones(2)), np.array([bad, 0.0]), Reason.converged, rtol=1e-6)
    assert (solution.converged, solution.reason) == (False, Reason.nonfinite)


def test_an_absolute_tolerance_may_decide_and_zero_b_reports_the_absolute_residual():
    system = LinearSystem(A, np.zeros(2))
    solution = verify(system, np.array([1e-9, 0.0]), Reason.maxiter, rtol=1e-6, atol=1e-8)
    assert solution.converged
    assert solution.residual == pytest.approx(1e-9 * np.sqrt(17))


def test_float32_residuals_are_computed_in_double_precision():
    single = LinearSystem(A.astype(np.float32), (A @ X).astype(np.float32))
    x = X + np.array([1e-9, 0.0])  # beyond single precision
    np.testing.assert_allclose(true_residual(single, x), [-4e-9, -1e-9], rtol=1e-6)


def test_one_line_names_method_reason_and_residual():
    line = str(
        verify(LinearSystem(A, A @ X), X, Reason.converged, rtol=1e-6, method="cg", preconditioner="amg")
    )
    assert line.startswith("cg + amg: converged in 0 iterations, residual 0.0e+00")


def test_every_reason_that_can_be_acted_on_says_how():
    silent = (Reason.converged, Reason.converged_fallback, Reason.zero_rhs, Reason.stopped)
    for reason in Reason:
        assert reason in silent or ";" in reason.value or "raise" in reason.value


def test_a_line_says_why_another_method_answered():
    found = verify(LinearSystem(A, A @ X), X, Reason.converged_fallback, rtol=1e-6, method="cg", preconditioner="amg", detail="network: its grid is 3-D")
    first, second = str(found).splitlines()
    assert "converged_fallback" in first
    assert second == "  network: its grid is 3-D"
