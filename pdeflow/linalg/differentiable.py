"""Solve A x = b as a step of a differentiable programme: gradients with respect to the entries of A and to b, by the adjoint system.

With λ = A⁻ᴴ g for a cotangent g of x, b gets λ and the entry A_ij gets -λ_i conj(x_j): Giles, Collected matrix derivative results (2008),
section 2.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.linalg.solution import Reason
from pdeflow.linalg.solver import Solver


def differentiable_solve(A: Tensor, b: Tensor, **options: Any) -> Tensor:
    """Solve A x = b, verified, with gradients of every order; the work is done on the CPU in float64.

    Args:
        A: Square matrix (n, n), dense or sparse (COO or CSR), real or complex; a sparse one has the gradient of its stored entries only.
        b: Right-hand side, shape (n,), or several, (R, n).
        options: Of `pdeflow.linalg.solve`, for the system and its adjoint: method, preconditioner (by name), rtol, maxiter. By default
            method="direct".

    Returns:
        x, shape of b, on its device, in the type to which those of A and b promote.

    Raises:
        UsageError: If a shape or type is wrong, x exceeds float64, or the system or (in backward) its adjoint does not reach the tolerance: a gradient through it would be wrong.

    Reference: Giles (2008), section 2.3.1.
    """
    if not (isinstance(A, Tensor) and isinstance(b, Tensor)):
        raise UsageError(f"expected tensors A and b, got {type(A).__name__} and {type(b).__name__}; use torch.as_tensor")
    if A.ndim != 2 or A.shape[0] != A.shape[1] or b.ndim not in (1, 2) or b.shape[-1] != A.shape[0]:
        raise UsageError(f"expected A (n, n) and b (n,) or (R, n), got {tuple(A.shape)} and {tuple(b.shape)}")
    dtype = torch.promote_types(A.dtype, b.dtype)
    if not (dtype.is_floating_point or dtype.is_complex) or A.device != b.device:
        raise UsageError(f"expected real or complex A and b on one device, got {A.dtype} on {A.device} and {b.dtype} on {b.device}; use A.double()")
    if "atol" in options:
        raise UsageError("atol cannot hold for a solution and for gradients of another size; use rtol")
    if A.layout == torch.strided:
        n = A.shape[0]
        rows, columns = torch.arange(n, device=A.device).repeat_interleave(n), torch.arange(n, device=A.device).repeat(n)
        values = A.reshape(-1)
    else:
        entries = A.to_sparse_coo().coalesce()
        (rows, columns), values = entries.indices(), entries.values()
    found = _Solve.apply(values.to(dtype), rows, columns, b.reshape(-1, b.shape[-1]).to(dtype), {"method": "direct"} | options)
    return found.reshape(b.shape)


class _Solve(torch.autograd.Function):
    """x = A⁻¹ b for the entries of A; its backward calls itself with the adjoint, and so has a backward too."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rows: Tensor, columns: Tensor, b: Tensor, options: Mapping[str, Any]) -> Tensor:
        x = _solve_all(values, rows, columns, b, options)
        ctx.save_for_backward(values, rows, columns, x)
        ctx.options = options
        return x

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, None, None, Tensor, None]:
        values, rows, columns, x = ctx.saved_tensors
        adjoint: Any = _Solve.apply(values.conj().resolve_conj(), columns, rows, g, ctx.options)
        entries = -(adjoint[:, rows] * x[:, columns].conj()).sum(0) if ctx.needs_input_grad[0] else None
        return entries, None, None, adjoint, None


def _solve_all(values: Tensor, rows: Tensor, columns: Tensor, b: Tensor, options: Mapping[str, Any]) -> Tensor:
    """Solve for every right-hand side, shape (R, n); a cotangent may be as small as a loss makes it."""
    matrix = sp.csr_matrix((_array(values), (rows.cpu().numpy(), columns.cpu().numpy())), shape=(b.shape[1],) * 2)
    right = _array(b)
    found = np.empty_like(right)
    solver = Solver(matrix, **options)
    for row, wanted in zip(found, right, strict=True):
        solution = solver.solve(wanted)
        if not solution.converged:
            advice = "divide b by its size" if solution.reason is Reason.nonfinite else "raise maxiter, or use method='direct'"
            raise UsageError(f"no gradient: {solution}; {advice}")
        row[:] = solution.x
    return torch.from_numpy(found).to(b)


def _array(values: Tensor) -> np.ndarray:
    """Entries in double precision; NumPy knows neither bfloat16 nor conjugate or negative views."""
    wide = torch.complex128 if values.is_complex() else torch.float64
    return values.detach().cpu().to(wide).resolve_conj().resolve_neg().numpy()
