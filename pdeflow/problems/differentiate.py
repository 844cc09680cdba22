"""Derivatives of functions of points by automatic differentiation, for real and complex values."""

from __future__ import annotations

import torch
from torch import Tensor


def gradient(values: Tensor, x: Tensor) -> Tensor:
    """Differentiate pointwise values with respect to their points.

    Args:
        values: u(x), shape (n,), real or complex; row i depends on point i only.
        x: Points that require gradients, shape (n, d).

    Returns:
        ∇u, shape (n, d); zero where the values do not depend on x. It can be differentiated again.
    """
    if values.is_complex():
        return torch.complex(gradient(values.real, x), gradient(values.imag, x))
    if not values.requires_grad:
        return torch.zeros_like(x)
    (found,) = torch.autograd.grad(values.sum(), x, create_graph=True, allow_unused=True)
    return torch.zeros_like(x) if found is None else found


def divergence(vectors: Tensor, x: Tensor) -> Tensor:
    """Return ∇·v for vectors v(x), shape (n, d), at points x, shape (n, d); the result has shape (n,)."""
    return sum((gradient(vectors[:, k], x)[:, k] for k in range(x.shape[1])), torch.zeros(len(x), dtype=vectors.dtype))
