"""Coarser grids hold the same function: exact for linear ones on both kinds of grid, and where they cannot exist they are refused."""

import pytest
import torch

from pdeflow.geometry import Grid
from pdeflow.tasks.coarsening import coarser, coarser_shape

BOUNDS = [(0.0, 1.0), (0.0, 2.0)]


@pytest.mark.parametrize(("location", "shape", "factor"), [("cell", (12, 8), 2), ("cell", (12, 9), 3), ("node", (13, 9), 4), ("node", (13, 9), 1)])
def test_a_linear_function_keeps_its_values(location, shape, factor):
    fine = Grid.uniform(shape, BOUNDS, location=location)
    coarse = Grid.uniform(coarser_shape(fine, factor), BOUNDS, location=location)

    def values(grid):
        return (1 + 2 * grid.axis(0)[:, None] - grid.axis(1))[None, None]

    torch.testing.assert_close(coarser(values(fine), fine, factor), values(coarse), atol=1e-12, rtol=0)


@pytest.mark.parametrize(("location", "shape", "factor"), [("cell", (12, 9), 2), ("node", (12, 9), 2), ("cell", (4, 4), 0)])
def test_factors_that_do_not_divide_are_refused(location, shape, factor):
    with pytest.raises(ValueError, match="must divide the cells"):
        coarser_shape(Grid.uniform(shape, BOUNDS, location=location), factor)
