"""The same fields on a coarser grid, for training at several resolutions.

Training on several grids, and not evaluation on one that was never seen, makes an operator accurate on all of them
(arXiv 2510.06646, "False promise of zero-shot super-resolution").
"""

from __future__ import annotations

import torch
from torch import Tensor

from pdeflow.geometry import Grid


def coarser_shape(grid: Grid, factor: int) -> tuple[int, ...]:
    """Return the points per axis of a grid with cells `factor` times as wide.

    Args:
        grid: The fine grid.
        factor: A positive number.

    Returns:
        Points per axis.

    Raises:
        ValueError: If the factor does not divide the number of cells of an axis.
    """
    ends = 0 if grid.location == "cell" else 1
    cells = [n - (ends if not periodic else 0) for n, periodic in zip(grid.shape, grid.periodic, strict=True)]
    if factor < 1 or any(n % factor for n in cells):
        raise ValueError(f"coarsen {factor} must divide the cells {tuple(cells)} of the data's grid along every axis")
    return tuple(n // factor + shape - n for n, shape in zip(cells, grid.shape, strict=True))


def coarser(fields: Tensor, grid: Grid, factor: int) -> Tensor:
    """Bring fields to a grid with cells `factor` times as wide: means over cells, or every `factor`-th node.

    Args:
        fields: Shape (batch, channels, *grid.shape).
        grid: Their grid.
        factor: Divides the number of cells of every axis.

    Returns:
        Fields, shape (batch, channels, *coarser_shape(grid, factor)).
    """
    if factor == 1:
        return fields
    for axis in range(2, fields.ndim):
        if grid.location == "cell":
            fields = fields.unflatten(axis, (-1, factor)).mean(axis + 1)
        else:
            places = torch.arange(0, fields.shape[axis], factor, device=fields.device)
            fields = fields.index_select(axis, places)
    return fields
