"""Scale-free losses for learned search directions and preconditioners: how much of the error one step removes.

Kaneda et al., A Deep Conjugate Direction Method (arXiv 2205.10763), for the residual loss; the energy loss is the step's
exact reduction of the A-norm error, 1 - cos²_A(f, A⁻¹b) (deep_conjugate_direction spec, 2.4 and 2.6), the scale-free form
of the loss of Rudikov et al., Neural operators meet conjugate gradients (arXiv 2402.05598), eq. (9).
"""

from __future__ import annotations

import torch
from torch import Tensor


def inner(x: Tensor, y: Tensor) -> Tensor:
    """Inner product of each pair in a batch, shapes (batch, ...) and (batch, ...) to (batch,)."""
    return (x * y).flatten(1).sum(1)


def energy_loss(f: Tensor, Af: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """Share of the squared A-norm error that is left after an exact line search along f from zero.

    1 - (bᵀf)² / ((fᵀAf)(bᵀx)) = 1 - cos²_A(f, x) for b = A x; no solve is needed when b is made from x.

    Args:
        f: Proposed directions, shape (batch, ...).
        Af: A f, same shape.
        b: Right-hand sides, same shape.
        x: Exact solutions with A x = b, same shape.

    Returns:
        Values in [0, 1] for symmetric positive definite A, shape (batch,); unchanged by f → c f for every c ≠ 0.

    Raises:
        ValueError: If the four shapes differ.
    """
    if not f.shape == Af.shape == b.shape == x.shape:
        raise ValueError(f"expected four tensors of one shape (batch, ...), got f {tuple(f.shape)}, Af "
                         f"{tuple(Af.shape)}, b {tuple(b.shape)}, x {tuple(x.shape)}; expand or reshape them first")
    return 1 - inner(b, f) ** 2 / (inner(f, Af) * inner(b, x))


def log_energy_loss(f: Tensor, Af: Tensor, b: Tensor, x: Tensor, floor: float = 1e-6) -> Tensor:
    """Logarithm of the energy loss, which weighs all samples of an already good network alike, shape (batch,).

    Args:
        f: Proposed directions, shape (batch, ...).
        Af: A f, same shape.
        b: Right-hand sides, same shape.
        x: Exact solutions with A x = b, same shape.
        floor: Added before the logarithm; below it a sample counts as solved.
    """
    return torch.log(energy_loss(f, Af, b, x).clamp_min(0) + floor)


def residual_loss(Af: Tensor, b: Tensor, f: Tensor) -> Tensor:
    """Squared residual after the line search, ‖b - α A f‖² with α = bᵀf / fᵀAf, shape (batch,).

    Args:
        Af: A f, shape (batch, ...).
        b: Right-hand sides, same shape.
        f: Proposed directions, same shape.

    Reference: Kaneda et al., arXiv 2205.10763 (official code: squared norm, gradients flow through α).
    """
    alpha = inner(b, f) / inner(f, Af)
    rest = b - alpha.reshape(-1, *[1] * (b.ndim - 1)) * Af
    return inner(rest, rest)
