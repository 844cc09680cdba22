"""The middle slice of fields in three dimensions, which is what pictures show of them."""

from __future__ import annotations

import numpy as np

from pdeflow.geometry import Grid


def middle_slice(values: np.ndarray, grid: Grid) -> np.ndarray:
    """Cut fields in three dimensions across the last axis.

    Args:
        values: Shape (..., *grid.shape).
        grid: Grid of the fields.

    Returns:
        Values in the plane of the first two axes, shape (..., nx, ny); fields in fewer dimensions as they are.
    """
    return values[..., grid.shape[2] // 2] if grid.ndim == 3 else values


def where_cut(grid: Grid) -> str:
    """Say where `middle_slice` cuts; nothing in fewer than three dimensions.

    Args:
        grid: Grid of the fields.

    Returns:
        For example "cut at x2 = 0.5", in length units of the domain.
    """
    if grid.ndim < 3:
        return ""
    return f"cut at x2 = {float(grid.axis(2)[grid.shape[2] // 2]):.3g}"
