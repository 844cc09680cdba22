"""Node-centred second-order differences for -∇·(a∇u) + β·∇u + c u = f on uniform grids, assembled as a CSR matrix.

LeVeque, Finite Difference Methods for Ordinary and Partial Differential Equations (2007), sections 2.12, 2.15 and 3.2.
Every row is multiplied by the volume that belongs to its node (half of it on a wall), which makes self-adjoint equations
symmetric; ghost values of Neumann and Robin walls are eliminated, which leaves the wall's flux in the row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from pdeflow.discretization.boundary import Condition
from pdeflow.discretization.face_weights import Velocity, axis_slice
from pdeflow.discretization.grid_boundary import (
    Side,
    check_coefficient,
    grid_sides,
    grid_values,
    properties,
)
from pdeflow.discretization.stencil import stencil_matrix
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid
from pdeflow.linalg import LinearSystem
from pdeflow.linalg.operators import Mean


def finite_difference_system(
    grid: Grid,
    a: Tensor | complex,
    f: Tensor | complex,
    boundary: Mapping[str, Condition],
    *,
    velocity: Velocity | None = None,
    reaction: Tensor | complex | None = None,
    mean: Mean = "arithmetic",
) -> LinearSystem:
    """Assemble -∇·(a∇u) + β·∇u + c u = f at the nodes, times the nodes' volumes, second order up to the boundary.

    Args:
        grid: Node grid of 1 to 3 axes, each periodic or not.
        a: Node values of the diffusion coefficient, shape (*grid.shape,), or a number; positive where real.
        f: Node values of the source, or a number.
        boundary: Dirichlet, Neumann or Robin for every side "x0-", "x0+", … that is not periodic, its data evaluated at
            the wall's nodes. Where sides meet Dirichlet wins, of two the one on the later axis.
        velocity: β as node values (*grid.shape, d), or as a function of points (n, d) that returns (n, d).
        reaction: Node values of c, or a number.
        mean: Mean of a half-way between two nodes: arithmetic for smooth a, harmonic for jumps at half-way points.

    Returns:
        System of grid.size unknowns, ordered as `field.reshape(-1)`. Rows and columns of Dirichlet nodes are eliminated
        symmetrically, their diagonal is the mean of the others. The null space is the constants where nothing fixes them.

    Raises:
        UsageError: If the grid is not of nodes, a shape or tag is wrong, a side has no condition, or a is not positive.

    Reference: LeVeque (2007), sections 2.12 (Neumann), 2.15 (variable a) and 3.2 (two dimensions).
    """
    if grid.location != "node":
        raise UsageError(
            f"finite differences need a node grid, got location {grid.location!r}; see finite_volume for cells"
        )
    sides = grid_sides(grid, boundary)
    a, f = grid_values(grid, a, "a"), grid_values(grid, f, "f")
    c = None if reaction is None else grid_values(grid, reaction, "reaction")
    check_coefficient(a)
    beta = None if velocity is None else node_velocity(grid, velocity)
    widths = dual_widths(grid)
    volume = _product(widths)
    lower, upper = _neighbours(grid, a.numpy(), beta, widths, mean)
    main, rows, walls = _walls(grid, sides, a.numpy(), beta, widths)
    main = reduce(np.add, [*lower, *upper], main) + (0.0 if c is None else c.numpy() * volume)
    A, b = eliminate(
        stencil_matrix(main, lower, upper, grid.periodic),
        (rows + f.numpy() * volume).reshape(-1),
        *fixed_values(grid, sides),
    )
    known = properties(A, a, c, walls, convection=velocity is not None)
    return LinearSystem(A, b, layout=f"node-{'x'.join(map(str, grid.shape))}", **known)


def dual_widths(grid: Grid) -> list[np.ndarray]:
    """Width that belongs to each node along each axis: h, half of it at the two ends of an open axis.

    Args:
        grid: Node grid of d axes.

    Returns:
        For each axis shape (1, …, n, …, 1), in length units; their product is the volume of a node.
    """
    widths = []
    for k, (n, h) in enumerate(zip(grid.shape, grid.spacing(), strict=True)):
        width = np.full(n, h)
        if not grid.periodic[k]:
            width[[0, -1]] = h / 2
        widths.append(width.reshape((1,) * k + (n,) + (1,) * (grid.ndim - k - 1)))
    return widths


def eliminate(
    A: sp.csr_matrix, b: np.ndarray, fixed: np.ndarray, values: np.ndarray
) -> tuple[sp.csr_matrix, np.ndarray]:
    """Fix unknowns without spoiling symmetry: their columns go to the right-hand side, their rows keep a diagonal.

    Args:
        A: CSR matrix (n, n).
        b: Right-hand side, shape (n,).
        fixed: Which unknowns are given, bool (n,).
        values: Their values, zero elsewhere, shape (n,).

    Returns:
        The matrix and the right-hand side; the diagonal of a fixed row is the mean size of the others'.
    """
    if not fixed.any():
        return A, b
    b = b - A @ values
    size = np.abs(A.diagonal()[~fixed]).mean() if not fixed.all() else 1.0
    row = np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))
    gone = fixed[row] | fixed[A.indices]
    A.data[gone] = np.where(row[gone] == A.indices[gone], size, 0.0)
    A.eliminate_zeros()
    b[fixed] = size * values[fixed]
    return A, b


def _neighbours(
    grid: Grid, a: np.ndarray, beta: np.ndarray | None, widths: list[np.ndarray], mean: Mean
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weights w of the terms w (u_node - u_neighbour) below and above each node, zero across an open wall."""
    if mean not in ("harmonic", "arithmetic"):
        raise UsageError(f"mean must be 'harmonic' or 'arithmetic', got {mean!r}")
    lower, upper = [], []
    for k, h in enumerate(grid.spacing()):
        ahead = np.roll(a, -1, axis=k)
        middle = 2 * a * ahead / (a + ahead) if mean == "harmonic" else (a + ahead) / 2
        area = _product([width for j, width in enumerate(widths) if j != k])
        up = middle * area / h
        down = np.roll(up, 1, axis=k)
        ends = (
            () if grid.periodic[k] else (axis_slice(k, 0, 1), axis_slice(k, grid.shape[k] - 1, grid.shape[k]))
        )
        if beta is not None:
            share = beta[..., k] * area / 2  # β (u_above - u_below) / 2h, times the volume h area
            for end in ends:
                share[end] = 0.0  # the wall's own condition gives the derivative there
            down, up = down + share, up - share
        if ends:
            down[ends[0]], up[ends[1]] = 0.0, 0.0
        lower.append(down)
        upper.append(up)
    return lower, upper


