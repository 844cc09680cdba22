"""Node-centred fourth-order differences for -a Δu - ∇a·∇u + β·∇u + c u = f on uniform grids: accurate waves, no symmetry.

LeVeque, Finite Difference Methods for Ordinary and Partial Differential Equations (2007), section 1.5 (weights by the method of
undetermined coefficients). Rows inside are multiplied by a node's volume; a wall's row is its boundary condition.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import numpy as np
import scipy.sparse as sp
from torch import Tensor

from pdeflow.discretization.boundary import Condition
from pdeflow.discretization.face_weights import Velocity
from pdeflow.discretization.finite_difference import eliminate, fixed_values, node_velocity
from pdeflow.discretization.grid_boundary import Side, check_coefficient, grid_sides, grid_values, properties
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid
from pdeflow.linalg import LinearSystem

WEIGHTS = {
    1: ([1, -8, 0, 8, -1], ([-25, 48, -36, 16, -3], [-3, -10, 18, -6, 1])),
    2: ([-1, 16, -30, 16, -1], ([45, -154, 214, -156, 61, -10], [10, -15, -4, 14, -6, 1])),
}
"""Twelve times the weights of a derivative: inside, and at the first and the second node of an open axis."""


def fourth_order_system(
    grid: Grid,
    a: Tensor | complex,
    f: Tensor | complex,
    boundary: Mapping[str, Condition],
    *,
    velocity: Velocity | None = None,
    reaction: Tensor | complex | None = None,
) -> LinearSystem:
    """Assemble -∇·(a∇u) + β·∇u + c u = f at the nodes for smooth data, fourth order up to the boundary.

    Args:
        grid: Node grid of 1 to 3 axes, each periodic or not, at least 6 nodes along each.
        a: Node values of the diffusion coefficient, smooth, shape (*grid.shape,), or a number; positive where real.
        f: Node values of the source, or a number.
        boundary: As in `finite_difference_system`; where Neumann or Robin sides meet, the later axis gives the row.
        velocity: β as node values (*grid.shape, d), or as a function of points (n, d) that returns (n, d).
        reaction: Node values of c, or a number.

    Returns:
        System of grid.size unknowns, ordered as `field.reshape(-1)`; not symmetric.

    Raises:
        UsageError: If the grid is not of nodes or too coarse, or as in `finite_difference_system`.

    Reference: LeVeque (2007), section 1.5.
    """
    if grid.location != "node" or min(grid.shape) < 6:
        raise UsageError(
            f"fourth order needs a node grid with 6 or more values per axis, got {grid.location} {grid.shape}"
        )
    sides = grid_sides(grid, boundary)
    a, f = grid_values(grid, a, "a"), grid_values(grid, f, "f")
    c = None if reaction is None else grid_values(grid, reaction, "reaction")
    check_coefficient(a)
    flat, slopes = a.numpy().reshape(-1), [differences(grid, k, 1) for k in range(grid.ndim)]
    beta = [np.zeros(1)] * grid.ndim
    if velocity is not None:
        beta = list(node_velocity(grid, velocity).reshape(-1, grid.ndim).T)
    terms = [] if c is None else [sp.diags_array(c.numpy().reshape(-1))]
    for k, slope in enumerate(slopes):
        terms.append(-sp.diags_array(flat) @ differences(grid, k, 2))
        terms.append(sp.diags_array(beta[k] - slope @ flat) @ slope)
    inside = sp.csr_matrix(grid.cell_measure * reduce(lambda one, other: one + other, terms))
    A, b, walls = _with_walls(grid, sides, inside, f.numpy().reshape(-1) * grid.cell_measure, flat, slopes)
    A, b = eliminate(A, b, *fixed_values(grid, sides))
    known = properties(A, a, c, walls, convection=True)
    return LinearSystem(A, b, layout=f"node-{'x'.join(map(str, grid.shape))}", **known)


def differences(grid: Grid, axis: int, derivative: int) -> sp.csr_matrix:
    """Fourth-order first or second derivative along one axis, one-sided near the ends of an open axis.

    Args:
        grid: Node grid.
        axis: Axis k.
        derivative: 1 or 2.

    Returns:
        Matrix (grid.size, grid.size), in one over length to the derivative.
    """
    n, (inner, ends) = grid.shape[axis], WEIGHTS[derivative]
    rows: list[int] = []
    columns: list[int] = []
    values: list[int] = []
    for i in range(n):
        near = min(i, n - 1 - i)
        if grid.periodic[axis] or near >= 2:
            weights, nodes = inner, (i + np.arange(-2, 3)) % n
        else:
            weights = ends[near]
            nodes = np.arange(len(weights))
            if i > near:  # mirrored at the upper end, where an odd derivative changes sign
                weights, nodes = [(-1) ** derivative * w for w in weights], n - 1 - nodes
        rows += [i] * len(weights)
        columns += nodes.tolist()
        values += weights
    D = sp.csr_matrix((np.array(values, dtype=np.float64), (rows, columns)), shape=(n, n))
    before, after = int(np.prod(grid.shape[:axis])), int(np.prod(grid.shape[axis + 1 :]))
    D = D / (12 * grid.spacing()[axis] ** derivative)
    return sp.csr_matrix(sp.kron(sp.kron(sp.eye_array(before), D), sp.eye_array(after)))


def _with_walls(
    grid: Grid,
    sides: list[Side],
    A: sp.csr_matrix,
    b: np.ndarray,
    a: np.ndarray,
    slopes: list[sp.csr_matrix],
) -> tuple[sp.csr_matrix, np.ndarray, list[tuple[float, np.ndarray]]]:
    """Replace the rows of Neumann and Robin walls by area (a ∂u/∂n + r u) = area value; p and r of every side."""
    walls = []
    for side in sides:
        p, r, value = side.robin(grid)
        walls.append((p, r))
        here = np.zeros(grid.shape, bool)
        here[side.slab(grid.ndim)] = True
        here = here.reshape(-1)
        transfer, data = np.zeros(grid.size, r.dtype), np.zeros(grid.size, value.dtype)
        transfer[here], data[here] = r.reshape(-1), value.reshape(-1)
        area = grid.cell_measure / grid.spacing()[side.axis]
        outward = (p if side.upper else -p) * sp.diags_array(here * a) @ slopes[side.axis]
        A = sp.diags_array((~here).astype(float)) @ A + area * (outward + sp.diags_array(transfer))
        b = np.where(here, area * data, b)
    return sp.csr_matrix(A), b, walls
