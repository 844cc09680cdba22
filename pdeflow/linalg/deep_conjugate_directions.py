"""Deep conjugate directions: a network proposes the search direction, an exact line search sets its length.

Kaneda et al., A Deep Conjugate Direction Method for Iteratively Solving Linear Systems, arXiv 2205.10763 (ICML 2023);
the guards are ours. With f(r) = M r for a fixed symmetric positive definite M it is preconditioned conjugate gradients, with any
other f truncated flexible conjugate gradients (Notay, SIAM J. Sci. Comput. 22, 2000).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.linalg.conjugate_window import Apply
from pdeflow.linalg.direction_columns import Columns, Stop
from pdeflow.linalg.direction_input import (
    as_apply,
    check_batch,
    check_nullspace,
    check_options,
    check_reachable,
    check_symmetric,
    classical_default,
    network_type,
    null_basis,
    projection,
    same_shape,
)
from pdeflow.linalg.iteration import Limits, Outcome
from pdeflow.linalg.solution import Reason
from pdeflow.linalg.solutions import Solutions


@torch.no_grad()
def dcdm(
    A: Any, b: Tensor, network: Apply, x0: Tensor | None = None, *, rtol: float = 1e-6, atol: float = 0.0,
    maxiter: int = 1000, window: int = 2, guard: str | None = "switch", classical: Apply | None = None,
    nullspace: Any = None, dtype: torch.dtype | None = None, recompute_every: int = 1, check_every: int | None = None,
    stop: Stop | None = None,
) -> Solutions:  # fmt: skip
    """Solve A x = b for many right-hand sides at once with directions that a network proposes from the residual.

    Args:
        A: Symmetric positive (semi)definite: a function of a batch (R, *shape), a SciPy sparse matrix or LinearOperator (used on
            the CPU), or a torch matrix (n, n), dense or sparse; a matrix is converted to the type of b.
        b: Right-hand sides, shape (R, *shape), R >= 1, float32 or float64, of any finite size; its type and device are those of
            the iteration.
        network: f, from r / ‖r‖ to a direction of any length, (R, *shape) to (R, *shape).
        x0: Initial guesses, shape of b; zero by default.
        rtol: Tolerance on ‖b - A x‖ / ‖b‖ of each column.
        atol: Absolute tolerance.
        maxiter: Steps at most.
        window: Earlier directions to which a new one is made A-orthogonal: 2 for a linear network, 10 for a nonlinear one.
        guard: "switch" leaves a network that fails or stagnates for `classical`, from the x it reached; "multi" minimises over
            the network's and the classical direction together and runs conjugate gradients with `classical` beside, to go where
            they are ahead: no x has a larger energy norm of the error than theirs after as many steps, for two products with A a
            step more than None, which trusts the network.
        classical: Symmetric positive definite M, (R, *shape) to (R, *shape). By default multigrid (SciPy matrix, "switch"),
            Jacobi (matrix) or the identity (function).
        nullspace: "constant", or a basis (k, *shape), of the null space of A, which is projected out of everything; A must map it
            to zero.
        dtype: Type in which the network is asked, e.g. torch.bfloat16; by default that of its parameters.
        recompute_every: Steps between b - A x and the next; the cheaper recurrence between them drifts.
        check_every: Steps between looks at the columns, each of which waits for the device, at most; 1 on a CPU, else 10. The first
            ones are closer: half as many steps as were done. A column that has left its network waits for the next look.
        stop: Called at those looks with the step and ‖r‖ of the columns; a reason ends them all.

    Returns:
        The solutions; a column that ends first keeps its x bit by bit, and none is called converged unless b - A x says so.

    Raises:
        UsageError: If a shape, type or option is wrong, A is not symmetric, or b has a part in a null space that was not declared,
            or the declared one is none.

    Reference: Kaneda et al., arXiv 2205.10763.
    """
    check_batch(A, b, x0)
    check_options(rtol, atol, maxiter, window, guard, recompute_every, check_every)
    apply = as_apply(A, b)
    gain = check_symmetric(apply, b)
    basis = null_basis(nullspace, b)
    if basis is None:
        check_reachable(apply, b, gain)
    else:
        check_nullspace(apply, basis, b, gain)
    project = None if basis is None else projection(basis)
    classical = same_shape(classical or classical_default(A, b.dtype, guard), "classical")
    wanted, ask = dtype or network_type(network), same_shape(network, "the network")

    def propose(r: Tensor) -> Tensor:
        return ask(r if wanted is None else r.to(wanted)).to(r.dtype)

    columns = Columns(apply, b, x0, propose, classical, project, window, guard, rtol, atol)
    every = check_every or (1 if b.device.type == "cpu" else 10)
    columns.run(maxiter, recompute_every, every, stop)
    return columns.solutions()


def run_dcdm(
    A: Any, b: np.ndarray, x0: np.ndarray, M: Any, limits: Limits, window: int = 2,
    project: Callable[[np.ndarray], np.ndarray] | None = None, classical: Any = None,
) -> Outcome:  # fmt: skip
    """Solve for one right-hand side inside `pdeflow.linalg.solve`.

    Args:
        A: Real symmetric matrix or operator with `@`.
        b: Right-hand side, shape (n,).
        x0: Initial guess.
        M: What proposes directions, with `@`.
        limits: Stopping rule; it knows the guard "switch", which the caller acts on.
        window: As in dcdm.
        project: Orthogonal projection onto the complement of the null space, or None.
        classical: Symmetric positive definite preconditioner with `@` for the guard "multi", or None.

    Returns:
        The outcome, not yet verified.

    Raises:
        UsageError: If the system is complex.
    """
    if np.iscomplexobj(b):
        raise UsageError(f"dcdm is for real systems, this one is {b.dtype}; use method='fcg'")

    def lifted(function: Any) -> Apply:
        return lambda v: torch.from_numpy(np.array(function(v[0].numpy()), dtype=b.dtype))[None]

    norms: list[float] = []

    def stop(k: int, now: Tensor) -> Reason | None:
        norms.append(now.item())
        return limits.verdict(norms)

    second = torch.clone if classical is None else lifted(lambda v: classical @ v)
    onto = None if project is None else lifted(project)
    columns = Columns(
        lifted(lambda v: A @ v), torch.from_numpy(b)[None], torch.from_numpy(x0)[None], lifted(lambda v: M @ v), second, onto,
        window, None if classical is None else "multi", 0.0, limits.target,
    )  # fmt: skip
    with torch.no_grad():
        columns.run(limits.maxiter + 1, 1, 1, stop)
    found = columns.solutions()
    reason, detail = found.reasons[0], ""
    if reason in (Reason.breakdown, Reason.nonfinite, Reason.indefinite):
        why = "; ".join(filter(None, (reason.value, found.details[0])))
        detail = f"direction of {getattr(M, 'name', type(M).__name__)} at step {columns.steps_done}: {why}"
    return Outcome(found.x[0].numpy(), reason, norms, columns.matvecs, detail)
