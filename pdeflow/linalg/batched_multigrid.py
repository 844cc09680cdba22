"""Solve -∇·(a∇u) = f, u = 0 on the boundary of a box, for a batch of coefficients at once, on any device.

Conjugate gradients with one black box multigrid cycle as preconditioner, all scalars per sample: Saad, Iterative Methods for Sparse
Linear Systems, 2nd ed., Algorithm 9.1. The operator is that of discretization.finite_volume.diffusion_system (harmonic means).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.linalg import operators
from pdeflow.linalg.batched_stencil import interior, pad
from pdeflow.linalg.black_box_multigrid import BatchedVCycle, Level

ROUNDS = 4
"""Most starts from the true residual; a second one is needed only where rounding hides it from the recurrence."""
SAFETY = 0.9
"""The recurrence must fall so far below the tolerance that the true residual meets it."""


@dataclass(frozen=True, eq=False)
class BatchSolution:
    """Solutions with their verdicts.

    Attributes:
        x: Cell values, shape (batch, *shape), float64.
        converged: Whether the true residual meets the tolerance, shape (batch,).
        residual: ‖b - A x‖ / ‖b‖ recomputed in float64, shape (batch,); zero where b = 0, NaN where x is not finite.
        iterations: Steps of conjugate gradients, shape (batch,).
    """

    x: Tensor
    converged: Tensor
    residual: Tensor
    iterations: Tensor


@torch.no_grad()
def solve_batch(
    a: Tensor, f: Tensor, spacing: Sequence[float], *, rtol: float = 1e-8, maxiter: int = 100, cycle: torch.dtype = torch.float64
) -> BatchSolution:  # fmt: skip
    """Solve a batch of diffusion problems on one grid; needs about 300 bytes for each cell.

    Args:
        a: Positive cell values of the coefficients, shape (batch, *shape), one to three axes; its device is used.
        f: Cell values of the sources, same shape and device.
        spacing: Cell widths, one per axis.
        rtol: Tolerance on the residual of each sample.
        maxiter: Most steps for one sample. A sample that needs more is returned as it is, not converged.
        cycle: Precision of the preconditioner; float32 halves its memory and takes hardly more steps; the rest is float64.

    Returns:
        The solutions; one that did not converge changes no other.

    Raises:
        UsageError: If a shape, a type, the tolerance or maxiter is wrong, a value is not finite or a coefficient not positive.

    Reference: Eymard, Gallouët and Herbin (2000), section 9 (the operator); Saad (2003), Algorithm 9.1.
    """
    check_batch(a, f, spacing, rtol, maxiter, cycle)
    column = (-1, *[1] * len(spacing))
    faces = operators.face_conductances(a.detach().double(), spacing)
    b = f.detach().double()
    size = b.flatten(1).abs().amax(1).reshape(column)
    b = b / torch.where(size > 0, size, 1.0)  # of size one: squares neither vanish nor overflow
    b = b * prod(spacing)
    M = BatchedVCycle.setup(faces, spacing)
    A = replace(M.levels[0], transfers=())
    M = M if cycle == torch.float64 else M.changed(lambda values: values.to(cycle))
    x, residual, steps = _refined(A, M, faces, b, rtol, maxiter)
    x = x * size
    held = torch.isfinite(x).flatten(1).all(1)  # not where x itself exceeds float64
    return BatchSolution(x, (residual <= rtol) & held, torch.where(held, residual, torch.nan), steps)


def _refined(
    A: Level, M: BatchedVCycle, faces: operators.Faces, b: Tensor, rtol: float, maxiter: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Solve for what is left of the true residual until it meets the tolerance: (x, relative residual, steps)."""
    norm, x = _norm(b), torch.zeros_like(b)
    size = torch.where(norm > 0, norm, 1.0)
    steps = torch.zeros(len(b), dtype=torch.int64, device=b.device)
    for _ in range(ROUNDS):
        r = b - operators.apply(x, faces)
        residual = _norm(r) / size
        todo = torch.nonzero((residual > rtol) & (steps < maxiter)).flatten()
        if not len(todo):
            return x, residual, steps
        chosen = (A, M) if len(todo) == len(b) else selected(A, M, todo)
        goal = SAFETY * rtol * norm[todo]
        e, taken = conjugate_gradients(*chosen, pad(r[todo].movedim(0, -1)), goal, maxiter - steps[todo])
        x[todo] += e[interior(b.shape[1:])].movedim(-1, 0)
        steps[todo] += taken
    return x, _norm(b - operators.apply(x, faces)) / size, steps


