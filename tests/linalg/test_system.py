"""Checks at the door: what cannot be solved is refused with the value, what can is brought into one form."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import aslinearoperator

from pdeflow.errors import UsageError
from pdeflow.linalg import LinearSystem, linear_system
from pdeflow.linalg.system import as_basis, as_vector

from .conftest import neumann_laplacian

NAN = sp.csr_array(np.array([[1.0, 0.0], [np.nan, 1.0]]))


@pytest.mark.parametrize(
    ("A", "b", "message"),
    [
        (np.ones((2, 3)), np.ones(2), r"shape \(2, 3\)"),
        (NAN, np.ones(2), r"1 non-finite entries, first nan at \(1, 0\)"),
        (np.eye(3), np.ones(4), "A is 3x3 but b has shape"),
        (np.eye(3), np.array([1.0, np.inf, 0.0]), "first inf at 1"),
        (np.eye(3), np.array(["a", "b", "c"]), "expected numbers"),
        (np.eye(3), np.ones((3, 2)), "one vector of 3 entries"),
    ],
)
def test_unusable_systems_are_refused_with_the_value(A, b, message):
    with pytest.raises(UsageError, match=message):
        linear_system(A, b)


def test_a_plain_array_is_no_matrix_of_a_linear_system():
    with pytest.raises(UsageError, match="linear_system"):
        LinearSystem(np.eye(2), np.ones(2))


def test_integers_are_promoted_columns_flattened_and_duplicates_summed():
    A = sp.coo_array(([1, 1, 2], ([0, 0, 1], [0, 0, 1])), shape=(2, 2))
    system = linear_system(A, np.array([[2], [4]]))
    assert (system.dtype, system.b.shape, system.A.nnz) == (np.float64, (2,), 2)
    np.testing.assert_array_equal(system.A.toarray(), 2 * np.eye(2))
    assert A.nnz == 3  # the caller's matrix is left as it was


def test_without_b_the_solution_is_known():
    A = sp.csr_array(np.array([[4.0, 1.0], [1.0, 3.0]]))
    np.testing.assert_array_equal(linear_system(A).b, [5, 4])
    assert np.linalg.norm(linear_system(neumann_laplacian(9)).b) > 0  # compatible, and not zero


def test_structure_is_detected_and_the_null_basis_is_orthonormal():
    system = linear_system(neumann_laplacian(9))
    assert (system.symmetric, system.positive_definite, system.assembled) == (True, True, True)
    np.testing.assert_allclose(np.abs(system.null_basis()), np.full((9, 1), 1 / 3))
    assert linear_system(aslinearoperator(np.eye(3))).assembled is False


def test_null_spaces_by_name():
    np.testing.assert_array_equal(as_basis("constant", 3), np.ones(3))
    assert as_basis("none", 3) is None
    assert linear_system(neumann_laplacian(9), nullspace="none").nullspace is None
    with pytest.raises(UsageError, match="rigid"):
        as_basis("rigid", 3)
    with pytest.raises(UsageError, match="nullspace has shape"):
        linear_system(np.eye(3), np.ones(3), np.ones(2))


def test_vectors_keep_complex_numbers_and_promote_the_rest():
    assert as_vector([1, 2], 2, "x").dtype == np.float64
    assert as_vector(np.ones(2, np.float16), 2, "x").dtype == np.float64
    assert as_vector(np.ones(2, np.complex64), 2, "x").dtype == np.complex64
