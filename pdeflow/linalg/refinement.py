"""Mixed-precision iterative refinement: residuals in float64, corrections from a solver in float32 or less.

Carson and Higham, Accelerating the solution of linear systems by iterative refinement in three precisions, SIAM J. Sci. Comput. 40
(2018) A817, algorithm 1.1; residuals are scaled to length one, so that sixteen bits do not underflow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.linalg.conjugate_window import Apply, magnitude, norm, over, times
from pdeflow.linalg.direction_input import as_apply, check_batch, check_counts, same_shape
from pdeflow.linalg.solution import Reason
from pdeflow.linalg.solutions import Solutions
from pdeflow.linalg.stand_alone import check_tolerances

Inner = Callable[[Tensor], Tensor | Solutions]


@torch.no_grad()
def refine(
    A: Any, b: Tensor, inner: Inner, *, rtol: float = 1e-12, atol: float = 0.0, maxiter: int = 20, dtype: torch.dtype = torch.float32
) -> Solutions:  # fmt: skip
    """Solve A x = b by x ← x + ‖r‖ inner(r / ‖r‖), r = b - A x in float64.

    Args:
        A: As in dcdm: a function of a batch (R, *shape) in float64, a SciPy sparse matrix, or a torch matrix.
        b: Right-hand sides, shape (R, *shape), R >= 1, float64, of any finite size.
        inner: Approximates A⁻¹ on a batch of `dtype`, for instance `lambda r: dcdm(A, r, network, rtol=1e-3)`.
        rtol: Tolerance on ‖b - A x‖ / ‖b‖ of each column.
        atol: Absolute tolerance.
        maxiter: Outer steps at most; each wins the digits of `inner`.
        dtype: Type of what `inner` gets.

    Returns:
        The solutions; iterations are outer steps. A column ends as "stagnated" where a step does not halve its residual, and
        keeps the better x.

    Raises:
        UsageError: If b is not finite and float64, A or an answer of `inner` has another shape, or an option is out of range.
    """
    check_batch(A, b)
    check_tolerances(rtol, atol)
    check_counts(maxiter=maxiter)
    if b.dtype != torch.float64:
        raise UsageError(f"refine takes residuals in float64, got b of {b.dtype}; use b.double()")
    apply, inner, unit = as_apply(A, b), _checked(inner), magnitude(b)
    b = over(b, unit)  # squares of entries of size one neither vanish nor overflow
    x, r, size = torch.zeros_like(b), b, norm(b)
    target = torch.maximum(rtol * size, atol / unit)
    norms = [size]
    steps = torch.zeros(len(b), dtype=torch.long, device=b.device)
    stalled = torch.zeros(len(b), dtype=torch.bool, device=b.device)
    while len(norms) <= maxiter:
        active = (norms[-1] > target) & ~stalled
        if not bool(active.any()):
            break
        scale = torch.where(norms[-1] > 0, norms[-1], 1.0)
        better = x + times(scale, inner(over(r, scale).to(dtype)).to(b.dtype))
        residual = b - apply(better)
        now = norm(residual)
        taken = active & (now < norms[-1])  # false for NaN
        stalled |= active & ~(now <= 0.5 * norms[-1])
        keep = taken.reshape(-1, *[1] * (b.ndim - 1))
        x, r = torch.where(keep, better, x), torch.where(keep, residual, r)
        norms.append(torch.where(taken, now, norms[-1]))
        steps += active
    found = times(unit, x)
    final = norm(b - apply(over(found, unit)))  # of the x that is returned, rounded as its unit makes it
    final = torch.where(torch.isfinite(found).flatten(1).all(1), final, torch.inf)  # an empty column of A hides an infinite x
    converged = (final <= target) & torch.isfinite(final)
    rows = zip(converged.tolist(), final.tolist(), stalled.tolist(), (norms[-1] > target).tolist(), size.tolist(), strict=True)
    relative = final / torch.where(size > 0, size, 1.0)
    return Solutions(
        found, converged, tuple(_reason(*row) for row in rows), relative, torch.stack(norms) * unit, steps, len(norms), (None,) * len(b)
    )


def _checked(inner: Inner) -> Apply:
    def corrections(r: Tensor) -> Tensor | Any:
        step = inner(r)
        return step.x if isinstance(step, Solutions) else step

    return same_shape(corrections, "inner")


def _reason(converged: bool, final: float, stalled: bool, unfinished: bool, size: float) -> Reason:
    if converged:
        return Reason.converged if size > 0 else Reason.zero_rhs
    if not math.isfinite(final):
        return Reason.nonfinite
    return Reason.stagnated if stalled or not unfinished else Reason.maxiter
