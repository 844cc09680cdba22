"""The parameters of an optimizer as one real vector, in the order of its groups."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def trainable(groups: Sequence[dict[str, Any]], name: str) -> list[Tensor]:
    """Return the parameters of all groups, after checking that they make one real vector.

    Args:
        groups: The optimizer's param_groups.
        name: The optimizer's name, for messages.

    Returns:
        The parameters in their order.

    Raises:
        ValueError: If parameters are complex, or differ in type or device.
    """
    params = [p for group in groups for p in group["params"]]
    kinds = {(p.dtype, p.device) for p in params}
    if len(kinds) > 1:
        found = ", ".join(sorted(f"{dtype} on {device}" for dtype, device in kinds))
        raise ValueError(f"{name} needs parameters of one type on one device, got {found}")
    if params[0].is_complex():
        raise ValueError(f"{name} needs real parameters, got {params[0].dtype}; store them as real pairs (view_as_real)")
    return params


def warn_if_single(params: Sequence[Tensor], name: str) -> None:
    """Warn that float32 limits a second-order method.

    Args:
        params: The parameters.
        name: The optimizer's name.
    """
    if params[0].dtype != torch.float64:
        warnings.warn(
            f"{name} in {str(params[0].dtype).removeprefix('torch.')}: a relative error below 1e-4 is unlikely; "
            "set trainer.precision=64-true or the network's dtype to float64",
            stacklevel=3,
        )


def flatten(tensors: Sequence[Tensor]) -> Tensor:
    """Return a copy of tensors as one vector, shape (P,)."""
    return torch.cat([t.detach().reshape(-1) for t in tensors])


def gradient_vector(params: Sequence[Tensor]) -> Tensor:
    """Return the gradients of parameters as one vector, shape (P,); a missing one is zero."""
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad.detach()).reshape(-1) for p in params])


@torch.no_grad()
def assign(params: Sequence[Tensor], vector: Tensor) -> None:
    """Write a vector into parameters.

    Args:
        params: P numbers in all.
        vector: Shape (P,).
    """
    for p, part in zip(params, vector.split([p.numel() for p in params]), strict=True):
        p.copy_(part.view_as(p))
