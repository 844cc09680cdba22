"""Shapes of other projects go through all of the layer: mesh, solve, distance, sample, plot, file for ParaView."""

from pathlib import Path

import meshio
import pytest
import torch

from pdeflow import seeds, solve
from pdeflow.discretization.boundary import Dirichlet
from pdeflow.discretization.finite_element import elliptic_system, space_on
from pdeflow.geometry import Mesh, MeshDomain, Polygon, boundary_points, interior_points, mesh_domain
from pdeflow.report.mesh_fields import plot_mesh, plot_mesh_samples

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared sample files are not there")


def generator():
    return seeds.generator(0, seeds.GEOMETRY, 0)


def harmonic(x):
    """Linear, so linear elements reproduce it exactly on every mesh."""
    return 2 * x[:, 0] - 3 * x[:, 1] + 1


def solves_exactly(mesh):
    system = elliptic_system(space_on(mesh, "P1"), 1.0, 0.0, {"*": Dirichlet(harmonic)})
    u = torch.from_numpy(solve(system, method="direct", rtol=1e-10).x)
    scale = float(harmonic(mesh.points).abs().max())
    torch.testing.assert_close(u, harmonic(mesh.points), atol=1e-9 * scale, rtol=0)
    return u


def by_hand(x, edges):
    """Distance to all edges, one edge after another."""
    found = torch.full((len(x),), torch.inf, dtype=x.dtype)
    for a, b in edges:
        t = ((x - a) @ (b - a) / (b - a).pow(2).sum()).clamp(0, 1)
        found = torch.minimum(found, (x - a - t[:, None] * (b - a)).norm(dim=1))
    return found


def draws(path, mesh, u):
    picture = plot_mesh_samples(path, [(mesh, u)])
    assert picture.stat().st_size > 10_000
    assert plot_mesh(path.with_name("mesh.png"), mesh.points, mesh.cells, mesh.cell_type).stat().st_size > 10_000
    mesh.save(path.with_suffix(".vtu"), point_data={"u": u})
    back = meshio.read(path.with_suffix(".vtu"))
    assert (back.point_data["u"] == u.numpy()).all()


def test_the_engine_polygon_is_meshed_solved_measured_sampled_and_drawn(tmp_path):
    polygon = Polygon.load(SHARED / "engine_boundary.obj")
    loops = [polygon.vertices, *polygon.holes]
    assert sum(map(len, loops)) == 647 - len(loops)  # the file repeats the first vertex of every loop
    x = interior_points(polygon, 500, generator=generator()).x
    assert bool(polygon.inside(x).all())
    edges = [edge for loop in loops for edge in zip(loop, loop.roll(-1, 0), strict=True)]
    torch.testing.assert_close(polygon.distance(x), by_hand(x, edges), atol=1e-14 * polygon.diameter, rtol=0)
    rim = boundary_points(polygon, 400, generator=generator())
    assert float(polygon.distance(rim.x).max()) < 1e-12 * polygon.diameter
    assert float(rim.w.sum()) == pytest.approx(polygon.boundary_measure(), rel=1e-12)
    mesh = mesh_domain(polygon, 12.0, backend="distmesh")
    mesh.validate()
    assert float(mesh.cell_measure().sum()) == pytest.approx(polygon.measure(), rel=1e-3)
    draws(tmp_path / "engine.png", mesh, solves_exactly(mesh))


def test_the_tagged_square_keeps_its_tags_and_is_solved_measured_sampled_and_drawn(tmp_path):
    mesh = Mesh.load(SHARED / "tagged_square.msh")
    mesh.validate()
    assert {name: len(ids) for name, ids in mesh.facet_tags.items()} == {"tagged": 8, "test": 8}
    domain = MeshDomain(mesh)
    x = interior_points(domain, 500, generator=generator()).x
    assert float(domain.sdf(x).max()) < 0
    edges = mesh.points[mesh.facets[mesh.boundary_facets]]
    torch.testing.assert_close(domain.distance(x), by_hand(x, edges), atol=1e-14, rtol=0)
    draws(tmp_path / "square.png", mesh, solves_exactly(mesh))
