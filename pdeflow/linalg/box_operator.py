"""Matrices with constant coefficients on a box: which ones are a Kronecker sum of tridiagonal matrices.

A = S (Σ_k I ⊗ T_k ⊗ I) S with tridiagonal or circulant T_k and a diagonal S that carries the half volumes of nodes on walls.
Lynch, Rice and Thomas, Numer. Math. 6 (1964) 185 (tensor-product matrices); Saad, 2nd ed., section 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
import scipy.sparse as sp

from pdeflow.linalg.system import LinearSystem

TOLERANCE = 1e-11
"""Largest relative difference of entries that count as equal."""


NO_BOX = "the unknowns do not form a box"
NO_STENCIL = "the matrix is not a (2d+1)-point stencil on the box"
UNBOXED = (NO_BOX, NO_STENCIL)


@dataclass(frozen=True, eq=False)
class Axis:
    """Matrix T of one axis: rows (lower, main, upper), wrapped around where periodic.

    Attributes:
        main: Diagonal, shape (n,).
        upper: Entries (i, i + 1), shape (n - 1,), or (n,) where periodic.
        lower: Entries (i + 1, i), of the same shape; the last one of a periodic axis is entry (0, n - 1).
        periodic: Whether the axis wraps around.
    """

    main: np.ndarray
    upper: np.ndarray
    lower: np.ndarray
    periodic: bool


@dataclass(frozen=True, eq=False)
class BoxOperator:
    """A = S (Σ_k I ⊗ T_k ⊗ I) S on a box of unknowns, and a diagonal on those that are coupled to nothing.

    Attributes:
        shape: Unknowns per axis of the coupled box.
        axes: One matrix for each axis.
        scale: Diagonal of S, shape (*shape,), or None for ones.
        coupled: Flat indices of the box among all unknowns, or None for all.
        isolated: Diagonal of A where a row has no other entry, shape (n,), or None.
    """

    shape: tuple[int, ...]
    axes: tuple[Axis, ...]
    scale: np.ndarray | None = None
    coupled: np.ndarray | None = None
    isolated: np.ndarray | None = None


def box_of(system: LinearSystem) -> tuple[int, ...] | None:
    """Guess the shape of the box from the grid, the name of the layout, or the diagonals of the matrix.

    Args:
        system: System with an assembled matrix.

    Returns:
        Unknowns per axis, their product n; or None. Nothing is promised about the entries.
    """
    for shape in (getattr(system.grid, "shape", None), _shape_in(system.layout)):
        if shape and prod(shape) == system.n:
            return tuple(shape)
    return _shape_from_offsets(system.A)


def box_operator(A: Any, shape: tuple[int, ...] | None) -> BoxOperator | str:
    """Find the Kronecker sum that a matrix is.

    Args:
        A: Sparse matrix (n, n).
        shape: Unknowns per axis, last axis fastest, or None where unknown.

    Returns:
        The operator, or a sentence that says why the matrix is none.
    """
    if shape is None or prod(shape) != A.shape[0]:
        return NO_BOX
    A = A.tocsr()
    rows = np.diff(A.indptr)
    if rows.min() > 1 or rows.max() == 1:
        return _kronecker_sum(A, shape)
    coupled = np.flatnonzero(rows > 1)
    corners = [np.unique(index) for index in np.unravel_index(coupled, shape)]
    inner = tuple(len(index) for index in corners)
    if prod(inner) != len(coupled):
        return NO_BOX
    found = _kronecker_sum(sp.csr_array(A[coupled][:, coupled]), inner)
    if isinstance(found, str):
        return found
    return BoxOperator(found.shape, found.axes, found.scale, coupled, np.asarray(A.diagonal()))


def _kronecker_sum(A: Any, shape: tuple[int, ...]) -> BoxOperator | str:
    """As box_operator, for a matrix without isolated rows."""
    bands = [axis_bands(A, shape, k) for k in range(len(shape))]
    main = np.asarray(A.diagonal()).reshape(shape)
    stored = np.count_nonzero(main) + sum(np.count_nonzero(band) for pair in bands for band in pair)
    if stored != np.count_nonzero(A.data):
        return NO_STENCIL
    weights = [_half_weights(bands, shape, k) for k in range(len(shape))]
    plain = all(np.all(w == 1.0) for w in weights)
    scale = None if plain else np.sqrt(_outer(weights))
    if scale is not None:
        main, bands = main / scale**2, [_rescaled(bands[k], scale, k) for k in range(len(shape))]
    axes = []
    for k in range(len(shape)):
        upper, lower = (_line(band, k) for band in bands[k])
        seam = bool(len(upper) > 2 and (upper[-1] or lower[0]))
        if not all(
            _same(band, _along(line, k, len(shape)))
            for band, line in zip(bands[k], (upper, lower), strict=True)
        ):
            return f"the coefficients vary (neighbours along axis {k})"
        axes.append(
            Axis(
                _line(main, k), upper if seam else upper[:-1], np.roll(lower, -1) if seam else lower[1:], seam
            )
        )
    middle = main[tuple(n // 2 for n in shape)]
    total = sum(_along(axis.main - middle, k, len(shape)) for k, axis in enumerate(axes)) + middle
    if not _same(main, np.broadcast_to(total, shape)):
        return "the coefficients vary (diagonal)"
    shifted = [
        Axis(a.main - (middle if k else 0.0), a.upper, a.lower, a.periodic) for k, a in enumerate(axes)
    ]
    return BoxOperator(shape, tuple(shifted), scale)


def axis_bands(A: Any, shape: tuple[int, ...], axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Entries that couple each unknown with its neighbours above and below along an axis, seams of periodic axes included.

    Args:
        A: CSR matrix.
        shape: Unknowns per axis.
        axis: Number of the axis.

    Returns:
        (upper, lower), each (*shape,): entry of row i for the neighbour above, and below; zero where there is none.
    """
    n, stride, length = A.shape[0], prod(shape[axis + 1 :]), shape[axis]
    upper, lower = np.zeros(n, A.dtype), np.zeros(n, A.dtype)
    if length == 1:
        return upper.reshape(shape), lower.reshape(shape)
    upper[: n - stride], lower[stride:] = A.diagonal(stride), A.diagonal(-stride)
    ends = [(slice(None),) * axis + (end,) for end in (0, -1)]
    upper, lower = upper.reshape(shape), lower.reshape(shape)
    upper[ends[1]], lower[ends[0]] = 0.0, 0.0  # the next row of the box, not a neighbour
    if length > 2:
        reach, index = stride * (length - 1), np.arange(n).reshape(shape)
        below, above = A.diagonal(-reach), A.diagonal(reach)
        upper[ends[1]] = below[index[ends[1]] - reach]
        lower[ends[0]] = above[index[ends[0]]]
    return upper, lower


