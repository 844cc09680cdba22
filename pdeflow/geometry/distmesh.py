"""Triangle meshes of planar domains from their signed distance: a truss of springs that pushes points to the boundary.

Persson and Strang, SIAM Rev. 46 (2004), 329-345: hexagonal start, Delaunay triangulation, repulsive bars, projection of
points that leave. Boundary slivers are then removed by deleting or moving one of their vertices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import Delaunay

from pdeflow.errors import UsageError
from pdeflow.geometry import truss_arrays
from pdeflow.geometry.candidates import CandidateGrid
from pdeflow.geometry.corners import corner_points
from pdeflow.geometry.domain import implicit
from pdeflow.geometry.domain.arguments import check_generator, mesh_size
from pdeflow.geometry.domain.domain import Domain
from pdeflow.geometry.mesh import Mesh
from pdeflow.geometry.segments import segment_table

STEP = 0.2
"""Step of Euler's method, as published."""
RETRIANGULATE, STILL, ON = 0.1, 1e-3, 1e-3
"""Motion that calls for a new triangulation, motion that ends the iteration, width of the boundary; all over h."""
SAMPLES, LOST, THIN = 8, 0.15, (0.1, 0.2, 0.3, 0.4)
"""Points of the domain's boundary per h that are looked at; distance over h from the mesh at which one is lost; depths over
h at which the other side of a gap is looked for."""
POOR, CROWDED = 0.3, 2.0
"""Quality below which a triangle is repaired; ratio of rest length to length from which a point is one too many."""


@dataclass
class _Truss:
    """Points under way: the first `fixed` ones do not move."""

    domain: Domain
    h: float
    points: np.ndarray
    fixed: int

    def sdf(self, points: np.ndarray) -> np.ndarray:
        return self.domain.sdf(torch.from_numpy(points)).detach().numpy()

    def inside(self, points: np.ndarray) -> np.ndarray:
        return self.domain.inside(torch.from_numpy(points)).numpy()

    def back(self, points: np.ndarray) -> np.ndarray:
        """Bring points that left back to the boundary: to the closest point, or by one Newton step where |φ| is a bound."""
        if self.domain.exact and len(points):
            return self.domain.project(torch.from_numpy(points)).point.detach().numpy()
        return self.to_boundary(points, 1)

    def to_boundary(self, points: np.ndarray, steps: int = 30) -> np.ndarray:
        return (
            implicit.to_boundary(self.domain, torch.from_numpy(points), steps).numpy()
            if len(points)
            else points
        )

    def triangulate(self) -> np.ndarray:
        """Return the Delaunay triangles (m, 3) with their centroids inside, counter-clockwise, none flat on the boundary."""
        cells = Delaunay(self.points).simplices.astype(np.int64)
        cells = cells[self.inside(self.points[cells].mean(axis=1))]
        corners = self.points[cells]
        area = truss_arrays.twice_area(corners)
        cells[area < 0] = cells[area < 0][:, ::-1]
        longest = np.sqrt(((corners - corners[:, [1, 2, 0]]) ** 2).sum(axis=2)).max(axis=1)
        flat = np.flatnonzero(np.abs(area) < 3 * ON * self.h * longest)
        on = self.sdf(corners[flat].mean(axis=1)) > -ON * self.h
        return np.delete(cells, flat[on | (area[flat] == 0)], axis=0)

    def relax(self, steps: int) -> None:
        """Let the bars push the points apart, bringing back those that leave the domain."""
        seen = np.full_like(self.points, np.inf)
        for step in range(steps):
            if np.sqrt(((self.points - seen) ** 2).sum(axis=1)).max() > RETRIANGULATE * self.h:
                seen = self.points.copy()
                bars = truss_arrays.bars(self.triangulate())
            force, length, rest = truss_arrays.forces(self.points, bars)
            if step and step % 30 == 0 and self._thin_out(bars, rest > CROWDED * length):
                seen = np.full_like(self.points, np.inf)
                continue
            force[: self.fixed] = 0.0
            before = self.points
            self.points = self.points + STEP * force
            out = np.flatnonzero(~self.inside(self.points))
            out = out[out >= self.fixed]
            self.points[out] = self.back(self.points[out])
            if np.sqrt(((self.points - before) ** 2).sum(axis=1)).max() < STILL * self.h:
                break

    def _thin_out(self, bars: np.ndarray, crowded: np.ndarray) -> bool:
        """Remove a movable end of every crowded bar; return whether there was one."""
        ends = np.unique(bars[crowded].max(axis=1))
        return self.remove(ends)

    def remove(self, ids: np.ndarray) -> bool:
        """Remove the movable ones of these points; return whether there was one."""
        ids = ids[ids >= self.fixed]
        self.points = np.delete(self.points, ids, axis=0)
        return len(ids) > 0

    def snap(self, cells: np.ndarray) -> np.ndarray:
        """Move the movable vertices of the mesh's boundary onto the domain's boundary; return their ids."""
        rim = np.unique(truss_arrays.rim(cells))
        movable = rim[rim >= self.fixed]
        moved = self.to_boundary(self.points[movable])
        near = np.sqrt(((moved - self.points[movable]) ** 2).sum(axis=1)) < 0.5 * self.h
        self.points[movable[near]] = moved[near]
        return rim

    def repair(self) -> np.ndarray:
        """Return the triangles after removing those of low quality."""
        for _ in range(30):
            rim = self.snap(self.triangulate())
            cells = self.triangulate()
            poor = cells[truss_arrays.quality(self.points[cells]) < POOR]
            if not len(poor) or not self._improve(
                poor, set(rim.tolist()), {tuple(e) for e in np.sort(truss_arrays.rim(cells)).tolist()}
            ):
                break
            self.relax(10)
        rim = self.snap(self.triangulate())
        return self.triangulate()

    def _improve(self, poor: np.ndarray, rim: set[int], edges: set[tuple[int, ...]]) -> bool:
        """Delete or move one vertex of each poor triangle, at most one per neighbourhood; return whether any was."""
        touched: set[int] = set()
        doomed: list[int] = []
        changed = False
        for cell in poor:
            corners = self.points[cell]
            length = np.sqrt(
                ((corners[[1, 2, 0]] - corners[[2, 0, 1]]) ** 2).sum(axis=1)
            )  # opposite to each vertex
            if touched & set(cell.tolist()):
                continue
            flat = length.min() > 0.4 * length.max()
            apex = int(cell[length.argmax()])
            others = [int(v) for v in cell if v != apex]
            short = [int(v) for v in np.delete(cell, length.argmin())]
            if flat and apex not in rim and tuple(sorted(others)) in edges:
                self.points[apex] = self.to_boundary(self.points[[apex]])[0]
                changed = True
            else:  # the freest vertex goes: one inside before one on the boundary, never a fixed one
                order = [apex, *others] if flat else sorted(short, key=lambda v: (v in rim, -v))
                free = [v for v in order if v >= self.fixed]
                if not free:
                    continue
                doomed.append(free[0])
            touched.update(cell.tolist())
        return self.remove(np.asarray(doomed, dtype=np.int64)) or changed


