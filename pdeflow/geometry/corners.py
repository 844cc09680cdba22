"""Corners of planar domains: boundary points that a mesh has to contain because the boundary turns there.

Where the boundaries of two combined domains cross, φ_A = φ_B = 0 is solved by Newton's method from points of A's boundary.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pdeflow.geometry.domain import implicit
from pdeflow.geometry.domain.box import Box
from pdeflow.geometry.domain.combination import Combination
from pdeflow.geometry.domain.complement import Complement
from pdeflow.geometry.domain.domain import Domain
from pdeflow.geometry.domain.moved import Moved
from pdeflow.geometry.domain.polygon import Polygon

SHARP = math.radians(20)
"""Turn from which a vertex of a polygon counts as a corner, radians."""


def corner_points(domain: Domain, spacing: float) -> Tensor:
    """Return the corners of a planar domain, sharpest first.

    Args:
        domain: The domain; shapes other than boxes, polygons and their combinations are taken as smooth.
        spacing: Of corners closer than this only the sharpest stays, and corners of combined domains are searched
            from boundary points this far apart; in length units.

    Returns:
        Points, shape (k, 2), float64.
    """
    points, turns = _corners(domain, spacing)
    on = (
        domain.sdf(points).abs() <= 1e-9 * domain.diameter
        if len(points)
        else torch.zeros(0, dtype=torch.bool)
    )
    points = points[on][turns[on].argsort(descending=True, stable=True)]
    kept: list[Tensor] = []
    for point in points:
        if all(float((point - other).norm()) >= spacing for other in kept):
            kept.append(point)
    return torch.stack(kept) if kept else torch.zeros(0, 2, dtype=torch.float64)


def _corners(domain: Domain, spacing: float) -> tuple[Tensor, Tensor]:
    """Return candidates (k, 2) and how far the boundary turns there (k,), radians."""
    if isinstance(domain, Box):
        (a, b), (c, d) = domain.bounds
        return torch.tensor([[a, c], [b, c], [b, d], [a, d]], dtype=torch.float64), torch.full(
            (4,), math.pi / 2
        ).double()
    if isinstance(domain, Polygon):
        found = [_turns(loop) for loop in domain.loops]
        return torch.cat([p for p, _ in found]), torch.cat([t for _, t in found])
    if isinstance(domain, Complement):
        return _corners(domain.inner, spacing)
    if isinstance(domain, Moved):
        points, turns = _corners(domain.original, spacing / domain.factor)
        return domain._forth(points), turns
    if isinstance(domain, Combination):
        found = [_corners(domain.left, spacing), _corners(domain.right, spacing), _crossings(domain, spacing)]
        return torch.cat([p for p, _ in found]), torch.cat([t for _, t in found])
    region = getattr(domain, "region", None)
    if isinstance(region, Domain):
        return _corners(region, spacing)
    return torch.zeros(0, 2, dtype=torch.float64), torch.zeros(0, dtype=torch.float64)


def _turns(loop: Tensor) -> tuple[Tensor, Tensor]:
    ahead, behind = loop.roll(-1, 0) - loop, loop - loop.roll(1, 0)
    cross = behind[:, 0] * ahead[:, 1] - behind[:, 1] * ahead[:, 0]
    turn = torch.atan2(cross, (behind * ahead).sum(dim=1)).abs()
    return loop[turn > SHARP], turn[turn > SHARP]


def _crossings(domain: Combination, spacing: float) -> tuple[Tensor, Tensor]:
    a, b = domain.left, domain.right
    if not math.isfinite(a.diameter):
        a, b = b, a
    count = max(64, int(4 * a.boundary_measure() / spacing))
    start = a.sample_boundary(count, method="sobol", generator=torch.Generator().manual_seed(0))
    point = start[b.sdf(start).abs() < 2 * spacing]
    for _ in range(20):
        (value_a, slope_a), (value_b, slope_b) = implicit.gradient(a, point), implicit.gradient(b, point)
        slopes, values = torch.stack([slope_a, slope_b], dim=1), torch.stack([value_a, value_b], dim=1)
        step = (torch.linalg.pinv(slopes, rcond=1e-9) @ values[:, :, None])[:, :, 0]
        point = point - step * (2 * spacing / step.norm(dim=1, keepdim=True).clamp(min=1e-300)).clamp(max=1.0)
    normals = [implicit.unit(implicit.gradient(child, point)[1]) for child in (a, b)]
    cosine = (normals[0] * normals[1]).sum(dim=1)
    turn = torch.arccos(cosine.clamp(-1, 1))
    turn = torch.minimum(turn, math.pi - turn)  # complements turn a normal round
    found = (torch.maximum(a.sdf(point).abs(), b.sdf(point).abs()) <= 1e-9 * domain.diameter) & (turn > SHARP)
    return point[found], turn[found]
