"""Preconditioners M ≈ A⁻¹, applied as M @ r: Jacobi, incomplete factors, algebraic multigrid, or anything with `@`.

Saad, Iterative Methods for Sparse Linear Systems, 2nd ed., chapter 10; Ruge and Stüben (1987); Vaněk, Mandel and Brezina,
Computing 56 (1996). The factorizations and hierarchies are SciPy's, ilupp's and PyAMG's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sla

from pdeflow.errors import UsageError
from pdeflow.linalg import petsc
from pdeflow.linalg.custom_preconditioner import adapted, checked_application, probe
from pdeflow.linalg.system import LinearSystem

NAMES = ("none", "jacobi", "ilu", "ic", "amg", "amg:rs", "amg:sa")
"""Beside them "petsc:TYPE", where petsc4py is installed."""


@dataclass(frozen=True, eq=False)
class Preconditioner:
    """M with M @ r ≈ A⁻¹ r.

    Attributes:
        name: What a table calls it.
        apply: Function of a vector r, shape (n,), that returns a new one.
        shape: (n, n).
        linear: Whether M is a matrix; None means unknown.
        symmetric: Whether M equals its conjugate transpose.
        positive: Whether r · M r > 0 for r ≠ 0.
    """

    name: str
    apply: Callable[[np.ndarray], np.ndarray]
    shape: tuple[int, int]
    linear: bool | None = True
    symmetric: bool | None = True
    positive: bool | None = True

    def __matmul__(self, r: np.ndarray) -> np.ndarray:
        return self.apply(r)

    @property
    def spd(self) -> bool:
        """Whether conjugate gradients may use it."""
        return bool(self.linear and self.symmetric and self.positive)


def identity(system: LinearSystem) -> Preconditioner:
    """Return M = I."""
    return Preconditioner("none", np.copy, system.A.shape)


def jacobi(system: LinearSystem) -> Preconditioner:
    """Return M = diag(A)⁻¹; zero entries of the diagonal count as one.

    Args:
        system: System with an assembled matrix.

    Raises:
        UsageError: If the matrix is not assembled.
    """
    diagonal = _assembled(system, "jacobi").diagonal()
    inverse = 1 / np.where(diagonal == 0, 1, diagonal)
    return Preconditioner(
        "jacobi", lambda r: inverse * r, system.A.shape, positive=bool(np.all(diagonal.real > 0))
    )


def ilu(system: LinearSystem, drop_tol: float = 1e-4, fill_factor: float = 10.0) -> Preconditioner:
    """Return an incomplete LU factorization with threshold (SuperLU's ILUTP).

    Args:
        system: System with an assembled matrix.
        drop_tol: Entries below this share of their column are dropped.
        fill_factor: Entries at most, over those of A.

    Raises:
        UsageError: If the matrix is not assembled, or a pivot is zero.
    """
    A = _assembled(system, "ilu")
    try:
        factor = sla.spilu(sp.csc_matrix(A), drop_tol=drop_tol, fill_factor=fill_factor)
    except RuntimeError as error:
        what = "the incomplete factorization met a zero pivot" if "singular" in str(error) else " ".join(str(error).split())
        raise UsageError(f"ilu: {what}; raise fill_factor, or use method='direct'") from error
    return Preconditioner("ilu", factor.solve, A.shape, symmetric=None, positive=None)


def incomplete_cholesky(system: LinearSystem, fill: int = 5, threshold: float = 1e-3) -> Preconditioner:
    """Return an incomplete Cholesky factorization with threshold, by the optional package ilupp.

    Args:
        system: Symmetric positive definite system with an assembled matrix.
        fill: Entries added per column.
        threshold: Smaller entries are dropped.

    Raises:
        UsageError: If ilupp is missing, the matrix is complex or not assembled, or the factorization breaks down.
    """
    try:
        import ilupp
    except ImportError as error:
        raise UsageError(
            "ic needs the package ilupp (GPL-3): pip install 'pdeflow[direct]', or use jacobi or amg"
        ) from error
    A = _assembled(system, "ic")
    if np.iscomplexobj(A) or system.symmetric is False:
        raise UsageError("ic needs a real symmetric positive definite matrix; use ilu")
    try:
        factor = ilupp.ICholTPreconditioner(sp.csr_matrix(A), add_fill_in=fill, threshold=threshold)
        pivots = np.concatenate([L.diagonal() for L in factor.factors()])  # raises on the null pointer of a breakdown
    except Exception as error:
        raise UsageError(
            f"ic: the incomplete factorization broke down ({error}); use amg or jacobi"
        ) from error
    if len(pivots) != system.n or not np.all(np.isfinite(pivots)) or not np.all(pivots > 0):
        # a truncated factor would read memory that is not its own
        raise UsageError(
            f"ic: the incomplete factorization broke down ({np.sum(~(pivots > 0))} pivots of {system.n} are not positive); "
            "use amg or jacobi"
        )

    def apply(r: np.ndarray) -> np.ndarray:
        z = np.array(r, dtype=np.float64)
        factor.apply(z)
        return z

    return Preconditioner("ic", apply, A.shape)


def amg(system: LinearSystem, kind: str = "auto") -> Preconditioner:
    """Return one V(1,1) cycle of algebraic multigrid, with symmetric Gauss-Seidel as smoother.

    Args:
        system: System with an assembled matrix.
        kind: "rs" classical Ruge-Stüben, "sa" smoothed aggregation, "auto" the first for matrices whose off-diagonal
            entries are not positive, else the second.

    Raises:
        UsageError: If the matrix is not assembled or the set-up fails.
    """
    import pyamg

    A = _assembled(system, "amg")
    if kind == "auto":
        kind = "rs" if _is_m_matrix(A) else "sa"
    smoother: Any = ("gauss_seidel", {"sweep": "symmetric"})
    largest = float(np.abs(A.data).max(initial=0.0)) or 1.0
    unit = 1.0 if 1e-30 < largest < 1e30 else largest  # PyAMG compares with absolute numbers
    options = {"presmoother": smoother, "postsmoother": smoother, "coarse_solver": "pinv"}
    build = pyamg.ruge_stuben_solver if kind == "rs" else pyamg.smoothed_aggregation_solver
    if kind == "sa":
        options["symmetry"] = "hermitian" if system.symmetric else "nonsymmetric"
    try:
        with warnings.catch_warnings(), _same_random_numbers():
            warnings.simplefilter("ignore")
            hierarchy = build(sp.csr_matrix(A if unit == 1 else A / unit), max_coarse=100, **options)
            cycle = hierarchy.aspreconditioner(cycle="V")
            coarsest = hierarchy.levels[-1].A  # is inverted at its first use, here
            hierarchy.coarse_solver(coarsest, np.ones(coarsest.shape[0], dtype=A.dtype))
    except Exception as error:
        raise UsageError(
            f"amg: set-up failed ({' '.join(str(error).split())}); use ilu or method='direct'"
        ) from error
    symmetric = bool(system.symmetric)
    positive = symmetric and system.positive_definite is not False
    apply = (lambda r: cycle @ r) if unit == 1 else (lambda r: (cycle @ r) / unit)
    return Preconditioner(f"amg:{kind}", apply, A.shape, symmetric=symmetric, positive=positive or None)


@contextmanager
def _same_random_numbers() -> Iterator[None]:
    """Let PyAMG draw the same numbers each time: its estimates of spectral radii start from the global generator."""
    state = np.random.get_state()  # noqa: NPY002  the legacy generator is what PyAMG reads
    np.random.seed(0)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def is_name(name: str) -> bool:
    """Whether a name is of NAMES or begins with "petsc:"."""
    return name in NAMES or name.startswith(petsc.PREFIX)


def build(spec: Any, system: LinearSystem) -> Preconditioner:
    """Make a preconditioner from what a user may pass.

    Args:
        spec: None, a name of NAMES, "petsc:TYPE", an object with `setup(system)`, or a function or an object with `@` (its missing flags are probed).
        system: The system.

    Returns:
        The preconditioner.

    Raises:
        UsageError: If the name is unknown, the object has neither `setup` nor `@`, or its shape differs.
    """
    if spec is None or (isinstance(spec, str) and not spec.startswith(petsc.PREFIX)):
        return _by_name(spec or "none", system)
    if isinstance(spec, Preconditioner):
        return spec
    M = petsc.PetscPreconditioner(system, spec.removeprefix(petsc.PREFIX)) if isinstance(spec, str) else adapted(spec, system)
    if not hasattr(M, "__matmul__"):
        raise UsageError(
            f"preconditioner {type(spec).__name__} has neither setup(system) nor @; pass M with M @ r ≈ A⁻¹ r"
        )
    if tuple(getattr(M, "shape", system.A.shape)) != tuple(system.A.shape):
        raise UsageError(f"preconditioner has shape {M.shape}, the matrix {system.A.shape}")
    apply = checked_application(M, system.n)
    flags = {name: getattr(M, name, None) for name in ("linear", "symmetric", "positive")}
    refused = flags["linear"] is False or flags["symmetric"] is False  # by plain methods, whatever the other flags are
    if flags["linear"] is None or (None in flags.values() and not refused):
        found = probe(apply, system)
        flags = {name: found[name] if value is None else value for name, value in flags.items()}
    name = spec if isinstance(spec, str) else getattr(M, "name", type(spec).__name__)
    return Preconditioner(name, apply, system.A.shape, **flags)


def _by_name(name: str, system: LinearSystem) -> Preconditioner:
    makers: dict[str, Callable[[], Preconditioner]] = {
        "none": lambda: identity(system),
        "jacobi": lambda: jacobi(system),
        "ilu": lambda: ilu(system),
        "ic": lambda: incomplete_cholesky(system),
        "amg": lambda: amg(system),
        "amg:rs": lambda: amg(system, "rs"),
        "amg:sa": lambda: amg(system, "sa"),
    }
    if name not in makers:
        raise UsageError(
            f"preconditioner {name!r} is unknown; use one of {', '.join(NAMES)}, petsc:TYPE, or an object with @"
        )
    return makers[name]()


def _assembled(system: LinearSystem, name: str) -> Any:
    if not system.assembled:
        raise UsageError(
            f"{name} needs the entries of A, but A is an operator; use preconditioner='none', or assemble A"
        )
    return system.A


def _is_m_matrix(A: Any) -> bool:
    """Whether A is real with positive diagonal and no positive entry beside it, up to 1 % of the diagonal."""
    if np.iscomplexobj(A):
        return False
    diagonal = A.diagonal()
    off = A - sp.diags_array(diagonal)
    return bool(np.all(diagonal > 0) and (off.nnz == 0 or off.data.max() <= 0.01 * diagonal.min()))
