"""Sparse direct solvers, with an estimate of memory and time before anything is factored.

CHOLMOD (Chen, Davis, Hager and Rajamanickam, ACM TOMS 35, 2008) through the optional kvxopt for symmetric positive definite
matrices, SuperLU (Demmel et al., SIAM J. Matrix Anal. 20, 1999) through SciPy for all others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from scipy.sparse.csgraph import breadth_first_order

from pdeflow.errors import UsageError
from pdeflow.linalg.system import LinearSystem


@dataclass(frozen=True)
class Cost:
    """What a factorization is expected to need.

    Attributes:
        gigabytes: Memory of the factors.
        seconds: Time on one core of a laptop.
        entries: Entries of the factors.
    """

    gigabytes: float
    seconds: float
    entries: float

    def __str__(self) -> str:
        """Return, for example, "about 4 GB and 170 s"."""
        memory = f"{self.gigabytes:.0f} GB" if self.gigabytes >= 1 else f"{1e3 * self.gigabytes:.0f} MB"
        return f"about {memory} and {self.seconds:.2g} s"


def separator_width(A: Any) -> int:
    """Return the size of the largest level of a breadth-first search from a far end: an upper bound for a separator.

    Args:
        A: Sparse square matrix; its pattern is taken as an undirected graph.
    """
    A = sp.csr_array((np.ones(A.nnz), A.indices, A.indptr), shape=A.shape)  # the pattern alone
    start = 0
    for _ in range(2):  # a vertex that is far from where we began is near an end
        order, parent = breadth_first_order(A, start, directed=False)
        start = int(order[-1])
    order, parent = breadth_first_order(A, start, directed=False)
    position = np.empty(A.shape[0], dtype=np.int64)
    position[order] = np.arange(len(order))
    parents = position[parent[order[1:]]]
    bounds = [0, 1]
    while bounds[-1] < len(order):
        bounds.append(1 + int(np.searchsorted(parents, bounds[-1])))
    return int(np.diff(bounds).max())


def estimate_cost(system: LinearSystem) -> Cost:
    """Estimate the factorization from the number of unknowns n and the width w of the graph.

    Entries of L and U: 4 n log2 w + 28 w²; seconds: 6e-9 w³ + 5e-8 entries for SuperLU, 5e-10 w³ + 2e-8 entries for CHOLMOD,
    which stores half of them. Fitted to five-point grids of 64² to 724² and seven-point grids of 16³ to 64³; within a factor
    of two of what was measured there.

    Args:
        system: System with an assembled matrix.
    """
    n, width = system.n, separator_width(system.A)
    degree = max(
        1.0, system.A.nnz / n / 5
    )  # five-point rows fitted; finite elements of higher order fill more
    entries = min(degree * (4 * n * np.log2(max(width, 2)) + 28.0 * width**2), float(n) ** 2)
    if uses_cholmod(system):
        return Cost(entries / 2 * 8e-9, 5e-10 * width**3 + 2e-8 * entries, entries / 2)
    return Cost(entries * 12e-9, 6e-9 * width**3 + 5e-8 * entries, entries)


def uses_cholmod(system: LinearSystem) -> bool:
    """Whether the system is real symmetric positive definite and kvxopt is installed."""
    real = system.assembled and not np.iscomplexobj(system.A)
    regular = system.nullspace is None
    return bool(real and regular and system.symmetric and system.positive_definite and find_spec("kvxopt"))


def factorize(system: LinearSystem) -> tuple[Callable[[np.ndarray], np.ndarray], str]:
    """Factor the matrix.

    Args:
        system: System with an assembled matrix.

    Returns:
        (function that solves for one right-hand side, name of the factorization).

    Raises:
        UsageError: If the matrix is not assembled.
        ArithmeticError: If a pivot is zero or the matrix is not positive definite: the factorization broke down.
    """
    if not system.assembled:
        raise UsageError(
            "method 'direct' needs the entries of A, but A is an operator; use cg, minres or fgmres"
        )
    A = system.A.astype(np.result_type(system.A.dtype, np.float64))
    if uses_cholmod(system):
        return _cholmod(A), "CHOLMOD"
    options = superlu_options(A, bool(system.symmetric), 0.0 if system.positive_definite else 0.1)
    try:
        return sla.splu(sp.csc_matrix(A), **options).solve, "SuperLU"
    except RuntimeError as error:
        raise ArithmeticError(f"SuperLU: {error}") from error


def superlu_options(A: Any, symmetric: bool, threshold: float) -> dict[str, Any]:
    """Return SuperLU's ordering and pivoting.

    Args:
        A: Sparse matrix.
        symmetric: Whether it equals its conjugate transpose.
        threshold: Share of its column's largest entry that a diagonal entry needs to be the pivot.

    Returns:
        Keywords of splu. The mode for symmetric matrices sizes its memory for pivots on the diagonal: where zeros on the diagonal force
        others, it may write beyond what it has (a structurally singular saddle point matrix ended the interpreter), and is left.
    """
    if not symmetric:
        return {"permc_spec": "COLAMD"}
    options: dict[str, Any] = {"permc_spec": "MMD_AT_PLUS_A", "diag_pivot_thresh": threshold}
    return options | ({"options": {"SymmetricMode": True}} if np.all(A.diagonal() != 0) else {})


def _cholmod(A: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Factor with CHOLMOD's supernodal method."""
    import kvxopt
    from kvxopt import cholmod

    untyped: Any = kvxopt  # its stubs leave out the array protocol
    matrix, spmatrix = untyped.matrix, untyped.spmatrix
    lower = sp.tril(A).tocoo()
    rows, columns = (matrix(index.astype(np.int64)) for index in (lower.row, lower.col))
    K = spmatrix(matrix(np.ascontiguousarray(lower.data, dtype=np.float64)), rows, columns, A.shape)
    try:
        factor = cholmod.symbolic(K, uplo="L")
        cholmod.numeric(K, factor)
    except ArithmeticError as error:
        raise ArithmeticError(f"CHOLMOD: the matrix is not positive definite ({error})") from error

    def solve(b: np.ndarray) -> np.ndarray:
        x = matrix(np.ascontiguousarray(b, dtype=np.float64))
        try:
            cholmod.solve(factor, x)
        except ArithmeticError:  # a zero pivot; the verdict on NaN is "nonfinite"
            return np.full(b.shape, np.nan)
        return np.array(x).ravel()

    return solve
