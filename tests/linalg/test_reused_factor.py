"""An analysis serves every matrix of its pattern, and the factors agree with fresh ones to rounding."""

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.linalg.reused_factor import BACKENDS, analyse, refine

pytest.importorskip("kvxopt")
EPS = np.finfo(float).eps
SEEDS = st.integers(0, 2**32 - 1)
UNSYMMETRIC = [backend for backend in BACKENDS if backend != "CHOLMOD"]


def pattern(n, generator):
    """A symmetric pattern with a full diagonal."""
    B = sp.random_array((n, n), density=0.1, rng=generator, format="csr")
    P = sp.csr_array(B + B.T + sp.eye_array(n))
    P.sort_indices()
    return P


def values(P, generator, symmetric, dtype=float):
    """Random values on a pattern, diagonally dominant."""
    A = P.copy().astype(dtype)
    A.data = generator.standard_normal(P.nnz).astype(dtype)
    if dtype is complex:
        A.data = A.data + 1j * generator.standard_normal(P.nnz)
    if symmetric:
        A = sp.csr_array((A + A.T) / 2)
    A.setdiag(abs(A).sum(axis=1) + 0.1)
    A.sort_indices()
    return A


def close(A, x, b):
    exact = sla.splu(sp.csc_matrix(A)).solve(b.astype(A.dtype))
    bound = 200 * EPS * np.linalg.cond(A.toarray())
    return np.linalg.norm(x - exact) <= bound * np.linalg.norm(exact)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, n=st.integers(2, 60))
def test_reused_analysis_equals_a_fresh_factorization_after_the_values_changed(backend, seed, n):
    generator = np.random.default_rng(seed)
    P, symmetric = pattern(n, generator), backend == "CHOLMOD"
    first = values(P, generator, symmetric)
    analysis = analyse(first, backend)
    for A in (first, values(P, generator, symmetric), values(P, generator, symmetric)):
        b = generator.standard_normal(n)
        assert analysis.fits(A)
        reused = analysis.factor(A.data)(b)
        fresh = analyse(A, backend).factor(A.data)(b)
        assert np.linalg.norm(reused - fresh) <= 200 * EPS * np.linalg.cond(A.toarray()) * np.linalg.norm(
            fresh
        )
        assert close(A, reused, b)


@pytest.mark.parametrize("backend", UNSYMMETRIC)
def test_complex_matrices_are_solved_without_conjugation(backend):
    generator = np.random.default_rng(3)
    A = values(pattern(40, generator), generator, False, complex)
    b = generator.standard_normal(40) + 1j * generator.standard_normal(40)
    assert close(A, analyse(A, backend).factor(A.data)(b), b)


def test_row_by_row_cholesky_gives_the_same_and_leaves_the_library_options_alone():
    from kvxopt import cholmod

    before = dict(cholmod.options)
    generator = np.random.default_rng(4)
    A, b = values(pattern(50, generator), generator, True), generator.standard_normal(50)
    both = [analyse(A, "CHOLMOD", simplicial=simplicial).factor(A.data)(b) for simplicial in (False, True)]
    np.testing.assert_allclose(both[0], both[1], rtol=1e-11)
    assert dict(cholmod.options) == before


@pytest.mark.parametrize("backend", BACKENDS)
def test_another_pattern_or_type_does_not_fit(backend):
    generator = np.random.default_rng(5)
    A = values(pattern(30, generator), generator, True)
    analysis = analyse(A, backend)
    other = values(pattern(30, generator), generator, True)
    assert not analysis.fits(other)
    assert not analysis.fits(A.astype(complex))


@pytest.mark.parametrize("backend", ["CHOLMOD", "KLU", "UMFPACK", "SuperLU"])
def test_a_singular_matrix_is_an_arithmetic_error_and_good_values_work_again(backend):
    generator = np.random.default_rng(6)
    A, b = values(pattern(30, generator), generator, True), generator.standard_normal(30)
    analysis = analyse(A, backend)
    with pytest.raises(ArithmeticError, match="singular"):
        analysis.factor(np.zeros_like(A.data))(b)
    assert close(A, analysis.factor(A.data)(b), b)


def test_cholmod_refuses_an_indefinite_matrix_in_blocks_and_solves_it_by_rows():
    generator = np.random.default_rng(8)
    large, small = (values(pattern(n, generator), generator, True) for n in (400, 30))
    with pytest.raises(ArithmeticError, match="not positive definite"):
        analyse(large, "CHOLMOD").factor(-large.data)(np.ones(400))
    assert close(-small, analyse(small, "CHOLMOD").factor(-small.data)(np.ones(30)), np.ones(30))


def test_refinement_contracts_by_the_error_of_the_factor():
    generator = np.random.default_rng(7)
    A = values(pattern(40, generator), generator, True)
    exact = sla.splu(sp.csc_matrix(A)).solve
    b = generator.standard_normal(40)
    _, norms = refine(A, b, lambda r: 0.99 * exact(r), 1e-8 * np.linalg.norm(b), steps=10)
    ratios = np.array(norms[1:]) / np.array(norms[:-1])
    np.testing.assert_allclose(ratios, 0.01, rtol=1e-5)
    assert norms[-1] <= 1e-9 * np.linalg.norm(b)
