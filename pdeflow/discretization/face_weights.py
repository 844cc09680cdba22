"""What couples two neighbouring cells of a grid: diffusive conductance and convective flux of their common face.

Eymard, Gallouët and Herbin, Finite volume methods, Handbook of Numerical Analysis VII (2000), section 9.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry import Grid
from pdeflow.linalg.operators import Mean, face_conductances

Velocity = Tensor | Callable[[Tensor], Tensor]
Scheme = Literal["central", "upwind"]


def wrapped_conductances(grid: Grid, a: Tensor, mean: Mean) -> list[Tensor]:
    """Conductance of every face; the two end faces of a periodic axis are one, between the last and the first cell.

    Args:
        grid: Cell-centred grid of d axes.
        a: Diffusion coefficient, shape (*grid.shape,).
        mean: Mean of a at a face between two cells.

    Returns:
        For each axis the grid's shape with one entry more along it.
    """
    spacing = grid.spacing()
    faces = list(face_conductances(a, spacing, mean))
    for k in range(grid.ndim):
        if grid.periodic[k]:
            n = grid.shape[k]
            ends = torch.cat((a.narrow(k, n - 1, 1), a.narrow(k, 0, 1)), k)
            seam = face_conductances(ends, spacing, mean)[k].narrow(k, 1, 1)
            faces[k] = torch.cat((seam, faces[k].narrow(k, 1, n - 1), seam), k)
    return faces


def face_fluxes(grid: Grid, velocity: Velocity) -> list[np.ndarray]:
    """Volume flux β·e_k times area through every face, by the midpoint rule.

    Args:
        grid: Cell-centred grid of d axes.
        velocity: β as cell values (*grid.shape, d), averaged to the faces and extrapolated to the walls, or as a function
            of face centres (n, d) that returns (n, d).

    Returns:
        For each axis the grid's shape with one entry more along it.

    Raises:
        UsageError: If the velocity has another shape or is complex.
    """
    fluxes = []
    for k in range(grid.ndim):
        area = prod(grid.spacing()) / grid.spacing()[k]
        faces = _evaluated(grid, velocity, k) if callable(velocity) else _averaged(grid, velocity, k)
        fluxes.append(faces.detach().double().numpy() * area)
    return fluxes


def _evaluated(grid: Grid, velocity: Callable[[Tensor], Tensor], k: int) -> Tensor:
    low, high = grid.bounds[k]
    ends = torch.linspace(low, high, grid.shape[k] + 1, dtype=torch.float64)
    if grid.periodic[k]:
        ends[-1] = low
    axes = [ends if j == k else grid.axis(j) for j in range(grid.ndim)]
    centres = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    x = centres.reshape(-1, grid.ndim)
    found = velocity(x)
    if found.shape != x.shape or found.is_complex():
        raise UsageError(
            f"velocity must return a real {tuple(x.shape)}, got {found.dtype} {tuple(found.shape)}"
        )
    return found[:, k].reshape(centres.shape[:-1])


def _averaged(grid: Grid, velocity: Tensor, k: int) -> Tensor:
    if tuple(velocity.shape) != (*grid.shape, grid.ndim) or velocity.is_complex():
        raise UsageError(
            f"velocity must be real {(*grid.shape, grid.ndim)} or a function, got {velocity.dtype} {tuple(velocity.shape)}"
        )
    v, n = velocity[..., k].double(), grid.shape[k]
    first, last = v.narrow(k, 0, 1), v.narrow(k, n - 1, 1)
    inner = (v.narrow(k, 0, n - 1) + v.narrow(k, 1, n - 1)) / 2
    if grid.periodic[k]:
        seam = (first + last) / 2
        return torch.cat((seam, inner, seam), k)
    if n > 1:  # linear extrapolation over half a cell
        first, last = 2 * first - inner.narrow(k, 0, 1), 2 * last - inner.narrow(k, n - 2, 1)
    return torch.cat((first, inner, last), k)


def couplings(
    faces: Sequence[np.ndarray],
    fluxes: Sequence[np.ndarray] | None,
    periodic: tuple[bool, ...],
    scheme: Scheme = "central",
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weights w of the terms w (u_cell - u_neighbour) below and above each cell along each axis.

    β·∇u over a cell is Σ (β·n area)(u_face - u_cell), so that constants stay in the null space whatever ∇·β is;
    at a wall the neighbour is the face's own value.

    Args:
        faces: Conductances, for each axis the grid's shape with one entry more along it.
        fluxes: Volume fluxes of the same shapes, or None without convection.
        periodic: Whether each axis wraps around.
        scheme: "central" takes the mean of two cells as the face's value, "upwind" the cell that the flow comes from.

    Returns:
        Weights below and weights above, d arrays of the grid's shape each; fresh arrays.

    Raises:
        UsageError: If the scheme is unknown.

    Reference: Eymard, Gallouët and Herbin (2000), section 9.
    """
    if scheme not in ("central", "upwind"):
        raise UsageError(f"convection must be 'central' or 'upwind', got {scheme!r}")
    lower, upper = [], []
    for k, face in enumerate(faces):
        n = face.shape[k] - 1
        below, above = axis_slice(k, 0, n), axis_slice(k, 1, n + 1)
        if fluxes is None:
            lower.append(face[below].copy())
            upper.append(face[above].copy())
        elif scheme == "upwind":
            lower.append((face + np.maximum(fluxes[k], 0.0))[below])
            upper.append((face + np.maximum(-fluxes[k], 0.0))[above])
        else:
            half = fluxes[k] / 2
            for wall in (axis_slice(k, 0, 1), axis_slice(k, n, n + 1)):
                half[wall] *= 1 if periodic[k] else 2  # the wall's value is the face's value
            lower.append((face + half)[below])
            upper.append((face - half)[above])
    return lower, upper


def axis_slice(axis: int, start: int, stop: int) -> tuple[slice, ...]:
    """Return the index that takes start … stop - 1 along one axis and all of the axes before and behind it.

    Args:
        axis: Axis k.
        start: First entry.
        stop: One past the last entry.
    """
    return (slice(None),) * axis + (slice(start, stop),)