def conjugate_gradients(
    A: Level, M: BatchedVCycle, b: Tensor, goal: Tensor, budget: Tensor
) -> tuple[Tensor, Tensor]:
    """Solve A x = b from x = 0, each sample until it is done; once half of them are, the others go on alone.

    Args:
        A: Finest level, in the precision of b.
        M: Symmetric positive definite preconditioner.
        b: Right-hand sides with ghost cells of zeros, shape (*shape + 2, batch).
        goal: Norms of the residual to reach, below those of b, shape (batch,).
        budget: Most steps, shape (batch,).

    Returns:
        x with ghost cells, and the steps taken, shape (batch,); Saad (2003), Algorithm 9.1.
    """
    result, taken = torch.zeros_like(b), torch.zeros_like(budget)
    places = torch.arange(len(budget), device=b.device)
    x, r, steps = torch.zeros_like(b), b.clone(), torch.zeros_like(budget)
    p = _precondition(M, r)
    rz, active = _dot(r, p), torch.ones_like(goal, dtype=torch.bool)
    while True:
        _advance(A, x, r, p, rz, active)
        steps += active
        active &= (_dot(r, r).sqrt() > goal) & (steps < budget)
        left = int(active.sum())
        if 2 * left <= len(active):
            result[..., places], taken[places] = x, steps
            if not left:
                return result, taken
            keep = torch.nonzero(active).flatten()
            A, M = selected(A, M, keep)
            x, r, p, rz, goal, budget, steps, active, places = (
                values.index_select(-1, keep) for values in (x, r, p, rz, goal, budget, steps, active, places)
            )
        z = _precondition(M, r)
        new = _dot(r, z)
        p, rz = p.mul_(torch.where(active, new / rz, 0.0)).add_(z), new


def selected(A: Level, M: BatchedVCycle, keep: Tensor) -> tuple[Level, BatchedVCycle]:
    """Return operator and preconditioner of some of the samples.

    Args:
        A: Finest level.
        M: Preconditioner.
        keep: Numbers of the samples, shape (kept,).
    """

    def change(values: Tensor) -> Tensor:
        return values.index_select(-1, keep)

    M = M.changed(change)
    own = M.levels[0].u.dtype == A.u.dtype  # then its matrix is shared
    return replace(M.levels[0], transfers=()) if own else A.changed(change), M


def check_batch(
    a: Tensor, f: Tensor, spacing: Sequence[float], rtol: float, maxiter: int, cycle: torch.dtype
) -> None:
    """Check the arguments of `solve_batch`.

    Args:
        a: Coefficients.
        f: Sources.
        spacing: Cell widths.
        rtol: Tolerance.
        maxiter: Most steps.
        cycle: Precision of the preconditioner.

    Raises:
        UsageError: With what was expected and what came.
    """
    if not 1 <= len(spacing) <= 3 or a.ndim != len(spacing) + 1 or f.shape != a.shape or not a.numel():
        raise UsageError(
            f"expected a and f of one shape (batch, *grid) and a spacing per axis (1 to 3), got {tuple(a.shape)}, "
            f"{tuple(f.shape)} and {tuple(spacing)}; use a[None] for one sample"
        )
    real = not (a.is_complex() or f.is_complex())
    if not all(0 < h < float("inf") for h in spacing) or not real or a.device != f.device:
        raise UsageError(
            f"expected positive spacings and real a and f on one device, got {tuple(spacing)}, {a.dtype} on {a.device} and "
            f"{f.dtype} on {f.device}"
        )
    if not 0 < rtol < 1 or maxiter < 1 or cycle not in (torch.float32, torch.float64):
        raise UsageError(
            f"expected 0 < rtol < 1, maxiter >= 1 and cycle torch.float32 or float64, got {rtol}, {maxiter} and {cycle}"
        )
    good = {"coefficient": torch.isfinite(a) & (a > 0), "source": torch.isfinite(f)}
    for name, fine in good.items():
        bad = torch.nonzero(~fine.flatten(1).all(1)).flatten()
        if len(bad):
            wanted = "positive and finite" if name == "coefficient" else "finite"
            raise UsageError(
                f"the {name} must be {wanted} in every cell; it is not in {len(bad)} samples, first {int(bad[0])}"
            )


def _advance(A: Level, x: Tensor, r: Tensor, p: Tensor, rz: Tensor, active: Tensor) -> None:
    """Move x along p to the smallest error, in place; a sample without positive curvature stays and is active no more."""
    q = A.apply(p)
    curvature = _dot(p, q)
    active &= (curvature > 0) & (rz > 0)  # False for NaN too
    alpha = torch.where(active, rz / curvature, 0.0)
    x.addcmul_(p, alpha)
    r.addcmul_(q, alpha, value=-1)


def _precondition(M: BatchedVCycle, r: Tensor) -> Tensor:
    """Return M r in new memory; in lower precision r is scaled first, since small residuals would underflow."""
    if M.levels[0].u.dtype == r.dtype:
        return (M @ r).clone()
    size = _dot(r, r).sqrt().clamp_min(torch.finfo(r.dtype).tiny)
    return (M @ (r / size).to(M.levels[0].u.dtype)).to(r.dtype) * size


def _dot(u: Tensor, v: Tensor) -> Tensor:
    """Inner products of vectors with ghost cells, samples last, shape (batch,)."""
    return (u * v).flatten(0, -2).sum(0)


def _norm(r: Tensor) -> Tensor:
    """Norms of fields, samples first, shape (batch,)."""
    return torch.linalg.vector_norm(r.flatten(1), dim=1)
