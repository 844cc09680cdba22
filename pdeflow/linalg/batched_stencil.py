"""Stencils on a box for many samples at once: (A u)_i = Σ_o s_o[i] u_(i+o), the samples on the last axis.

The samples lie side by side in memory, so that every strided part of a grid is read in whole rows of them. Vectors carry one
ghost cell of zeros around the grid; entries of a stencil that point outside are zero.
Trottenberg, Oosterlee and Schüller, Multigrid (2001), section 1.3.4 (stencil notation).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

import torch
from torch import Tensor

from pdeflow.linalg import operators
from pdeflow.linalg.operators import Faces

Offset = tuple[int, ...]
Stencil = dict[Offset, Tensor]
"""For each offset in {-1, 0, 1}^d the entries s_o, shape (*shape, batch); offsets whose entries all vanish may be absent."""
Slices = tuple[slice, ...]


def stencil_of(faces: Faces) -> Stencil:
    """Turn face conductances into the (2d+1)-point stencil of -∇·(a∇u) with u = 0 on the boundary.

    Args:
        faces: What operators.face_conductances returned, with the batch in front: (batch, *shape) and one entry more per axis.
    """
    d, entries = len(faces), {}
    entries[(0,) * d] = operators.diagonal(faces)
    for k, face in enumerate(faces):
        n = face.shape[k - d] - 1
        below, above = -face.narrow(k - d, 0, n), -face.narrow(k - d, 1, n)
        below.narrow(k - d, 0, 1).zero_()
        above.narrow(k - d, n - 1, 1).zero_()
        entries[unit(k, d, -1)], entries[unit(k, d, 1)] = below, above
    return {offset: values.movedim(0, -1).contiguous() for offset, values in entries.items()}


def unit(axis: int, d: int, step: int) -> Offset:
    """Return the offset of one step along an axis of d."""
    return tuple(step if k == axis else 0 for k in range(d))


def shape_of(stencil: Stencil) -> tuple[int, ...]:
    """Return the shape of the grid."""
    return tuple(next(iter(stencil.values())).shape[:-1])


def every_other(start: int, count: int) -> slice:
    """Return the slice start, start + 2, … of so many entries."""
    return slice(start, start + 2 * count - 1, 2) if count else slice(0, 0)


def parities(shape: Sequence[int]) -> list[Offset]:
    """Return the parity classes of a grid's indices that are not empty, red (even sum) before black.

    Within a colour a (2d+1)-point stencil couples no two cells, so this order is red-black there; a 3^d-point stencil needs
    all 2^d classes.
    """
    classes = product(*((0, 1)[: min(n, 2)] for n in shape))
    return sorted(classes, key=lambda parity: (sum(parity) % 2, parity))


def members(parity: Sequence[int], shape: Sequence[int], shift: Sequence[int] | None = None) -> Slices:
    """Return the slices of a parity class in an array without ghost cells, or, with a shift, of its cells moved by it.

    Args:
        parity: 0 for even and 1 for odd indices along each axis.
        shape: The grid.
        shift: Added to every index; 1 along each axis leads into an array with ghost cells.
    """
    moves = shift or (0,) * len(shape)
    return tuple(every_other(p + s, (n - p + 1) // 2) for p, s, n in zip(parity, moves, shape, strict=True))


def overlap(shift: int, count: int, source: int) -> tuple[slice, slice]:
    """Return where j and j + shift both exist, j of `count` and j + shift of `source` entries: slices of j and of j + shift."""
    first, last = max(0, -shift), max(0, -shift, min(count, source - shift))
    return slice(first, last), slice(first + shift, last + shift)


def pad(u: Tensor) -> Tensor:
    """Put ghost cells of zeros around cell values, shape (*shape, batch)."""
    out = u.new_zeros((*(n + 2 for n in u.shape[:-1]), u.shape[-1]))
    out[interior(u.shape[:-1])] = u
    return out


def interior(shape: Sequence[int]) -> Slices:
    """Return the slices of a grid inside its ghost cells."""
    return tuple(slice(1, n + 1) for n in shape)


def dense_inverse(stencil: Stencil) -> Tensor:
    """Invert a symmetric positive definite stencil as matrices, shape (batch, n, n), by Cholesky.

    A matrix that is not positive definite to rounding gives a useless inverse; those of the other samples are right.

    Args:
        stencil: A stencil of n cells.
    """
    shape = shape_of(stencil)
    cells = torch.arange(prod(shape)).reshape(shape)
    values = next(iter(stencil.values()))
    matrix = values.new_zeros(values.shape[-1], prod(shape), prod(shape))
    for offset, entries in stencil.items():
        pairs = [overlap(step, n, n) for step, n in zip(offset, shape, strict=True)]
        rows, columns = tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)
        where = cells[rows].reshape(-1).to(values.device), cells[columns].reshape(-1).to(values.device)
        matrix[:, where[0], where[1]] = entries[rows].reshape(-1, values.shape[-1]).mT
    factor, _ = torch.linalg.cholesky_ex(matrix)
    return torch.cholesky_inverse(factor)
