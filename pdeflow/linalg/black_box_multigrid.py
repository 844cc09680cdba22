"""One symmetric multigrid cycle for -∇·(a∇u) on a box, for many coefficients at once: the preconditioner of `solve_batch`.

V(1,1) with Gauss-Seidel by parity classes (red-black on the finest grid), backwards after the coarse correction, and with
coarse matrices that are Galerkin products. It is symmetric positive definite, whatever the coefficient.
Dendy, Black box multigrid, J. Comput. Phys. 48 (1982) 366; Trottenberg, Oosterlee and Schüller, Multigrid (2001), section 7.7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import Tensor

from pdeflow.linalg.batched_stencil import (
    Offset,
    Slices,
    Stencil,
    dense_inverse,
    every_other,
    interior,
    members,
    pad,
    parities,
    shape_of,
    stencil_of,
)
from pdeflow.linalg.black_box_coarsening import Interpolation, galerkin, interpolation
from pdeflow.linalg.operators import Faces

COARSEST_CELLS = 64
"""A dense product with the inverse for so many cells costs less than the sweeps of one level."""
STRONG = 1.5
"""Axes whose cells are at most so many times as wide as the narrowest ones are coarsened: a sweep smooths along those only."""

Term = tuple[Slices, Tensor]
Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Part:
    """The cells of one parity class, which a sweep updates together: u = r / main + Σ weight · u(moved).

    Attributes:
        where: The cells, in an array with ghost cells.
        main: Diagonal of A, shape (*cells, batch).
        inverse: One over it.
        earlier: Neighbours in classes that a forward sweep updates before, with -s_o / main.
        later: The other neighbours.
    """

    where: Slices
    main: Tensor
    inverse: Tensor
    earlier: tuple[Term, ...]
    later: tuple[Term, ...]

    def changed(self, change: Change) -> Part:
        """Return the part with all of its tensors replaced."""
        earlier, later = (tuple((s, change(w)) for s, w in side) for side in (self.earlier, self.later))
        return Part(self.where, change(self.main), change(self.inverse), earlier, later)


@dataclass(frozen=True)
class Level:
    """One grid of the hierarchy, with its scratch memory.

    Attributes:
        shape: Cells per axis.
        parts: All cells, in the order of a forward sweep.
        transfers: (cells, coarse points next to them, weights or None for 1); both in arrays with ghost cells.
        u: Scratch for the correction, with ghost cells.
        d: Scratch for the residual, with ghost cells.
        inverse: A⁻¹ on the coarsest grid, shape (batch, n, n); None on the others.
    """

    shape: tuple[int, ...]
    parts: tuple[Part, ...]
    transfers: tuple[tuple[Slices, Slices, Tensor | None], ...]
    u: Tensor
    d: Tensor
    inverse: Tensor | None = None

    def apply(self, u: Tensor) -> Tensor:
        """Return A u in new memory; u and the result have ghost cells of zeros."""
        out = torch.zeros_like(u)
        for part in self.parts:
            view = out[part.where]
            view.copy_(u[part.where])
            for there, weight in (*part.earlier, *part.later):
                view.addcmul_(weight, u[there], value=-1)
            view.mul_(part.main)
        return out

    def changed(self, change: Change) -> Level:
        """Return the level with all of its tensors replaced."""
        transfers = tuple((f, c, None if w is None else change(w)) for f, c, w in self.transfers)
        parts = tuple(part.changed(change) for part in self.parts)
        inverse = self.inverse
        if inverse is not None:
            inverse = change(inverse.movedim(0, -1)).movedim(-1, 0).contiguous()
        return Level(self.shape, parts, transfers, change(self.u), change(self.d), inverse)


class BatchedVCycle:
    """M ≈ A⁻¹ for a batch of systems; owns scratch memory, so one thread at a time.

    Args:
        levels: From fine to coarse, the last one with its inverse.

    Attributes:
        levels: The hierarchy.
    """

    def __init__(self, levels: Sequence[Level]) -> None:
        self.levels = list(levels)

    @classmethod
    def setup(cls, faces: Faces, spacing: Sequence[float], coarsest: int = COARSEST_CELLS) -> BatchedVCycle:
        """Build the hierarchy.

        Args:
            faces: Face conductances with the batch in front, from operators.face_conductances.
            spacing: Cell widths; they decide which axes are coarsened first.
            coarsest: Grids with at most so many cells are solved exactly.
        """
        stencil, widths, levels = stencil_of(faces), list(spacing), []
        while prod(shape_of(stencil)) > coarsest:
            long = [k for k, n in enumerate(shape_of(stencil)) if n > 1]
            thin = min(widths[k] for k in long)
            axes = [k for k in long if widths[k] <= STRONG * thin]
            weights = interpolation(stencil, axes)
            levels.append(_level(stencil, weights, axes))
            stencil = galerkin(stencil, weights, axes)
            widths = [2 * h if k in axes else h for k, h in enumerate(widths)]
        return cls([*levels, replace(_level(stencil, {}, []), inverse=dense_inverse(stencil))])

    def changed(self, change: Change) -> BatchedVCycle:
        """Return the cycle with all tensors replaced, samples on the last axis: a selection of samples, or another precision."""
        return BatchedVCycle([level.changed(change) for level in self.levels])

    def apply(self, u: Tensor) -> Tensor:
        """Return A u, for u with ghost cells of zeros, shape (*shape + 2, batch)."""
        return self.levels[0].apply(u)

    def __matmul__(self, r: Tensor) -> Tensor:
        """Apply the cycle to residuals with ghost cells of zeros; the result is scratch memory, valid until the next call."""
        return _cycle(r, self.levels)


def _cycle(r: Tensor, levels: Sequence[Level]) -> Tensor:
    level = levels[0]
    u, d, inside = level.u, level.d, interior(level.shape)
    if level.inverse is not None:
        right = r[inside].reshape(-1, r.shape[-1]).mT.unsqueeze(-1)  # (batch, n, 1)
        u[inside] = (level.inverse @ right).squeeze(-1).mT.reshape(u[inside].shape)
        return u
    for part in level.parts:
        view = u[part.where]
        torch.mul(r[part.where], part.inverse, out=view)
        _accumulate(view, u, part.earlier)
    for part in level.parts:  # all that is left of the residual is what later classes changed
        view = d[part.where].zero_()
        _accumulate(view, u, part.later)
        view.mul_(part.main)
    coarse = torch.zeros_like(levels[1].u)
    for fine, point, weight in level.transfers:
        if weight is None:
            coarse[point].add_(d[fine])
        else:
            coarse[point].addcmul_(weight, d[fine])
    e = _cycle(coarse, levels[1:])
    for fine, point, weight in level.transfers:
        if weight is None:
            u[fine].add_(e[point])
        else:
            u[fine].addcmul_(weight, e[point])
    for part in reversed(level.parts):
        view = u[part.where]
        torch.mul(r[part.where], part.inverse, out=view)
        _accumulate(view, u, (*part.earlier, *part.later))
    return u


def _accumulate(total: Tensor, u: Tensor, terms: Sequence[Term]) -> None:
    for there, weight in terms:
        total.addcmul_(weight, u[there])


def _level(stencil: Stencil, weights: Interpolation, axes: Sequence[int]) -> Level:
    shape = shape_of(stencil)
    d = len(shape)
    zero, one = (0,) * d, (1,) * d
    classes, parts = parities(shape), []
    for place, parity in enumerate(classes):
        own = members(parity, shape)
        main = stencil[zero][own].contiguous()
        inverse = 1 / main
        earlier: list[Term] = []
        later: list[Term] = []
        for offset, values in stencil.items():
            if offset == zero:
                continue
            there = tuple((p + o) % 2 for p, o in zip(parity, offset, strict=True))
            term = members(parity, shape, [1 + o for o in offset]), -values[own] * inverse
            (earlier if there in classes[:place] else later).append(term)
        parts.append(Part(members(parity, shape, one), main, inverse, tuple(earlier), tuple(later)))
    u = pad(torch.zeros_like(stencil[zero]))
    return Level(shape, tuple(parts), _transfers(shape, weights, axes), u, torch.zeros_like(u))


def _transfers(
    shape: Sequence[int], weights: Interpolation, axes: Sequence[int]
) -> tuple[tuple[Slices, Slices, Tensor | None], ...]:
    """List every kind of cells with the coarse points on each side of it; odd cell 2j + 1 is coarse point j."""
    if not axes:
        return ()
    found: list[tuple[Slices, Slices, Tensor | None]] = []
    d = len(shape)
    here: dict[Offset, dict[Offset, Any]] = {(0,) * d: {(0,) * d: None}}
    for kind, sides in (here | weights).items():
        for step, weight in sides.items():
            fine, points = [], []
            for k, (n, between) in enumerate(zip(shape, kind, strict=True)):
                if k not in axes:
                    fine.append(slice(1, n + 1))
                    points.append(slice(1, n + 1))
                    continue
                count = (n + between) // 2
                fine.append(every_other(2 - between, count))
                first = 0 if step[k] < 0 else 1  # even cell 2j lies between the points j - 1 and j
                points.append(slice(first, first + count))
            found.append((tuple(fine), tuple(points), weight))
    return tuple(found)
