"""Distances of 1e5 points to 1e3 segments: the candidate grid against shapely's STRtree and its distance to a line.

One thread, medians of five runs, building apart; points are uniform in the square round the star, ten percent wider.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import math
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
import torch

from pdeflow.geometry.domain import Polygon
from pdeflow.geometry.segments import closest_on_segment, nearest_by_brute_force

RESULT = Path(__file__).resolve().parent / "results" / "distance_queries.md"
REPEATS = 5


@dataclass(frozen=True)
class Row:
    """One method in the table."""

    name: str
    build: float  # seconds
    query: float  # seconds, median
    error: float  # largest difference from brute force over the diameter


def star(sides: int) -> torch.Tensor:
    theta = torch.arange(sides, dtype=torch.float64) * (2 * math.pi / sides)
    r = 1 + 0.2 * torch.cos(4 * theta) + 0.15 * torch.cos(8 * theta)
    return torch.stack([r * theta.cos(), r * theta.sin()], dim=1)


def timed(call: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    call()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
    return statistics.median(times), result


def measure(count: int, sides: int) -> tuple[list[Row], float]:
    loop = star(sides)
    half = 1.1 * float(loop.abs().max())
    x = half * (2 * torch.rand(count, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1)
    polygon, points, rows = Polygon(loop), shapely.points(x.numpy()), []
    nearest = torch.cat([nearest_by_brute_force(part, polygon.table) for part in x.split(10_000)])
    exact = (x - closest_on_segment(x, polygon.table[:, nearest])[0]).norm(dim=1).numpy()

    def add(name: str, build: float, call: Callable[[], np.ndarray]) -> None:
        query, found = timed(call)
        rows.append(Row(name, build, query, float(np.abs(np.abs(found) - exact).max()) / polygon.diameter))

    start = time.perf_counter()
    grid = polygon.candidates
    built = time.perf_counter() - start
    polygon.sdf(x[:1])
    add("candidate grid, distance", built, lambda: polygon.distance(x).numpy())
    add("candidate grid, signed distance", built, lambda: polygon.sdf(x).numpy())
    start = time.perf_counter()
    segments = np.array(shapely.linestrings(torch.stack([loop, loop.roll(-1, 0)], dim=1).numpy()))
    tree = shapely.STRtree(segments)
    tree.nearest(points[:1])
    built = time.perf_counter() - start
    add(
        "shapely STRtree nearest + distance",
        built,
        lambda: shapely.distance(points, segments[tree.nearest(points)]),
    )
    ring = shapely.LinearRing(loop.numpy())
    shapely.prepare(ring)
    add("shapely distance to the boundary", 0.0, lambda: shapely.distance(points, ring))
    return rows, grid.mean_length


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--segments", type=int, default=1_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows, mean = measure(options.points, options.segments)
    tree = next(row for row in rows if "STRtree" in row.name)
    text = [
        "# Distances to a polygon",
        "",
        f"{options.points} points, {options.segments} segments of a star, one thread, medians of {REPEATS}; "
        f"{platform.machine()}, torch {torch.__version__}, shapely {shapely.__version__}. The candidate lists hold "
        f"{mean:.1f} segments on average. Errors are against brute force, over the diameter; building is apart. "
        "Regenerate with `python benchmarks/distance_queries.py`.",
        "",
        "| method | build ms | query ms | STRtree / this | error |",
        "|---|---|---|---|---|",
    ]
    text += [
        f"| {row.name} | {1e3 * row.build:.0f} | {1e3 * row.query:.1f} | {tree.query / row.query:.1f} | {row.error:.1e} |"
        for row in rows
    ]
    RESULT.write_text("\n".join(text) + "\n", encoding="utf-8")
    print("\n".join(text))


if __name__ == "__main__":
    main()
