"""Prescribed values: which degrees of freedom, symmetric elimination, condensation.

Ern and Guermond, Theory and Practice of Finite Elements (2004), section 8.4.3 (elimination that keeps all unknowns).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from pdeflow.discretization.finite_element.pattern import Elimination
from pdeflow.errors import UsageError


def first_wins(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Join prescribed values; where parts meet in a degree of freedom (a corner), the first part decides.

    Args:
        parts: Degrees of freedom and their values, part by part.

    Returns:
        Ascending degrees of freedom and their values.
    """
    if not parts:
        return np.empty(0, dtype=np.int64), np.empty(0)
    dofs, first = np.unique(np.concatenate([d for d, _ in parts]), return_index=True)
    return dofs, np.concatenate([v for _, v in parts])[first]


def eliminate(
    A: sp.csr_array, b: np.ndarray, dofs: np.ndarray, values: np.ndarray
) -> tuple[sp.csr_array, np.ndarray]:
    """Prescribe values symmetrically, keeping all unknowns.

    Args:
        A: Matrix, shape (n, n), with a stored diagonal entry for each of dofs.
        b: Right-hand side, shape (n,).
        dofs: Degrees of freedom, ascending.
        values: Their values.

    Returns:
        Matrix and right-hand side; the rows and columns of dofs hold only a diagonal of the matrix's typical size.

    Raises:
        UsageError: If a degree of freedom is out of range, repeated or has no diagonal entry.
    """
    _check(A, dofs)
    A = sp.csr_array(A)
    A.sum_duplicates()
    plan = Elimination.build(A.indptr, A.indices, np.asarray(dofs))
    if len(plan.fixed) != len(dofs):
        raise UsageError(
            f"{len(dofs) - len(plan.fixed)} prescribed unknowns have no diagonal entry in A; use condense"
        )
    return plan.apply(A, b, np.asarray(values))


@dataclass(frozen=True, eq=False)
class Condensed:
    """A system without the prescribed unknowns.

    Attributes:
        A: Matrix of the free unknowns.
        b: Right-hand side of the free unknowns.
        free: Free degrees of freedom, ascending.
        given: The full vector with the prescribed values, zero elsewhere.
    """

    A: sp.csr_array
    b: np.ndarray
    free: np.ndarray
    given: np.ndarray

    def expand(self, x: np.ndarray) -> np.ndarray:
        """Return the full vector from the free unknowns x."""
        full = self.given.astype(np.result_type(x, self.given))
        full[self.free] = x
        return full


def condense(A: sp.csr_array, b: np.ndarray, dofs: np.ndarray, values: np.ndarray) -> Condensed:
    """Remove prescribed unknowns from a system.

    Args:
        A: Matrix, shape (n, n), before any elimination.
        b: Right-hand side, shape (n,).
        dofs: Prescribed degrees of freedom, ascending.
        values: Their values.

    Raises:
        UsageError: If a degree of freedom is out of range or repeated.
    """
    _check(A, dofs)
    given = np.zeros(len(b), dtype=np.result_type(values, np.float64))
    given[dofs] = values
    free = np.setdiff1d(np.arange(len(b)), dofs)
    rows = sp.csr_array(A)[free]
    return Condensed(rows[:, free].tocsr(), b[free] - rows @ given, free, given)


def _check(A: sp.csr_array, dofs: np.ndarray) -> None:
    dofs = np.asarray(dofs)
    if dofs.size and (dofs.min() < 0 or dofs.max() >= A.shape[0] or (np.diff(dofs) <= 0).any()):
        raise UsageError(f"degrees of freedom must be ascending, distinct and below {A.shape[0]}")
