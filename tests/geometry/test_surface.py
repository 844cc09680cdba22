"""Closed triangle surfaces: exact closest points, signs, tags, and what is refused."""

import itertools
import math
import pickle
from importlib.util import find_spec

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pdeflow.errors import DataError, UsageError
from pdeflow.geometry.surface import TriSurface
from pdeflow.geometry.surface.back_ends import surface_queries
from pdeflow.geometry.surface.closest import TriangleTree, closest_by_all_pairs, closest_on_triangles
from pdeflow.geometry.surface.winding import WindingTree, winding_by_all_pairs

BACK_ENDS = [
    "own",
    pytest.param("libigl", marks=pytest.mark.skipif(not find_spec("igl"), reason="no libigl")),
]
CUBE = torch.tensor(
    [[x, y, z] for x in (0.0, 1.0) for y in (0.0, 1.0) for z in (0.0, 1.0)], dtype=torch.float64
)
LOW_HIGH = [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5]]  # x = 0 and x = 1
AROUND = [[0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
CUBE_FACES = torch.tensor([*LOW_HIGH, *AROUND])


def lattice(n, m, position):
    """Triangles of a surface periodic in both parameters, (n m, 3) vertices and (2 n m, 3) faces."""
    u, v = torch.meshgrid(torch.arange(n), torch.arange(m), indexing="ij")
    vertices = position(2 * math.pi * u.double() / n, 2 * math.pi * v.double() / m).view(-1, 3)
    corner = [((u + i) % n * m + (v + j) % m).flatten() for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))]
    first, second = (torch.stack([corner[k] for k in three], dim=1) for three in ((0, 1, 2), (0, 2, 3)))
    return vertices, torch.cat([first, second])


def torus(n=40, m=20, major=1.0, minor=0.4):
    def position(u, v):
        across = major + minor * v.cos()
        return torch.stack([across * u.cos(), across * u.sin(), minor * v.sin()], dim=-1)

    return lattice(n, m, position)


def sphere(level, radius=1.0):
    """Octahedron refined `level` times, all vertices on the sphere."""
    vertices = torch.tensor([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]]).double()
    faces = torch.tensor(
        [[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]]
    )
    for _ in range(level):
        edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).sort(dim=1).values
        ends, place = torch.unique(edges, dim=0, return_inverse=True)
        middle = torch.nn.functional.normalize(vertices[ends].sum(dim=1), dim=1)
        ab, bc, ca = (place + len(vertices)).view(3, -1)
        a, b, c = faces.unbind(1)
        vertices = torch.cat([vertices, middle])
        faces = torch.cat(
            [torch.stack(t, dim=1) for t in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))]
        )
    return radius * vertices, faces


