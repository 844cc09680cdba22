"""Closest points on triangles in space: the exact point of one triangle, all pairs, and a bounding-disc hierarchy.

Ericson, Real-Time Collision Detection (2005), section 5.1.5 (regions of a triangle) and 6.5 (implicit binary trees).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.spatial import cKDTree
from torch import Tensor

LEAF = 1
"""Fewest triangles in a leaf; a leaf holds at most twice as many."""
CHUNK = 2048
"""Points that descend together: their working set fits the second-level cache."""
PAIRS = 2_000_000
"""Most (point, node) pairs held at once; more are done in halves, to bound memory when all triangles are equally far."""


def closest_on_triangles(x: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Return the point of each triangle that is closest to each point.

    Args:
        x: Points, shape (n, 3).
        a: First corners, shape (n, 3).
        b: Second corners.
        c: Third corners.

    Returns:
        Points of the triangles, shape (n, 3).

    Reference: Ericson, section 5.1.5; the six outer regions and the inner one by masks.
    """
    s, t = _parameters((x - a).T.contiguous(), (b - a).T.contiguous(), (c - a).T.contiguous())
    return a + s[:, None] * (b - a) + t[:, None] * (c - a)


def _dot(u: Tensor, v: Tensor) -> Tensor:
    return u[0] * v[0] + u[1] * v[1] + u[2] * v[2]


