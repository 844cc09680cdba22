"""The (2d+1)-point finite-volume operator of -∇·(a∇u) in torch, from face conductances, in 1 to 3 dimensions.

Cell-centred finite volumes with two-point fluxes in integrated form: the flux through the face between
the cells i and j is g_ij (u_i - u_j), and at a homogeneous Dirichlet boundary, half a cell away, it is
2 a area / h times u.
Eymard, Gallouët and Herbin, Finite volume methods, Handbook of Numerical Analysis VII (2000), chapter III.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Literal

import torch
from torch import Tensor

Faces = tuple[Tensor, ...]
Mean = Literal["harmonic", "arithmetic"]


def face_conductances(coefficient: Tensor, spacing: Sequence[float], mean: Mean = "harmonic") -> Faces:
    """Conductance g = (mean of a) * area / h of every face of a uniform grid with Dirichlet boundary.

    Args:
        coefficient: Positive cell values a, shape (..., *grid) with one grid axis for each entry of spacing.
        spacing: Cell widths h, one to three of them.
        mean: Face value between two cells. Harmonic keeps the flux exact across a jump that lies on the face
            (the default: two-phase media); arithmetic suits smooth coefficients.

    Returns:
        One tensor for each axis, the grid's shape with one entry more along that axis; the first and the last
        entry are the boundary faces, whose distance to the cell centre is h / 2.

    Raises:
        ValueError: If spacing does not have one to three entries, the coefficient has fewer axes, or the mean
            is unknown.

    Reference: Eymard, Gallouët and Herbin (2000), section 9 (harmonic mean of two cells).
    """
    dim = len(spacing)
    if not 1 <= dim <= 3 or coefficient.ndim < dim:
        raise ValueError(
            f"expected a coefficient (..., *grid) and one spacing per grid axis (1 to 3), got "
            f"{tuple(coefficient.shape)} and {tuple(spacing)}; pass grid.spacing()"
        )
    if mean not in ("harmonic", "arithmetic"):
        raise ValueError(f"mean must be 'harmonic' or 'arithmetic', got {mean!r}; take 'harmonic' for jumps")
    faces = []
    for k in range(dim):
        axis = k - dim
        n = coefficient.shape[axis]
        left, right = coefficient.narrow(axis, 0, n - 1), coefficient.narrow(axis, 1, n - 1)
        inner = 2 * left * right / (left + right) if mean == "harmonic" else (left + right) / 2
        first, last = 2 * coefficient.narrow(axis, 0, 1), 2 * coefficient.narrow(axis, n - 1, 1)
        faces.append(torch.cat((first, inner, last), axis) * (prod(spacing) / spacing[k] ** 2))  # area / h
    return tuple(faces)


def diagonal(faces: Faces) -> Tensor:
    """Diagonal of the operator, the sum of a cell's face conductances, shape (..., *grid).

    Args:
        faces: What face_conductances returned.
    """
    dim = len(faces)
    total = torch.zeros((), dtype=faces[0].dtype, device=faces[0].device)
    for k, face in enumerate(faces):
        n = face.shape[k - dim] - 1
        total = total + face.narrow(k - dim, 0, n) + face.narrow(k - dim, 1, n)
    return total


def apply(u: Tensor, faces: Faces) -> Tensor:
    """Net outward flux A u of every cell, the integral of -∇·(a∇u) over it, shape (..., *grid).

    Args:
        u: Cell values, shape (..., *grid); leading axes broadcast against those of the faces.
        faces: What face_conductances returned.

    Reference: Eymard, Gallouët and Herbin (2000), section 9 (balance of two-point fluxes).
    """
    dim = len(faces)
    total = torch.zeros((), dtype=u.dtype, device=u.device)
    for k, face in enumerate(faces):
        axis = k - dim
        zero = torch.zeros_like(u.narrow(axis, 0, 1))  # the wall's value, half a cell outside
        flux = face * torch.diff(u, dim=axis, prepend=zero, append=zero)
        total = total - torch.diff(flux, dim=axis)
    return total


def apply_stencil(
    u: Tensor, coefficient: Tensor, spacing: Sequence[float], mean: Mean = "harmonic"
) -> Tensor:
    """Apply -∇·(a∇·), integrated over the cells, in one call; see face_conductances and apply.

    Args:
        u: Cell values, shape (..., *grid).
        coefficient: Positive cell values a, shape (..., *grid).
        spacing: Cell widths.
        mean: Mean of a at the faces.

    Returns:
        A u, shape (..., *grid).
    """
    return apply(u, face_conductances(coefficient, spacing, mean))
