"""Boundary points of unions and intersections: foot points on either boundary, or where both meet.

The corner solves min |c − x|² subject to φ_A(c) = φ_B(c) = 0 by linearizing both constraints at the last point
(sequential quadratic programming; Nocedal and Wright, Numerical Optimization, 2nd ed., §18.1).
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from pdeflow.geometry.domain import implicit
from pdeflow.geometry.domain.arguments import check_points
from pdeflow.geometry.domain.protocol import Region
from pdeflow.geometry.domain.results import Projection

CORNER_STEPS = 20


class Pair(Region, Protocol):
    """Union or intersection of two regions; `Combination` says what each member means."""

    @property
    def left(self) -> Region:
        """First region A."""

    @property
    def right(self) -> Region:
        """Second region B."""

    @property
    def samples(self) -> Tensor:
        """Some boundary points to start searches from, shape (n, d)."""

    @property
    def tolerance(self) -> float:
        """|φ| up to which a point counts as one of the boundary, in length units."""

    def stays(self, x: Tensor, other: Region) -> Tensor:
        """Tell which boundary points of one region the other one leaves on the boundary of the pair."""

    def tag_of(self, child: Region, tag: Tensor) -> Tensor:
        """Turn a region's tag ids into those of the pair."""


def project(domain: Pair, x: Tensor) -> Projection:
    """Return boundary points close to x: the closest of A's, B's and the corner's foot points and of some samples.

    Args:
        domain: Union or intersection.
        x: Points, shape (n, d).

    Returns:
        The projection; exact wherever the nearer of A's and B's closest points stays on the boundary.
    """
    x = check_points(x, domain.dim).double()
    a, b = domain.left.project(x), domain.right.project(x)
    far = torch.tensor(torch.inf, dtype=torch.float64)
    a_gap = torch.where(domain.stays(a.point, domain.right), a.distance, far)
    b_gap = torch.where(domain.stays(b.point, domain.left), b.distance, far)
    second = b_gap < a_gap
    column, distance = second[:, None], torch.minimum(a_gap, b_gap)
    point, normal = torch.where(column, b.point, a.point), torch.where(column, b.normal, a.normal)
    facet = torch.where(second, b.facet, a.facet)
    tag = torch.where(second, domain.tag_of(domain.right, b.tag), domain.tag_of(domain.left, a.tag))
    ids = (distance > torch.minimum(a.distance, b.distance)).nonzero()[:, 0]
    if len(ids) == 0:
        return Projection(point, distance, normal, facet, tag)
    best = _search(
        domain, x[ids].detach(), torch.where((b.distance < a.distance)[:, None], b.point, a.point)[ids]
    )
    gap = (x[ids] - best).norm(dim=1)
    closer = gap < distance[ids]
    ids, best, gap = ids[closer], best[closer], gap[closer]
    side = torch.where(domain.sdf(x[ids]) > 0, 1.0, -1.0)[:, None]
    away = torch.where(gap[:, None] > domain.tolerance, side * implicit.unit(x[ids] - best), normal[ids])
    return Projection(
        point.index_put((ids,), best),
        distance.index_put((ids,), gap),
        normal.index_put((ids,), away),
        facet,
        tag,
    )


def _search(domain: Pair, x: Tensor, start: Tensor) -> Tensor:
    """Return the closest boundary points among corners and points slid along the boundary from near samples."""
    corners = [_corner(domain, x, start.detach())]
    if len(domain.samples):
        near = domain.samples[torch.cdist(x, domain.samples).argmin(dim=1)]
        corners += [near, _corner(domain, x, near), implicit.foot_point(domain, x, start=near).point]
    else:
        corners.append(implicit.foot_point(domain, x).point)
    points = torch.stack(corners)  # (candidates, n, d)
    gap = torch.stack([(x - point).norm(dim=1) for point in corners])
    off = torch.stack([domain.sdf(point).abs() for point in corners])
    choice = torch.where(off <= 10 * domain.tolerance, gap, torch.inf).argmin(dim=0)
    return points[choice, torch.arange(len(x))]


def _corner(domain: Pair, x: Tensor, start: Tensor) -> Tensor:
    """Return the points common to both boundaries near x; anything where the iteration fails."""
    point = start
    for _ in range(CORNER_STEPS):
        pairs = [implicit.gradient(child, point) for child in (domain.left, domain.right)]
        g = torch.stack([slope for _, slope in pairs], dim=1)  # (n, 2, d)
        r = torch.stack([phi for phi, _ in pairs], dim=1) + (g @ (x - point)[:, :, None])[:, :, 0]
        gram = g @ g.mT + 1e-14 * torch.eye(
            2, dtype=torch.float64
        )  # parallel normals meet nowhere: rejected later
        point = x - (g.mT @ torch.linalg.solve(gram, r[:, :, None]))[:, :, 0]
        point = torch.where(point.isfinite(), point, start)
    return point
