"""Meshing by springs: quality, no inverted cell, the domain's area, corners and tags."""

import math
from pathlib import Path

import pytest
import torch

from pdeflow.errors import UsageError
from pdeflow.geometry.corners import corner_points
from pdeflow.geometry.distmesh import distmesh
from pdeflow.geometry.domain import Box
from pdeflow.geometry.domain.ball import Annulus, Ball
from pdeflow.geometry.domain.polygon import Polygon
from pdeflow.geometry.mesh.gmsh_model import gmsh_available
from pdeflow.geometry.meshing import mesh_domain

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SQUARE = torch.tensor([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=torch.float64)


def star(sides=120, amplitude=0.06):
    theta = 2 * math.pi * torch.arange(sides, dtype=torch.float64) / sides
    r = 0.25 + amplitude * torch.cos(5 * theta)
    return torch.stack([0.5 + r * theta.cos(), 0.5 + r * theta.sin()], dim=1)


CELL = Polygon(SQUARE, (star(),))


@pytest.mark.parametrize("h", [0.06, 0.04])
def test_a_cell_with_a_star_hole_gets_good_triangles(h):
    mesh = distmesh(CELL, h)
    mesh.validate()
    quality = mesh.quality()
    assert float(mesh.signed_measure().min()) > 0
    assert float(quality.mean()) > 0.93
    assert float(quality.min()) >= 0.2
    assert float(mesh.cell_measure().sum()) == pytest.approx(CELL.measure(), rel=5e-3)
    assert sorted(mesh.facet_tags) == ["hole0", "outer"]
    length = (mesh.points[mesh.edges()[0]] - mesh.points[mesh.edges()[1]]).norm(dim=1)
    assert float(length.mean()) == pytest.approx(h, rel=0.15)


SHAPES = {
    "box": (Box((0.0, 0.0), (2.0, 1.0)), 2.0, 0.0),
    "disk": (Ball((0.0, 0.0), 1.0), math.pi, 1.0),
    "annulus": (Annulus((0.0, 0.0), 0.4, 1.0), 0.84 * math.pi, 1.0),
    "bite": (Box.unit(2) - Ball((1.0, 1.0), 0.4), 1 - 0.04 * math.pi, 1.0),
    "lens": (Ball((0.0, 0.0), 1.0) & Ball((1.0, 0.0), 1.0), 2 * math.pi / 3 - math.sqrt(3) / 2, 1.0),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("seed", [None, 1])
def test_meshes_of_shapes_are_valid_and_cover_them_to_second_order(name, seed):
    domain, area, curved = SHAPES[name]
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    h = 0.1
    mesh = distmesh(domain, h, generator=generator)
    assert float(mesh.quality().min()) >= 0.2
    assert float(mesh.quality().mean()) > 0.93
    assert float(mesh.cell_measure().sum()) == pytest.approx(area, abs=1e-12 + curved * h**2)
    rim = mesh.points[mesh.boundary_nodes()]
    assert float(domain.sdf(rim).abs().max()) < 1e-9
    tagged = torch.cat([mesh.facet_tags[tag] for tag in domain.tags])
    assert torch.equal(tagged.sort().values, mesh.boundary_facets)


def test_equal_arguments_give_equal_meshes():
    a, b = (distmesh(Ball((0.0, 0.0), 1.0), 0.2) for _ in range(2))
    assert a.fingerprint == b.fingerprint
    first, second, third = (
        distmesh(Ball((0.0, 0.0), 1.0), 0.2, generator=torch.Generator().manual_seed(s)) for s in (0, 0, 1)
    )
    assert first.fingerprint == second.fingerprint != third.fingerprint


def test_sides_of_a_box_carry_their_tags_and_its_corners_are_vertices():
    mesh = distmesh(Box.unit(2), 0.15)
    for axis, side, place in ((0, "-", 0.0), (0, "+", 1.0), (1, "-", 0.0), (1, "+", 1.0)):
        nodes = mesh.points[mesh.boundary_nodes(f"x{axis}{side}")]
        assert float((nodes[:, axis] - place).abs().max()) < 1e-12
        assert sorted(nodes[:, 1 - axis].tolist())[:: len(nodes) - 1] == pytest.approx([0.0, 1.0])


def test_corners_of_combined_domains_are_where_the_boundaries_cross():
    bite = corner_points(Box.unit(2) - Ball((1.0, 1.0), 0.4), 0.05)
    expected = torch.tensor([[0, 0], [0, 1], [0.6, 1], [1, 0], [1, 0.6]], dtype=torch.float64)
    found = torch.tensor(sorted(bite.round(decimals=9).tolist()), dtype=torch.float64)
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=0)
    smooth = Polygon(SQUARE, (star(400, 0.03),))
    assert len(corner_points(smooth, 0.05)) == 4
    assert len(corner_points(Ball((0.0, 0.0), 1.0).translate((1.0, 0.0)), 0.05)) == 0


def test_a_real_polygon_is_meshed_with_all_its_holes():
    if not (DATA / "engine_boundary.obj").exists():
        pytest.skip("no shared data")
    domain = Polygon.load(DATA / "engine_boundary.obj")
    mesh = distmesh(domain, 0.04 * domain.diameter)
    assert float(mesh.quality().min()) >= 0.2
    assert float(mesh.cell_measure().sum()) == pytest.approx(domain.measure(), rel=0.03)
    assert set(mesh.facet_tags) == set(domain.tags)


def test_one_call_chooses_the_mesher():
    assert mesh_domain(Box.unit(3), 0.5).cell_type == "tet"
    assert mesh_domain(Box.unit(1), 0.25).n_cells == 4
    disk = mesh_domain(Ball((0.0, 0.0), 1.0), 0.3)
    assert disk.fingerprint == distmesh(Ball((0.0, 0.0), 1.0), 0.3).fingerprint
    with pytest.raises(UsageError, match="not a Ball"):
        mesh_domain(Ball((0.0, 0.0), 1.0), 0.3, backend="gmsh")
    with pytest.raises(UsageError, match="backend must be"):
        mesh_domain(Ball((0.0, 0.0), 1.0), 0.3, backend="netgen")


@pytest.mark.skipif(not gmsh_available(), reason="no Gmsh")
def test_gmsh_and_distmesh_give_the_same_region_and_tags():
    for domain in (CELL, Box((0.0, 0.0), (1.0, 2.0))):
        meshes = [mesh_domain(domain, 0.1, backend=name) for name in ("gmsh", "distmesh")]
        assert set(meshes[0].facet_tags) == set(meshes[1].facet_tags) == set(domain.tags)
        for mesh in meshes:
            assert float(mesh.cell_measure().sum()) == pytest.approx(domain.measure(), rel=2e-2)


def test_sizes_and_shapes_that_do_not_fit_are_refused():
    with pytest.raises(UsageError, match="bounded 2-D domain, got 3-D"):
        distmesh(Box.unit(3), 0.1)
    with pytest.raises(UsageError, match=r"must be positive and finite, got -0.1"):
        distmesh(Box.unit(2), -0.1)
    with pytest.raises(UsageError, match="pass a smaller h"):
        distmesh(Annulus((0.0, 0.0), 0.05, 1.0), 0.5)


@pytest.mark.parametrize(("h", "good"), [(0.1, False), (0.02, False), (0.01, True)])
def test_a_hole_that_would_open_into_a_wall_is_refused_not_lost(h, good):
    domain = Box((0.0, 0.0), (1.0, 1.0)) - Ball((0.5, 0.79), 0.2)  # a gap of 0.01
    if not good:
        with pytest.raises(UsageError, match="a gap or a part of the domain is thinner"):
            distmesh(domain, h)
        return
    mesh = distmesh(domain, h)
    euler = mesh.n_points - len(mesh.facets) + mesh.n_cells
    assert euler == 0  # one hole
