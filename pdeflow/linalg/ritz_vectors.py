"""Ritz pairs of a symmetric operator on fields, from Lanczos with full re-orthogonalisation.

Golub and Van Loan, Matrix Computations, 4th ed., sections 10.1 and 10.3; the start vector A z is that of Kaneda et al.,
arXiv 2205.10763 (it lies in the range of a singular A).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

ZERO = 1e-8
"""Ritz values below this share of the largest belong to the null space and are dropped."""


@torch.no_grad()
def ritz_vectors(apply: Callable[[Tensor], Tensor], z: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Approximate eigenpairs of A from the Krylov space of A z; extreme ones converge first.

    Args:
        apply: The symmetric operator A on fields of the shape of z.
        z: Random field, any shape, float64.
        count: Lanczos steps; needs count times the memory of z.

    Returns:
        Ritz values in ascending order, shape (k,), and orthonormal Ritz vectors, shape (k, *z.shape), with k <= count; fewer
        where the Krylov space ends.

    Raises:
        ValueError: If count is below one or A z is zero.

    Reference: Golub and Van Loan (2013), section 10.1.
    """
    q = apply(z)
    length = float(q.norm())
    if count < 1 or length == 0:
        raise ValueError(f"expected count >= 1 and a field that A does not map to zero, got count {count} and ‖A z‖ = {length}")
    basis = z.new_zeros(min(count, z.numel()), z.numel())
    diagonal, beside = [], []
    basis[0] = q.flatten() / length
    for j in range(len(basis)):
        w = apply(basis[j].reshape(z.shape)).flatten()
        diagonal.append(float(basis[j] @ w))
        for _ in range(2):  # once is not enough where a Ritz value has converged
            w = w - basis[: j + 1].mT @ (basis[: j + 1] @ w)
        size = float(w.norm())
        if j + 1 == len(basis) or size <= 1e-12 * abs(diagonal[0]):
            break
        beside.append(size)
        basis[j + 1] = w / size
    tridiagonal = torch.diag(torch.tensor(diagonal, dtype=torch.float64))
    tridiagonal += torch.diag(torch.tensor(beside, dtype=torch.float64), 1) + torch.diag(torch.tensor(beside, dtype=torch.float64), -1)
    values, vectors = torch.linalg.eigh(tridiagonal)
    kept = values > ZERO * values.abs().max()
    fields = vectors[:, kept].mT.to(z) @ basis[: len(diagonal)]
    return values[kept].to(z), fields.reshape(-1, *z.shape)
