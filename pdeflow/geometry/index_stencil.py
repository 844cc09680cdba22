"""Finite differences in index space: neighbours and weights along each axis of a structured grid.

Fornberg, Generation of finite difference formulas on arbitrarily spaced grids, Math. Comp. 51 (1988) 699: centred in
the interior and across periodic axes and seams, one-sided of the same order at the ends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeflow.errors import UsageError


@dataclass(frozen=True, eq=False)
class Seam:
    """Nodes of two index faces that are the same points: the cut of an O-grid or the wake cut of a C-grid.

    Stepping out of the grid at a node of `first` continues inward from its partner on `second`, and back.

    Attributes:
        first: Face of the first nodes, "x0-", "x0+", "x1-", …
        second: Face of the second nodes; may be the same face (a C-grid folds one face on itself).
        pairs: Flat node ids, shape (s, 2), int64.
    """

    first: str
    second: str
    pairs: Tensor


@dataclass(frozen=True, eq=False)
class IndexStencil:
    """The difference Σ_k weight_ik (u_index_ik - u_i) along one axis, per unit of the index.

    Attributes:
        index: Flat ids, shape (n, order), int64.
        weight: Weights, dimensionless, shape (n, order).
        wraps: How often the step from i crosses the end of a periodic axis, with sign, shape (n, order).
    """

    index: Tensor
    weight: Tensor
    wraps: Tensor


def index_stencil(
    shape: Sequence[int], periodic: Sequence[bool], seams: Sequence[Seam], axis: int, order: int
) -> IndexStencil:
    """Choose for every node the most centred window of order + 1 nodes along an axis.

    Args:
        shape: Nodes per axis.
        periodic: Axes that wrap around.
        seams: Faces joined to each other.
        axis: Axis of the difference.
        order: Even order of accuracy.

    Raises:
        UsageError: If the order is odd or the axis has fewer than order + 1 nodes.

    Reference: Fornberg (1988).
    """
    n = shape[axis]
    _check(n, axis, order)
    ids = torch.arange(math.prod(shape))
    stride = math.prod(shape[axis + 1 :])
    place = ids // stride % n  # index along the axis
    lower = _across(f"x{axis}-", seams, ids - place * stride, shape)
    upper = _across(f"x{axis}+", seams, ids + (n - 1 - place) * stride, shape)
    below = torch.where((lower[0] >= 0) | periodic[axis], order, place)  # nodes in reach
    above = torch.where((upper[0] >= 0) | periodic[axis], order, n - 1 - place)
    left = torch.minimum((order - above).clamp(min=order // 2), below)  # nodes of the window below node i
    window = torch.arange(order + 1) - left[:, None]
    offset = window[window != 0].reshape(-1, order)
    target = place[:, None] + offset
    wraps = torch.div(target, n, rounding_mode="floor")
    index = ids[:, None] + offset * stride
    if periodic[axis]:
        return IndexStencil(index - wraps * n * stride, _weights(order)[left], wraps)
    index = torch.where(wraps < 0, lower[0][:, None] - target * lower[1][:, None], index)
    index = torch.where(wraps > 0, upper[0][:, None] + (target - n + 1) * upper[1][:, None], index)
    return IndexStencil(index, _weights(order)[left], torch.zeros_like(wraps))


def _check(n: int, axis: int, order: int) -> None:
    if order < 2 or order % 2:
        raise UsageError(f"finite differences need an even order of 2 or more, got {order}")
    if n <= order:
        raise UsageError(
            f"differences of order {order} need {order + 1} values per axis, but axis {axis} has {n}; refine the grid"
        )


def inward_stride(face: str, shape: Sequence[int]) -> int:
    """Return the change of the flat id per step from a face into the grid."""
    stride = math.prod(shape[int(face[1:-1]) + 1 :])
    return stride if face.endswith("-") else -stride


def _across(face: str, seams: Sequence[Seam], ends: Tensor, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return the partners of the end nodes on a face, -1 where there is none, and their inward strides."""
    partner = torch.full((math.prod(shape),), -1)
    stride = torch.zeros_like(partner)
    for seam in seams:
        for here, there, column in ((seam.first, seam.second, 0), (seam.second, seam.first, 1)):
            if here == face:
                partner[seam.pairs[:, column]] = seam.pairs[:, 1 - column]
                stride[seam.pairs[:, column]] = inward_stride(there, shape)
    return partner[ends], stride[ends]


def _weights(order: int) -> Tensor:
    """First-derivative weights of windows with `left` nodes below, self left out, shape (order + 1, order)."""
    rows = []
    for left in range(order + 1):
        nodes = torch.arange(order + 1, dtype=torch.float64) - left
        moments = torch.zeros(order + 1, dtype=torch.float64)
        moments[1] = 1.0  # Σ w x = 1, all other moments vanish
        weight = torch.linalg.solve(nodes[None, :] ** torch.arange(order + 1)[:, None], moments)
        rows.append(weight[nodes != 0])
    return torch.stack(rows)
