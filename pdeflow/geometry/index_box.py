"""Index boxes: the flat ids of their faces, and fields on them as values at points."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pdeflow.errors import UsageError


def face_nodes(shape: Sequence[int], periodic: Sequence[bool]) -> dict[str, Tensor]:
    """Return the flat ids of the values next to each face "x0-", "x0+", "x1-", … of an index box, ascending.

    Args:
        shape: Values per axis.
        periodic: Axes that wrap around, which have no faces.

    Returns:
        Face name -> flat ids, int64; "x0-" holds the values with index 0 along the first axis.
    """
    ids = torch.arange(math.prod(shape)).reshape(tuple(shape))
    return {
        f"x{k}{side}": ids.select(k, end).flatten()
        for k, wraps in enumerate(periodic)
        if not wraps
        for side, end in (("-", 0), ("+", shape[k] - 1))
    }


def flatten_field(u: Tensor, shape: Sequence[int]) -> Tensor:
    """Turn a field (..., channels, *shape) into point values (..., size, channels).

    Raises:
        UsageError: If the last axes are not those of the grid.
    """
    axes = len(tuple(shape))
    if u.ndim <= axes or tuple(u.shape[-axes:]) != tuple(shape):
        raise UsageError(f"expected a field (..., channels, *{tuple(shape)}), got shape {tuple(u.shape)}")
    return u.flatten(start_dim=-axes).mT


def unflatten_field(u: Tensor, shape: Sequence[int]) -> Tensor:
    """Turn point values (..., size, channels) into a field (..., channels, *shape), the inverse of flatten_field.

    Raises:
        UsageError: If the last axes are not (size, channels).
    """
    if u.ndim < 2 or u.shape[-2] != math.prod(shape):
        raise UsageError(
            f"expected point values (..., {math.prod(shape)}, channels), got shape {tuple(u.shape)}"
        )
    return u.mT.unflatten(-1, tuple(shape))
