"""Diffusion in a box with obstacles, e.g. the pressure of a flow around them, as a system on all cells of the grid.

Eymard, Gallouët and Herbin, Finite volume methods (2000), section 9; such are the test problems of Kaneda et al., arXiv 2205.10763.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from pdeflow.discretization.face_weights import couplings
from pdeflow.discretization.stencil import stencil_matrix
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid
from pdeflow.linalg import LinearSystem
from pdeflow.linalg.obstacles import Obstacles, obstacle_faces
from pdeflow.linalg.operators import diagonal


def obstacle_system(grid: Grid, coefficient: Tensor, source: Tensor, obstacles: Obstacles) -> LinearSystem:
    """Assemble -∇·(a∇u) = f around obstacles, u = 0 on the walls of the box.

    Args:
        grid: Cell-centred, non-periodic grid.
        coefficient: Positive cell values a, shape (*grid.shape,).
        source: Cell values f, shape (*grid.shape,); those in obstacles are not used.
        obstacles: Which cells are in the domain.

    Returns:
        Symmetric positive definite system of all cells; those in obstacles are coupled to none, and u = 0 there.

    Raises:
        UsageError: If the grid has periodic axes or nodes, a shape differs, or an insulating obstacle closes off a part of the domain.
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
        raise UsageError(f"an obstacle closes off {int(np.sum(~held[part]))} cells, in which nothing fixes the constant; add them to the obstacle")
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