def _walls(
    grid: Grid, sides: list[Side], a: np.ndarray, beta: np.ndarray | None, widths: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, list[tuple[float, np.ndarray]]]:
    """What Neumann and Robin sides add to the diagonal and to the right-hand side; p and r of every side.

    A wall's row holds its area times a ∂u/∂n = value - r u, and β·n ∂u/∂n in the node's volume.
    """
    main, rows, walls = np.zeros(grid.shape), np.zeros(grid.shape), []
    for side in sides:
        p, r, value = side.robin(grid)
        walls.append((p, r))
        if p == 0:
            continue
        slab = side.slab(grid.ndim)
        area = _product([width for j, width in enumerate(widths) if j != side.axis])
        share = np.broadcast_to(area, grid.shape)[slab]
        if beta is not None:
            depth = np.broadcast_to(widths[side.axis], grid.shape)[slab]
            outward = (1 if side.upper else -1) * beta[..., side.axis][slab]
            share = share * (1 - outward * depth / a[slab])
        main, rows = _added(main, slab, share * r), _added(rows, slab, share * value)
    return main, rows, walls


def _added(field: np.ndarray, slab: tuple[slice, ...], layer: np.ndarray) -> np.ndarray:
    """Add to one layer of a field, which turns complex where the layer is."""
    field = field.astype(np.result_type(field, layer))
    field[slab] += layer
    return field


def fixed_values(grid: Grid, sides: list[Side]) -> tuple[np.ndarray, np.ndarray]:
    """Mark the nodes of Dirichlet sides and collect their values.

    Args:
        grid: Node grid.
        sides: Its sides; where two meet, the later one gives the value.

    Returns:
        Which unknowns are given, bool (n,), and their values, zero elsewhere, real or complex (n,).
    """
    fixed, values = np.zeros(grid.shape, bool), np.zeros(grid.shape)
    for side in sides:
        p, _, value = side.robin(grid)
        if p == 0:
            values = values.astype(np.result_type(values, value))
            fixed[side.slab(grid.ndim)], values[side.slab(grid.ndim)] = True, value
    return fixed.reshape(-1), values.reshape(-1)


def node_velocity(grid: Grid, velocity: Velocity) -> np.ndarray:
    """Return β at the nodes.

    Args:
        grid: Node grid of d axes.
        velocity: Node values (*grid.shape, d), or a function of points (n, d) that returns (n, d).

    Returns:
        Values, shape (*grid.shape, d), float64.

    Raises:
        UsageError: If the velocity has another shape or is complex.
    """
    found = _called(grid, velocity) if callable(velocity) else velocity
    if tuple(found.shape) != (*grid.shape, grid.ndim) or found.is_complex():
        raise UsageError(
            f"velocity must be real {(*grid.shape, grid.ndim)}, got {found.dtype} {tuple(found.shape)}"
        )
    return found.detach().to(torch.float64).numpy()


def _called(grid: Grid, velocity: Callable[[Tensor], Tensor]) -> Tensor:
    x = grid.coordinates().reshape(-1, grid.ndim)
    found = velocity(x)
    if found.shape != x.shape:
        raise UsageError(f"velocity must return {tuple(x.shape)}, got {tuple(found.shape)}")
    return found.reshape(*grid.shape, grid.ndim)


def _product(factors: list[np.ndarray]) -> np.ndarray:
    return reduce(np.multiply, factors, np.ones(()))
