"""The hierarchy and the grid transfers of a geometric multigrid cycle for -∇·(a∇u) = f, in two and three dimensions.

Cell-centred operators as in pdeflow.linalg.operators, coarsened by adding parallel conductances; even stencils of 3^d entries.
Briggs, Henson and McCormick, A Multigrid Tutorial, 2nd ed. (2000), chapter 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import log2, prod
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from pdeflow.linalg import operators
from pdeflow.linalg.obstacles import Obstacles, obstacle_faces

COARSEST_CELLS = 256  # 16 × 16: a dense product costs as much as one sweep there


@dataclass(frozen=True)
class Level:
    """Operator of one level of the hierarchy.

    Attributes:
        faces: Face conductances, one tensor for each axis, (batch, 1, *grid) with one entry more along that axis.
        diagonal: Diagonal of A, shape (batch, 1, *grid); infinite in obstacles, where no sweep changes anything.
        inverse: A⁻¹ on the coarsest level, shape (batch, n, n) for n cells; None on the others.
        active: One in the domain and zero in obstacles, shape (*grid); None without obstacles.
        insulated: Sides of the box without flux, of "x0-", "x0+", …; u = 0 on the others.
    """

    faces: operators.Faces
    diagonal: Tensor
    inverse: Tensor | None = None
    active: Tensor | None = None
    insulated: tuple[str, ...] = ()

    def to(self, device: torch.device, dtype: torch.dtype) -> Level:
        """Return a copy on a device, in a precision."""
        faces, diagonal = tuple(face.to(device, dtype) for face in self.faces), self.diagonal.to(device, dtype)
        inverse, active = (None if part is None else part.to(device, dtype) for part in (self.inverse, self.active))
        return Level(faces, diagonal, inverse, active, self.insulated)

    def inside(self, u: Tensor) -> Tensor:
        """Return u without its values in obstacles."""
        return u if self.active is None else self.active * u


def coarsen(faces: operators.Faces) -> operators.Faces:
    """Conductances of the grid with half the cells per axis: 2^(d-1) parallel faces, twice the distance.

    A coarse face is fine faces side by side, joined to cell centres twice as far away, so its conductance is half
    their sum: what the harmonic mean gives for the rows of fine cells between the coarse centres.

    Args:
        faces: Shapes (..., *grid) with one entry more along the face's axis; even sides.
    """
    dim, coarse = len(faces), []
    for k, face in enumerate(faces):
        for axis in range(dim):
            at = axis - dim
            index = torch.arange(0, face.shape[at], 2, device=face.device)
            even = face.index_select(at, index)
            face = even if axis == k else even + face.index_select(at, index + 1)
        coarse.append(face / 2)
    return tuple(coarse)


def dense_inverse(faces: operators.Faces, active: Tensor | None = None) -> Tensor:
    """Invert the operator as a dense matrix, shape (batch, n, n) for n cells, by Cholesky.

    Args:
        faces: Shapes (batch, 1, *grid) with one entry more along the face's axis.
        active: One in the domain and zero in obstacles, where the inverse is zero; shape (*grid).

    Raises:
        ValueError: If an obstacle closes off a part of the domain.
    """
    main, dim = operators.diagonal(faces), len(faces)
    cells = torch.arange(main[0].numel(), device=main.device).reshape(main.shape[2:])
    matrix = torch.diag_embed(main.flatten(1))  # (batch, n, n)
    for k, face in enumerate(faces):
        count = cells.shape[k] - 1
        low, high = cells.narrow(k, 0, count), cells.narrow(k, 1, count)
        conductance = face.narrow(k - dim, 1, count)[:, 0]
        matrix[:, low, high] = -conductance
        matrix[:, high, low] = -conductance
    if active is None:
        return torch.cholesky_inverse(torch.linalg.cholesky(matrix))
    both = torch.outer(active.flatten(), active.flatten())
    factor, info = torch.linalg.cholesky_ex(matrix * both + torch.diag(1 - active.flatten()))
    if bool(info.any()):
        raise ValueError("an obstacle closes off a part of the domain, whose constant no wall fixes; use AMG with a null space")
    return torch.cholesky_inverse(factor) * both


def setup_levels(
    coefficient: Tensor, spacing: Sequence[float] = (1.0, 1.0), coarsest: int = COARSEST_CELLS, obstacles: Obstacles | None = None
) -> tuple[Level, ...]:  # fmt: skip
    """Build the hierarchy of one batch of coefficients; free of weights, so every cycle can reuse it.

    Args:
        coefficient: Positive cell values a, shape (batch, 1, *grid), two or three axes.
        spacing: Cell widths, one per axis; in 2-D only their ratio matters.
        coarsest: All sides are halved while they are even and the level has more cells than this.
        obstacles: Cells that are not in the domain, the same for the batch, or None.

    Returns:
        Levels from fine to coarse, at least one.

    Raises:
        ValueError: If the coefficient has another shape or is not positive, or if halving stops at an odd side while
            the level is still too large for a dense inverse (more than 4 coarsest cells).
    """
    dim = len(spacing)
    if dim not in (2, 3) or coefficient.ndim != dim + 2 or coefficient.shape[1] != 1:
        raise ValueError(
            "expected a coefficient (batch, 1, *grid) and a spacing for each of two or three axes, got "
            f"{tuple(coefficient.shape)} and {tuple(spacing)}; use a[None, None] for (nx, ny)"
        )
    if not bool((coefficient > 0).all()):
        raise ValueError(
            f"expected a positive coefficient, got values down to {coefficient.min():.3g}; "
            "holes and sign changes need another preconditioner, e.g. AMG"
        )
    if obstacles is not None and obstacles.active.shape != coefficient.shape[2:]:
        raise ValueError(f"obstacles have the shape {tuple(obstacles.active.shape)}, the coefficient {tuple(coefficient.shape[2:])}")
    faces, levels, sides = _faces(coefficient, spacing, obstacles), [], tuple(coefficient.shape[2:])
    while prod(sides) > coarsest and not any(side % 2 for side in sides):
        levels.append(_level(faces, obstacles))
        faces, sides, obstacles = coarsen(faces), tuple(side // 2 for side in sides), obstacles and obstacles.coarse()
    if prod(sides) > 4 * coarsest:
        fine = tuple(coefficient.shape[2:])
        power = 2 ** max(1, round(log2(max(fine)) - log2(coarsest) / dim))  # so that the longer side stops near the coarsest one
        near = tuple(power * max(1, round(n / power)) for n in fine)
        raise ValueError(
            f"expected sides that halve to at most {4 * coarsest} cells, got {fine}, which stops at {sides}; take a grid such as "
            f"{near}, or use AMG"
        )
    last = _level(faces, obstacles)
    return (*levels, replace(last, inverse=dense_inverse(faces, last.active)))


def _faces(coefficient: Tensor, spacing: Sequence[float], obstacles: Obstacles | None) -> operators.Faces:
    if obstacles is None:
        return operators.face_conductances(coefficient, spacing)
    return obstacle_faces(coefficient, spacing, obstacles)


def _level(faces: operators.Faces, obstacles: Obstacles | None) -> Level:
    diagonal = operators.diagonal(faces)
    if obstacles is None:
        return Level(faces, diagonal)
    active = obstacles.active.to(diagonal.device) & (diagonal[0, 0] > 0)  # a coarse cell may have lost all its faces
    return Level(faces, torch.where(active, diagonal, torch.inf), None, active.to(diagonal.dtype), obstacles.insulated)


class Weights(NamedTuple):
    """What a cycle has learned, ready for use.

    Attributes:
        smoother: K as a stencil, shape (3,) * d.
        transfer: T as a stencil, same shape.
        correction: Factor of the coarse correction, 0-d.
    """

    smoother: Tensor
    transfer: Tensor
    correction: Tensor


def apply_cycle(r: Tensor, levels: Sequence[Level], weights: Weights) -> Tensor:
    """Apply one V(1,1) cycle; nothing in it waits for the device, so it can be captured as a CUDA graph.

    Args:
        r: Residuals in integrated form, shape (batch, 1, *grid).
        levels: Hierarchy from this level down.
        weights: Stencils and factor in the type of r.

    Returns:
        Corrections, shape (batch, 1, *grid).
    """
    level = levels[0]
    if level.inverse is not None:
        return (level.inverse @ r.flatten(2).mT).mT.reshape(r.shape)
    x = smooth(r, level.diagonal, weights.smoother)
    rest = restrict(level.inside(r - operators.apply(x, level.faces)), weights.transfer, level.insulated)
    coarse = prolong(apply_cycle(rest, levels[1:], weights), weights.transfer, level.insulated)
    x = x + weights.correction * level.inside(coarse)
    return x + smooth(r - operators.apply(x, level.faces), level.diagonal, weights.smoother)


def fold(dim: int) -> Tensor:
    """Where each of the 3^dim entries of an even stencil is found among its 2^dim numbers: bit k says "off centre along axis k"."""
    places = [sum((offset != 1) << k for k, offset in enumerate(entry)) for entry in product(range(3), repeat=dim)]
    return torch.tensor(places).reshape((3,) * dim)


def linear_interpolation(dim: int) -> Tensor:
    """Return the 2^dim numbers of (1, 2, 1)/4 along every axis: (bi- or tri)linear after doubling the cells."""
    return torch.tensor([2.0 ** (dim - bin(k).count("1")) / 4**dim for k in range(2**dim)])


def even_convolution(u: Tensor, stencil: Tensor) -> Tensor:
    """Apply an even stencil to a padded u, shape (batch, 1, *(side + 2)); returns (batch, 1, *grid).

    Neighbours are added axis by axis, except in the plane on a CPU: in space a convolution of one channel takes ten times as long in
    float64, and on a GPU it would round float32 to TF32, which has 10 bits, so that the cycle were no longer symmetric.
    """
    if stencil.ndim == 2 and u.device.type == "cpu":
        return functional.conv2d(u, stencil[None, None])
    return _neighbours(u, stencil[(slice(1, None),) * stencil.ndim])


def _neighbours(u: Tensor, numbers: Tensor) -> Tensor:
    """Sum u and its neighbours with numbers of shape (2,) * axes, entry 1 being both neighbours along an axis."""
    if numbers.ndim == 0:
        return numbers * u
    axis, inside = -numbers.ndim, u.shape[-numbers.ndim] - 2
    sides = u.narrow(axis, 0, inside) + u.narrow(axis, 2, inside)
    return _neighbours(u.narrow(axis, 1, inside), numbers[0]) + _neighbours(sides, numbers[1])


def smooth(r: Tensor, diagonal: Tensor, stencil: Tensor) -> Tensor:
    """One sweep from zero, D^(-1/2) K D^(-1/2) r: damped Jacobi when K is a number, symmetric for even K.

    Args:
        r: Residual, shape (batch, 1, *grid).
        diagonal: D, same shape.
        stencil: K, shape (3,) * d, applied with zeros outside.
    """
    scale = diagonal.rsqrt()
    return scale * even_convolution(functional.pad(scale * r, (1, 1) * stencil.ndim), stencil)


def reflected_convolution(u: Tensor, stencil: Tensor, insulated: tuple[str, ...] = ()) -> Tensor:
    """Apply an even stencil to u, shape (batch, 1, *grid), continued oddly through the sides where u = 0, evenly through insulated ones.

    The wall lies half a cell outside, so -u of the edge cell is what makes linear interpolation vanish there
    (zeros cost 15 % more iterations), and u what leaves constants alone. The matrix is symmetric because the stencil is even in each axis.
    """
    for k in range(stencil.ndim):
        axis = k - stencil.ndim
        low, high = (1.0 if f"x{k}{end}" in insulated else -1.0 for end in "-+")
        u = torch.cat((low * u.narrow(axis, 0, 1), u, high * u.narrow(axis, u.shape[axis] - 1, 1)), axis)
    return even_convolution(u, stencil)


def restrict(r: Tensor, stencil: Tensor, insulated: tuple[str, ...] = ()) -> Tensor:
    """Restrict an integrated residual to half the cells per axis: smooth, then sum 2^d cells."""
    r = reflected_convolution(r, stencil, insulated)
    if stencil.ndim == 2:
        return 4 * functional.avg_pool2d(r, 2)
    for axis in (-3, -2, -1):  # pooling in space has no 16 bits on a CPU
        r = r.unflatten(axis, (-1, 2)).sum(axis)  # the pair has taken the place of the axis
    return r


def prolong(e: Tensor, stencil: Tensor, insulated: tuple[str, ...] = ()) -> Tensor:
    """Interpolate a correction to twice the cells per axis, the exact adjoint of restrict."""
    return reflected_convolution(functional.interpolate(e, scale_factor=2, mode="nearest"), stencil, insulated)
