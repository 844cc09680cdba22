"""b - A x with about twice the digits of double precision, for verdicts that rounding could turn around.

Products are split without error (Dekker, Numer. Math. 18, 1971), sums taken in slices whose partial sums are exact (Rump, Ogita and
Oishi, SIAM J. Sci. Comput. 31, 2008, section 3).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg as la

SPLITTER = float(2**27 + 1)
SLICES = 4


def scaled_norm(v: np.ndarray) -> float:
    """Return ||v|| by BLAS's nrm2: the squares of 1e-170 or 1e170 neither vanish nor overflow.

    Args:
        v: Shape (n,), in double precision.
    """
    return float(la.norm(v, check_finite=False))


def careful_norm(A: Any, x: np.ndarray, b: np.ndarray, norm: float, target: float) -> float:
    """Return ||b - A x|| with as many digits as it takes to be sure on which side of a target it lies.

    Args:
        A: Sparse array in CSR format, shape (n, n); entries below 1e290 in size.
        x: Shape (n,).
        b: Shape (n,).
        norm: ||b - A x|| as double precision has it, at most `target`.
        target: Norm to be reached.

    Returns:
        The same norm where its rounding error cannot matter, else one from longer arithmetic.
    """
    unit = _unit(A, x, b, np.float64)
    if norm + unit * (scaled_norm(A.data) * scaled_norm(x) + scaled_norm(b)) <= target:
        return norm
    size = scaled_norm(np.abs(b) + abs(A) @ np.abs(x))
    if norm + unit * size <= target:
        return norm
    if np.finfo(np.longdouble).eps < 1e-3 * np.finfo(np.float64).eps:  # not on every machine
        long = np.result_type(A.dtype, x.dtype, b.dtype, np.longdouble)
        found = scaled_norm((b.astype(long) - A.astype(long) @ x.astype(long)).astype(np.result_type(x, np.float64)))
        if found + _unit(A, x, b, np.longdouble) * size <= target:
            return found
    return scaled_norm(exact_residual(A, x, b))


def _unit(A: Any, x: np.ndarray, b: np.ndarray, dtype: Any) -> float:
    """Bound the error of a row of b - A x over that of |b| + |A| |x|: (k + 2) u for k entries in the longest row, complex four times."""
    longest = int(np.diff(A.indptr).max(initial=0)) + 2
    return 1.1 * longest * float(np.finfo(dtype).eps) / 2 * (4 if any(np.iscomplexobj(v) for v in (A.data, x, b)) else 1)


def exact_residual(A: Any, x: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute b - A x as if in about 100 binary digits, then rounded.

    Args:
        A: Sparse array in CSR format, shape (n, n); entries below 1e290 in size.
        x: Shape (n,).
        b: Shape (n,).

    Returns:
        The residual, shape (n,).
    """
    if not any(np.iscomplexobj(v) for v in (A.data, x, b)):
        return _real_residual(A, [(A.data, x)], b)
    real = _real_residual(A, [(A.data.real, x.real), (-A.data.imag, x.imag)], b.real)
    return real + 1j * _real_residual(A, [(A.data.real, x.imag), (A.data.imag, x.real)], b.imag)


def _real_residual(A: Any, factors: list[tuple[np.ndarray, np.ndarray]], b: np.ndarray) -> np.ndarray:
    """b minus the sum of products of entries and values of x, row by row."""
    rows = np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))
    terms, places = [np.array(b, dtype=np.float64)], [np.arange(A.shape[0])]
    for entries, x in factors:
        high, low = _product(-np.asarray(entries, dtype=np.float64), np.asarray(x, dtype=np.float64)[A.indices])
        terms += [high, low]
        places += [rows, rows]
    return _sums(np.concatenate(terms), np.concatenate(places), A.shape[0])


def _product(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (p, e) with p + e = a b exactly, p the rounded product."""
    p = a * b
    (a1, a2), (b1, b2) = _split(a), _split(b)
    return p, a2 * b2 - (((p - a1 * b1) - a2 * b1) - a1 * b2)


def _split(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two halves of 26 binary digits whose sum is a."""
    c = SPLITTER * a
    high = c - (c - a)
    return high, a - high


def _sums(terms: np.ndarray, rows: np.ndarray, n: int) -> np.ndarray:
    """Sum the terms of each row, shape (n,): slice after slice of their leading digits, each summed without error."""
    count = np.bincount(rows, minlength=n)
    spare = 2.0 ** np.ceil(np.log2(np.maximum(count, 1) + 2))
    total, rest = np.zeros(n), np.zeros(n)
    for _ in range(SLICES):
        largest = np.zeros(n)
        np.maximum.at(largest, rows, np.abs(terms))
        exponent = np.frexp(largest)[1].astype(float)
        sigma = np.where(largest > 0, spare * np.exp2(np.maximum(exponent, -1000.0)), 0.0)[rows]
        leading = (sigma + terms) - sigma
        terms = terms - leading
        part = np.bincount(rows, weights=leading, minlength=n)
        new = total + part
        back = new - total
        rest += (total - (new - back)) + (part - back)
        total = new
    return total + (rest + np.bincount(rows, weights=terms, minlength=n))
