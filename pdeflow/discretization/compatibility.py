"""Right-hand sides of singular systems: what constants cannot balance is a quadrature error, and is taken away.

Bochev and Lehoucq, On the finite element solution of the pure Neumann problem, SIAM Review 47 (2005).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pdeflow.errors import UsageError
from pdeflow.linalg import LinearSystem


def balanced(system: LinearSystem, *, largest: float = 0.1) -> LinearSystem:
    """Remove from b its part in the null space of a symmetric A, so that A x = b has a solution.

    With Neumann data and sources that balance exactly, sums over cells and faces balance to the order of the scheme.

    Args:
        system: Symmetric system; one without a null space is returned as it is.
        largest: Largest part of b, relative, that may be taken away.

    Returns:
        System with b orthogonal to the null space.

    Raises:
        UsageError: If A is not symmetric, or the part is larger: then source and boundary data contradict each other.
    """
    basis = system.null_basis()
    if basis is None:
        return system
    if not system.symmetric:
        raise UsageError(
            "only a symmetric singular system can be balanced: its left null space is the right one"
        )
    part = basis @ (basis.conj().T @ system.b)
    size, whole = float(np.linalg.norm(part)), float(np.linalg.norm(system.b))
    if size > largest * whole:
        raise UsageError(
            f"source and boundary fluxes do not balance: {size / whole:.1%} of b lies in the null space of A; correct the data"
        )
    return replace(system, b=system.b - part)
