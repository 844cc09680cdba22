"""Read matrices and vectors from files: Matrix Market, scipy.sparse.save_npz, .npy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import scipy.sparse as sp

from pdeflow.errors import DataError, UsageError
from pdeflow.linalg.system import as_csr, as_vector


def read_matrix(path: str | Path) -> Any:
    """Read a sparse matrix.

    Args:
        path: .mtx, .mtx.gz, .npz (scipy.sparse.save_npz) or .npy (dense).

    Returns:
        CSR array; symmetric storage is expanded, integers and patterns become float64.

    Raises:
        UsageError: If the file is missing or of an unknown kind.
        DataError: If it cannot be read, is not a matrix of numbers, or has an entry that is not finite.
    """
    A = _read(Path(path), {".mtx": scipy.io.mmread, ".npz": sp.load_npz, ".npy": _read_dense})
    if A.ndim != 2 or A.dtype.kind not in "iubfc":
        raise DataError(f"{path} holds shape {A.shape} of {A.dtype}, expected a matrix of numbers")
    A = as_csr(A)
    rows = np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))
    _check_finite(A.data, path, lambda k: (int(rows[k]), int(A.indices[k])))
    return A


def read_vector(path: str | Path, n: int, columns: bool = False) -> np.ndarray:
    """Read a right-hand side.

    Args:
        path: .npy or .mtx.
        n: Expected length.
        columns: Whether the file may hold several, shape (n, k); the first is returned.

    Returns:
        Vector, shape (n,).

    Raises:
        UsageError: If the file is missing, or the length is not n.
        DataError: If it cannot be read or has an entry that is not finite.
    """
    b = read_columns(path)
    return as_vector(b[:, 0] if columns and b.ndim == 2 and b.shape[0] == n and b.size else b, n, "b")


def read_columns(path: str | Path) -> np.ndarray:
    """Read right-hand sides as they lie in the file.

    Args:
        path: .npy or .mtx.

    Returns:
        Array, shape (n,) or (n, k).

    Raises:
        UsageError: If the file is missing.
        DataError: If it cannot be read or has an entry that is not finite.
    """
    b = _read(Path(path), {".npy": _read_dense, ".mtx": scipy.io.mmread})
    b = b.toarray() if sp.issparse(b) else b
    if b.dtype.kind in "fc":
        _check_finite(b.ravel(), path, lambda k: tuple(int(i) for i in np.unravel_index(k, b.shape)))
    return b


def _check_finite(values: np.ndarray, path: str | Path, place: Callable[[int], tuple[int, ...]]) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        where = f"the first, {values[bad[0]]}, at {place(int(bad[0]))} counted from 0"
        raise DataError(f"{path} holds NaN or infinity ({bad.size} in all, {where}); write the file anew")


def _read(path: Path, readers: dict[str, Any]) -> Any:
    if not path.is_file():
        raise UsageError(f"file {path} not found")
    kind = path.suffixes[-2] if path.suffix == ".gz" and len(path.suffixes) > 1 else path.suffix
    if kind not in readers:
        raise UsageError(f"{path} is of an unknown kind; use one of {', '.join(readers)}")
    try:
        return readers[kind](path)
    except Exception as error:
        told = "no array in it can be read" if "pickle" in str(error) else " ".join(str(error).split())[:160]
        raise DataError(f"{path} cannot be read as {kind} ({told}); it may be damaged, or written by another program") from error


def _read_dense(path: Path) -> np.ndarray:
    return np.load(path, allow_pickle=False)
