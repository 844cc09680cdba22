"""What a trained preconditioner is worth: iterations on unseen systems beside those of classical methods.

Weights are selected by such iterations, not by the loss: a small mean loss does not imply convergence.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from pdeflow.errors import UsageError
from pdeflow.linalg import LinearSystem, solve

MAX_ITERATIONS = 100
"""What counts for a network that does not converge."""
CLASSICAL = {"cg": "none", "jacobi": "jacobi", "ic": "ic", "amg": "amg"}
MOST_UNKNOWNS = 300_000
"""Above so many unknowns only multigrid is counted: conjugate gradients alone would take longer than the training."""


def interpolated_iterations(network: Any, system: LinearSystem, rtol: float = 1e-8) -> float:
    """Count the iterations of flexible conjugate gradients, with a fraction for the last one.

    Args:
        network: Preconditioner, with `setup(system)`.
        system: Symmetric positive definite system on a grid.
        rtol: Tolerance on ‖b - A x‖₂ / ‖b‖₂.

    Returns:
        Where log‖b - A x_k‖, interpolated in k, meets the tolerance; MAX_ITERATIONS if it does not.
    """
    solution = solve(
        system, method="fcg", preconditioner=network, rtol=rtol, maxiter=MAX_ITERATIONS, guard="none"
    )
    norms, stop = solution.residual_norms, rtol * float(np.linalg.norm(system.b))
    k = next((k for k, norm in enumerate(norms) if norm <= stop), None)
    if not solution.converged or k is None:
        return float(MAX_ITERATIONS)
    if k == 0 or norms[k] == 0:
        return float(k)
    return k - 1 + float(np.log(norms[k - 1] / stop) / np.log(norms[k - 1] / norms[k]))


def classical_counts(systems: Sequence[LinearSystem], rtol: float) -> dict[str, int | None]:
    """Return the most iterations of each classical method over some systems.

    Args:
        systems: Symmetric positive definite systems of one grid.
        rtol: Tolerance on ‖b - A x‖₂ / ‖b‖₂.

    Returns:
        Counts of conjugate gradients without preconditioner, with Jacobi, incomplete Cholesky ("ic") and multigrid; None where
        the package is missing, the method failed, or the systems are too large for it.
    """
    counts: dict[str, int | None] = {}
    for name, M in CLASSICAL.items():
        counts[name] = None
        if (name == "ic" and not find_spec("ilupp")) or (name != "amg" and systems[0].n > MOST_UNKNOWNS):
            continue
        try:
            found = [solve(system, method="cg", preconditioner=M, rtol=rtol) for system in systems]
        except UsageError:
            continue
        if all(solution.converged for solution in found):
            counts[name] = max(solution.iterations for solution in found)
    return counts