def distmesh(
    domain: Domain, h: float, iterations: int = 100, *, generator: torch.Generator | None = None
) -> Mesh:
    """Mesh a planar domain with triangles of about equal size.

    Args:
        domain: Planar bounded domain.
        h: Edge length aimed at, in length units.
        iterations: Most steps of the truss.
        generator: Source of randomness for the place of the starting lattice; None puts it at the lower corner.

    Returns:
        Triangles, counter-clockwise; boundary facets carry the tags of the closest boundary parts; corners of boxes,
        polygons and combinations are vertices.

    Raises:
        UsageError: If the domain is not planar or unbounded, h is not positive, or too large for the domain's shape.

    Reference: Persson and Strang, section 2.
    """
    if domain.dim != 2 or not math.isfinite(domain.diameter):
        raise UsageError(
            f"distmesh needs a bounded 2-D domain, got {domain.dim}-D with bounds {domain.bounds}"
        )
    if mesh_size(h) >= domain.diameter:
        raise UsageError(f"the mesh size must be below the diameter {domain.diameter:.3g}, got {h}")
    truss = _start(domain, h, generator)
    truss.relax(iterations)
    cells = truss.repair()
    used, cells = np.unique(cells, return_inverse=True)
    mesh = Mesh(torch.from_numpy(truss.points[used]), torch.from_numpy(cells.reshape(-1, 3)), "tri")
    _check(domain, h, mesh)
    return tag_by_domain(mesh, domain)