def cloud(n, scale, seed=0):
    return scale * (
        2 * torch.rand(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1
    )


def bumpy(level=3):
    vertices, faces = sphere(level)
    bump = (
        1
        + 0.2 * (5 * vertices[:, :1]).sin() * (4 * vertices[:, 1:2]).cos()
        + 0.1 * (7 * vertices[:, 2:]).sin()
    )
    return bump * vertices, faces


@given(st.lists(st.floats(-2, 2, width=32), min_size=12, max_size=12))
def test_the_closest_point_of_a_triangle_is_the_best_of_its_points(numbers):
    x, a, b, c = torch.tensor(numbers, dtype=torch.float64).view(4, 1, 3)
    point = closest_on_triangles(x, a, b, c)
    s, t = torch.meshgrid(torch.linspace(0, 1, 21), torch.linspace(0, 1, 21), indexing="ij")
    s, t = s[s + t <= 1].double(), t[s + t <= 1].double()
    others = a + s[:, None] * (b - a) + t[:, None] * (c - a)
    size = float(torch.cat([a, b, c, x]).abs().max()) + 1e-300
    area = float(torch.linalg.cross(b - a, c - a).norm())
    if area > 1e-6 * size**2:
        assert (point - x).norm() <= (others - x).norm(dim=1).min() + 1e-9 * size


@pytest.mark.parametrize("surface", [torus(), bumpy(), (CUBE, CUBE_FACES)], ids=["torus", "bumpy", "cube"])
def test_tree_distances_equal_those_of_all_pairs(surface):
    corners = surface[0][surface[1]]
    x = torch.cat(
        [cloud(150, 2.0), cloud(10, 1e-3), corners.mean(dim=1)[:50], corners[:50, 0], cloud(20, 50.0)]
    )
    tree, slow = TriangleTree.build(corners).closest(x), closest_by_all_pairs(x, corners)
    assert float((tree[0] - slow[0]).abs().max()) <= 1e-14 * 3
    recomputed = closest_on_triangles(x, *corners[tree[2]].unbind(1))
    torch.testing.assert_close(recomputed, tree[1], atol=0, rtol=0)


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_back_ends_agree_with_all_pairs_to_round_off(back_end):
    vertices, faces = bumpy()
    domain, x = TriSurface(vertices, faces, back_end=back_end), cloud(400, 1.5)
    distance = closest_by_all_pairs(x, vertices[faces])[0]
    assert float((domain.distance(x) - distance).abs().max()) <= 1e-14 * domain.diameter
    assert float((domain.project(x).distance - distance).abs().max()) <= 1e-14 * domain.diameter
    sign = torch.where(winding_by_all_pairs(x, vertices[faces]) > 0.5, -1.0, 1.0)
    assert float((domain.sdf(x) - sign * distance).abs().max()) <= 1e-14 * domain.diameter


def test_sphere_distances_converge_at_second_order_within_the_chordal_error():
    x, errors = cloud(1000, 1.2), []
    for level in (2, 3, 4):
        vertices, faces = sphere(level)
        error = (TriSurface(vertices, faces, back_end="own").sdf(x) - (x.norm(dim=1) - 1)).abs().max()
        chord = 1 - vertices[faces].mean(dim=1).norm(dim=1).min()
        assert float(error) <= 1.01 * float(chord)
        errors.append(float(error))
    rates = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert min(rates) > 1.8


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_signs_of_sphere_and_torus_are_the_analytic_ones(back_end):
    x = cloud(2000, 1.5)
    ball, ring = (TriSurface(*surface, back_end=back_end) for surface in (sphere(4), torus(100, 50)))
    tube = ((x[:, :2].norm(dim=1) - 1).square() + x[:, 2].square()).sqrt() - 0.4
    for domain, exact in ((ball, x.norm(dim=1) - 1), (ring, tube)):
        clear = exact.abs() > 4e-3  # the chordal error
        assert torch.equal(domain.inside(x)[clear], exact[clear] < 0)


def test_signs_hold_a_hair_from_the_surface():
    vertices, faces = bumpy()
    domain = TriSurface(vertices, faces, back_end="own")
    middle = vertices[faces].mean(dim=1)
    for gap in (1e-3, 1e-6, 1e-12):
        assert bool(domain.inside(middle - gap * domain.normals).all())
        assert not bool(domain.inside(middle + gap * domain.normals).any())


def test_fast_winding_numbers_are_near_the_exact_ones_and_these_are_whole():
    vertices, faces = torus()
    x = cloud(500, 1.5)
    exact = winding_by_all_pairs(x, vertices[faces])
    assert float((exact - exact.round()).abs().max()) < 1e-12
    assert float((WindingTree.build(vertices[faces]).winding_number(x) - exact).abs().max()) < 0.2


def test_measures_of_a_cube_and_of_its_cavity():
    inner = 0.25 + 0.5 * CUBE
    shell = TriSurface(
        torch.cat([CUBE, inner]), torch.cat([CUBE_FACES, 8 + CUBE_FACES.flip(1)]), back_end="own"
    )
    assert shell.measure() == pytest.approx(1 - 0.125, abs=1e-14)
    assert shell.boundary_measure() == pytest.approx(6 + 1.5, abs=1e-14)
    x = torch.tensor([[0.5, 0.5, 0.5], [0.1, 0.5, 0.5], [1.5, 0.5, 0.5]], dtype=torch.float64)
    torch.testing.assert_close(shell.sdf(x), torch.tensor([0.25, -0.1, 0.5], dtype=torch.float64))


def test_gradient_of_the_distance_has_length_one_and_points_from_the_surface():
    domain = TriSurface(*sphere(3))
    x = cloud(50, 1.5).requires_grad_()
    (slope,) = torch.autograd.grad(domain.sdf(x).sum(), x)
    torch.testing.assert_close(slope.norm(dim=1), torch.ones(50).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(slope, domain.project(x.detach()).normal, atol=1e-9, rtol=0)


def test_parts_of_the_surface_have_their_own_closest_points_and_areas():
    domain = TriSurface(
        CUBE, CUBE_FACES, {"low": torch.tensor([0, 1]), "high": torch.tensor([2, 3])}, back_end="own"
    )
    assert domain.tags == ("low", "high", "boundary")
    assert domain.boundary_measure("high") == pytest.approx(1.0)
    x = torch.tensor([[0.1, 0.4, 0.5]], dtype=torch.float64)
    assert float(domain.closest(x, "high").distance) == pytest.approx(0.9)
    assert domain.tags[int(domain.project(x).tag)] == "low"
    points = domain.sample_boundary(100, "high", generator=torch.Generator().manual_seed(0))
    assert torch.equal(points[:, 0], torch.ones(100).double())
    with pytest.raises(UsageError, match="unknown boundary tag 'top'"):
        domain.closest(x, "top")


def test_surfaces_without_an_inside_are_refused_with_the_reason():
    with pytest.raises(DataError, match=r"not watertight: 3 boundary edges.*trimesh"):
        TriSurface(CUBE, CUBE_FACES[1:])
    with pytest.raises(DataError, match="against each other at 3 edges"):
        TriSurface(CUBE, torch.cat([CUBE_FACES[:1].flip(1), CUBE_FACES[1:]]))
    with pytest.raises(DataError, match="inward"):
        TriSurface(CUBE, CUBE_FACES.flip(1))
    with pytest.raises(DataError, match=r"2 of 14 triangles have no area: 12, 13; use TriSurface.clean"):
        TriSurface(CUBE, torch.cat([CUBE_FACES, torch.tensor([[0, 0, 1], [0, 1, 1]])]))
    with pytest.raises(UsageError, match="faces name vertices 0 to 9 but there are 8"):
        TriSurface(CUBE, torch.cat([CUBE_FACES, torch.tensor([[0, 1, 9]])]))
    with pytest.raises(UsageError, match="back_end must be"):
        surface_queries(CUBE, CUBE_FACES, "embree")


def test_cleaning_restores_a_cube_from_a_soup_of_loose_and_turned_triangles():
    soup = CUBE[CUBE_FACES].reshape(-1, 3)  # every triangle with its own vertices
    faces = torch.arange(36).view(12, 3)
    faces[3] = faces[3].flip(0)
    whole = TriSurface.clean(soup, torch.cat([faces, torch.tensor([[0, 0, 1]])]))
    assert whole.measure() == pytest.approx(1.0)
    assert len(whole.faces) == 12
    assert len(TriSurface.clean(soup[:36].flip(0), faces).vertices) == 8
    with pytest.raises(DataError, match="boundary edges"):
        TriSurface.clean(soup[:36], faces[1:])


def test_a_collinear_triangle_is_flipped_away_without_opening_the_surface():
    vertices = torch.cat(
        [CUBE, CUBE[[0, 3]].mean(dim=0, keepdim=True)]
    )  # on the diagonal of the first square
    faces = torch.cat([torch.tensor([[0, 1, 8], [8, 1, 3], [0, 8, 3]]), CUBE_FACES[1:]])
    with pytest.raises(DataError, match="1 of 14 triangles have no area: 2"):
        TriSurface(vertices, faces)
    whole = TriSurface.clean(vertices, faces)
    assert whole.measure() == pytest.approx(1.0)
    assert whole.boundary_measure() == pytest.approx(6.0)


def test_a_surface_survives_pickling_with_its_queries_built():
    domain = TriSurface(*sphere(2), {"top": torch.tensor([0])})
    x = cloud(20, 1.5)
    before = domain.sdf(x)
    again = pickle.loads(pickle.dumps(domain))
    assert torch.equal(again.sdf(x), before)
    assert again.tags == ("top", "boundary")


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("warp"), reason="no warp")
def test_warp_agrees_to_single_precision():
    vertices, faces = bumpy()
    x = cloud(500, 1.5)
    fast, own = (TriSurface(vertices, faces, back_end=name).sdf(x) for name in ("warp", "own"))
    torch.testing.assert_close(fast, own, atol=1e-6, rtol=0)
