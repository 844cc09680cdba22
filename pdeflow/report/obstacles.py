"""Cells in obstacles, where a field has no meaning: pictures mask them, and `show_field` draws what is masked grey."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from pdeflow.errors import UsageError
from pdeflow.geometry import Grid
from pdeflow.problems import Problem


def solid_cells(
    problem: Problem | None, grid: Grid, inputs: Mapping[str, np.ndarray], scalars: Mapping[str, np.ndarray]
) -> np.ndarray | None:
    """Find the cells in the obstacles of stored samples.

    Args:
        problem: Says what the inputs mean; None where the data have no known equation.
        grid: Grid of the fields.
        inputs: Input fields by name, each (N, *grid.shape).
        scalars: Parameters by name, each (N,).

    Returns:
        True in obstacles, shape (N, *grid.shape), or None where the problem has none or the stored values do not tell.
    """
    if problem is None or not inputs:
        return None
    found = []
    for i in range(len(next(iter(inputs.values())))):
        fields = {name: torch.as_tensor(values[i]) for name, values in inputs.items()}
        instance = problem.stored_instance(fields, {name: float(values[i]) for name, values in scalars.items()}, grid)
        try:
            obstacles = problem.obstacles(instance, grid)
        except UsageError:  # a field that is needed was not stored
            return None
        if obstacles is None:
            return None
        found.append(~obstacles.active.numpy())
    return np.stack(found)


def mask_solids(values: np.ndarray, solid: np.ndarray | None) -> np.ndarray:
    """Mask the values in obstacles; the field that says where they are is left as it is.

    Args:
        values: Shape (N, *grid.shape) or (*grid.shape,).
        solid: True in obstacles, same shape, or None where there are none.

    Returns:
        A masked array, or the values themselves where nothing is masked.
    """
    if solid is None or np.array_equal(values, ~solid):
        return values
    return np.ma.masked_array(values, solid)