def tag_by_domain(mesh: Mesh, domain: Domain) -> Mesh:
    """Name the boundary facets of a mesh after the boundary parts of a domain closest to their midpoints.

    Args:
        mesh: The mesh.
        domain: The domain that it covers.

    Raises:
        UsageError: If a part of the domain's boundary is closest to no facet.
    """
    middle = mesh.points[mesh.facets[mesh.boundary_facets]].mean(dim=1)
    tag = domain.project(middle).tag.long()
    missing = [name for i, name in enumerate(domain.tags) if not bool((tag == i).any())]
    missing = [name for name in missing if domain.boundary_measure(name) > 0]
    if missing:
        raise UsageError(f"the mesh has no facet on the boundary part '{missing[0]}'; pass a smaller h")
    return mesh.tag_facets({name: mesh.boundary_facets[tag == i] for i, name in enumerate(domain.tags)})


def _start(domain: Domain, h: float, generator: torch.Generator | None) -> _Truss:
    (x0, x1), (y0, y1) = domain.bounds
    shift = (
        torch.rand(2, generator=check_generator(generator), dtype=torch.float64).tolist()
        if generator is not None
        else (0.0, 0.0)
    )
    row = h * math.sqrt(3) / 2
    x, y = np.meshgrid(
        np.arange(x0 - shift[0] * h, x1 + h, h), np.arange(y0 - shift[1] * row, y1 + row, row), indexing="ij"
    )
    x[:, 1::2] += h / 2
    lattice = np.stack([x.ravel(), y.ravel()], axis=1)
    fixed = corner_points(domain, h / 2).numpy()
    truss = _Truss(domain, h, lattice, len(fixed))
    lattice = lattice[truss.sdf(lattice) < ON * h]
    if len(fixed) and len(lattice):
        gap = np.sqrt(((lattice[:, None] - fixed[None]) ** 2).sum(axis=2)).min(axis=1)
        lattice = lattice[gap > h / 2]
    truss.points = np.concatenate([fixed, lattice])
    if len(truss.points) < 4 or not len(truss.triangulate()):
        raise UsageError(f"mesh size {h:g} leaves {len(truss.points)} points in the domain; pass a smaller h")
    return truss


def _check(domain: Domain, h: float, mesh: Mesh) -> None:
    """Refuse a mesh whose boundary is not the domain's."""
    gap = domain.sdf(mesh.points[mesh.facets[mesh.boundary_facets]].mean(dim=1)).abs()
    worst = int(gap.argmax())
    if float(gap[worst]) > 0.5 * h:
        place = mesh.points[mesh.facets[mesh.boundary_facets[worst]]].mean(dim=0).tolist()
        raise UsageError(
            f"mesh size {h:g} is too coarse: near ({place[0]:.4g}, {place[1]:.4g}) the mesh's boundary is {gap[worst]:.2g} "
            f"from the domain's; pass a smaller h"
        )
    mesh.validate()
    _check_gaps(domain, h, mesh)
    area, measure = float(mesh.cell_measure().sum()), domain.measure()
    if abs(area / measure - 1) > 0.1:
        raise UsageError(
            f"mesh size {h:g} is too coarse: the mesh covers {area:.4g}, the domain {measure:.4g}; pass a smaller h"
        )


def _check_gaps(domain: Domain, h: float, mesh: Mesh) -> None:
    """Refuse a mesh that lost a strip of the domain: a hole touches a wall in one vertex, or opened into it."""
    rim = mesh.facets[mesh.boundary_facets]
    vertex, degree = torch.unique(rim, return_counts=True)
    places = mesh.points[vertex[degree != 2]]
    if not len(places):
        count = math.ceil(SAMPLES * domain.boundary_measure() / h)
        x = domain.sample_boundary(count, generator=torch.Generator().manual_seed(0))
        a, b = mesh.points[rim].unbind(dim=1)
        away = (x - CandidateGrid.build(segment_table(a, b)).closest(x)[0]).norm(dim=1)
        x = x[away > LOST * h]
        x = x[mesh.locate(x)[0] < 0] if len(x) else x
        normal = domain.project(x).normal
        opposite = [domain.sdf(x - depth * h * normal) > 0 for depth in THIN]  # a rounded corner that is cut off is no gap
        places = x[torch.stack(opposite).any(dim=0)] if len(x) else x
    if len(places):
        place = places[0].tolist()
        raise UsageError(
            f"mesh size {h:g} is too coarse: near ({place[0]:.4g}, {place[1]:.4g}) a gap or a part of the domain is thinner "
            "than h and would be lost; pass a smaller h"
        )
