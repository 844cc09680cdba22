"""How far a candidate x is from the solution, without knowing it: one multigrid cycle on the residual.

With A e = r the energy norm is ‖e‖_A² = rᵀ A⁻¹ r, and B ≈ A⁻¹ gives √(rᵀ B r); for e that multigrid reduces well this is
sharp. It is the algebraic error: the distance to the solution of the discrete problem, not to that of the PDE.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pdeflow.errors import UsageError
from pdeflow.linalg.cg import cg
from pdeflow.linalg.iteration import Limits
from pdeflow.linalg.preconditioners import amg
from pdeflow.linalg.solution import true_residual
from pdeflow.linalg.system import LinearSystem


def error_norm(system: LinearSystem, x: np.ndarray, M: Any = None) -> float:
    """Estimate ‖A⁻¹ b - x‖_A.

    Args:
        system: Symmetric positive definite system.
        x: Candidate, shape (n,).
        M: Symmetric positive definite M ≈ A⁻¹; one V-cycle of algebraic multigrid by default.

    Returns:
        √(rᵀ M r), in the units of the energy norm.

    Raises:
        UsageError: If the system is not declared symmetric positive definite.
    """
    check_energy_norm(system)
    r = true_residual(system, x)
    M = amg(system) if M is None else M
    return float(np.sqrt(max(float(np.vdot(r, M @ r).real), 0.0)))


def error_field(system: LinearSystem, x: np.ndarray, steps: int = 3) -> np.ndarray:
    """Estimate the error A⁻¹ b - x as a field, by a few steps of multigrid-preconditioned conjugate gradients on A e = r.

    Args:
        system: Symmetric positive definite system.
        x: Candidate, shape (n,).
        steps: Number of steps.

    Returns:
        Estimate of the error, shape (n,): x plus it is closer to the solution.

    Raises:
        UsageError: If the system is not declared symmetric positive definite.
    """
    check_energy_norm(system)
    r = true_residual(system, x)
    size = float(np.linalg.norm(r))
    return cg(system.A, r, np.zeros_like(r), amg(system), Limits(1e-14 * size, size, steps)).x


def check_energy_norm(system: LinearSystem) -> None:
    """Refuse a system that has no energy norm.

    Args:
        system: The system.

    Raises:
        UsageError: If it is not declared symmetric positive definite.
    """
    if not (system.symmetric and system.positive_definite and system.nullspace is None):
        raise UsageError("the system is not symmetric positive definite, so it has no energy norm")