def _parameters(p: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return s, t (n,) of the closest point a + s u + t v; rows are axes: p = x - a, u = b - a, v = c - a, (3, n)."""
    p_b, p_c = p - u, p - v
    d1, d2, d3, d4, d5, d6 = _dot(u, p), _dot(v, p), _dot(u, p_b), _dot(v, p_b), _dot(u, p_c), _dot(v, p_c)
    beyond_u, beyond_v, beyond_w = d1 * d4 - d3 * d2, d5 * d2 - d1 * d6, d3 * d6 - d5 * d4
    along_w = (d4 - d3, d5 - d6)  # how far past b towards c, and how far before c
    area = beyond_u + beyond_v + beyond_w
    area = torch.where(area > 0, area, 1.0)
    s, t = beyond_v / area, beyond_u / area
    zero, one = torch.zeros_like(s), torch.ones_like(s)
    on_w = (beyond_w <= 0) & (along_w[0] >= 0) & (along_w[1] >= 0)
    w = along_w[0] / torch.where(on_w & (along_w[0] + along_w[1] > 0), along_w[0] + along_w[1], one)
    s, t = torch.where(on_w, 1 - w, s), torch.where(on_w, w, t)
    on_v = (beyond_v <= 0) & (d2 >= 0) & (d6 <= 0)
    s, t = torch.where(on_v, zero, s), torch.where(on_v, d2 / torch.where(d2 > d6, d2 - d6, one), t)
    at_c = (d6 >= 0) & (d5 <= d6)
    s, t = torch.where(at_c, zero, s), torch.where(at_c, one, t)
    on_u = (beyond_u <= 0) & (d1 >= 0) & (d3 <= 0)
    s, t = torch.where(on_u, d1 / torch.where(d1 > d3, d1 - d3, one), s), torch.where(on_u, zero, t)
    at_b, at_a = (d3 >= 0) & (d4 <= d3), (d1 <= 0) & (d2 <= 0)
    s, t = torch.where(at_b, one, s), torch.where(at_b, zero, t)
    return torch.where(at_a, zero, s), torch.where(at_a, zero, t)


def closest_by_all_pairs(x: Tensor, corners: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return distance, closest point and triangle by comparing each point with each triangle: the slow twin.

    Args:
        x: Points, shape (n, 3).
        corners: Triangle corners, shape (m, 3, 3).

    Returns:
        Distances (n,), closest points (n, 3), triangle ids (n,) int64 (the first of equally close ones).
    """
    m, answers = len(corners), []
    for part in x.split(max(1, PAIRS // max(m, 1))):
        pairs = part.repeat_interleave(m, dim=0)
        point = closest_on_triangles(pairs, *corners.repeat(len(part), 1, 1).unbind(1)).view(len(part), m, 3)
        distance, facet = (point - part[:, None]).norm(dim=-1).min(dim=1)
        answers.append((distance, point[torch.arange(len(part), device=x.device), facet], facet))
    distances, points, facets = zip(*answers, strict=True)
    return torch.cat(distances), torch.cat(points), torch.cat(facets)


@dataclass(frozen=True, eq=False)
class TriangleTree:
    """Complete binary tree over triangles; node i of level l bounds an equal share of them by a flat disc.

    A disc (centre, unit normal, radius, half thickness) hugs a smooth surface: its error is of second order in the
    size of the node, that of a ball or box of first order, so that far points visit few nodes.

    Attributes:
        corners: Triangle corners, shape (m, 3, 3).
        order: Triangle ids by leaf, shape (leaves, leaf size); some are repeated to fill.
        siblings: Per level below the root, both children of a node, shape (nodes, 16): centre, normal, radius, half
            thickness of the first, then of the second.
        nearest_centroid: k-d tree over the centroids, for the first upper bound.
    """

    corners: Tensor
    order: Tensor
    siblings: tuple[Tensor, ...]
    nearest_centroid: cKDTree

    @classmethod
    def build(cls, corners: Tensor) -> TriangleTree:
        """Build the tree of triangles with corners (m, 3, 3), m >= 1."""
        centroids = corners.mean(dim=1)
        order = median_order(centroids, LEAF)
        levels = range(1, len(order).bit_length())
        siblings = tuple(_bounding_discs(corners, order.view(2**level, -1)).view(-1, 16) for level in levels)
        return cls(corners, order, siblings, cKDTree(centroids.cpu().numpy()))

    def closest(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return distance (n,), closest point (n, 3) and triangle id (n,) of points x (n, 3)."""
        answers = [self._closest(part) for part in x.split(CHUNK)]
        distances, points, facets = zip(*answers, strict=True)
        return torch.cat(distances), torch.cat(points), torch.cat(facets)

    def _closest(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        guess = torch.as_tensor(self.nearest_centroid.query(x.cpu().numpy())[1], device=x.device)
        point = closest_on_triangles(x, *self.corners[guess].unbind(1))
        rounding = 1e-14 * (self.corners.abs().max() + x.abs().amax(dim=1))
        bound = ((point - x).norm(dim=1) * (1 + 1e-12) + rounding).square()
        axes = x.T.contiguous()
        query, node = (
            torch.arange(len(x), device=x.device),
            torch.zeros(len(x), dtype=torch.int64, device=x.device),
        )
        for table in self.siblings:
            offered, limit = axes.index_select(1, query), bound.index_select(0, query)
            discs = table.index_select(0, node).T.contiguous()  # (16, pairs): rows of axes are read in order
            near = [_disc_distance_squared(offered, disc) <= limit for disc in (discs[:8], discs[8:])]
            child = torch.stack(near, dim=1).view(-1).nonzero().squeeze(1)
            query, node = query[child >> 1], 2 * node[child >> 1] + (child & 1)
            if len(query) > PAIRS and len(x) > 1:
                halves = [self._closest(part) for part in x.tensor_split(2)]
                return tuple(torch.cat(pair) for pair in zip(*halves, strict=True))  # type: ignore[return-value]
        facet = self.order[node].view(-1)
        query = query.repeat_interleave(self.order.shape[1])
        candidates = closest_on_triangles(x[query], *self.corners[facet].unbind(1))
        distance = (candidates - x[query]).norm(dim=1)
        return _first_smallest(distance, candidates, facet, query, len(x))


def median_order(centroids: Tensor, leaf: int) -> Tensor:
    """Return ids (leaves, size) of points (m, 3) in the leaves of a tree halved at medians of the longest axis."""
    m = len(centroids)
    levels = max((m // leaf).bit_length() - 1, 0)
    size = -(-m // 2**levels)
    slots = size * 2**levels
    order = (torch.arange(slots, device=centroids.device) * m // slots)[None]  # repeats are spread evenly
    for _ in range(levels):
        points = centroids[order]  # (blocks, members, 3)
        axis = (points.amax(dim=1) - points.amin(dim=1)).argmax(dim=1)
        key = points.gather(2, axis[:, None, None].expand(-1, points.shape[1], 1)).squeeze(2)
        order = order.gather(1, key.argsort(dim=1, stable=True)).view(2 * len(order), -1)
    return order


def _bounding_discs(corners: Tensor, members: Tensor) -> Tensor:
    points = corners[members].view(len(members), -1, 3)
    edge_u, edge_v = (corners[:, k] - corners[:, 0] for k in (1, 2))
    normal = torch.linalg.cross(edge_u, edge_v)[members].sum(dim=1)
    length = normal.norm(dim=1, keepdim=True)
    normal = torch.where(length > 0, normal / length.clamp(min=1e-300), normal.new_tensor([0.0, 0.0, 1.0]))
    centre = (points.amax(dim=1) + points.amin(dim=1)) / 2
    height = ((points - centre[:, None]) * normal[:, None]).sum(dim=2)
    centre = centre + normal * ((height.amax(dim=1) + height.amin(dim=1)) / 2)[:, None]
    offset = points - centre[:, None]
    height = (offset * normal[:, None]).sum(dim=2)
    radius = (offset - height[..., None] * normal[:, None]).norm(dim=2).amax(dim=1)
    return torch.cat(
        (centre, normal, torch.stack((radius, height.abs().amax(dim=1)), dim=1) * (1 + 1e-9)), dim=1
    )


def _disc_distance_squared(x: Tensor, disc: Tensor) -> Tensor:
    """Bound the squared distance of points (3, n) to discs (8, n) from below; what round-off may add is taken off."""
    u, v, w = x[0] - disc[0], x[1] - disc[1], x[2] - disc[2]
    height = (u * disc[3]).addcmul_(v, disc[4]).addcmul_(w, disc[5])
    across = (u * u).addcmul_(v, v).addcmul_(w, w).mul_(1 - 1e-14).addcmul_(height, height, value=-1)
    across = across.clamp_(min=0).sqrt_().sub_(disc[6]).clamp_(min=0)
    above = height.abs_().mul_(1 - 1e-14).sub_(disc[7]).clamp_(min=0)
    return across.square_().addcmul_(above, above)


def _first_smallest(
    distance: Tensor, point: Tensor, facet: Tensor, query: Tensor, n: int
) -> tuple[Tensor, Tensor, Tensor]:
    smallest = distance.new_full((n,), torch.inf).scatter_reduce(0, query, distance, "amin")
    hit = torch.nonzero(distance == smallest[query]).squeeze(1)
    first = torch.full((n,), len(distance), device=hit.device).scatter_reduce(0, query[hit], hit, "amin")
    return distance[first], point[first], facet[first]
