"""Cell-centred finite volumes for -∇·(a∇u) + β·∇u + c u = f on uniform grids, assembled as a CSR matrix.

Eymard, Gallouët and Herbin, Finite volume methods, Handbook of Numerical Analysis VII (2000), sections 9 to 11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pdeflow.discretization.boundary import Condition
from pdeflow.discretization.face_weights import Scheme, Velocity, couplings, face_fluxes, wrapped_conductances
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
from pdeflow.linalg.operators import diagonal, face_conductances


def diffusion_system(
    grid: Grid, coefficient: Tensor, source: Tensor, *, mean: Literal["harmonic", "arithmetic"] = "harmonic"
) -> LinearSystem:
    """Assemble A u = b with b the integral of the source over each cell.

    Args:
        grid: Cell-centred, non-periodic grid of 1 to 3 axes.
        coefficient: Positive cell values a, shape (*grid.shape,).
        source: Cell values f, shape (*grid.shape,).
        mean: Mean of a at the faces: harmonic for jumps, arithmetic for smooth a.

    Returns:
        Symmetric positive definite system of grid.size unknowns, ordered as `field.reshape(-1)`.

    Raises:
        UsageError: If the grid is not cell-centred, periodic, shapes differ or the coefficient is not positive.

    Reference: Eymard, Gallouët and Herbin (2000), eq. (9.4)-(9.8).
    """
    if grid.location != "cell" or any(grid.periodic):
        raise UsageError(
            f"finite volumes need a cell-centred, non-periodic grid, got location {grid.location!r}, periodic {grid.periodic}"
        )
    if tuple(coefficient.shape) != grid.shape or tuple(source.shape) != grid.shape:
        raise UsageError(
            f"coefficient {tuple(coefficient.shape)} and source {tuple(source.shape)} must have the grid's shape {grid.shape}"
        )
    if not bool((coefficient > 0).all()):
        raise UsageError(
            f"the coefficient must be positive everywhere, its smallest value is {float(coefficient.min()):.3g}"
        )
    faces = face_conductances(coefficient.double(), grid.spacing(), mean)
    return LinearSystem(
        A=stencil_matrix(
            diagonal(faces).numpy(),
            *couplings([face.numpy() for face in faces], None, grid.periodic),
            grid.periodic,
        ),
        b=(source.double() * grid.cell_measure).reshape(-1).numpy(),
        symmetric=True,
        positive_definite=True,
        layout=_layout(grid),
        grid=grid,
        coefficient=coefficient.double().numpy(),
    )


def elliptic_system(
    grid: Grid,
    a: Tensor | complex,
    f: Tensor | complex,
    boundary: Mapping[str, Condition],
    *,
    velocity: Velocity | None = None,
    reaction: Tensor | complex | None = None,
    mean: Literal["harmonic", "arithmetic"] = "harmonic",
    convection: Scheme = "central",
) -> LinearSystem:
    """Assemble -∇·(a∇u) + β·∇u + c u = f, integrated over each cell, second order up to the boundary.

    Args:
        grid: Cell-centred grid of 1 to 3 axes, each periodic or not.
        a: Cell values of the diffusion coefficient, shape (*grid.shape,), or a number; positive where real.
        f: Cell values of the source, or a number.
        boundary: Dirichlet, Neumann or Robin for every side "x0-", "x0+", … that is not periodic, its data evaluated at
            the centres of the boundary faces.
        velocity: β as cell values (*grid.shape, d), or as a function of face centres (n, d) that returns (n, d).
        reaction: Cell values of c, or a number.
        mean: Mean of a at the faces: harmonic for jumps, arithmetic for smooth a.
        convection: "central" is second order; "upwind" is first order and keeps the maximum principle.

    Returns:
        System of grid.size unknowns, ordered as `field.reshape(-1)`. Its null space is the constants where nothing fixes them.

    Raises:
        UsageError: If the grid is not cell-centred, a shape or tag is wrong, a side has no condition, or a is not positive.

    Reference: Eymard, Gallouët and Herbin (2000), sections 9 (diffusion, convection) to 11 (other boundary conditions).
    """
    if grid.location != "cell":
        raise UsageError(
            f"finite volumes need a cell-centred grid, got location {grid.location!r}; see finite_difference for nodes"
        )
    sides = grid_sides(grid, boundary)
    a, f = grid_values(grid, a, "a"), grid_values(grid, f, "f")
    c = None if reaction is None else grid_values(grid, reaction, "reaction")
    check_coefficient(a)
    faces = [face.numpy() for face in wrapped_conductances(grid, a, mean)]
    fluxes = None if velocity is None else face_fluxes(grid, velocity)
    lower, upper = couplings(faces, fluxes, grid.periodic, convection)
    rows, walls = _with_boundary(grid, sides, faces, lower, upper)
    main = sum(weight for pair in zip(lower, upper, strict=True) for weight in pair)
    b = f.numpy() * grid.cell_measure + rows
    if c is not None:
        main = main + c.numpy() * grid.cell_measure
    A = stencil_matrix(np.asarray(main), lower, upper, grid.periodic)
    real = not (np.iscomplexobj(A.data) or np.iscomplexobj(b))
    plain = velocity is None and c is None and all(p == 0 for p, _ in walls) and not any(grid.periodic)
    kept = (grid, a.numpy()) if plain and real else (None, None)  # what the learned V-cycle reads
    known = properties(A, a, c, walls, convection=velocity is not None)
    return LinearSystem(A, b.reshape(-1), layout=_layout(grid), grid=kept[0], coefficient=kept[1], **known)


def _layout(grid: Grid) -> str:
    return f"cell-{'x'.join(map(str, grid.shape))}"


def _with_boundary(
    grid: Grid, sides: list[Side], faces: list[np.ndarray], lower: list[np.ndarray], upper: list[np.ndarray]
) -> tuple[np.ndarray, list[tuple[float, np.ndarray]]]:
    """Eliminate the face values u_b = (p g u + area value) / (p g + area r): scales the walls' weights, returns the data in b."""
    rows, walls = np.zeros(grid.shape), []
    for side in sides:
        p, r, value = side.robin(grid)
        area = grid.cell_measure / grid.spacing()[side.axis]
        weights, slab = (upper if side.upper else lower), side.slab(grid.ndim)
        total = p * faces[side.axis][slab] + area * r
        weight, data = weights[side.axis], weights[side.axis][slab] * (area * value / total)
        ratio = area * r / total
        if np.iscomplexobj(ratio) and not np.iscomplexobj(weight):
            weight = weights[side.axis] = weight.astype(complex)
        weight[slab] *= ratio
        if np.iscomplexobj(data) and not np.iscomplexobj(rows):
            rows = rows.astype(complex)
        rows[slab] += data
        walls.append((p, r))
    return rows, walls


def residual_field(system: LinearSystem, u: Tensor) -> np.ndarray:
    """Return b - A u for cell values u, shape (*grid.shape,), in the units of b.

    Args:
        system: What `diffusion_system` returned.
        u: Cell values, shape (*grid.shape,).
    """
    values = u.detach().to(torch.float64).reshape(-1).numpy()
    return (system.b - system.A @ values).reshape(system.grid.shape)
