"""Closed loops of vertices: names of their edges, and reasons why they do not bound a region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.domain.crossing import crosses
from pdeflow.geometry.segments import PAIRS_AT_ONCE, segment_table


def signed_area(loop: Tensor) -> float:
    """Return the area enclosed by a loop, positive if it runs counter-clockwise (Gauss's shoelace formula).

    Args:
        loop: Vertices, shape (n, 2).
    """
    p = loop - loop[0]
    q = p.roll(-1, 0)
    return 0.5 * float((p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum())


def edges(loops: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return both ends of all edges, edge i of a loop joining its vertices i and i + 1.

    Args:
        loops: Vertices of each loop, shape (n, 2).

    Returns:
        Start and end points, shape (m, 2) each; the loops' edges one loop after the other.
    """
    return torch.cat(list(loops)), torch.cat([loop.roll(-1, 0) for loop in loops])


def name_edges(
    sizes: Sequence[int], turned: Sequence[bool], edge_tags: Mapping[str, Sequence[int]]
) -> tuple[Tensor, list[str]]:
    """Return the tag of every edge once some loops have been turned round.

    Args:
        sizes: Edges of each loop, as given.
        turned: Which loops were turned round.
        edge_tags: Names of some edges, numbered as given; the others are "outer", "hole0", "hole1", …

    Returns:
        Index into the names of every edge, shape (m,), and the names.

    Raises:
        UsageError: If an edge does not exist, or has two names.
    """
    default = ["outer"] + [f"hole{k}" for k in range(len(sizes) - 1)]
    names = list(dict.fromkeys([*edge_tags, *default]))
    tags = torch.cat([torch.full((n,), names.index(name)) for n, name in zip(sizes, default, strict=True)])
    given: dict[int, str] = {}
    for name, ids in edge_tags.items():
        if isinstance(ids, int):
            raise UsageError(f"tag {name!r} must list edges, e.g. [{ids}], got {ids}")
        for i in ids:
            if given.setdefault(int(i), name) != name:
                raise UsageError(f"edge {int(i)} is named twice, {given[int(i)]!r} and {name!r}; give it one name")
        wrong = [int(i) for i in ids if not 0 <= int(i) < len(tags)]
        if wrong:
            raise UsageError(
                f"tag {name!r} names edge {wrong[0]}, but edges are numbered 0 to {len(tags) - 1}"
            )
        tags[torch.as_tensor(list(ids), dtype=torch.int64)] = names.index(name)
    parts = zip(tags.split(list(sizes)), turned, strict=True)
    return torch.cat([part.flip(0).roll(-1) if turn else part for part, turn in parts]), names


def check_loops(loops: Sequence[Tensor]) -> None:
    """Refuse loops that do not bound a region; vertices and edges are counted through all loops from 0.

    Args:
        loops: Outer loop and holes, shape (n, 2) each.

    Raises:
        UsageError: If a loop is too short, vertices coincide or are not finite, edges meet, or holes are misplaced.
    """
    for k, loop in enumerate(loops):
        name = "the outer boundary" if k == 0 else f"hole {k - 1}"
        if loop.ndim != 2 or loop.shape[-1] != 2 or len(loop) < 3:
            raise UsageError(
                f"{name} needs at least 3 vertices of shape (n, 2), got shape {tuple(loop.shape)}"
            )
        if not bool(loop.isfinite().all()):
            row = int((~loop.isfinite()).any(dim=1).nonzero()[0])
            raise UsageError(f"vertex {row} of {name} is not finite: {loop[row].tolist()}")
    start, end = edges(loops)
    _check_distinct(start, [len(loop) for loop in loops])
    _check_simple(start, end)
    _check_holes(loops)


def _check_distinct(points: Tensor, sizes: list[int]) -> None:
    _, group, count = torch.unique(points, dim=0, return_inverse=True, return_counts=True)
    twice = (count[group] > 1).nonzero()[:, 0]
    if len(twice):
        i = int(twice[0])
        j = int((group == group[i]).nonzero()[1, 0])
        closing = (i, j) == (0, sizes[0] - 1)
        hint = (
            "leave out the closing vertex, loops close by themselves"
            if closing
            else "remove one or move them apart"
        )
        raise UsageError(f"polygon vertices {i} and {j} coincide at {_at(points[i])}; {hint}")


def _check_simple(start: Tensor, end: Tensor) -> None:
    """Test all pairs of edges whose ranges overlap along the first axis, in chunks."""
    low, order = torch.minimum(start[:, 0], end[:, 0]).sort()
    high = torch.maximum(start[:, 0], end[:, 0])[order]
    last = torch.searchsorted(low, high, right=True)  # edges order[i + 1 : last[i]] may meet edge order[i]
    count = last - torch.arange(len(low)) - 1
    chunk = torch.div(count.cumsum(0), PAIRS_AT_ONCE, rounding_mode="floor")
    for rows in torch.arange(len(low)).split(torch.bincount(chunk)[torch.bincount(chunk) > 0].tolist()):
        first = rows.repeat_interleave(count[rows])
        offset = torch.arange(len(first)) - (count[rows].cumsum(0) - count[rows]).repeat_interleave(
            count[rows]
        )
        i, j = order[first], order[first + 1 + offset]
        meet = _meet(start[i], end[i], start[j], end[j]).nonzero()[:, 0]
        if len(meet):
            i, j = sorted((int(i[meet[0]]), int(j[meet[0]])))
            near = _at(0.25 * (start[i] + end[i] + start[j] + end[j]))
            raise UsageError(
                f"polygon edges {i} and {j} intersect near {near}; reorder or move their vertices"
            )


def _meet(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Return whether the segments ab and cd have a point in common, beyond an end shared by neighbours."""
    apart = ((torch.maximum(a, b) < torch.minimum(c, d)) | (torch.maximum(c, d) < torch.minimum(a, b))).any(
        dim=1
    )
    sides = [_turn(a, b, c) * _turn(a, b, d), _turn(c, d, a) * _turn(c, d, b)]
    common = ~apart & (sides[0] <= 0) & (sides[1] <= 0)
    after, before = (b == c).all(dim=1), (a == d).all(dim=1)
    folded = (_turn(a, b, torch.where(after[:, None], d, c)) == 0) & (((b - a) * (d - c)).sum(dim=1) < 0)
    return torch.where(after | before, folded, common)


def _turn(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Return the sign of the area of the triangle abc."""
    return ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]).sign()


def _check_holes(loops: Sequence[Tensor]) -> None:
    tables = [segment_table(loop, loop.roll(-1, 0)) for loop in loops]
    for k, loop in enumerate(loops[1:]):
        around = [bool(crosses(loop[0], table).sum() % 2) for table in tables]
        if not around[0]:
            raise UsageError(f"hole {k} lies outside the outer boundary, at {_at(loop[0])}; leave it out")
        inner = [m for m, found in enumerate(around[1:]) if found and m != k]
        if inner:
            raise UsageError(
                f"hole {k} lies inside hole {inner[0]}, at {_at(loop[0])}; holes must not be nested"
            )


def _at(point: Tensor) -> str:
    return f"({float(point[0]):.6g}, {float(point[1]):.6g})"
