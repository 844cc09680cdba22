"""What `solve` refuses before it begins: arguments that cannot be meant, and methods that cannot serve a matrix."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np

from pdeflow.errors import UsageError
from pdeflow.linalg.krylov_methods import RECYCLING
from pdeflow.linalg.nullspace import check_nullspace
from pdeflow.linalg.preconditioners import NAMES, is_name
from pdeflow.linalg.recycle_space import checked
from pdeflow.linalg.system import LinearSystem

METHODS = ("auto", "cg", "fcg", "dcdm", "gmres", "fgmres", "minres", "gcro_dr", "bicgstab", "def_cg", "direct")
LARGEST = 1e50
"""Largest entry of A, and one over it the smallest largest one, at which products of A with vectors of its size can be squared."""


def check_arguments(
    system: LinearSystem, method: str, *, rtol: Any, atol: Any, maxiter: Any, guard: str, timeout: Any, restart: Any
) -> None:
    """Refuse arguments of `solve` that cannot be meant.

    Args:
        system: The system.
        method: As in solve, and so the others.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        maxiter: Krylov steps at most, or None.
        guard: What becomes of a failing preconditioner.
        timeout: Seconds, or None.
        restart: Directions of a cycle, or None.

    Raises:
        UsageError: With what was expected and what came.
    """
    if method not in METHODS:
        raise UsageError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    if guard not in ("switch", "none") and (guard, method) != ("multi", "dcdm"):
        raise UsageError(f"guard must be 'switch', 'none' or, with method='dcdm', 'multi'; got {guard!r}")
    for name, value in (("rtol", rtol), ("atol", atol), *((("timeout", timeout),) if timeout is not None else ())):
        if not isinstance(value, Real) or (name == "timeout" and np.isnan(float(value))):
            raise UsageError(f"{name} must be a number, got {value!r}")
    for name, value in (("maxiter", maxiter), ("restart", restart)):
        if value is not None and not (isinstance(value, Integral) and int(value) >= 1):
            raise UsageError(f"{name} must be a whole number of at least 1, got {value!r}")
    if not (0 <= rtol < 1 and 0 <= atol < np.inf) or rtol == atol == 0:
        raise UsageError(
            f"rtol must lie in [0, 1) and atol be >= 0, one of them positive; got {rtol} and {atol}"
        )
    single = not system.assembled and system.A.dtype in (np.float32, np.complex64)
    least = 1e-6 if single else 1e-15
    if rtol < least and atol == 0:
        advice = "let its products be float64" if single else f"ask for {least:.0e} or more"
        raise UsageError(f"rtol {rtol:.0e} cannot be reached in {system.A.dtype} (about {least:.0e} can); {advice}")
    largest = float(np.abs(system.A.data).max(initial=0.0)) if system.assembled else 0.0
    if largest and not 1 / LARGEST < largest < LARGEST:
        raise UsageError(f"the largest entry of A is {largest:.0e}, expected {1 / LARGEST:.0e} to {LARGEST:.0e}; divide A and b by it")
    check_nullspace(system)


def check_method(system: LinearSystem, method: str, preconditioner: Any, recycle: Any) -> None:
    """Refuse a method or preconditioner that was named and cannot serve this matrix.

    Args:
        system: The system.
        method: As in solve, and so the others.
        preconditioner: A name, an object, or None.
        recycle: What an earlier solve handed on, or None.

    Raises:
        UsageError: With another one that can.
    """
    checked(recycle, system.n, system.dtype, system.layout)
    if recycle is not None and method not in RECYCLING:
        raise UsageError(f"recycle is for {' and '.join(RECYCLING)}, not for method={method!r}")
    if isinstance(preconditioner, str) and not (preconditioner == "auto" or is_name(preconditioner)):
        raise UsageError(
            f"preconditioner {preconditioner!r} is unknown; use auto, {', '.join(NAMES)}, petsc:TYPE, or an object with @"
        )
    if method == "minres" and np.issubdtype(system.dtype, np.complexfloating):
        raise UsageError(f"minres is for real systems, this one is {system.dtype}; use method='fgmres'")
    if method in ("cg", "fcg", "dcdm", "minres", "def_cg") and system.symmetric is False:
        kind = "Hermitian" if np.issubdtype(system.A.dtype, np.complexfloating) else "symmetric"
        raise UsageError(f"{method} needs a {kind} matrix, this one is not; use method='fgmres' or 'direct'")
