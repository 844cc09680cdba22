"""Harmonic Ritz vectors: what a search space says about the eigenvectors of smallest magnitude.

Parks, de Sturler, Mackey, Johnson and Maiti, Recycling Krylov subspaces for sequences of linear systems, SIAM J. Sci. Comput.
28 (2006), section 2 and appendix; Morgan, GMRES with deflated restarting, SIAM J. Sci. Comput. 24 (2002), section 2.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg as la

SINGULAR = 1e-14
"""Share of the largest diagonal entry of R below which a matrix counts as singular."""
DROP = 1e-10
"""Share of the largest diagonal entry of R below which a column depends on the others."""
FAR = 1e-5
"""The same share above which Cholesky factors of the Gram matrix, twice, are as good as Householder reflections."""
WIDE = 10
"""Rows per column from which on they are also faster."""
ROWS = 1024
"""Rows that are combined at a time: their part of the block stays in the cache."""


def harmonic_ritz(G: np.ndarray, gram: np.ndarray, k: int) -> np.ndarray | None:
    """Return coordinates of the harmonic Ritz vectors of smallest magnitude.

    With A V = W G and gram = Wᴴ V, these are the solutions of Gᴴ G z = θ Gᴴ gram z. With G = Q R the problem is the standard
    one R⁻¹ Qᴴ gram z = θ⁻¹ z: no infinite θ can arise, and it costs a fifth of a QZ iteration.

    Args:
        G: Coordinates of A V in the orthonormal W, shape (p + 1, p).
        gram: Wᴴ V, shape (p + 1, p).
        k: Vectors wanted.

    Returns:
        Columns of unit length, shape (p, at most k), real for real arguments: the real and imaginary part stand for a
        complex pair, which is left out when only one of them would fit. None where G is singular.

    Reference: Parks et al. (2006), eq. (2.13).
    """
    Q, R = la.qr(G, mode="economic", check_finite=False)
    diagonal = np.abs(np.diagonal(R))
    if not (np.all(np.isfinite(diagonal)) and diagonal.min() > SINGULAR * diagonal.max()):
        return None
    inverse_theta, Z = np.linalg.eig(la.solve_triangular(R, Q.conj().T @ gram, check_finite=False))
    return real_basis(inverse_theta, Z, k) if np.isrealobj(G) else _largest(inverse_theta, Z, k)


def _largest(values: np.ndarray, vectors: np.ndarray, k: int) -> np.ndarray:
    return vectors[:, np.argsort(-np.abs(values), kind="stable")[:k]]


def real_basis(values: np.ndarray, vectors: np.ndarray, k: int) -> np.ndarray:
    """Return a real basis of the span of the eigenvectors of largest magnitude of a real matrix.

    Args:
        values: Eigenvalues, complex ones in conjugate pairs.
        vectors: Eigenvectors, one a column.
        k: Columns at most.

    Returns:
        Real columns, shape (len(vectors), k or k - 1).
    """
    if np.isrealobj(values):
        return _largest(values, vectors, k)
    upper = np.flatnonzero(values.imag >= 0)
    columns: list[np.ndarray] = []
    for i in upper[np.argsort(-np.abs(values[upper]), kind="stable")]:
        z = vectors[:, i]
        parts = [z.real] if values[i].imag == 0 else [z.real, z.imag]
        if len(columns) + len(parts) > k:
            break
        columns += parts
    return np.stack(columns, axis=1) if columns else np.zeros((len(vectors), 0))


def independent_columns(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Factor the independent columns of a matrix: image[:, order] = Q R.

    By Cholesky factors of the Gram matrix, twice, which is three products of BLAS level 3, where the columns are far from
    dependent; else by a QR factorization with pivoting.

    Args:
        image: Shape (n, k), n >= k, column-major.

    Returns:
        Q (n, j) with orthonormal columns, R (j, j), and the indices of the j columns kept; None means all in order.

    Reference: Yamamoto, Nakatsukasa, Yanagisawa and Fukaya, ETNA 44 (2015), section 2 (the two Cholesky passes).
    """
    if image.shape[0] > WIDE * image.shape[1]:
        Q, R = _cholesky_pass(image)
        if R is not None and Q is not None:
            Q, S = _cholesky_pass(Q)
            if S is not None and Q is not None:
                return Q, S @ R, None
    Q, R, order = la.qr(image, mode="economic", pivoting=True, check_finite=False)
    diagonal = np.abs(np.diagonal(R))
    rank = int(np.count_nonzero(diagonal > DROP * diagonal[0])) if diagonal.size and diagonal[0] > 0 else 0
    return np.asfortranarray(Q[:, :rank]), R[:rank, :rank], order[:rank]


def _cholesky_pass(X: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return (Q, R) with X = Q R by one Cholesky factorization of Xᴴ X, or (None, None) where that would lose digits."""
    gemm = la.get_blas_funcs("gemm", (X,))
    R, info = la.get_lapack_funcs("potrf", (X,))(
        gemm(1.0, X, X, trans_a=2 if np.iscomplexobj(X) else 1), clean=1
    )
    diagonal = np.abs(np.diagonal(R))
    if info != 0 or not diagonal.min(initial=1.0) > FAR * diagonal.max(initial=1.0):
        return None, None
    return right_solve(X, R), R


def right_solve(B: np.ndarray, R: np.ndarray, order: np.ndarray | None = None) -> np.ndarray:
    """Return B[:, order] R⁻¹, column-major.

    Args:
        B: Shape (n, k).
        R: Upper triangle, shape (j, j), regular.
        order: Indices of j columns, or None for all.
    """
    B = B if order is None else B[:, order]
    trsm = la.get_blas_funcs("trsm", (B, R))
    return trsm(1.0, R, B, side=1) if R.size else np.zeros(B.shape, B.dtype, order="F")


def combine(block: np.ndarray, coordinates: np.ndarray) -> None:
    """Replace the first columns of a block, in place, by combinations of its columns.

    Args:
        block: Column-major, shape (n, at least p).
        coordinates: Shape (p, j), j <= p.
    """
    p, j = coordinates.shape
    part = np.empty((min(ROWS, len(block)), j), dtype=block.dtype, order="F")
    for start in range(0, len(block), ROWS):
        rows = block[start : start + ROWS]
        result = np.matmul(rows[:, :p], coordinates, out=part[: len(rows)])
        rows[:, :j] = result
