"""Facets, edges, neighbourhoods and names of meshes: scikit-fem's numbering, Euler's formula, brute force."""

import numpy as np
import pytest
import torch
from mesh_cases import SHAPES, TYPES, assert_same, named_box

from pdeflow.errors import UsageError
from pdeflow.geometry.grid import Grid
from pdeflow.geometry.mesh import Mesh


@pytest.mark.parametrize("cell_type", TYPES)
def test_facet_ids_are_those_of_scikit_fem(cell_type):
    mesh = named_box(cell_type, warp=0.2)
    other = mesh.to_skfem()
    np.testing.assert_array_equal(np.sort(other.facets.T, axis=1), mesh.facets)
    np.testing.assert_array_equal(np.sort(other.f2t.T, axis=1), mesh.facet_cells.sort(dim=1).values)
    np.testing.assert_array_equal(other.boundary_facets(), mesh.boundary_facets)
    np.testing.assert_array_equal(other.boundary_nodes(), mesh.boundary_nodes())


@pytest.mark.parametrize("cell_type", TYPES)
def test_cell_facets_and_facet_cells_are_inverse(cell_type):
    mesh = named_box(cell_type)
    for cell, ids in enumerate(mesh.topology.cell_facets):
        assert all(cell in mesh.facet_cells[f] for f in ids)
        for local, f in zip(mesh.reference.facets, ids, strict=True):
            assert set(mesh.cells[cell][local].tolist()) == set(mesh.facets[f].tolist())


@pytest.mark.parametrize("cell_type", TYPES)
def test_euler_characteristic_of_a_box_is_one(cell_type):
    mesh = named_box(cell_type)
    counts = {1: [mesh.n_points, mesh.n_cells], 2: [mesh.n_points, len(mesh.facets), mesh.n_cells]}
    counts[3] = [mesh.n_points, mesh.edges().shape[1], len(mesh.facets), mesh.n_cells]
    assert sum((-1) ** k * n for k, n in enumerate(counts[mesh.cell_dim])) == 1


@pytest.mark.parametrize("cell_type", ["tri", "quad", "tet", "hex"])
def test_the_sides_of_a_box_cover_its_boundary_once(cell_type):
    mesh = named_box(cell_type)
    assert list(mesh.facet_tags) == [f"x{k}{side}" for k in range(mesh.dim) for side in "-+"]
    joined = torch.cat(list(mesh.facet_tags.values())).sort().values
    assert torch.equal(joined, mesh.boundary_facets)
    assert (mesh.points[mesh.boundary_nodes("x1+")][:, 1] == 1.0).all()
    assert len(mesh.boundary_nodes("x0-")) == np.prod([n + 1 for n in SHAPES[cell_type][1:]])


@pytest.mark.parametrize("cell_type", ["tri", "tet", "hex"])
@pytest.mark.parametrize("rings", [1, 2, 3])
def test_adjacency_equals_breadth_first_search(cell_type, rings):
    mesh = named_box(cell_type)
    pattern = mesh.adjacency(rings).toarray()
    near = [set() for _ in range(mesh.n_points)]
    for cell in mesh.cells.tolist():
        for i in cell:
            near[i] |= set(cell)
    for i in range(mesh.n_points):
        reach = {i}
        for _ in range(rings):
            reach = set().union(*(near[j] for j in reach))
        assert set(np.flatnonzero(pattern[i])) == reach - {i}


def test_edges_of_a_simplex_mesh_are_its_one_ring():
    mesh = named_box("tet", warp=0.2)
    i, j = mesh.edges()
    assert mesh.adjacency().nnz == 2 * len(i)
    assert (mesh.adjacency().toarray()[i, j] == 1).all()
    assert (i < j).all()


def test_nearest_neighbours_equal_brute_force_and_leave_out_the_point_itself():
    mesh = named_box("tri", warp=0.3)
    distance = torch.cdist(mesh.points, mesh.points)
    distance.fill_diagonal_(torch.inf)
    found = mesh.knn(4)
    torch.testing.assert_close(distance.gather(1, found), distance.sort(dim=1).values[:, :4])
    twice = Mesh(mesh.points[[0, 0, 0, 1, 2]], torch.tensor([[0, 3, 4]]), "tri")
    assert (twice.knn(2) != torch.arange(5)[:, None]).all()


def test_predicates_see_midpoints_of_boundary_facets():
    mesh = Mesh.disk(0.2).tag_facets({"right": lambda x: x[:, 0] > 0, "all": lambda x: x[:, 0] < 9})
    assert len(mesh.facet_tags["right"]) * 2 == len(mesh.facet_tags["all"]) == len(mesh.boundary_facets)
    with pytest.raises(UsageError, match=r"predicate of tag 'a' must return 30 booleans"):
        mesh.tag_facets({"a": lambda x: x[:, 0]})


