"""Signed distances to a triangle surface: our trees beside libigl, warp and trimesh.

32 768 triangles, 20 000 points in the box around them, one thread. The reference is every
point against every triangle (a sample of points) for the distance and the exact winding number for the sign.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from pdeflow.geometry.surface import TriSurface
from pdeflow.geometry.surface.closest import closest_by_all_pairs
from pdeflow.geometry.surface.winding import winding_by_all_pairs

RESULT = Path(__file__).resolve().parent / "results" / "surface_queries.md"
REFERENCE_POINTS = 400


@dataclass(frozen=True)
class Entry:
    """A way to answer the queries; `points` is what share of them it is timed on."""

    name: str
    build: Callable[[Tensor, Tensor], Callable[[Tensor], Tensor]]
    module: str | None = None
    points: float = 1.0


def bumpy_sphere(level: int) -> tuple[Tensor, Tensor]:
    """Return an octahedron refined `level` times and pushed out by waves: 8 · 4^level triangles."""
    vertices = torch.tensor([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]]).double()
    upper, lower = [[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4]], [[2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]]
    faces = torch.tensor([*upper, *lower])
    for _ in range(level):
        edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).sort(dim=1).values
        ends, place = torch.unique(edges, dim=0, return_inverse=True)
        ab, bc, ca = (place + len(vertices)).view(3, -1)
        vertices = torch.cat([vertices, torch.nn.functional.normalize(vertices[ends].sum(dim=1), dim=1)])
        a, b, c = faces.unbind(1)
        faces = torch.cat(
            [torch.stack(t, dim=1) for t in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))]
        )
    x, y, z = vertices.unbind(1)
    bump = 1 + 0.2 * (5 * x).sin() * (4 * y).cos() + 0.1 * (7 * z).sin()
    return bump[:, None] * vertices, faces


def own(vertices: Tensor, faces: Tensor, back_end: str, what: str) -> Callable[[Tensor], Tensor]:
    domain = TriSurface(vertices, faces, back_end=back_end)  # type: ignore[arg-type]
    query = domain.distance if what == "distance" else domain.sdf
    query(vertices[:2])  # builds the trees
    return query


def trimesh_signed(vertices: Tensor, faces: Tensor) -> Callable[[Tensor], Tensor]:
    import trimesh

    mesh = trimesh.Trimesh(vertices.numpy(), faces.numpy(), process=False)
    proximity = trimesh.proximity.ProximityQuery(mesh)
    proximity.signed_distance(vertices[:2].numpy())
    return lambda x: -torch.as_tensor(proximity.signed_distance(x.numpy()))


def libigl_fwn(vertices: Tensor, faces: Tensor) -> Callable[[Tensor], Tensor]:
    import igl

    v, f = vertices.numpy(), faces.numpy()
    kind = igl.SIGNED_DISTANCE_TYPE_FAST_WINDING_NUMBER
    return lambda x: torch.as_tensor(igl.signed_distance(x.numpy(), v, f, sign_type=kind)[0])


ENTRIES = (
    Entry("pdeflow, own trees, distance", lambda v, f: own(v, f, "own", "distance")),
    Entry("pdeflow, libigl back end, distance", lambda v, f: own(v, f, "libigl", "distance"), "igl"),
    Entry("pdeflow, own trees, signed", lambda v, f: own(v, f, "own", "signed")),
    Entry("pdeflow, libigl back end, signed", lambda v, f: own(v, f, "libigl", "signed"), "igl"),
    Entry("pdeflow, warp back end (CPU), signed", lambda v, f: own(v, f, "warp", "signed"), "warp"),
    Entry("libigl `signed_distance`, fast winding number", libigl_fwn, "igl"),
    Entry("trimesh `signed_distance`", trimesh_signed, "trimesh", 0.05),
)


def measure(
    entries: list[Entry], vertices: Tensor, faces: Tensor, x: Tensor, exact: Tensor, rounds: int = 5
) -> list[tuple[float, float, float]]:
    """Return build seconds, milliseconds for all points (best of the rounds, methods in turn) and the largest error."""
    queries, built = [], []
    for entry in entries:
        start = time.perf_counter()
        queries.append(entry.build(vertices, faces))
        built.append(time.perf_counter() - start)
    best = [float("inf")] * len(entries)
    for _ in range(rounds):
        for k, (entry, query) in enumerate(zip(entries, queries, strict=True)):
            start = time.perf_counter()
            query(x[: int(entry.points * len(x))])
            best[k] = min(best[k], (time.perf_counter() - start) / entry.points)
    errors = []
    for entry, query in zip(entries, queries, strict=True):
        answer = query(x[: len(exact)])
        gap = answer.abs() - exact.abs() if entry.name.endswith(", distance") else answer - exact
        errors.append(float(gap.abs().max()))
    return [(b, 1e3 * t, e) for b, t, e in zip(built, best, errors, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--level", type=int, default=6)
    parser.add_argument("--points", type=int, default=20_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    vertices, faces = bumpy_sphere(options.level)
    x = (
        3 * torch.rand(options.points, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        - 1.5
    )
    some = x[:REFERENCE_POINTS]
    sign = torch.where(winding_by_all_pairs(some, vertices[faces]) > 0.5, -1.0, 1.0)
    exact = sign * closest_by_all_pairs(some, vertices[faces])[0]
    here = [entry for entry in ENTRIES if not entry.module or find_spec(entry.module)]
    found = dict(zip((entry.name for entry in here), measure(here, vertices, faces, x, exact), strict=True))
    rows, base = [], {}
    for entry in ENTRIES:
        if entry.name not in found:
            rows.append(f"| {entry.name} | skipped: {entry.module} is not installed | | | |")
            continue
        built, elapsed, error = found[entry.name]
        ours = base.setdefault("distance" if entry.name.endswith(", distance") else "signed", elapsed)
        rows.append(f"| {entry.name} | {built:.2f} | {elapsed:.0f} | {elapsed / ours:.2f} | {error:.1e} |")
    text = (
        f"# Distance to a surface of {len(faces)} triangles, {options.points} points\n\n"
        f"Points uniform in [-1.5, 1.5]³ around a bumpy unit sphere. Milliseconds for all points, best of five rounds in turn (trimesh: "
        f"timed on a twentieth); ratio to our own trees; largest error over {REFERENCE_POINTS} points against all pairs. "
        f"{platform.machine()}, 1 thread of a machine shared with other work (ratios count), torch {torch.__version__}. Regenerate with "
        f"`OMP_NUM_THREADS=1 python benchmarks/surface_queries.py`.\n\n"
        "| method | build, s | query, ms | ratio | largest error |\n|---|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n"
    )
    RESULT.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
