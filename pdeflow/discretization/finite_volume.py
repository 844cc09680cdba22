"""Cell-centred finite volumes for -∇·(a∇u) = f with homogeneous Dirichlet boundary, assembled as a CSR matrix.

Eymard, Gallouët and Herbin, Finite volume methods, Handbook of Numerical Analysis VII (2000), section 9.1.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

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
        A=_assemble(grid, [face.numpy() for face in faces], diagonal(faces).numpy()),
        b=(source.double() * grid.cell_measure).reshape(-1).numpy(),
        symmetric=True,
        positive_definite=True,
        layout=f"cell-{'x'.join(map(str, grid.shape))}",
        grid=grid,
        coefficient=coefficient.double().numpy(),
    )


def _assemble(grid: Grid, faces: list[np.ndarray], main: np.ndarray) -> sp.csr_matrix:
    """Put the face conductances into a banded matrix and convert it to CSR."""
    n = grid.size
    bands, offsets = [main.reshape(-1)], [0]
    for k, face in enumerate(faces):
        stride = int(np.prod(grid.shape[k + 1 :]))
        inner = face.copy()
        inner[(slice(None),) * k + (0,)] = 0.0  # the lower wall couples to no cell
        lower = -inner[(slice(None),) * k + (slice(0, -1),)].reshape(
            -1
        )  # entry i couples cells i and i - stride
        bands += [lower[stride:], lower[stride:]]
        offsets += [-stride, stride]
    matrix = sp.diags_array(bands, offsets=offsets, shape=(n, n), format="csr")
    matrix.eliminate_zeros()
    return sp.csr_matrix(matrix)


def residual_field(system: LinearSystem, u: Tensor) -> np.ndarray:
    """Return b - A u for cell values u, shape (*grid.shape,), in the units of b.

    Args:
        system: What `diffusion_system` returned.
        u: Cell values, shape (*grid.shape,).
    """
    values = u.detach().to(torch.float64).reshape(-1).numpy()
    return (system.b - system.A @ values).reshape(system.grid.shape)
