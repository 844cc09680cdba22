"""Which methods suit a matrix, in the order in which `solve` tries them.

The time of multigrid is 10 ms plus 4 µs per unknown, measured.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdeflow.errors import UsageError
from pdeflow.linalg.direct import Cost, estimate_cost
from pdeflow.linalg.preconditioners import Preconditioner
from pdeflow.linalg.system import LinearSystem

MEMORY_SHARE = 0.7
PATIENCE = 120.0
"""Seconds that a factorization may take when nobody asked for it by name."""


@dataclass(frozen=True)
class Attempt:
    """One method with one preconditioner.

    Attributes:
        method: cg, fcg, fgmres, minres, gcro_dr, bicgstab, def_cg or direct.
        preconditioner: Name or object, as `preconditioners.build` takes it.
    """

    method: str
    preconditioner: Any = "none"


def free_gigabytes() -> float:
    """Return the memory that is free now, or infinity where the system does not say."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    except (ValueError, OSError, AttributeError):
        return float("inf")


def why_too_dear(cost: Cost, seconds: float | None = None, gigabytes: float | None = None) -> str | None:
    """Return why a factorization should not be started, or None.

    Args:
        cost: Its estimate.
        seconds: Time that is left, or None.
        gigabytes: Memory limit; by default 70 % of what is free.
    """
    limit = MEMORY_SHARE * free_gigabytes() if gigabytes is None else gigabytes
    if cost.gigabytes > limit:
        return f"needs {cost}; {limit:.1f} GB may be used"
    if seconds is not None and cost.seconds > seconds:
        return f"needs {cost}; {seconds:.0f} s are allowed"
    return None


def attempts(system: LinearSystem, preconditioner: Any = "auto") -> list[Attempt]:
    """Return what to try, best first.

    Args:
        system: The system.
        preconditioner: "auto", or what the user asked for, which is then tried first with a method that suits it.

    Returns:
        One attempt or more.
    """
    if not _is_auto(preconditioner):
        return [Attempt(_krylov(system), preconditioner), *_automatic(system)[:2]]
    return _automatic(system)


def _automatic(system: LinearSystem) -> list[Attempt]:
    if not system.assembled:
        return [Attempt(_krylov(system))]
    direct = _direct(system)
    if system.symmetric and system.positive_definite is not False:
        multigrid = [Attempt("cg", "amg"), *([Attempt("minres")] if _real(system) else [])]
        cheap = (
            bool(direct)
            and system.positive_definite
            and estimate_cost(system).seconds < 0.01 + 4e-6 * system.n
        )
        return [*direct, *multigrid] if cheap else [*multigrid[:1], *direct, *multigrid[1:]]
    if system.symmetric and _real(system):
        return [*direct, Attempt("minres")]
    fast = bool(direct) and estimate_cost(system).seconds < 1.0
    iterative = Attempt("fgmres", "ilu")
    last = Attempt("fgmres")  # factorizations of a singular matrix have zero pivots
    return [*direct, iterative, last] if fast else [iterative, *direct, last]


def rescue(system: LinearSystem) -> list[Attempt]:
    """Return what takes over from a preconditioner object that fails.

    Args:
        system: The system.

    Returns:
        Multigrid CG where A is known to be positive definite, else what "auto" would try.
    """
    if system.assembled and system.symmetric and system.positive_definite:
        return [Attempt("cg", "amg")]
    return _automatic(system)


def _direct(system: LinearSystem) -> list[Attempt]:
    """Offer the direct solver where the matrix is regular and a factorization fits."""
    if system.nullspace is not None or why_too_dear(estimate_cost(system), PATIENCE):
        return []
    return [Attempt("direct")]


def _krylov(system: LinearSystem) -> str:
    """Return the Krylov method of a matrix, before the preconditioner is known."""
    if system.symmetric and system.positive_definite is not False:
        return "cg"
    return "minres" if system.symmetric and _real(system) else "fgmres"


def fitting_method(method: str, M: Preconditioner, asked: bool) -> str:
    """Return the method that may use a preconditioner.

    Args:
        method: What was chosen.
        M: The preconditioner.
        asked: Whether the user named the method.

    Returns:
        The method, or its flexible form.

    Raises:
        UsageError: If the user named cg, def_cg or minres and M is not linear, symmetric and positive, or bicgstab and
            M is not linear.
    """
    if method == "bicgstab" and not M.linear:
        raise UsageError(f"bicgstab needs a linear preconditioner, but {M.name} is not; use method='gcro_dr'")
    if method not in ("cg", "def_cg", "minres") or M.spd:
        return method
    missing = [word for word in ("linear", "symmetric", "positive") if not getattr(M, word)]
    flexible = "fgmres" if method == "minres" else "fcg"
    if asked:
        raise UsageError(
            f"{method} needs a linear, symmetric, positive preconditioner, but {M.name} is not {' and '.join(missing)}; use method={flexible!r}"
        )
    return flexible


def _is_auto(preconditioner: Any) -> bool:
    return isinstance(preconditioner, str) and preconditioner == "auto"


def _real(system: LinearSystem) -> bool:
    return not np.issubdtype(system.dtype, np.complexfloating)
