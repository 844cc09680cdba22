"""Right-hand sides that a singular matrix cannot reach, refused before a solve that could only stagnate."""

from __future__ import annotations

import numpy as np

from pdeflow.linalg.exact_residual import scaled_norm
from pdeflow.linalg.nullspace import unreachable_part
from pdeflow.linalg.solution import Reason, Solution, verify
from pdeflow.linalg.system import LinearSystem


def zero_rows(system: LinearSystem) -> np.ndarray:
    """Return which rows of A hold nothing but zeros, shape (n,); none where A is an operator.

    Args:
        system: The system.
    """
    if not system.assembled:
        return np.zeros(system.n, dtype=bool)
    A = system.A
    return np.diff(A.indptr) == 0 if np.all(A.data) else np.asarray(abs(A).sum(axis=1)).ravel() == 0


def empty_rows(system: LinearSystem, rtol: float, atol: float) -> Solution | None:
    """Refuse a b that asks something of a row of zeros.

    Args:
        system: The system.
        rtol: Tolerance relative to ||b||, dimensionless.
        atol: Absolute tolerance, in the units of b.

    Returns:
        The refusal with x = 0, which names the rows, or None where b asks nothing of them.
    """
    rows = np.flatnonzero(zero_rows(system) & (system.b != 0))
    part, size = (scaled_norm(v.astype(np.result_type(system.dtype, np.float64))) for v in (system.b[rows], system.b))
    if part <= max(rtol * size, atol):
        return None
    named = ", ".join(str(row) for row in rows[:5]) + (", …" if len(rows) > 5 else "")
    detail = (
        f"{len(rows)} row(s) of A hold nothing but zeros where b does not ({named}, counted from 0), so A x = b has no solution; "
        "take them out, or put a one on their diagonal"
    )
    return _refusal(system, rtol, atol, detail)


def incompatible(system: LinearSystem, rtol: float, atol: float) -> Solution | None:
    """Refuse a b that a singular A cannot reach.

    Args:
        system: The system, with a declared null space.
        rtol: As in empty_rows.
        atol: As in empty_rows.

    Returns:
        The refusal with x = 0 and the size of the part out of reach, or None where that is small or not known.
    """
    part = unreachable_part(system)
    size = float(np.linalg.norm(system.b))
    if part is None or part <= max(rtol * size, atol):
        return None
    detail = (
        f"b has a component of relative size {part / size:.1e} in the left null space of A, so A x = b has no "
        "solution; subtract it (b - Q Q^T b) to get the least-squares solution"
    )
    return _refusal(system, rtol, atol, detail)


def _refusal(system: LinearSystem, rtol: float, atol: float, detail: str) -> Solution:
    """Return x = 0 with the reason and its numbers."""
    zero = np.zeros(system.n, dtype=np.result_type(system.dtype, np.float64))
    return verify(system, zero, Reason.incompatible_nullspace, rtol=rtol, atol=atol, method="none", detail=detail)
