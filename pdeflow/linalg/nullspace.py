"""Singular systems: what is declared about the null space is checked, and what b asks in vain is measured.

A x = b has a solution when b is orthogonal to the left null space, which for a nonsymmetric A is another one than the right.
Golub and Van Loan, Matrix Computations, 4th ed., section 7.6 (inverse iteration).
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sla

from pdeflow.errors import UsageError
from pdeflow.linalg.system import LinearSystem

KERNEL_TOLERANCE = 1e-6
"""||A q|| over ||A v|| for a random v of the same length, below which q counts as a null vector."""


def check_nullspace(system: LinearSystem) -> None:
    """Refuse a declared null space that A does not map to zero.

    Args:
        system: The system.

    Raises:
        UsageError: With the size of A q.
    """
    basis = system.null_basis()
    if basis is None:
        return
    typical = float(np.linalg.norm(system.A @ _random(system.n)))
    worst = max(float(np.linalg.norm(system.A @ q)) for q in basis.T)
    if worst > KERNEL_TOLERANCE * typical:
        raise UsageError(
            f"the declared null space is not one: ||A q|| = {worst:.1e} for a unit vector q of it, a random one "
            f"gives {typical:.1e}; leave nullspace out"
        )


def unreachable_basis(system: LinearSystem) -> np.ndarray | None:
    """Orthonormal basis of what A x never reaches, shape (n, k): the left null space; None if unknown.

    Args:
        system: System with a declared null space.
    """
    basis = system.null_basis()
    return basis if basis is None or system.symmetric else left_null_basis(system, basis.shape[1])


def unreachable_part(system: LinearSystem) -> float | None:
    """Norm of the part of b in the left null space, below which no residual can fall; None if unknown.

    Args:
        system: System with a declared null space.
    """
    left = unreachable_basis(system)
    return None if left is None else float(np.linalg.norm(left.conj().T @ system.b))


def left_null_basis(system: LinearSystem, k: int) -> np.ndarray | None:
    """Orthonormal basis of the null space of the conjugate transpose, by inverse iteration with a tiny shift.

    Args:
        system: System.
        k: Dimension.

    Returns:
        Shape (n, k), or None where A is an operator, the shifted matrix cannot be factored, or A has no such space.
    """
    if not system.assembled:
        return None
    A = sp.csc_array(system.A.conj().T, dtype=np.result_type(system.A.dtype, np.float64))
    size = float(abs(A).sum(axis=0).max()) or 1.0
    try:
        factor = sla.splu(sp.csc_matrix(A + 1e-10 * size * sp.eye_array(system.n)))
    except RuntimeError:  # SuperLU's word for a zero pivot
        return None
    generator = np.random.default_rng(0)
    W = generator.standard_normal((system.n, k)).astype(A.dtype)
    for _ in range(4):
        W = np.linalg.qr(factor.solve(W))[0]
    found = np.linalg.norm(A @ W) <= 1e-8 * size
    return W if found else None


def _random(n: int) -> np.ndarray:
    v = np.random.default_rng(2).standard_normal(n)
    return v / np.linalg.norm(v)
