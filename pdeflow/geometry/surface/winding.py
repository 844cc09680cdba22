"""Winding number of a triangle surface: how often it encloses a point (one inside, zero outside, in between on a gap).

van Oosterom and Strackee, IEEE Trans. Biomed. Eng. 30 (1983), eq. (8) (solid angle of a triangle); Barill, Dickson,
Schmidt, Levin and Jacobson, ACM Trans. Graph. 37 (2018), section 3 (dipole expansion of far clusters in a tree).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeflow.geometry.surface.closest import CHUNK, PAIRS, median_order

LEAF = 4
"""Fewest triangles in a leaf; below that the exact formula is cheaper than an expansion."""
FAR, FARTHER = 1.5, 3.0
"""A cluster is far beyond this many radii (Barill et al., section 3.3); the larger one where the first is in doubt."""
DOUBT = 0.2
"""Largest distance of a closed surface's winding number from a whole number that still settles the sign."""


def solid_angles(x: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Return the signed solid angles of triangles seen from points, over 4π, positive from behind the triangle.

    Args:
        x: Points, shape (3, n): one row an axis.
        a: First corners, shape (3, n).
        b: Second corners.
        c: Third corners.

    Returns:
        Fractions of the full angle, shape (n,); zero for a point in the plane of its triangle.

    Reference: van Oosterom and Strackee, eq. (8): tan(Ω/2) = a·(b×c) / (|a||b||c| + (a·b)|c| + (b·c)|a| + (c·a)|b|).
    """
    (a0, a1, a2), (b0, b1, b2), (c0, c1, c2) = a - x, b - x, c - x
    volume = a0 * (b1 * c2 - b2 * c1) + a1 * (b2 * c0 - b0 * c2) + a2 * (b0 * c1 - b1 * c0)
    ab, bc, ca = a0 * b0 + a1 * b1 + a2 * b2, b0 * c0 + b1 * c1 + b2 * c2, c0 * a0 + c1 * a1 + c2 * a2
    na, nb, nc = ((p * p + q * q + r * r).sqrt() for p, q, r in ((a0, a1, a2), (b0, b1, b2), (c0, c1, c2)))
    return torch.atan2(volume, na * nb * nc + ab * nc + bc * na + ca * nb) / (2 * math.pi)


def winding_by_all_pairs(x: Tensor, corners: Tensor) -> Tensor:
    """Return the winding numbers (n,) of points (n, 3) by summing all solid angles: the slow twin.

    Args:
        x: Points, shape (n, 3).
        corners: Triangle corners, shape (m, 3, 3).
    """
    a, b, c = (corners[:, k].T[:, None] for k in range(3))  # (3, 1, m)
    parts = x.split(max(1, PAIRS // max(len(corners), 1)))
    return torch.cat([solid_angles(part.T[:, :, None], a, b, c).sum(dim=1) for part in parts])


@dataclass(frozen=True, eq=False)
class WindingTree:
    """Complete binary tree over triangles with the first two moments of the area vectors of every node.

    Attributes:
        corners: Triangle corners by leaf, shape (leaves, leaf size, 3, 3).
        share: One over the number of copies of each triangle in the tree, shape (leaves, leaf size).
        moments: Per level l, shape (2^l, 14): centre p, radius², Σ A, trace and symmetric part (xx, yy, zz, xy,
            yz, zx) of Σ (c − p) ⊗ A over the triangles with area vector A and centroid c.
    """

    corners: Tensor
    share: Tensor
    moments: tuple[Tensor, ...]

    @classmethod
    def build(cls, corners: Tensor) -> WindingTree:
        """Build the tree of triangles with corners (m, 3, 3), m >= 1."""
        order = median_order(corners.mean(dim=1), LEAF)
        share = 1.0 / torch.bincount(order.view(-1), minlength=len(corners)).to(corners.dtype)[order]
        levels = range(len(order).bit_length())
        moments = tuple(_moments(corners[order], share, 2**level) for level in levels)
        return cls(corners[order], share, moments)

    def winding_number(self, x: Tensor) -> Tensor:
        """Return the winding numbers (n,) of points (n, 3), to about 0.07; of a closed surface to DOUBT of an integer.

        Where the winding number of a closed surface, a whole number, comes out in between, it is computed anew with
        smaller clusters; signs need an error below ½.

        Args:
            x: Points, shape (n, 3).
        """
        return torch.cat([self._settled(part) for part in x.split(CHUNK)])

    def _settled(self, x: Tensor) -> Tensor:
        number = self._winding_number(x, FAR)
        doubtful = ((number - number.round()).abs() > DOUBT).nonzero().squeeze(1)
        if len(doubtful):
            number[doubtful] = self._winding_number(x[doubtful], FARTHER)
        return number

    def _winding_number(self, x: Tensor, far_radii: float) -> Tensor:
        axes, total = x.T.contiguous(), x.new_zeros(len(x))
        query, node = (
            torch.arange(len(x), device=x.device),
            torch.zeros(len(x), dtype=torch.int64, device=x.device),
        )
        for level, table in enumerate(self.moments):
            moments = table.index_select(0, node).T.contiguous()  # (14, pairs)
            offset = moments[:3] - axes.index_select(1, query)
            square = offset[0] * offset[0] + offset[1] * offset[1] + offset[2] * offset[2]
            beyond = square > far_radii**2 * moments[3]
            far = beyond.nonzero().squeeze(1)
            total.index_add_(0, query[far], _expansion(offset[:, far], square[far], moments[4:, far]))
            near = (~beyond).nonzero().squeeze(1)
            query, node = query[near], node[near]
            if level + 1 < len(self.moments):
                query, node = (
                    query.repeat_interleave(2),
                    torch.stack((2 * node, 2 * node + 1), dim=1).view(-1),
                )
        size = self.share.shape[1]
        for part in torch.arange(len(query), device=x.device).split(max(PAIRS // size, 1)):
            a, b, c = self.corners[node[part]].view(-1, 9).T.contiguous().view(3, 3, -1)
            seen = query[part].repeat_interleave(size)
            angle = solid_angles(axes.index_select(1, seen), a, b, c) * self.share[node[part]].view(-1)
            total.index_add_(0, seen, angle)
        return total


def _moments(corners: Tensor, share: Tensor, nodes: int) -> Tensor:
    corners, share = corners.view(nodes, -1, 3, 3), share.view(nodes, -1, 1)
    area = (
        torch.linalg.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])
        / 2
        * share
    )
    size = area.norm(dim=2, keepdim=True)
    centroid = corners.mean(dim=2)
    centre = (size * centroid).sum(dim=1) / size.sum(dim=1).clamp(min=1e-300)
    radius = (corners - centre[:, None, None]).norm(dim=3).amax(dim=(1, 2))
    second = torch.einsum("nti,ntj->nij", centroid - centre[:, None], area)
    second = (second + second.mT) / 2
    x, y, z = range(3)
    pairs = [(x, x), (y, y), (z, z), (x, y), (y, z), (z, x)]
    columns = [radius.square()[:, None], area.sum(dim=1), second.diagonal(dim1=1, dim2=2).sum(1)[:, None]]
    return torch.cat([centre, *columns, torch.stack([second[:, i, j] for i, j in pairs], dim=1)], dim=1)


def _expansion(r: Tensor, square: Tensor, moments: Tensor) -> Tensor:
    """Return Σ A·∇G + (c − p)·∇∇G·A of each cluster, G = -1/(4π|r|), r (3, n) from the point to its centre."""
    x, y, z = r
    dipole = moments[0] * x + moments[1] * y + moments[2] * z
    trace, xx, yy, zz, xy, yz, zx = moments[3:]
    quadratic = xx * x * x + yy * y * y + zz * z * z + 2 * (xy * x * y + yz * y * z + zx * z * x)
    return (dipole + trace - 3 * quadratic / square) / (4 * math.pi * square * square.sqrt())
