"""O-grids: rings of nodes between a star-shaped curve and a circle or a square around it.

Thompson, Warsi and Mastin, Numerical Grid Generation (1985), chapter II; the layout of the Geo-FNO elasticity data
(Li et al., Fourier neural operator with learned deformations, JMLR 24 (2023), section 4.1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.index_stencil import Seam
from pdeflow.geometry.mapped_grid import MappedGrid


def o_grid(
    radius: float | Callable[[Tensor], Tensor],
    shape: Sequence[int],
    *,
    outer: Literal["circle", "square"] = "circle",
    outer_radius: float = 0.5,
    center: Sequence[float] = (0.5, 0.5),
    cut: bool = False,
) -> MappedGrid:
    """Place nodes on straight rays between r(θ) and an outer curve; axis 0 runs along θ from -π/4, axis 1 outward.

    Args:
        radius: Inner radius r(θ) in length units, or a function of angles (n,); θ = 0 points along x.
        shape: Nodes round and across; for a square the intervals round must be a multiple of 4, so that its corners
            are nodes.
        outer: Outer curve.
        outer_radius: Radius of the circle, half the side of the square.
        center: Centre of both curves.
        cut: Repeat the first ray as the last one, joined by a seam, instead of a periodic axis (as in the public
            65 x 41 elasticity data).

    Returns:
        Grid with the tags "inner" and "outer"; around a square also "x0-", "x0+", "x1-", "x1+" for its sides, as
        those of Box.

    Raises:
        UsageError: If the inner curve reaches the outer one, or the corners are no nodes.
    """
    rounds, across = (int(n) for n in shape)
    intervals = rounds - 1 if cut else rounds
    if outer not in ("circle", "square") or (outer == "square" and intervals % 4):
        raise UsageError(
            f"an O-grid needs outer 'circle', or 'square' with 4 k intervals round; got {outer!r}, {intervals}"
        )
    coords = _rays(radius, intervals, across, outer_radius, outer == "square")
    coords = coords + torch.tensor(center, dtype=torch.float64)
    ids = torch.arange(rounds * across).reshape(rounds, across)
    seams: tuple[Seam, ...] = ()
    if cut:
        coords = torch.cat([coords, coords[:1]])
        seams = (Seam("x0-", "x0+", torch.stack([ids[0], ids[-1]], dim=1)),)
    tags = {"inner": ids[:, 0], "outer": ids[:, -1]}
    if outer == "square":
        tags |= _sides(coords[:, -1], ids[:, -1], outer_radius, center)
    return MappedGrid(coords, (not cut, False), tags, seams)


def _rays(
    radius: float | Callable[[Tensor], Tensor], count: int, across: int, outer_radius: float, square: bool
) -> Tensor:
    """Nodes about the origin on rays from the angle -π/4 on, shape (count, across, 2)."""
    angle = 2 * math.pi * torch.arange(count, dtype=torch.float64) / count - math.pi / 4
    direction = torch.stack([angle.cos(), angle.sin()], dim=1)  # (n, 2)
    inner = radius(angle) if callable(radius) else torch.full_like(angle, radius)
    reach = outer_radius / (direction.abs().amax(dim=1) if square else torch.ones_like(angle))
    _check_radius(inner, reach, angle)
    length = torch.lerp(inner[:, None], reach[:, None], torch.linspace(0, 1, across, dtype=torch.float64))
    return length[..., None] * direction[:, None]


def _check_radius(inner: Tensor, reach: Tensor, angle: Tensor) -> None:
    bad = torch.nonzero((inner <= 0) | (inner >= reach)).flatten()
    if len(bad):
        i = int(bad[0])
        raise UsageError(
            f"the inner radius must lie between 0 and the outer curve, got {float(inner[i]):.4g} of {float(reach[i]):.4g} "
            f"at angle {float(angle[i]):.4g}"
        )


def _sides(rim: Tensor, ids: Tensor, half: float, center: Sequence[float]) -> dict[str, Tensor]:
    """Nodes of the rim on each side of the square; a corner belongs to both."""
    offset = rim - torch.tensor(center, dtype=torch.float64)
    return {
        f"x{k}{side}": ids[(offset[:, k] - sign * half).abs() < 1e-9 * half]
        for k in range(2)
        for side, sign in (("-", -1), ("+", 1))
    }
