"""Polygons from Wavefront .obj files: `v x y z` vertices and `l i j …` lines, counted from 1."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from pdeflow.errors import DataError, UsageError
from pdeflow.geometry.domain.polygon_check import signed_area


def read_loops(path: str | Path) -> list[Tensor]:
    """Read the closed loops that the line elements of a file form, the one of largest area first.

    Lines of length zero are left out.

    Args:
        path: File.

    Returns:
        Vertices of each loop, shape (n, 2), float64, in the order of the lines.

    Raises:
        UsageError: If there is no such file.
        DataError: If it has no lines, they do not close, or a number is wrong.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"no such file: {path}")
    points, lines = _parse(path)
    if not lines:
        raise DataError(
            f"{path.name} has no line elements (l i j); a polygon file needs closed loops of them"
        )
    neighbours: dict[int, list[int]] = {}
    for a, b in lines:
        if not (0 <= a < len(points) and 0 <= b < len(points)):
            raise DataError(f"{path.name} has a line {a + 1} {b + 1} but only {len(points)} vertices")
        neighbours.setdefault(a, []).append(b)
        neighbours.setdefault(b, []).append(a)
    for vertex, others in neighbours.items():
        if len(others) != 2:
            raise DataError(
                f"{path.name}: the polygon is open or branches, vertex {vertex + 1} has {len(others)} lines; it needs 2"
            )
    table = torch.tensor(points, dtype=torch.float64)
    loops = [table[loop] for loop in _walk(lines, neighbours)]
    loops = [
        loop[(loop != loop.roll(1, 0)).any(dim=1)] for loop in loops
    ]  # exporters close with a line of length 0
    return sorted(loops, key=lambda loop: -abs(signed_area(loop)))


def _parse(path: Path) -> tuple[list[tuple[float, float]], list[tuple[int, int]]]:
    points: list[tuple[float, float]] = []
    lines: list[tuple[int, int]] = []
    for number, text in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        kind, *rest = text.split() or ("#",)
        try:
            if kind == "v":
                points.append((float(rest[0]), float(rest[1])))
            elif kind == "l":
                ids = [int(entry.split("/")[0]) - 1 for entry in rest]
                lines += pairwise(ids)
        except (ValueError, IndexError):
            raise DataError(f"{path.name}, line {number}: cannot read {text.strip()[:60]!r}") from None
    return points, lines


def _walk(lines: list[tuple[int, int]], neighbours: dict[int, list[int]]) -> list[list[int]]:
    """Follow the lines round every loop, in the direction of its first line."""
    seen: set[int] = set()
    loops = []
    for first, second in lines:
        if first in seen:
            continue
        loop, last, here = [first], first, second
        while here != first:
            loop.append(here)
            a, b = neighbours[here]
            last, here = here, b if a == last else a
        seen.update(loop)
        loops.append(loop)
    return loops
