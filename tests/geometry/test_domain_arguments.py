"""What every domain asks of its points, and names that keep two holes apart."""

from functools import partial

import numpy as np
import pytest
import torch

from pdeflow.errors import UsageError
from pdeflow.geometry import (
    Annulus,
    Ball,
    Box,
    Polygon,
    StarShaped,
    TriSurface,
    boundary_points,
    interior_points,
    mesh_domain,
)
from pdeflow.geometry.distmesh import distmesh
from pdeflow.geometry.mesh.gmsh_model import mesh_polygon
from pdeflow.problems import StarPoisson
from pdeflow.problems.elliptic import box_mesh
from pdeflow.problems.slotted_plate import plate_mesh

TETRAHEDRON = TriSurface(
    torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]], dtype=torch.float64),
    torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
    back_end="own",
)
TRIANGLE = Polygon(torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64))
DOMAINS = [Box.unit(2), Ball((0.0, 0.0), 1.0), Annulus((0.0, 0.0), 0.5, 1.0), TRIANGLE, StarShaped((1.0, 0.1)), TETRAHEDRON]
DOMAINS += [Box.unit(2) - Ball((0.5, 0.5), 0.2)]


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: type(domain).__name__)
@pytest.mark.parametrize("query", ["sdf", "project", "distance", "inside"])
def test_points_that_are_not_finite_or_of_another_shape_are_refused(domain, query):
    x = torch.zeros(3, domain.dim, dtype=torch.float64)
    x[1, 0] = torch.nan
    with pytest.raises(UsageError, match="point 1 is not finite"):
        getattr(domain, query)(x)
    with pytest.raises(UsageError, match="pass \\(n,"):
        getattr(domain, query)(torch.zeros(domain.dim, dtype=torch.float64))


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: type(domain).__name__)
def test_points_that_are_no_tensor_are_refused_with_the_call_that_makes_one(domain):
    with pytest.raises(UsageError, match=r"got ndarray; use torch\.as_tensor"):
        domain.sdf(np.zeros((2, domain.dim)))


def test_two_holes_keep_their_names_through_cutting_moving_and_meshing():
    plate = Box((0.0, 0.0), (3.0, 1.0)) - Ball((1.0, 0.5), 0.2, tag="left hole") - Ball((2.0, 0.5), 0.2, tag="right hole")
    assert {"left hole", "right hole"} <= set(plate.tags)
    moved = plate.translate((1.0, 0.0)).scale(2.0)
    assert set(moved.tags) == set(plate.tags)
    mesh = mesh_domain(plate, 0.08)
    for name, centre in (("left hole", 1.0), ("right hole", 2.0)):
        middle = mesh.points[mesh.facets[mesh.facets_named(name)]].mean(1)
        assert float((middle - torch.tensor([centre, 0.5])).norm(dim=1).max()) < 0.2 + 1e-9
        assert float(mesh.facet_measure()[mesh.facets_named(name)].sum()) == pytest.approx(0.4 * np.pi, rel=0.03)


def test_an_edge_has_one_name():
    with pytest.raises(UsageError, match="edge 0 is named twice, 'a' and 'b'"):
        Polygon(TRIANGLE.vertices, edge_tags={"a": [0], "b": [0, 1]})
    with pytest.raises(UsageError, match=r"must list edges, e\.g\. \[0\]"):
        Polygon(TRIANGLE.vertices, edge_tags={"a": 0})


def test_a_polygon_with_short_edges_is_meshed_at_the_size_that_was_asked_for():
    theta = 2 * np.pi * np.arange(200) / 200
    disk = Polygon(torch.from_numpy(np.stack([np.cos(theta), np.sin(theta)], axis=1)))
    cells = [mesh_domain(disk, h).n_cells for h in (0.2, 0.1)]
    assert 3 < cells[1] / cells[0] < 5
    with pytest.raises(UsageError, match="must be a number"):
        mesh_domain(disk, (8, 8))


@pytest.mark.parametrize("h", [0, -0.1, np.nan, np.inf, "0.1", None, True])
@pytest.mark.parametrize(
    "use",
    [
        lambda h: mesh_domain(Box.unit(1), h),
        lambda h: mesh_domain(Box.unit(2), h, "gmsh"),
        lambda h: mesh_domain(Box.unit(2), h, "distmesh"),
        lambda h: mesh_domain(Box.unit(3), h),
        lambda h: distmesh(Ball((0.0, 0.0), 1.0), h),
        lambda h: mesh_polygon([TRIANGLE.vertices], h),
        lambda h: Ball((0.0, 0.0), 1.0).redistance(h),
        lambda h: StarPoisson().layout(StarPoisson().sample(torch.Generator()), h),
        lambda h: plate_mesh(h),
        lambda h: box_mesh(Box.unit(2), h),
    ],
)
def test_a_mesh_size_is_a_positive_number_everywhere(use, h):
    with pytest.raises(UsageError, match=r"mesh size must be (a number|positive and finite), got"):
        use(h)


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: type(domain).__name__)
@pytest.mark.parametrize("method", ["random", "sobol"])
def test_a_seed_is_no_generator(domain, method):
    sets = (partial(interior_points, domain), partial(boundary_points, domain))
    for draw in (domain.sample_interior, domain.sample_boundary, *sets):
        with pytest.raises(UsageError, match=r"torch\.Generator, got int 7; make one by .*manual_seed\(7\) or pdeflow\.seeds"):
            draw(50, method=method, generator=7)


@pytest.mark.parametrize("backend", ["gmsh", "distmesh"])
def test_tags_of_a_mesh_come_in_the_order_of_the_domain(backend):
    square = Polygon([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], edge_tags={"z": [2], "a": [0, 1], "m": [3]})
    for domain in (Box.unit(2), square):
        assert tuple(mesh_domain(domain, 0.3, backend).facet_tags) == domain.tags
