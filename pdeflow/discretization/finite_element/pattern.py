"""A fixed sparsity pattern that is refilled: local matrices go to CSR data by one weighted count per assembly.

Cuvelier, Japhet and Scarella, An efficient way to assemble finite element matrices in vector languages, BIT 56 (2016) 833.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp


class Pattern:
    """The CSR pattern of a bilinear form and the place of each local entry in its data.

    Attributes:
        shape: Shape of the matrix.
        indptr: Row pointers, int32, shape (rows + 1,).
        indices: Column of each entry, int32, shape (nnz,), ascending in a row.
        slots: Place in the data of local entry (c, i, j), shape (m, k, l).
    """

    def __init__(self, row_dofs: np.ndarray, column_dofs: np.ndarray, shape: tuple[int, int]):
        """Build the pattern.

        Args:
            row_dofs: Row of the local test functions, shape (m, k).
            column_dofs: Column of the local trial functions, shape (m, l).
            shape: Shape of the matrix.
        """
        keys = row_dofs[:, :, None].astype(np.int64) * shape[1] + column_dofs[:, None, :]
        entries, slots = np.unique(keys.reshape(-1), return_inverse=True)
        rows, columns = np.divmod(entries, shape[1])
        self.shape = shape
        self.indptr = np.searchsorted(rows, np.arange(shape[0] + 1)).astype(np.int32)
        self.indices = columns.astype(np.int32)
        self.slots = slots.reshape(keys.shape).astype(np.intp)
        self._eliminations: dict[bytes, Elimination] = {}

    @cached_property
    def rows(self) -> np.ndarray:
        """Row of each entry, shape (nnz,)."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))

    @cached_property
    def _half(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Number the entries on and above the diagonal: the number of each local pair i <= j and of each entry."""
        upper = self.rows <= self.indices
        number = np.cumsum(upper) - 1
        mirrored = np.lexsort((self.rows, self.indices))  # the transpose of entry t is entry mirrored[t]
        of_entry = np.where(upper, number, number[mirrored])
        i, j = np.triu_indices(self.slots.shape[1])
        return np.ascontiguousarray(of_entry[self.slots[:, i, j]]), of_entry, int(upper.sum())

    @property
    def nnz(self) -> int:
        """Number of stored entries."""
        return len(self.indices)

    def fill(self, local: np.ndarray, cells: np.ndarray | None = None) -> np.ndarray:
        """Sum local matrices into CSR data, shape (nnz,).

        Args:
            local: Local matrices, k · l entries for each cell in the order of `slots`.
            cells: The cell of each local matrix; all cells in order when left out.
        """
        slots = self.slots if cells is None else self.slots[cells]
        return accumulate(slots, local, self.nnz)

    def fill_symmetric(self, local: np.ndarray) -> np.ndarray:
        """Sum symmetric local matrices, of which the entries i <= j are given, into CSR data, shape (nnz,).

        Half the additions of `fill`, and a gather; the pattern must have equal row and column functions.

        Args:
            local: Entries in the order of np.triu_indices(k), shape (m, k (k + 1) / 2).
        """
        slots, of_entry, size = self._half
        return accumulate(slots, local, size)[of_entry]

    def matrix(self, data: np.ndarray) -> sp.csr_array:
        """Return the CSR matrix of these data; index arrays are copied, so that it may be changed in place."""
        matrix = sp.csr_array((data, self.indices.copy(), self.indptr.copy()), shape=self.shape)
        matrix.has_canonical_format = True
        return matrix

    def elimination(self, dofs: np.ndarray) -> Elimination:
        """Return how to eliminate these unknowns, kept for the next call."""
        key = dofs.tobytes()
        if key not in self._eliminations:
            self._eliminations[key] = Elimination.build(self.indptr, self.indices, dofs)
        return self._eliminations[key]


@dataclass(frozen=True, eq=False)
class Elimination:
    """Symmetric elimination of given unknowns in a CSR pattern: their rows and columns leave, their diagonals stay.

    Attributes:
        dofs: The unknowns, ascending.
        keep: Entries of the old data that stay, ascending.
        indptr: Row pointers of the new pattern.
        indices: Columns of the new pattern.
        fixed: Place of the diagonals of `dofs` in the new data.
        free_diagonal: Place of the other diagonals in the old data.
    """

    dofs: np.ndarray
    keep: np.ndarray
    indptr: np.ndarray
    indices: np.ndarray
    fixed: np.ndarray
    free_diagonal: np.ndarray

    @classmethod
    def build(cls, indptr: np.ndarray, indices: np.ndarray, dofs: np.ndarray) -> Elimination:
        """Find the entries; every one of dofs must have a stored diagonal.

        Args:
            indptr: Row pointers.
            indices: Columns.
            dofs: The unknowns, ascending.
        """
        n = len(indptr) - 1
        rows = np.repeat(np.arange(n), np.diff(indptr))
        given = np.zeros(n, dtype=bool)
        given[dofs] = True
        diagonal = rows == indices
        stays = diagonal | ~(given[rows] | given[indices])
        keep = np.flatnonzero(stays)
        new_rows = rows[keep]
        return cls(
            dofs=dofs,
            keep=keep,
            indptr=np.searchsorted(new_rows, np.arange(n + 1)).astype(np.int32),
            indices=indices[keep],
            fixed=np.flatnonzero(diagonal[keep] & given[new_rows]),
            free_diagonal=np.flatnonzero(diagonal & ~given[rows]),
        )

    def apply(
        self, matrix: sp.csr_array, b: np.ndarray, values: np.ndarray
    ) -> tuple[sp.csr_array, np.ndarray]:
        """Return the matrix and right-hand side whose solution takes the values at `dofs`.

        The new diagonals have the mean size of the other ones, so that the condition number does not suffer.

        Args:
            matrix: CSR matrix of the old pattern.
            b: Right-hand side, shape (n,).
            values: Values at dofs.
        """
        full = np.zeros(len(b), dtype=np.result_type(values, np.float64))
        full[self.dofs] = values
        size = np.abs(matrix.data[self.free_diagonal]).mean() if self.free_diagonal.size else 1.0
        right = b - matrix @ full if values.any() else b.astype(np.result_type(b, full))
        right[self.dofs] = size * values
        data = matrix.data[self.keep]
        data[self.fixed] = size
        reduced = sp.csr_array((data, self.indices.copy(), self.indptr.copy()), shape=matrix.shape)
        reduced.has_canonical_format = True
        return reduced, right


def accumulate(index: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """Sum values, real or complex, by index into an array of that size."""
    index, values = index.reshape(-1), values.reshape(-1)
    if np.iscomplexobj(values):
        return np.bincount(index, values.real, size) + 1j * np.bincount(index, values.imag, size)
    return np.bincount(index, values, size)
