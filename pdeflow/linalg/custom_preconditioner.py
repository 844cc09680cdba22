"""Preconditioners that users bring: functions, objects with `@` or `setup`, networks; what they do not say of themselves is probed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from pdeflow.errors import UsageError
from pdeflow.linalg.system import LinearSystem

PROBE_TOLERANCE = 1e-6
"""Relative defect below which a probed M counts as linear and symmetric; a float32 network stays below it."""


def adapted(spec: Any, system: LinearSystem) -> Any:
    """Adapt an object or function of others to the system.

    Args:
        spec: Object with `setup(system)`, `aspreconditioner()` or `@`, or a function of a vector.
        system: The system.

    Returns:
        What has `@`, or the object itself.

    Raises:
        UsageError: If it says that it does not fit the system.
    """
    if not hasattr(spec, "__matmul__") and not hasattr(spec, "setup") and inspect.isroutine(spec):
        return _Called(spec)
    if hasattr(spec, "setup"):
        try:
            return spec.setup(system)
        except UsageError:
            raise
        except ValueError as error:
            raise UsageError(f"{type(getattr(spec, 'network', spec)).__name__} does not fit this system: {error}") from error
    return spec.aspreconditioner() if hasattr(spec, "aspreconditioner") else spec  # PyAMG's solvers


class _Called:
    """A function r -> M r, which says nothing of itself."""

    def __init__(self, function: Callable[[np.ndarray], np.ndarray]) -> None:
        self.function, self.name = function, getattr(function, "__name__", "function")

    def __matmul__(self, r: np.ndarray) -> np.ndarray:
        return self.function(r)


def checked_application(M: Any, n: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return r -> M r on a copy, for M may overwrite what it gets; what comes back is checked.

    Args:
        M: Anything with `@`; it may return tensors, in half precision too.
        n: Number of unknowns.
    """

    def apply(r: np.ndarray) -> np.ndarray:
        z = M @ r.copy()
        z = np.asarray(z.detach().double() if hasattr(z, "detach") else z)  # a tensor, perhaps in half precision
        if z.shape != (n,):
            raise UsageError(f"the preconditioner returned shape {z.shape} for a vector of {n} entries")
        if np.iscomplexobj(z) and not np.iscomplexobj(r):
            raise UsageError("the preconditioner returned complex numbers for a real vector; let it return real ones")
        return z if z.dtype.itemsize >= 8 else z.astype(np.result_type(z.dtype, np.float64))

    return apply


def probe(apply: Callable[[np.ndarray], np.ndarray], system: LinearSystem) -> dict[str, bool]:
    """Test linearity, symmetry and positivity of M on random vectors; a failed test is a proof, a passed one is not.

    Args:
        apply: r -> M r.
        system: Gives size and type.

    Returns:
        {"linear", "symmetric", "positive"}.
    """
    generator, n = np.random.default_rng(5), system.n
    u, v = (generator.standard_normal(n) for _ in range(2))
    factor: complex = 2
    if np.issubdtype(system.dtype, np.complexfloating):
        u, v, factor = u + 1j * generator.standard_normal(n), v + 1j * generator.standard_normal(n), 2j
    Mu, Mv, both = apply(u), apply(v), apply(u + factor * v)
    size = np.linalg.norm(Mu) + np.linalg.norm(Mv)
    linear = bool(np.linalg.norm(both - Mu - factor * Mv) <= PROBE_TOLERANCE * size)
    symmetric = linear and bool(abs(np.vdot(v, Mu) - np.vdot(Mv, u)) <= PROBE_TOLERANCE * size * np.sqrt(n))
    return {
        "linear": linear,
        "symmetric": symmetric,
        "positive": bool(np.vdot(u, Mu).real > 0 and np.vdot(v, Mv).real > 0),
    }