def _half_weights(
    bands: list[tuple[np.ndarray, np.ndarray]], shape: tuple[int, ...], axis: int
) -> np.ndarray:
    """Volume of the layers along an axis relative to the largest one, read from the couplings along another axis."""
    weights = np.ones(shape[axis])
    others = [k for k in range(len(shape)) if k != axis and shape[k] > 1]
    if others:
        line = np.abs(_line(bands[others[0]][0], axis, others[0]))
        for end in (0, -1):
            if line[end] > 0 and abs(line[end] / line.max() - 0.5) < 1e-9:
                weights[end] = 0.5
    return weights


def _rescaled(
    pair: tuple[np.ndarray, np.ndarray], scale: np.ndarray, axis: int
) -> tuple[np.ndarray, np.ndarray]:
    """Bands of S⁻¹ A S⁻¹ along an axis."""
    upper, lower = pair
    return upper / (scale * np.roll(scale, -1, axis)), lower / (scale * np.roll(scale, 1, axis))


def _line(values: np.ndarray, axis: int, other: int | None = None) -> np.ndarray:
    """Values along an axis through the middle of the box, or through the first layer but one along `other`."""
    index: list[Any] = [n // 2 for n in values.shape]
    index[axis] = slice(None)
    if other is not None:
        index[other] = (values.shape[other] - 1) // 2
    return values[tuple(index)]


def _along(line: np.ndarray, axis: int, ndim: int) -> np.ndarray:
    return line.reshape([-1 if k == axis else 1 for k in range(ndim)])


def _outer(lines: list[np.ndarray]) -> np.ndarray:
    total = np.ones([len(line) for line in lines])
    for k, line in enumerate(lines):
        total = total * _along(line, k, len(lines))
    return total


def _same(values: np.ndarray, expected: np.ndarray) -> bool:
    size = float(np.abs(values).max(initial=0.0))
    return bool(np.abs(values - expected).max(initial=0.0) <= TOLERANCE * size)


def _shape_in(layout: str) -> tuple[int, ...] | None:
    """Shape named by a layout such as "cell-64x64"."""
    words = layout.rpartition("-")[2].split("x")
    return tuple(int(word) for word in words) if all(word.isdigit() for word in words) else None


def _shape_from_offsets(A: Any) -> tuple[int, ...] | None:
    """Shape of a box whose neighbours make up the long diagonals of the matrix."""
    coo, n = A.tocoo(), A.shape[0]
    offset = coo.col.astype(np.int64) - coo.row
    counts = np.bincount(offset[offset > 0], minlength=2)
    strides = [int(s) for s in np.flatnonzero(counts >= max(n // 2, 1))]
    if not strides or strides[0] != 1 or len(strides) > 3:
        return None
    sizes = [*strides, n]
    if any(large % small for small, large in pairwise(sizes)):
        return None
    return tuple(large // small for small, large in pairwise(sizes))[::-1]
