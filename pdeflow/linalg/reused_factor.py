"""Factorizations of a sequence of matrices with one pattern: the analysis is done once, the values are factored each time.

Davis, Direct Methods for Sparse Linear Systems (SIAM 2006), sections 4.6 and 6.3 (symbolic analysis apart from the numbers);
CHOLMOD, KLU (Davis and Palamadai Natarajan, ACM TOMS 37, 2010) and UMFPACK through the optional kvxopt, SuperLU through SciPy.
A CSR matrix is read as the CSC form of its transpose, so that no index array is ever converted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sla

from pdeflow.linalg.direct import superlu_options

Backsolve = Callable[[np.ndarray], np.ndarray]
BACKENDS = ("CHOLMOD", "KLU", "UMFPACK", "SuperLU", "SuperLU, symmetric mode")


@dataclass(frozen=True, eq=False)
class Analysis:
    """What is known of a pattern before the values are.

    Attributes:
        backend: One of BACKENDS.
        indptr: Row pointers of the analysed CSR matrix.
        indices: Its column indices.
        dtype: Type of its entries.
        factor: Function of the values (the `data` of a CSR matrix of this pattern) that factors them and returns the
            function of b that solves; the factor of the call before is then no longer valid. Either raises ArithmeticError
            where the matrix is singular. CHOLMOD notices an indefinite one only where it works in blocks, which it does where
            the columns are long; by rows it solves that too, without pivoting: look at the residual.
    """

    backend: str
    indptr: np.ndarray
    indices: np.ndarray
    dtype: np.dtype
    factor: Callable[[np.ndarray], Backsolve]

    def fits(self, A: Any) -> bool:
        """Whether a CSR matrix has this pattern and type."""
        return bool(
            A.dtype == self.dtype
            and len(A.data) == len(self.indices)
            and np.array_equal(A.indices, self.indices)
            and np.array_equal(A.indptr, self.indptr)
        )


def analyse(A: Any, backend: str, simplicial: bool = False) -> Analysis:
    """Analyse the pattern of a matrix.

    Args:
        A: CSR matrix (n, n) with sorted indices; symmetric positive definite and real for CHOLMOD.
        backend: One of BACKENDS.
        simplicial: For CHOLMOD, factor row by row even where blocks are faster: up to twice as fast to solve with in 2-D, ten
            times slower to factor in 3-D.

    Returns:
        The analysis, to be used for every matrix that it fits.

    Raises:
        ArithmeticError: If the matrix is singular (SuperLU orders by factoring).
        ImportError: If the backend is not installed.
    """
    if backend == "CHOLMOD":
        factor = _cholmod(A, simplicial)
    elif backend in ("KLU", "UMFPACK"):
        factor = _unsymmetric(A, backend)
    else:
        factor = _superlu(A, symmetric="symmetric" in backend)
    return Analysis(backend, A.indptr.copy(), A.indices.copy(), A.dtype, factor)


def _kvxopt() -> Any:
    import kvxopt

    return kvxopt  # its stubs leave out the array protocol


@contextmanager
def _supernodal(cholmod: Any, simplicial: bool) -> Iterator[None]:
    """Choose CHOLMOD's method for one analysis; its options are the library's, so they are put back."""
    before = dict(cholmod.options)
    cholmod.options["supernodal"] = 0 if simplicial else 1  # 1: by the work per entry
    try:
        yield
    finally:
        cholmod.options.clear()
        cholmod.options.update(before)


def _cholmod(A: Any, simplicial: bool) -> Callable[[np.ndarray], Backsolve]:
    """Read the upper triangle by rows, which is the lower one by columns."""
    kvxopt = _kvxopt()
    from kvxopt import cholmod

    rows = np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))
    upper = np.flatnonzero(A.indices >= rows)
    matrix = kvxopt.matrix
    K = kvxopt.spmatrix(
        matrix(A.data[upper]),
        matrix(A.indices[upper].astype(np.int64)),
        matrix(rows[upper].astype(np.int64)),
        A.shape,
    )
    with _supernodal(cholmod, simplicial):
        symbol = cholmod.symbolic(K, uplo="L")

    def factor(data: np.ndarray) -> Backsolve:
        """Factor the matrix with these entries."""
        K.V = matrix(data[upper])
        try:
            cholmod.numeric(K, symbol)
        except ArithmeticError as error:
            raise ArithmeticError(f"CHOLMOD: the matrix is not positive definite ({error})") from error

        def solve(b: np.ndarray) -> np.ndarray:
            x = matrix(b)
            try:
                cholmod.solve(symbol, x)
            except ArithmeticError as error:  # the supernodal method notices only here
                raise ArithmeticError(f"CHOLMOD: the matrix is not positive definite ({error})") from error
            return np.array(x).reshape(b.shape, order="F")

        return solve

    return factor


def _unsymmetric(A: Any, backend: str) -> Callable[[np.ndarray], Backsolve]:
    """KLU or UMFPACK: both factor the transpose and solve with its transpose."""
    kvxopt = _kvxopt()
    from kvxopt import klu, umfpack

    matrix = kvxopt.matrix
    rows = np.repeat(np.arange(A.shape[0], dtype=np.int64), np.diff(A.indptr))
    K = kvxopt.spmatrix(matrix(A.data), matrix(A.indices.astype(np.int64)), matrix(rows), A.shape)
    library = klu if backend == "KLU" else umfpack
    symbol = library.symbolic(K)

    def factor(data: np.ndarray) -> Backsolve:
        """Factor the matrix with these entries."""
        K.V = matrix(data)
        try:
            numeric = library.numeric(K, symbol)
        except ArithmeticError as error:
            raise ArithmeticError(f"{backend}: the matrix is singular ({error})") from error

        def solve(b: np.ndarray) -> np.ndarray:
            x = matrix(b.astype(data.dtype, copy=False))
            parts = (symbol, numeric) if backend == "KLU" else (numeric,)
            library.solve(K, *parts, x, trans="T")
            return np.array(x).reshape(b.shape, order="F")

        return solve

    return factor


def _superlu(A: Any, symmetric: bool) -> Callable[[np.ndarray], Backsolve]:
    """Order by a first factorization, then factor the permuted matrix in its natural order."""
    options = superlu_options(A, symmetric, 0.01)
    first = _splu(_transposed(A, A.data), options)
    order = np.argsort(first.perm_c)
    numbered = sp.csc_array((np.arange(len(A.data)), A.indices, A.indptr), shape=A.shape)[:, order]
    permuted = sp.csc_matrix(numbered[order] if symmetric else numbered)
    permuted.sort_indices()
    place = permuted.data.astype(np.int64)
    options["permc_spec"] = "NATURAL"

    def factor(data: np.ndarray) -> Backsolve:
        """Factor the matrix with these entries."""
        values = sp.csc_matrix((data[place], permuted.indices, permuted.indptr), shape=A.shape)
        values.has_sorted_indices = True
        lu = _splu(values, options)

        def solve(b: np.ndarray) -> np.ndarray:
            y = lu.solve(b[order].astype(data.dtype, copy=False), "T")
            if not symmetric:
                return y
            x = np.empty_like(y)
            x[order] = y
            return x

        return solve

    return factor


def _transposed(A: Any, data: np.ndarray) -> Any:
    return sp.csc_matrix((data, A.indices, A.indptr), shape=A.shape)


def _splu(matrix: Any, options: dict[str, Any]) -> Any:
    try:
        return sla.splu(matrix, **options)
    except RuntimeError as error:  # SuperLU's word for a zero pivot
        raise ArithmeticError(f"SuperLU: {error}") from error


def refine(
    A: Any, b: np.ndarray, back: Backsolve, target: float, steps: int = 3
) -> tuple[np.ndarray, list[float]]:
    """Solve by a factor, and refine while the residual is above a tenth of the target and halves.

    Args:
        A: Matrix with `@`.
        b: Right-hand side, shape (n,).
        back: Solves with the factor.
        target: Residual norm to reach.
        steps: Refinements at most.

    Returns:
        (x, residual norms from ||b|| on).

    Reference: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed. (2002), section 12.1.
    """
    x = back(b)
    r = b - A @ x
    norms = [float(np.linalg.norm(b)), float(np.linalg.norm(r))]
    while norms[-1] > 0.1 * target and len(norms) < 2 + steps and np.isfinite(norms[-1]):
        better = x + back(r)
        r = b - A @ better
        norm = float(np.linalg.norm(r))
        if not norm < 0.5 * norms[-1]:
            break
        x = better
        norms.append(norm)
    return x, norms
