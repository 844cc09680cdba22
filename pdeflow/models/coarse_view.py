"""Fields averaged over blocks of a grid's points, and brought back to all points.

A block's mean belongs to the middle of the block, whatever the location of the data (nodes, cells, a torus), so that both
directions are exact for affine fields away from a boundary.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


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
    d, blocks = x.ndim - 2, x.shape[2:]
    x = functional.pad(x, (1, 1) * d, mode="circular" if periodic else "replicate")
    x = functional.interpolate(x, scale_factor=factor, mode=("linear", "bilinear", "trilinear")[d - 1])
    for axis, n in enumerate(blocks, start=2):
        x = x.narrow(axis, factor, factor * n)
    return x
