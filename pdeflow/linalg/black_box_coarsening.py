"""Interpolation read off the matrix, and the Galerkin product with it: black box multigrid, for many samples at once.

Along each axis that is coarsened the cells with odd index stay. A cell between them takes the value that makes its own equation
hold once the stencil is summed over the other axes, so that fluxes stay continuous where the coefficient jumps.
Dendy, Black box multigrid, J. Comput. Phys. 48 (1982) 366, section 3; its extension to 3-D: Dendy, SIAM J. Sci. Comput. 8 (1987).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product

import torch
from torch import Tensor

from pdeflow.linalg.batched_stencil import Offset, Slices, Stencil, members, overlap, shape_of

Weights = dict[Offset, Tensor]
Interpolation = dict[Offset, Weights]
"""For each kind of cell, a 1 at every axis along which it lies between coarse ones, the weights of the coarse points around it.

A weight's key is the step from the cell to the coarse point, ±1 where the kind is 1; its shape is (*cells of the kind, batch).
The coarse points themselves, of kind 0, have the weight 1, which is not stored.
"""


def kinds(axes: Sequence[int], d: int) -> Iterator[Offset]:
    """Yield all kinds of cells, coarse points first, those between more of them later."""
    for size in range(len(axes) + 1):
        for chosen in combinations(axes, size):
            yield tuple(int(k in chosen) for k in range(d))


def cells(kind: Offset, axes: Sequence[int], shape: Sequence[int]) -> Slices:
    """Return the slices of a kind of cells: even indices where it is 1, odd ones along the other coarsened axes."""
    index = members([1 - between for between in kind], shape)
    return tuple(index[k] if k in axes else slice(None) for k in range(len(shape)))


def moved(kind: Offset, step: Offset, axes: Sequence[int]) -> Offset:
    """Return the kind of the cell that lies a step away."""
    return tuple((b + s) % 2 if k in axes else b for k, (b, s) in enumerate(zip(kind, step, strict=True)))


def interpolation(stencil: Stencil, axes: Sequence[int]) -> Interpolation:
    """Find the weights of the coarse points in every other cell.

    Args:
        stencil: Operator of the fine grid.
        axes: Which axes are coarsened; each has at least two cells.

    Reference: Dendy (1982), section 3; a diagonal below the sum of the weights, which a coarse stencil may have, is raised to it.
    """
    shape, d = shape_of(stencil), len(shape_of(stencil))
    found: Interpolation = {}
    for kind in kinds(axes, d):
        if not any(kind):
            continue
        own = cells(kind, axes, shape)
        summed: Weights = {}
        for offset, values in stencil.items():
            step = tuple(o * b for o, b in zip(offset, kind, strict=True))
            summed[step] = summed[step] + values[own] if step in summed else values[own]
        main = summed.pop((0,) * d)
        neighbours = {step: -values for step, values in summed.items()}
        main = torch.maximum(main, torch.stack(list(neighbours.values())).sum(0))
        weights: Weights = {}
        for step, values in neighbours.items():
            _add_through(weights, values / main, step, kind, found, axes, shape)
        found[kind] = weights
    return found


def _add_through(
    total: Weights, factor: Tensor, step: Offset, kind: Offset, weights: Interpolation, axes: Sequence[int], shape: Sequence[int]
) -> None:  # fmt: skip
    """Add factor times the interpolated value of the cells one step away from those of a kind."""
    there = moved(kind, step, axes)
    if not any(there):
        total[step] = total[step] + factor if step in total else factor.clone()
        return
    rows, source = _windows(kind, step, axes, shape)
    for onward, weight in weights[there].items():
        key = tuple(s + o for s, o in zip(step, onward, strict=True))
        if key not in total:
            total[key] = torch.zeros_like(factor)
        total[key][rows].addcmul_(factor[rows], weight[source])


def _windows(kind: Offset, step: Offset, axes: Sequence[int], shape: Sequence[int]) -> tuple[Slices, Slices]:
    """Where cells of a kind have a cell a step away: slices of the former and of the latter among the cells of their kinds."""
    pairs = []
    for k, (b, s, n) in enumerate(zip(kind, step, shape, strict=True)):
        if k not in axes:
            pairs.append(overlap(s, n, n))
        else:  # even cell 2j has 2j - 1 = odd cell j - 1 below it, odd cell 2j + 1 has 2j = even cell j
            shift = 0 if s == 0 else (s - 1) // 2 if b else (s + 1) // 2
            counts = n // 2, (n + 1) // 2
            pairs.append(overlap(shift, counts[b], counts[(b + s) % 2]))
    return tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)


def galerkin(stencil: Stencil, weights: Interpolation, axes: Sequence[int]) -> Stencil:
    """Return the stencil of Pᵀ A P on the coarse points, symmetric to the last bit.

    Args:
        stencil: A on the fine grid, symmetric.
        weights: The interpolation P.
        axes: Which axes are coarsened.

    Reference: Dendy (1982), section 3; Trottenberg, Oosterlee and Schüller (2001), section 7.7.4.
    """
    shape, d = shape_of(stencil), len(shape_of(stencil))
    coarse = tuple(n // 2 if k in axes else n for k, n in enumerate(shape))
    products = {kind: _rows_of_product(stencil, weights, kind, axes) for kind in kinds(axes, d)}
    batch = stencil[(0,) * d].shape[-1]
    spread = [2 if k in axes else 1 for k in range(d)]
    steps = list(product(*((-1, 0, 1) if m == 2 else (0,) for m in spread)))
    found: Stencil = {}
    for offset in product((-1, 0, 1), repeat=d):
        if offset < (0,) * d or any(o and n == 1 for o, n in zip(offset, coarse, strict=True)):
            continue
        entries = stencil[(0,) * d].new_zeros((*coarse, batch))
        for step in steps:  # from the coarse point to a cell, and by the key on to the other coarse point
            kind = tuple(abs(s) for s in step)
            key = tuple(m * o - s for m, o, s in zip(spread, offset, step, strict=True))
            if key not in products[kind]:
                continue
            rows, source = _windows((0,) * d, step, axes, shape)
            values = products[kind][key][source]
            if any(kind):
                entries[rows].addcmul_(weights[kind][tuple(-s for s in step)][source], values)
            else:
                entries[rows].add_(values)
        found[offset] = entries
        if any(offset):
            found[tuple(-o for o in offset)] = _mirrored(entries, offset)
    return found


def _rows_of_product(stencil: Stencil, weights: Interpolation, kind: Offset, axes: Sequence[int]) -> Weights:
    """Entries of A P in the rows of one kind of cells, by the step from the cell to the coarse point."""
    shape = shape_of(stencil)
    total: Weights = {}
    own = cells(kind, axes, shape)
    for offset, values in stencil.items():
        _add_through(total, values[own], offset, kind, weights, axes, shape)
    return total


def _mirrored(entries: Tensor, offset: Offset) -> Tensor:
    """Entries s_(-o)[j + o] = s_o[j] of a symmetric matrix; zero where they point outside."""
    pairs = [overlap(o, n, n) for o, n in zip(offset, entries.shape[:-1], strict=True)]
    here, there = tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)
    out = torch.zeros_like(entries)
    out[there] = entries[here]
    return out
