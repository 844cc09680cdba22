"""A linear system A x = b in integrated form, with what is known about A."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import LinearOperator

from pdeflow.errors import UsageError
from pdeflow.linalg.structure import describe, has_negative_ritz_value

PARTS = 16
"""Unconnected parts of a singular matrix whose constants are found."""


@dataclass(frozen=True, eq=False)
class LinearSystem:
    """A x = b with declared properties; None means unknown.

    Args:
        A: Matrix (n, n), CSR or a SciPy LinearOperator, in integrated form (b = ∫f over a cell or against a test function).
        b: Right-hand side, shape (n,).
        symmetric: Whether A equals its conjugate transpose.
        positive_definite: Whether A is positive definite on the complement of the null space.
        nullspace: Basis of the null space, shape (n,) or (n, k); need not be orthonormal.
        layout: Name of the ordering of the unknowns.
        grid: The grid, when structured.
        coefficient: Cell values of the diffusion coefficient, when structured.
        mask: Cells that belong to the domain, when structured.

    Raises:
        UsageError: If A is not square, b has another length, or an entry is not finite.
    """

    A: Any
    b: np.ndarray
    symmetric: bool | None = None
    positive_definite: bool | None = None
    nullspace: np.ndarray | None = None
    layout: str = ""
    grid: Any = None
    coefficient: np.ndarray | None = None
    mask: Any = None

    def __post_init__(self) -> None:
        """Check shapes, dtypes and finiteness."""
        check_matrix(self.A)
        check_vector(self.b, self.A.shape[0], "b")
        if self.nullspace is not None:
            basis = np.asarray(self.nullspace)
            if basis.ndim not in (1, 2) or basis.shape[0] != self.n or not np.all(np.isfinite(basis)):
                raise UsageError(
                    f"nullspace has shape {basis.shape}, expected finite ({self.n},) or ({self.n}, k)"
                )

    @property
    def n(self) -> int:
        """Number of unknowns."""
        return self.A.shape[0]

    @property
    def dtype(self) -> np.dtype:
        """Type in which the system is solved."""
        return np.result_type(self.A.dtype, self.b.dtype)

    @property
    def assembled(self) -> bool:
        """Whether the entries of A are available."""
        return sp.issparse(self.A)

    def null_basis(self) -> np.ndarray | None:
        """Orthonormal basis of the null space, shape (n, k), or None."""
        if self.nullspace is None:
            return None
        return np.linalg.qr(
            np.asarray(self.nullspace, dtype=np.result_type(self.nullspace, np.float64)).reshape(self.n, -1)
        )[0]


def check_matrix(A: Any) -> None:
    """Refuse a matrix that no solver here accepts.

    Args:
        A: Sparse matrix or LinearOperator.

    Raises:
        UsageError: If A is not sparse or an operator, not square, of a type too coarse, or has a non-finite entry.
    """
    if not (sp.issparse(A) or isinstance(A, LinearOperator)):
        raise UsageError(
            f"A is a {type(A).__name__}; pass a SciPy sparse matrix or LinearOperator, or use linear_system(A, b)"
        )
    if len(A.shape) != 2 or A.shape[0] != A.shape[1] or A.shape[0] == 0:
        raise UsageError(f"A has shape {A.shape}, expected a square matrix")
    if A.dtype not in (np.float32, np.float64, np.complex64, np.complex128):
        raise UsageError(
            f"A has dtype {A.dtype}; use float32, float64 or complex, e.g. linear_system(A, b) promotes integers"
        )
    if sp.issparse(A):
        bad = np.flatnonzero(~np.isfinite(A.data))
        if bad.size:
            coo = A.tocoo()
            k = np.flatnonzero(~np.isfinite(coo.data))[0]
            raise UsageError(
                f"A has {bad.size} non-finite entries, first {coo.data[k]} at ({coo.row[k]}, {coo.col[k]})"
            )


def check_vector(v: np.ndarray, n: int, name: str) -> None:
    """Refuse a vector of another length, of more than one axis or with a non-finite entry.

    Args:
        v: Vector to check.
        n: Expected length.
        name: Name used in the message.

    Raises:
        UsageError: With the shape, or the first bad entry.
    """
    if not isinstance(v, np.ndarray) or v.ndim != 1 or v.shape[0] != n:
        shape = getattr(v, "shape", type(v).__name__)
        raise UsageError(f"A is {n}x{n} but {name} has shape {shape}; pass one vector of {n} entries" + (
            "; for many right-hand sides, pdeflow.linalg.Solver(A).solve(b) for b in B.T" if getattr(v, "ndim", 1) == 2 and v.shape[0] == n else ""))
    bad = np.flatnonzero(~np.isfinite(v))
    if bad.size:
        raise UsageError(f"{name} has {bad.size} non-finite entries, first {v[bad[0]]} at {bad[0]}")


def as_vector(v: Any, n: int, name: str) -> np.ndarray:
    """Convert to a finite vector of n real or complex entries; (n, 1) is flattened, integers become float64.

    Args:
        v: Array-like.
        n: Expected length.
        name: Name used in the message.

    Raises:
        UsageError: As check_vector.
    """
    try:
        v = np.asarray(v)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"{name} is no array ({' '.join(str(error).split())})") from error
    if v.ndim == 2 and v.shape[1] == 1:
        v = v[:, 0]
    if v.dtype.kind not in "iubfc":
        raise UsageError(f"{name} has dtype {v.dtype}, expected numbers")
    if v.dtype not in (np.float32, np.float64, np.complex64, np.complex128):
        v = v.astype(np.complex128 if v.dtype.kind == "c" else np.float64)
    check_vector(v, n, name)
    return v


def as_basis(nullspace: Any, n: int) -> np.ndarray | None:
    """Turn what a user says about the null space into a basis.

    Args:
        nullspace: Basis (n,) or (n, k), "constant" or "none".
        n: Number of unknowns.

    Raises:
        UsageError: If it is another word.
    """
    if not isinstance(nullspace, str):
        return np.asarray(nullspace)
    if nullspace not in ("constant", "none"):
        raise UsageError(f"nullspace {nullspace!r} is unknown; use 'constant', 'none' or an array")
    return np.ones(n) if nullspace == "constant" else None


def described(
    system: LinearSystem, b: Any = None, nullspace: Any = None, known: dict[Any, Any] | None = None, ritz: bool = True
) -> LinearSystem:
    """Complete a system: another b or null space where they are given, and what is not declared about A is found.

    Args:
        system: The system; its grid, coefficient and mask stay.
        b: Right-hand side, shape (n,) or (n, 1), or None.
        nullspace: Basis (n,) or (n, k), "constant", "none", or None.
        known: What an earlier call found about this A is taken from here, and what this one finds is left here.
        ritz: Whether to look for a negative Ritz value, about twenty products, where nothing else says if A is definite.

    Returns:
        The system; where symmetric was None it is declared now, with positive_definite and a constant null space, and where the latter
        alone was None, False by a negative Ritz value.

    Raises:
        UsageError: If b or the null space cannot be used.
    """
    if b is not None:
        system = replace(system, b=as_vector(b, system.n, "b"))
    if known is not None and "found" in known:
        system = replace(system, **known["found"])
    else:
        found = _found(system, ritz)
        system = replace(system, **found)
        if known is not None:
            known["found"] = found
    return system if nullspace is None else replace(system, nullspace=as_basis(nullspace, system.n))


def _found(system: LinearSystem, ritz: bool) -> dict[str, Any]:
    """Return what was not declared about A and could be decided."""
    if system.symmetric is None:
        found = describe(system.A)
        definite = found.positive_definite if system.positive_definite is None else system.positive_definite
        basis = constants(system.A) if found.constant_nullspace and system.nullspace is None else system.nullspace
        return {"symmetric": found.hermitian, "positive_definite": definite, "nullspace": basis}
    unknown = ritz and system.symmetric and system.positive_definite is None
    return {"positive_definite": False} if unknown and has_negative_ritz_value(system.A) else {}


def constants(A: Any) -> np.ndarray:
    """Return the null vectors of a matrix that maps constants to zero: one on each part that nothing connects with the others.

    Args:
        A: Sparse matrix or operator, shape (n, n).

    Returns:
        Shape (n,), or (n, k) where there are 2 to PARTS parts; more are left to the user.
    """
    if not sp.issparse(A):
        return np.ones(A.shape[0])
    pattern = sp.csr_array((np.ones(A.nnz), A.indices, A.indptr), shape=A.shape)
    parts, label = connected_components(pattern, directed=False)
    if not 1 < parts <= PARTS:
        return np.ones(A.shape[0])
    return (label[:, None] == np.arange(parts)).astype(float)


def linear_system(A: Any, b: Any = None, nullspace: Any = None) -> LinearSystem:
    """Build a system from a raw matrix: promote integers, convert to CSR and detect the structure of A.

    Args:
        A: Square sparse matrix, dense array, LinearOperator, or assembled matrix of petsc4py.
        b: Right-hand side, shape (n,) or (n, 1); None means A times ones, or times 0 … 1 where A maps ones to zero.
        nullspace: Basis (n,) or (n, k), "constant", or None to detect the constant vector.

    Returns:
        The system with symmetric, positive_definite and nullspace filled where they could be decided.

    Raises:
        UsageError: If A or b cannot be used.
    """
    if hasattr(A, "getValuesCSR"):  # of petsc4py
        pointers, columns, values = A.getValuesCSR()
        A = sp.csr_array((values, columns, pointers), shape=A.getSize())
    if not isinstance(A, LinearOperator):
        A = as_csr(A)
    check_matrix(A)
    n = A.shape[0]
    structure = describe(A)
    if nullspace is not None:
        nullspace = as_basis(nullspace, n)
    elif structure.constant_nullspace:
        nullspace = constants(A)
    if b is None:
        b = A @ (np.linspace(0, 1, n) if structure.constant_nullspace else np.ones(n)).astype(A.dtype)
    return LinearSystem(A, as_vector(b, n, "b"), structure.hermitian, structure.positive_definite, nullspace)


def as_csr(A: Any) -> Any:
    """Convert a matrix to canonical CSR in native single or double precision, real or complex.

    Args:
        A: Sparse matrix or anything that NumPy takes for an array, shape (n, m); integers become float64.

    Raises:
        UsageError: If it is no array of numbers with two axes.
    """
    kind = type(A).__name__
    if not sp.issparse(A):
        try:
            A = np.asarray(A)
        except (TypeError, ValueError, RuntimeError) as error:  # ragged lists, tensors that are sparse, elsewhere or need gradients
            raise UsageError(f"A is a {kind} that is no array ({' '.join(str(error).split())}); pass a SciPy sparse matrix or a NumPy array") from error
    if A.dtype.kind not in "iubfc":
        raise UsageError(f"A is a {kind}, expected a matrix of numbers: SciPy sparse, a NumPy array or a LinearOperator")
    if A.ndim != 2:
        raise UsageError(f"A has shape {A.shape}, expected a square matrix (n, n)")
    A = A.astype(A.dtype.newbyteorder("="), copy=False)
    if A.dtype not in (np.float32, np.float64, np.complex64, np.complex128):
        A = A.astype(np.complex128 if A.dtype.kind == "c" else np.float64)
    A = A.tocsr() if isinstance(A, sp.sparray) else sp.csr_array(A)
    if not A.has_canonical_format:
        A = A.copy()
        A.sum_duplicates()
    return A
