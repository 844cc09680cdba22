"""Mixed-precision iterative refinement: residuals in float64, corrections from a solver in float32 or less.

Carson and Higham, Accelerating the solution of linear systems by iterative refinement in three precisions, SIAM J. Sci. Comput. 40
(2018) A817, algorithm 1.1; residuals are scaled to length one, so that sixteen bits do not underflow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.linalg.direction_input import as_apply
from pdeflow.linalg.solution import Reason
from pdeflow.linalg.solutions import Solutions

Inner = Callable[[Tensor], Tensor | Solutions]


@torch.no_grad()
def refine(
    A: Any, b: Tensor, inner: Inner, *, rtol: float = 1e-12, atol: float = 0.0, maxiter: int = 20, dtype: torch.dtype = torch.float32
) -> Solutions:  # fmt: skip
    """Solve A x = b by x ← x + ‖r‖ inner(r / ‖r‖), r = b - A x in float64.

    Args:
        A: As in dcdm: a function of a batch (R, *shape) in float64, a SciPy sparse matrix, or a torch matrix.
        b: Right-hand sides, shape (R, *shape), float64.
        inner: Approximates A⁻¹ on a batch of `dtype`, for instance `lambda r: dcdm(A, r, network, rtol=1e-3)`.
        rtol: Tolerance on ‖b - A x‖ / ‖b‖ of each column.
        atol: Absolute tolerance.
        maxiter: Outer steps at most; each wins the digits of `inner`.
        dtype: Type of what `inner` gets.

    Returns:
        The solutions; iterations are outer steps. A column ends as "stagnated" where a step does not halve its residual, and
        keeps the better x.

    Raises:
        UsageError: If b is not float64, or maxiter < 1.
    """
    if b.dtype != torch.float64 or b.ndim < 2 or maxiter < 1:
        raise UsageError(f"refine needs b (R, *shape) in float64 and maxiter >= 1, got {tuple(b.shape)}, {b.dtype}, {maxiter}")
    apply, x, r = as_apply(A, b.dtype), torch.zeros_like(b), b.clone()
    size = _norm(b)
    target = (rtol * size).clamp_min(atol)
    norms = [size]
    steps = torch.zeros(len(b), dtype=torch.long, device=b.device)
    stalled = torch.zeros(len(b), dtype=torch.bool, device=b.device)
    while len(norms) <= maxiter:
        active = (norms[-1] > target) & ~stalled
        if not bool(active.any()):
            break
        scale = _wide(torch.where(norms[-1] > 0, norms[-1], 1.0), b)
        step = inner((r / scale).to(dtype))
        step = step.x if isinstance(step, Solutions) else step
        better = x + scale * step.to(b.dtype)
        residual = b - apply(better)
        now = _norm(residual)
        taken = active & (now < norms[-1])  # false for NaN
        stalled |= active & ~(now <= 0.5 * norms[-1])
        x, r = (torch.where(_wide(taken, b), new, old) for new, old in ((better, x), (residual, r)))
        norms.append(torch.where(taken, now, norms[-1]))
        steps += active
    converged = norms[-1] <= target
    reasons = tuple(_reason(*row) for row in zip(converged.tolist(), stalled.tolist(), size.tolist(), strict=True))
    relative = norms[-1] / torch.where(size > 0, size, 1.0)
    return Solutions(x, converged, reasons, relative, torch.stack(norms), steps, len(norms) - 1, (None,) * len(b))


def _norm(v: Tensor) -> Tensor:
    return v.flatten(1).norm(dim=1)


def _wide(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (like.ndim - 1))


def _reason(converged: bool, stalled: bool, size: float) -> Reason:
    if converged:
        return Reason.converged if size > 0 else Reason.zero_rhs
    if not size < float("inf"):
        return Reason.nonfinite
    return Reason.stagnated if stalled else Reason.maxiter
