"""The region of a mesh answers like the polygon or surface that bounds it."""

import math

import pytest
import torch

from pdeflow.errors import DataError, UsageError
from pdeflow.geometry.domain import Box
from pdeflow.geometry.domain.polygon import Polygon
from pdeflow.geometry.mesh import Mesh
from pdeflow.geometry.meshed_domain import MeshDomain
from pdeflow.geometry.sampling import boundary_points, interior_points


def cloud(n, dim, low=-0.5, high=1.5, seed=0):
    return low + (high - low) * torch.rand(
        n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def square_ring():
    """The unit square without a square hole in the middle, as 8 of 9 quadrilaterals."""
    mesh = Mesh.rectangle((3, 3), cell_type="quad")
    return Mesh(mesh.points, mesh.cells[[0, 1, 2, 3, 5, 6, 7, 8]], "quad")


@pytest.mark.parametrize("cell_type", ["tri", "quad"])
def test_a_meshed_rectangle_answers_like_the_box(cell_type):
    box, domain = Box.unit(2), MeshDomain(Mesh.rectangle((4, 3), cell_type=cell_type))
    x = cloud(500, 2)
    torch.testing.assert_close(domain.sdf(x), box.sdf(x), atol=1e-14, rtol=0)
    assert sorted(domain.tags) == sorted(box.tags)
    for name in box.tags:
        torch.testing.assert_close(
            domain.closest(x, name).distance, box.closest(x, name).distance, atol=1e-14, rtol=0
        )
        assert domain.boundary_measure(name) == pytest.approx(1.0)


def test_distances_equal_those_of_the_polygon_with_a_hole():
    third = torch.tensor([[1, 1], [2, 1], [2, 2], [1, 2]], dtype=torch.float64) / 3
    square = torch.tensor([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=torch.float64)
    polygon, domain = Polygon(square, (third,)), MeshDomain(square_ring())
    x = cloud(1000, 2)
    torch.testing.assert_close(domain.sdf(x), polygon.sdf(x), atol=1e-14, rtol=0)
    torch.testing.assert_close(domain.distance(x), polygon.distance(x), atol=1e-14, rtol=0)
    assert bool((domain.distance_lower_bound(x) <= polygon.distance(x) + 1e-15).all())
    assert domain.measure() == pytest.approx(8 / 9, abs=1e-14)
    assert domain.boundary_measure() == pytest.approx(4 + 4 / 3, abs=1e-14)
    assert domain.tags == ("boundary",)


@pytest.mark.parametrize("cell_type", ["tet", "hex"])
def test_a_meshed_cube_answers_like_the_box(cell_type):
    box, domain = Box.unit(3), MeshDomain(Mesh.box((2, 2, 2), cell_type=cell_type))
    x = cloud(300, 3)
    torch.testing.assert_close(domain.sdf(x), box.sdf(x), atol=1e-14, rtol=0)
    assert domain.measure() == pytest.approx(1.0, abs=1e-14)
    assert domain.boundary_measure("x2+") == pytest.approx(1.0, abs=1e-14)


def test_projections_name_the_facet_of_the_mesh_and_its_first_tag():
    mesh = Mesh.rectangle((4, 4)).tag_facets({"lower half": lambda m: m[:, 1] < 0.5})
    domain, x = MeshDomain(mesh), cloud(200, 2)
    found = domain.project(x)
    ends = mesh.points[mesh.facets[found.facet]]
    along = torch.stack([(found.point - ends[:, k]).norm(dim=1) for k in (0, 1)]).sum(dim=0)
    torch.testing.assert_close(along, (ends[:, 0] - ends[:, 1]).norm(dim=1))
    for facet, tag in zip(found.facet.tolist(), found.tag.tolist(), strict=True):
        assert facet in mesh.facet_tags[domain.tags[tag]].tolist()
    assert "lower half" not in domain.tags  # every one of its facets has an earlier name


def test_points_come_from_the_cells_and_from_the_facets():
    domain = MeshDomain(Mesh.disk(0.1))
    inner = interior_points(domain, 4096, generator=torch.Generator().manual_seed(0))
    rim = boundary_points(domain, 512, generator=torch.Generator().manual_seed(0))
    assert bool(domain.inside(inner.x, 1e-12).all())
    assert float((inner.w * inner.x.square().sum(dim=1)).sum()) == pytest.approx(math.pi / 2, rel=0.02)
    assert float(rim.w.sum()) == pytest.approx(domain.boundary_measure(), rel=1e-12)
    assert float(domain.distance(rim.x).max()) < 1e-14


def test_meshes_that_bound_no_single_region_are_refused():
    square = Mesh.rectangle((3, 3), cell_type="quad")
    with pytest.raises(UsageError, match="falls into 2 parts"):
        MeshDomain(Mesh(square.points, square.cells[[0, 2]], "quad").cleaned())
    with pytest.raises(UsageError, match="touches itself at vertex"):
        MeshDomain(Mesh(square.points, square.cells[[0, 4]], "quad").cleaned())
    with pytest.raises(UsageError, match="line in 1-D"):
        MeshDomain(Mesh.box((4,)))


def test_a_mesh_with_an_inverted_cell_or_a_nan_bounds_no_region():
    square = Mesh.rectangle((3, 3), cell_type="tri")
    cells = square.cells.clone()
    cells[4] = cells[4].flip(0)
    with pytest.raises(DataError, match="cell 4 is inverted"):
        MeshDomain(Mesh(square.points, cells, "tri"))
    points = square.points.clone()
    points[5, 1] = torch.nan
    broken = Mesh(points, square.cells, "tri")
    with pytest.raises(DataError, match="finite"):
        MeshDomain(broken)
    with pytest.raises(DataError, match="not finite"):
        broken.locate(torch.full((1, 2), 0.4, dtype=torch.float64))
    with pytest.raises(UsageError, match="point 5 is not finite"):
        broken.gradient()
