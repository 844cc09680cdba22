"""What a matrix is said to be is true: certificates against eigenvalues, and no certificate where none is possible."""

import numpy as np
import pyamg
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import aslinearoperator

from pdeflow.linalg import describe
from pdeflow.linalg.structure import has_negative_ritz_value

from .conftest import neumann_laplacian


def random_hermitian(n, seed, shift, cplx):
    rng = np.random.default_rng(seed)
    B = rng.standard_normal((n, n)) * (rng.random((n, n)) < 0.3)
    B = B + 1j * rng.standard_normal((n, n)) * (rng.random((n, n)) < 0.3) if cplx else B
    return B + B.conj().T + shift * np.eye(n)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 40), st.integers(0, 10**6), st.floats(-5, 60), st.booleans())
def test_a_certificate_of_definiteness_is_never_wrong(n, seed, shift, cplx):
    A = random_hermitian(n, seed, shift, cplx)
    found, low = describe(sp.csr_array(A)), np.linalg.eigvalsh(A)[0]
    assert found.hermitian
    if found.positive_definite:
        assert low > 0
    elif found.positive_definite is False:
        assert low < 0


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 30), st.integers(0, 10**6))
def test_a_negative_ritz_value_is_a_proof(n, seed):
    A = random_hermitian(n, seed, 3.0, False)
    if has_negative_ritz_value(sp.csr_array(A)):
        assert np.linalg.eigvalsh(A)[0] < 0


@pytest.mark.parametrize(
    ("A", "expected"),
    [
        (
            pyamg.gallery.poisson((12, 12), format="csr"),
            True,
        ),  # weakly dominant, strict at the boundary (Taussky)
        (-pyamg.gallery.poisson((12, 12), format="csr"), False),
        (pyamg.gallery.poisson((12, 12), format="csr") - 3 * sp.eye_array(144), False),
        (sp.block_diag([neumann_laplacian(9), neumann_laplacian(9)]), None),  # two parts, two null vectors
    ],
)
def test_known_matrices(A, expected):
    assert describe(sp.csr_array(A)).positive_definite is expected


def test_constants_are_found_in_the_null_space_and_only_there():
    assert describe(sp.csr_array(neumann_laplacian(50))).constant_nullspace
    assert describe(sp.csr_array(1e-12 * neumann_laplacian(50))).constant_nullspace  # scale does not matter
    assert not describe(sp.csr_array(neumann_laplacian(50) + 1e-6 * sp.eye_array(50))).constant_nullspace


def test_symmetric_and_hermitian_are_told_apart_for_complex_matrices():
    B = np.random.default_rng(0).standard_normal((6, 6)) + 1j * np.random.default_rng(1).standard_normal(
        (6, 6)
    )
    symmetric, hermitian = (describe(sp.csr_array(C)) for C in (B + B.T, B + B.conj().T))
    assert (symmetric.symmetric, symmetric.hermitian) == (True, False)
    assert (hermitian.symmetric, hermitian.hermitian) == (False, True)
    assert "complex, symmetric" in str(symmetric)
    assert "Hermitian" in str(hermitian)


@pytest.mark.parametrize("name", ["airfoil", "helmholtz_2D", "recirc_flow", "unit_square"])
def test_operators_look_like_the_matrices_that_they_apply(name):
    A = sp.csr_array(pyamg.gallery.load_example(name)["A"])
    matrix, operator = describe(A), describe(aslinearoperator(A))
    assert operator.hermitian == matrix.hermitian
    assert operator.constant_nullspace == matrix.constant_nullspace
    assert operator.nnz is None
