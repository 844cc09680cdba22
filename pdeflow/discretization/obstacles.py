"""Diffusion in a box with obstacles, e.g. the pressure of a flow around them, as a system on all cells of the grid.

Eymard, Gallouët and Herbin, Finite volume methods (2000), section 9; Bridson, Fluid Simulation for Computer Graphics, 2nd ed. (2015),
chapter 5 (pressure and solid walls); such are the test problems of Kaneda et al., arXiv 2205.10763.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np
import torch
from scipy.ndimage import label
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from pdeflow.discretization.face_weights import couplings, face_fluxes
from pdeflow.discretization.stencil import stencil_matrix
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid
from pdeflow.linalg import LinearSystem
from pdeflow.linalg.obstacles import Obstacles, obstacle_faces
from pdeflow.linalg.operators import Faces, diagonal


def obstacle_system(grid: Grid, coefficient: Tensor, source: Tensor, obstacles: Obstacles) -> LinearSystem:
    """Assemble -∇·(a∇u) = f around obstacles, u = 0 on the sides of the box that are not insulated.

    Args:
        grid: Cell-centred, non-periodic grid.
        coefficient: Positive cell values a, shape (*grid.shape,).
        source: Cell values f, shape (*grid.shape,); those in obstacles are not used.
        obstacles: Which cells are in the domain.

    Returns:
        Symmetric positive definite system of all cells; those in obstacles are coupled to none, and u = 0 there.

    Raises:
        UsageError: If the grid has periodic axes or nodes, a shape differs, or insulating walls close off a part of the domain.
    """
    if grid.location != "cell" or any(grid.periodic) or not tuple(coefficient.shape) == tuple(obstacles.active.shape) == grid.shape:
        raise UsageError(
            f"obstacles need a cell-centred grid without periodic axes, and fields of its shape {grid.shape}; got coefficient "
            f"{tuple(coefficient.shape)} and mask {tuple(obstacles.active.shape)}"
        )
    faces = obstacle_faces(coefficient.double(), grid.spacing(), obstacles)
    inside, main = obstacles.active.numpy(), diagonal(faces).numpy()
    joined = []
    for k, face in enumerate(faces):  # a face at an obstacle adds to the diagonal of its one cell, but couples nothing
        pair = np.logical_and(inside.take(range(grid.shape[k] - 1), k), inside.take(range(1, grid.shape[k]), k))
        ends = [(1, 1) if axis == k else (0, 0) for axis in range(grid.ndim)]
        edge = np.pad(np.zeros_like(pair), ends, constant_values=True)  # of the box: outside the matrix, whatever it holds
        joined.append(face.numpy() * np.where(edge, 1.0, np.pad(pair, ends)))
    main = np.where(inside, main, main[inside].mean())
    b = np.where(inside, source.double().numpy() * grid.cell_measure, 0.0)
    A = stencil_matrix(main, *couplings(joined, None, grid.periodic), grid.periodic)
    _, part = connected_components(A, directed=False)
    held = np.bincount(part, np.asarray(A.sum(axis=1)).ravel()) > 1e-10 * np.bincount(part, A.diagonal())  # by a wall where u = 0
    if not held.all():
        raise UsageError(
            f"insulating walls close off {int(np.sum(~held[part]))} cells, in which nothing fixes the constant; add them to the obstacle, or "
            "open a side of the box"
        )
    return LinearSystem(
        A=A,
        b=b.reshape(-1),
        symmetric=True,
        positive_definite=True,
        layout=f"cell-{'x'.join(map(str, grid.shape))}",
        grid=grid,
        coefficient=coefficient.double().numpy(),
        mask=obstacles,
    )


def flow_around(grid: Grid, velocity: Callable[[Tensor], Tensor], obstacles: Obstacles) -> Faces:
    """Return the volume flux of a velocity through every face by the midpoint rule, none at obstacles and insulated sides.

    What leaves one cell enters the next, so the net outflow of all cells, the sum of `torch.diff` along each axis, adds up to the
    flux through the other sides of the box, to rounding.

    Args:
        grid: Cell-centred, non-periodic grid of d axes.
        velocity: Function of face centres (n, d) that returns (n, d), length/time.
        obstacles: The obstacles; the kind of their walls does not matter.

    Returns:
        For each axis the grid's shape with one entry more along it, length^d/time.

    Raises:
        UsageError: If the velocity returns another shape.

    Reference: Bridson (2015), chapter 5 (divergence of a velocity on the faces of cells).
    """
    passable = obstacle_faces(torch.ones(grid.shape, dtype=torch.float64), grid.spacing(), replace(obstacles, wall="neumann"))
    return tuple(torch.from_numpy(flux) * (face > 0) for flux, face in zip(face_fluxes(grid, velocity), passable, strict=True))


def reachable(active: Tensor, sides: Collection[str]) -> Tensor:
    """Drop the cells from which no path of cells leads to one of some sides of the box: pockets that obstacles close off.

    Args:
        active: Cells, bool, shape (*grid).
        sides: Names of the sides, of "x0-", "x0+", "x1-", …

    Returns:
        The other cells, bool, shape (*grid).
    """
    parts, _ = label(active.numpy())
    ends = (parts.take(end, axis=k) for k in range(active.ndim) for end, sign in ((0, "-"), (-1, "+")) if f"x{k}{sign}" in sides)
    return torch.from_numpy(active.numpy() & np.isin(parts, np.concatenate([end.ravel() for end in ends])))
