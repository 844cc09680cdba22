"""A thousand random systems with random and broken preconditioners: "converged" is never said above the tolerance.

The check is independent of the library: b - A x in extended precision from the dense matrix. Every solve ends, and what cannot be
solved is refused with a UsageError or a reason.
"""

import time
import warnings

import numpy as np
import pytest

from pdeflow.errors import UsageError
from pdeflow.linalg import Reason, solve
from pdeflow.linalg.solve import METHODS

COUNT, RTOL, SECONDS = 1000, 1e-8, 5.0


def spd(rng, n):
    B = rng.standard_normal((n, n)) * (rng.random((n, n)) < 0.4)
    return B @ B.T + 10.0 ** rng.uniform(-4, 1) * np.eye(n)


def singular(rng, n):
    """Symmetric, positive semidefinite, its null space the constants or a random vector."""
    q = np.ones(n) if rng.random() < 0.5 else rng.standard_normal(n)
    P = np.eye(n) - np.outer(q, q) / (q @ q)
    A = P @ spd(rng, n) @ P
    return (A + A.T) / 2


def indefinite(rng, n):
    B = rng.standard_normal((n, n))
    return B + B.T


def nonsymmetric(rng, n):
    return rng.standard_normal((n, n)) + rng.uniform(0, 2) * n**0.5 * np.eye(n)


def hermitian(rng, n):
    B = rng.standard_normal((n, n)) + 1j * rng.standard_normal((n, n))
    return B @ B.conj().T + 0.1 * np.eye(n)


def complex_symmetric(rng, n):
    return indefinite(rng, n) + 1j * np.diag(rng.standard_normal(n))


def badly_scaled(rng, n):
    d = 10.0 ** rng.uniform(-12, 12, n)
    return spd(rng, n) * d * d[:, None] if rng.random() < 0.5 else nonsymmetric(rng, n) * d[:, None]


def with_nan(rng, n):
    A = spd(rng, n)
    A[rng.integers(n), rng.integers(n)] = rng.choice([np.nan, np.inf])
    return A


def zero_rows(rng, n):
    A = spd(rng, n)
    empty = rng.random(n) < 0.3
    A[empty], A[:, empty] = 0, 0
    return A


KINDS = (spd, singular, indefinite, nonsymmetric, hermitian, complex_symmetric, badly_scaled, with_nan, zero_rows)


class Broken:
    """A preconditioner with one of the faults that users bring; its flags may lie."""

    FAULTS = ("nan", "zero", "negative", "random", "huge", "tiny", "nonlinear", "overwrites", "rank one", "skew", "float32", "shape")

    def __init__(self, rng, n):
        self.rng, self.fault, self.W = rng, str(rng.choice(self.FAULTS)), rng.standard_normal((n, n))
        self.shape = (n, n)
        if rng.random() < 0.5:
            self.linear = self.symmetric = self.positive = True  # a lie for most faults

    def __matmul__(self, r):
        size = r.shape[0]
        if self.fault == "overwrites":
            r *= 0.5
            return r
        return {
            "nan": lambda: np.where(np.arange(size) == 0, np.nan, r),
            "zero": lambda: 0 * r,
            "negative": lambda: -r,
            "random": lambda: self.rng.standard_normal(size),
            "huge": lambda: 1e200 * r,
            "tiny": lambda: 1e-200 * r,
            "nonlinear": lambda: np.abs(r) * r + 1,
            "rank one": lambda: self.W[0] * (self.W[0] @ r),
            "skew": lambda: (self.W - self.W.T) @ r,
            "float32": lambda: r.astype(np.complex64 if np.iscomplexobj(r) else np.float32),
            "shape": lambda: r[:-1],
        }[self.fault]()


def case(index):
    """Matrix, right-hand side and options number `index`, always the same."""
    rng = np.random.default_rng(index)
    n = int(rng.integers(2, 25))
    A = KINDS[index % len(KINDS)](rng, n)
    b = rng.standard_normal(n) + (1j * rng.standard_normal(n) if np.iscomplexobj(A) else 0)
    if rng.random() < 0.5:
        b = np.nan_to_num(A) @ b  # in the range of A
    if rng.random() < 0.05:
        b[0] = np.nan
    named = ["auto", "none", "jacobi", "ilu", "amg", "amg:sa", None]
    M = Broken(rng, n) if rng.random() < 0.6 else named[rng.integers(len(named))]
    method = str(rng.choice(METHODS))
    guard = str(rng.choice(["switch", "none"])) if method != "dcdm" else str(rng.choice(["switch", "multi", "none"]))
    return A, b, {"method": method, "preconditioner": M, "guard": guard}


def wrong(index):
    """Solve one system; (what went wrong or None, what came of it)."""
    A, b, options = case(index)
    began = time.perf_counter()
    try:
        solution = solve(A, b, rtol=RTOL, maxiter=300, **options)
    except UsageError:
        return None, "refused"
    if time.perf_counter() - began > SECONDS:
        return f"{index}: took {time.perf_counter() - began:.0f} s", "slow"
    wide = np.clongdouble if np.iscomplexobj(A) or np.iscomplexobj(b) else np.longdouble
    residual = b.astype(wide) - A.astype(wide) @ solution.x.astype(wide)
    size, left = (float(np.sqrt(np.sum(np.abs(v) ** 2))) for v in (b.astype(wide), residual))
    good = left <= RTOL * size * (1 + 1e-6)
    said = solution.converged or solution.reason in (Reason.converged, Reason.converged_fallback, Reason.zero_rhs)
    if said and not good:
        return f"{index}: {solution.reason.name} at {left / size:.1e} ({KINDS[index % len(KINDS)].__name__}, {options})", "wrong"
    return None, solution.reason.name


@pytest.mark.parametrize("part", range(10))
def test_converged_is_never_said_above_the_tolerance(part):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = [wrong(index) for index in range(part, COUNT, 10)]
    assert [what for what, _ in results if what is not None] == []
    outcomes = [outcome for _, outcome in results]
    assert outcomes.count("converged") >= 5  # the campaign is not refused at the door
    assert len(set(outcomes)) >= 4