def test_unknown_names_list_what_there_is():
    with pytest.raises(UsageError, match=r"unknown tag 'inlet'; the mesh has 'x0-', 'x0\+'"):
        named_box("tri").boundary_nodes("inlet")
    with pytest.raises(UsageError, match=r"unknown tag 'a'; the mesh has 'left'"):
        named_box("tri").cells_named("a")
    with pytest.raises(UsageError, match="the mesh has no facet tags"):
        Mesh(torch.zeros(3, 2), torch.tensor([[0, 1, 2]]), "tri").normals("a")


@pytest.mark.parametrize("cell_type", ["tri", "quad", "tet", "hex"])
def test_the_boundary_is_a_closed_surface_with_outward_normals_and_the_names(cell_type):
    mesh = named_box(cell_type, warp=0.2)
    surface = mesh.boundary()
    assert surface.cell_dim == mesh.dim - 1
    assert len(surface.boundary_facets) == 0
    torch.testing.assert_close(surface.cell_measure(), mesh.facet_measure()[mesh.boundary_facets])
    side = surface.cells[surface.cell_tags["x0+"]]
    assert torch.equal(torch.unique(surface.points[side.flatten()], dim=0), torch.unique(
        mesh.points[mesh.boundary_nodes("x0+")], dim=0
    ))  # fmt: skip
    if cell_type in ("tri", "quad"):
        a, b = surface.points[surface.cells].unbind(dim=1)
        area = 0.5 * (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()  # positive: counter-clockwise
        torch.testing.assert_close(area, mesh.cell_measure().sum())


def test_a_node_grid_numbers_points_and_a_cell_grid_numbers_cells():
    nodes = Grid.unit((4, 3), location="node")
    torch.testing.assert_close(Mesh.from_grid(nodes).points, nodes.coordinates().reshape(-1, 2))
    cells = Grid.uniform((4, 3, 2), [(0, 2), (0, 1), (1, 2)])
    torch.testing.assert_close(Mesh.from_grid(cells, "hex").centroids(), cells.coordinates().reshape(-1, 3))
    with pytest.raises(UsageError, match="location='cell'"):
        Mesh.from_grid(Grid.unit((4, 4), periodic=True, location="node"))


def test_a_periodic_structured_mesh_closes_a_ring():
    angle = torch.arange(24).double() * (2 * np.pi / 24)
    radius = torch.linspace(1, 2, 5).double()
    place = torch.stack([radius * angle.cos()[:, None], radius * angle.sin()[:, None]], dim=-1)
    for kind in ("tri", "quad"):
        ring = Mesh.structured(place, kind, periodic=(True, False))
        ring.validate()  # reoriented: the angle comes first
        assert list(ring.facet_tags) == ["x1-", "x1+"]
        assert ring.n_points - len(ring.facets) + ring.n_cells == 0  # Euler characteristic of an annulus


@pytest.mark.parametrize("cell_type", TYPES)
def test_inverted_cells_are_reordered_and_names_stay(cell_type):
    mesh = named_box(cell_type, warp=0.2)
    mirrored = mesh.cells.clone()
    mirrored[::2] = mirrored[::2][:, mesh.reference.mirror]
    twisted = Mesh(mesh.points, mirrored, cell_type, mesh.facet_tags, mesh.cell_tags)
    assert (twisted.signed_measure()[::2] < 0).all()
    assert_same(twisted.oriented(), mesh)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: Mesh(torch.zeros(3, 2), torch.zeros(1, 4), "tri"),
            r"tri cells must be \(m, 3\), got \(1, 4\)",
        ),
        (
            lambda: Mesh(torch.zeros(3, 2), torch.zeros(1, 4), "tet"),
            r"tet points must be \(n, 3…3\), got \(3, 2\)",
        ),
        (lambda: Mesh(torch.zeros(3, 2), torch.zeros(1, 4), "prism"), "cell_type must be one of line, tri"),
        (lambda: Mesh.box((2, 2), cell_type="hex"), "does not fit a grid of 2 axes"),
        (lambda: Mesh.rectangle((2, 0)), "positive number of cells"),
        (lambda: Mesh.rectangle((2, 2), (0, 0), (1, 0)), "lower < upper"),
        (lambda: Mesh.box((2, 2, 2, 2)), "1, 2 or 3 axes"),
        (lambda: Mesh.disk(-1.0), "positive mesh size"),
        (lambda: named_box("tri").adjacency(0), "k_ring must be at least 1"),
        (lambda: named_box("tri").knn(99), "k must be between 1 and 29"),
        (lambda: named_box("line").boundary(), "use boundary_facets"),
    ],
)
def test_wrong_arguments_are_named(build, message):
    with pytest.raises(UsageError, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)
