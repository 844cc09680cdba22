"""Fields averaged over blocks of a grid's points, and brought back to all points.

A block's mean belongs to the middle of the block, whatever the location of the data (nodes, cells, a torus), so that both
directions are exact for affine fields away from a boundary.
"""

from __future__ import annotations

import torch
from torch import Tensor


def block_means(x: Tensor, factor: int) -> Tensor:
    """Average fields over blocks of factor points per axis.

    Args:
        x: Fields, shape (batch, c, *grid), up to three axes.
        factor: A divisor of each axis of the grid.

    Returns:
        Shape (batch, c, *grid / factor).
    """
    for axis in range(2, x.ndim):
        x = x.unflatten(axis, (-1, factor)).mean(axis + 1)
    return x


def from_blocks(x: Tensor, factor: int, periodic: bool) -> Tensor:
    """Interpolate linearly between the middles of blocks; constant beyond the last middle unless periodic.

    Args:
        x: Values of blocks, shape (batch, c, *blocks).
        factor: Points per block and axis.
        periodic: Whether the last block is followed by the first.

    Returns:
        Shape (batch, c, *blocks * factor).
    """
    for axis in range(2, x.ndim):
        n = x.shape[axis]
        halves = 2 * torch.arange(factor * n, device=x.device) + 1 - factor  # from the middle of the first block, in half points
        below = halves.div(2 * factor, rounding_mode="floor")
        weight = ((halves - 2 * factor * below).to(x.dtype) / (2 * factor)).reshape(-1, *[1] * (x.ndim - 1 - axis))
        lower, upper = (x.index_select(axis, i % n if periodic else i.clamp(0, n - 1)) for i in (below, below + 1))
        x = torch.lerp(lower, upper, weight)
    return x
