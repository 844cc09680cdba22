"""Closest points on line segments in the plane, one point against one segment or all against all.

Ericson, Real-Time Collision Detection (2005), §5.1.2: t = clip((x − a)·(b − a) / |b − a|², 0, 1), c = a + t (b − a).
"""

from __future__ import annotations

import torch
from torch import Tensor

PAIRS_AT_ONCE = 1 << 18  # point-segment pairs per pass: a few megabytes, fits the cache of one core


def segment_table(start: Tensor, end: Tensor) -> Tensor:
    """Lay out segments for closest-point queries.

    Args:
        start: First end points a, shape (m, 2).
        end: Second end points b, shape (m, 2).

    Returns:
        Rows a_x, a_y, e_x, e_y, 1/|e|² with e = b − a, shape (5, m), float64 and contiguous.
    """
    edge = end - start
    return (
        torch.cat([start, edge, 1.0 / (edge * edge).sum(dim=-1, keepdim=True)], dim=-1)
        .double()
        .T.contiguous()
    )


def closest_on_segment(x: Tensor, segment: Tensor) -> tuple[Tensor, Tensor]:
    """Return the closest point on the i-th segment to the i-th point; differentiable in x.

    Args:
        x: Points, shape (n, 2).
        segment: Columns of a segment table, shape (5, n).

    Returns:
        The closest points, shape (n, 2), and their parameters t in [0, 1], shape (n,).
    """
    start, edge = segment[0:2].T, segment[2:4].T
    t = (((x - start) * edge).sum(dim=-1) * segment[4]).clamp(0.0, 1.0)
    return start + t[:, None] * edge, t


def offsets(x0: Tensor, x1: Tensor, segment: Tensor) -> tuple[Tensor, Tensor]:
    """Return both coordinates of x − c, with c the closest point on each segment; broadcasts.

    Args:
        x0: First coordinates.
        x1: Second coordinates.
        segment: Rows of a segment table, shape (5, …).
    """
    a0, a1, e0, e1, inverse = segment
    r0, r1 = x0 - a0, x1 - a1
    t = (r0 * e0).addcmul_(r1, e1).mul_(inverse).clamp_(0.0, 1.0)
    return r0.addcmul_(t, e0, value=-1.0), r1.addcmul_(t, e1, value=-1.0)


def nearest_by_brute_force(x: Tensor, table: Tensor) -> Tensor:
    """Return the nearest segment of every point by trying all of them.

    Args:
        x: Points, shape (n, 2).
        table: Segment table, shape (5, m).

    Returns:
        Segment ids, shape (n,), int64; the lowest id wins a tie.
    """
    x = x.detach()
    nearest = torch.empty(len(x), dtype=torch.int64, device=x.device)
    step = max(PAIRS_AT_ONCE // table.shape[1], 1)
    for i in range(0, len(x), step):
        d0, d1 = offsets(x[i : i + step, 0:1], x[i : i + step, 1:2], table)  # (step, m)
        nearest[i : i + step] = d0.square_().addcmul_(d1, d1).argmin(dim=1)
    return nearest


def first_crossing(x: Tensor, direction: Tensor, table: Tensor, least: float) -> tuple[Tensor, Tensor]:
    """Return where rays first cross a segment, by trying all of them.

    Args:
        x: Origins, shape (n, 2).
        direction: Unit directions, shape (n, 2).
        table: Segment table, shape (5, m).
        least: Crossings up to this length do not count, so that a ray can leave the segment it starts on.

    Returns:
        Lengths, shape (n,), infinite where nothing is crossed, and segment ids, shape (n,).
    """
    length = torch.empty(len(x), dtype=x.dtype, device=x.device)
    segment = torch.empty(len(x), dtype=torch.int64, device=x.device)
    a0, a1, e0, e1 = table[:4]
    step = max(PAIRS_AT_ONCE // table.shape[1], 1)
    for i in range(0, len(x), step):
        rows = slice(i, i + step)
        r0, r1 = a0 - x[rows, 0:1], a1 - x[rows, 1:2]
        v0, v1 = direction[rows, 0:1], direction[rows, 1:2]
        det = v0 * e1 - v1 * e0
        t, along = (r0 * e1 - r1 * e0) / det, (r0 * v1 - r1 * v0) / det
        good = (t > least) & (along >= -1e-12) & (along <= 1 + 1e-12)
        length[rows], segment[rows] = torch.where(good, t, torch.inf).min(dim=1)
    return length, segment
