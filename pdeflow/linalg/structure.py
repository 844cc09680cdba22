"""What a matrix says about itself: symmetry, certificates of definiteness, constant null space.

Saad, Iterative Methods for Sparse Linear Systems, 2nd ed., sections 4.2.3, 6.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

TOLERANCE = 1e-12


@dataclass(frozen=True)
class Structure:
    """Properties of a square matrix.

    Args:
        n: Number of rows.
        nnz: Stored entries, or None for an operator.
        is_complex: Whether the entries are complex numbers.
        symmetric: Whether A equals its transpose.
        hermitian: Whether A equals its conjugate transpose.
        positive_diagonal: Whether the diagonal is real and positive; None for an operator.
        constant_nullspace: Whether A maps constants to zero.
        positive_definite: True by Gershgorin's certificate (on the complement of the constants when these are the
            null space), False by a negative Ritz value, None when undecided.
    """

    n: int
    nnz: int | None
    is_complex: bool
    symmetric: bool
    hermitian: bool
    positive_diagonal: bool | None
    constant_nullspace: bool
    positive_definite: bool | None

    def __str__(self) -> str:
        """One line for people."""
        kind = (
            ("Hermitian" if self.is_complex else "symmetric")
            if self.hermitian
            else "symmetric"
            if self.symmetric
            else "nonsymmetric"
        )
        definite = {
            True: f"positive {'semi' if self.constant_nullspace else ''}definite",
            False: "indefinite or negative",
            None: "definiteness unknown",
        }
        words = [
            f"n = {self.n:,}",
            f"{self.nnz:,} entries" if self.nnz is not None else "operator",
            "complex" if self.is_complex else "real",
            kind,
        ]
        words += [definite[self.positive_definite]] if self.hermitian else []
        words += ["constant null space"] if self.constant_nullspace else []
        return ", ".join(words)


def describe(A: Any) -> Structure:
    """Find the structure of A: exactly for assembled matrices, with two random vectors for operators.

    Args:
        A: Square sparse matrix or SciPy LinearOperator, shape (n, n).

    Returns:
        The structure.
    """
    n = A.shape[0]
    is_complex = A.dtype.kind == "c"
    ones = np.ones(n, dtype=A.dtype)
    if not sp.issparse(A):
        hermitian = _looks_hermitian(A)
        size = np.linalg.norm(A @ _random(n, A.dtype, 7)) / np.sqrt(n)
        constant = bool(np.linalg.norm(A @ ones) <= TOLERANCE * size * np.sqrt(n))
        indefinite = hermitian and has_negative_ritz_value(A)
        return Structure(
            n,
            None,
            is_complex,
            hermitian and not is_complex,
            hermitian,
            None,
            constant,
            False if indefinite else None,
        )
    largest = float(np.abs(A.data).max()) if A.nnz else 0.0
    tolerance = _relative(A.dtype) * largest
    symmetric = _equal(A, A.T)
    hermitian = _equal(A, A.conj().T) if is_complex else symmetric
    diagonal = A.diagonal()
    positive_diagonal = bool(np.all(diagonal.real > 0) and np.all(np.abs(diagonal.imag) <= tolerance))
    row_sums = np.asarray(abs(A).sum(axis=1)).ravel()
    constant = bool(np.linalg.norm(A @ ones) <= _relative(A.dtype) * row_sums.max(initial=0.0) * np.sqrt(n))
    definite: bool | None = None
    if hermitian:
        if positive_diagonal and _dominant(A, diagonal.real, row_sums, constant):
            definite = True
        elif (not positive_diagonal and np.any(diagonal.real < -tolerance)) or has_negative_ritz_value(A):
            definite = False
    return Structure(
        n, int(A.nnz), is_complex, bool(symmetric), bool(hermitian), positive_diagonal, constant, definite
    )


def _relative(dtype: np.dtype) -> float:
    """Relative tolerance of the comparisons: 1e-12 in double precision, 1e-6 in single."""
    return TOLERANCE if np.finfo(dtype).eps < 1e-10 else 1e-6


def _random(n: int, dtype: np.dtype, seed: int) -> np.ndarray:
    """Standard normal vector of the given type, shape (n,)."""
    generator = np.random.default_rng(seed)
    v = generator.standard_normal(n)
    return (v + 1j * generator.standard_normal(n)).astype(dtype) if dtype.kind == "c" else v.astype(dtype)


def _equal(A: Any, B: Any) -> bool:
    """Whether the entries of A - B are rounding errors beside the largest entries of their row and of their column's row."""
    D = (A - B.tocsr()).tocoo()
    if not D.nnz:
        return True
    largest = np.sqrt(np.asarray(abs(A).max(axis=1).todense()).ravel())
    return bool(np.all(np.abs(D.data) <= _relative(A.dtype) * largest[D.row] * largest[D.col]))


def _looks_hermitian(A: Any) -> bool:
    """Two random tests |u·A v - A u·v| <= 1e-10 ||A u|| ||v||, 1e-5 in single precision."""
    tolerance = 1e-10 if np.finfo(A.dtype).eps < 1e-10 else 1e-5
    for seed in (1, 3):
        u, v = _random(A.shape[0], A.dtype, seed), _random(A.shape[0], A.dtype, seed + 1)
        Au, Av = A @ u, A @ v
        if not abs(np.vdot(u, Av) - np.vdot(Au, v)) <= tolerance * np.linalg.norm(Au) * np.linalg.norm(v):
            return False
    return True


def _dominant(A: Any, diagonal: np.ndarray, row_sums: np.ndarray, singular: bool) -> bool:
    """Gershgorin and Taussky: weakly dominant rows, each connected part with a strict one (or one part and singular)."""
    margin = (2 * diagonal - row_sums) / diagonal  # diagonal minus radius, relative
    if np.any(margin < -0.1 * _relative(A.dtype)):
        return False
    pattern = sp.csr_array(
        (np.ones(A.nnz), A.indices, A.indptr), shape=A.shape
    )  # a complex entry has no real weight
    parts, label = connected_components(pattern, directed=False)
    strict = np.zeros(parts, dtype=bool)
    strict[label[margin > 1e4 * _relative(A.dtype)]] = True
    return bool(strict.all()) or (singular and parts == 1)


def has_negative_ritz_value(A: Any, steps: int = 20) -> bool:
    """Whether a short Lanczos run proves that a Hermitian A has a negative eigenvalue.

    Args:
        A: Hermitian matrix or operator, shape (n, n).
        steps: Lanczos steps, fully reorthogonalised.

    Returns:
        True is a proof (Ritz values lie between the extreme eigenvalues); False proves nothing.

    Reference: Saad, 2nd ed., Algorithm 6.15.
    """
    n = A.shape[0]
    steps = min(steps, n)
    V = np.zeros((steps, n), dtype=A.dtype)
    start = _random(n, A.dtype, 11)
    V[0] = start / np.linalg.norm(start)
    AV = np.zeros_like(V)
    count = steps
    for k in range(steps):
        AV[k] = A @ V[k]
        if k + 1 == steps:
            break
        w = AV[k].copy()
        for _ in range(2):
            w -= V[: k + 1].T @ (V[: k + 1].conj() @ w)
        length = np.linalg.norm(w)
        if not length > 1e-10 * np.linalg.norm(AV[k]):
            count = k + 1
            break
        V[k + 1] = w / length
    T = V[:count].conj() @ AV[:count].T
    if not np.all(np.isfinite(T)):
        return False
    ritz = np.linalg.eigvalsh((T + T.conj().T) / 2)
    return bool(ritz[0] < -100 * np.finfo(A.dtype).eps * np.abs(ritz).max() * n**0.5)
