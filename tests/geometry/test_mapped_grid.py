"""Curved grids: areas, folds, seams of O- and C-grids, and their meshes."""

import math

import pytest
import torch
from gradient_cases import rates

from pdeflow.errors import UsageError
from pdeflow.geometry.gradient import gradient
from pdeflow.geometry.grid import Grid
from pdeflow.geometry.index_stencil import Seam
from pdeflow.geometry.mapped_grid import MappedGrid
from pdeflow.geometry.o_grid import o_grid
from pdeflow.geometry.structured_mesh import structured_mesh

STAR_AREA = math.pi * (0.2**2 + 0.05**2 / 2)  # ½ ∫ r² dθ of r = 0.2 + 0.05 cos 3θ


def star(angle):
    return 0.2 + 0.05 * torch.cos(3 * angle)


def ring_map(t):
    """Angle along the first axis, radii 1 to 2 along the second: clockwise in the indices."""
    angle, radius = 2 * math.pi * t[:, 0], 1 + t[:, 1]
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)


def c_grid(n):
    """Parabolic coordinates z = w² about a flat plate 0 < x < 1/4: the lower face folds on itself behind it."""
    xi = torch.linspace(-1, 1, 8 * n, dtype=torch.float64)
    w = torch.complex(
        *torch.meshgrid(xi, torch.linspace(0, 0.5, 2 * n + 1, dtype=torch.float64), indexing="ij")
    )
    z = w**2
    ids = torch.arange(w.numel()).reshape(w.shape)[:, 0]
    wake = xi < -0.5
    seam = Seam("x1-", "x1-", torch.stack([ids[wake], ids.flip(0)[wake]], dim=1))
    return MappedGrid(torch.stack([z.real, z.imag], dim=-1), seams=(seam,)), w


@pytest.mark.parametrize(
    ("build", "area"),
    [
        (lambda n: o_grid(star, (4 * n, n + 1)), math.pi / 4 - STAR_AREA),
        (lambda n: o_grid(star, (4 * n + 1, n + 1), cut=True), math.pi / 4 - STAR_AREA),
        (lambda n: o_grid(star, (4 * n, n + 1), outer="square"), 1 - STAR_AREA),
        (lambda n: MappedGrid.from_map(ring_map, (4 * n, n + 1), (True, False)), 3 * math.pi),
        (lambda n: c_grid(n)[0], 4 * (2 / 3 * 0.5 + 2 * 0.5**3 / 3)),  # ∫ |dz/dw|² = ∫ 4 |w|²
    ],
)
def test_weights_sum_to_the_area_at_second_order(build, area):
    errors = [abs(float(build(n).weights().sum()) - area) for n in (16, 32, 64)]
    assert rates(errors)[-1] == pytest.approx(2.0, abs=0.15)
    grid = build(32)
    assert bool((grid.weights() > 0).all())
    assert float(grid.to_mesh().cell_measure().sum()) == pytest.approx(area, rel=2e-3)


def test_weights_of_a_curved_block_sum_to_its_volume_at_second_order():
    def place(t):
        x, y, z = t.unbind(dim=1)
        return torch.stack([x * (1 + z**3), y + x**2, z], dim=1)  # volume ∫ 1 + z³ = 5/4

    errors = [
        abs(float(MappedGrid.from_map(place, (n + 1, n + 1, n + 1)).weights().sum()) - 1.25)
        for n in (6, 12, 24)
    ]
    assert rates(errors)[-1] == pytest.approx(2.0, abs=0.15)


def test_a_mapped_grid_of_straight_lines_has_the_weights_and_gradient_of_the_uniform_grid():
    for periodic in (False, True):
        grid = Grid.uniform((5, 7), [(0.0, 2.0), (-1.0, 1.0)], periodic=periodic, location="node")
        mapped = MappedGrid.from_grid(grid)
        assert (mapped.shape, mapped.size, mapped.ndim, mapped.dim, mapped.location) == (
            (5, 7),
            35,
            2,
            2,
            "node",
        )
        torch.testing.assert_close(mapped.weights(), grid.weights(), atol=1e-14, rtol=0)
        expected = torch.diag(torch.tensor(grid.spacing(), dtype=torch.float64)).expand(5, 7, 2, 2)
        torch.testing.assert_close(mapped.jacobian(), expected, atol=1e-14, rtol=0)
        assert {name: ids.tolist() for name, ids in mapped.tags.items()} == {
            name: ids.tolist() for name, ids in grid.tags.items()
        }


def test_a_map_that_repeats_up_to_a_translation_is_found_to_do_so():
    def channel(t):
        return torch.stack([3 * t[:, 0], t[:, 1] + 0.1 * torch.sin(2 * math.pi * t[:, 0])], dim=1)

    grid = MappedGrid.from_map(channel, (12, 5), (True, False))
    torch.testing.assert_close(grid.translation, torch.tensor([[3.0, 0.0], [0.0, 0.0]], dtype=torch.float64))
    assert float(grid.weights().sum()) == pytest.approx(3.0, abs=1e-12)
    mesh, ids = structured_mesh(grid)
    assert mesh.n_points == 13 * 5  # with the closing layer
    torch.testing.assert_close(mesh.points[ids], grid.coords)
    assert sorted(mesh.facet_tags) == ["x1+", "x1-"]
    assert [len(facets) for facets in mesh.facet_tags.values()] == [12, 12]
    ring = MappedGrid.from_map(ring_map, (12, 5), (True, False))
    assert not ring.translation.any()


def test_folded_grids_are_refused_with_the_first_bad_cell():
    coords = Grid.unit((6, 5), location="node").coordinates()
    coords[3, 2, 0] = coords[1, 2, 0]
    with pytest.raises(UsageError, match=r"changes sign in 2 of 20 cells, first in cell \(2, 1\)"):
        MappedGrid(coords)
    coords = torch.tensor([0.0, 1.0, 0.5, 2.0], dtype=torch.float64)[:, None]
    with pytest.raises(UsageError, match=r"first in cell \(1,\)"):
        MappedGrid(coords)
    assert (
        MappedGrid(Grid.unit((6, 5), location="node").coordinates().flip(0)).size == 30
    )  # a mirror is no fold


@pytest.mark.parametrize("cell", ["quad", "tri"])
@pytest.mark.parametrize("cut", [False, True])
def test_the_mesh_of_an_o_grid_is_closed_and_keeps_the_names_of_its_sides(cell, cut):
    grid = o_grid(star, (32 + cut, 9), outer="square", cut=cut)
    mesh = grid.to_mesh(cell)
    assert mesh.n_points == 32 * 9
    assert bool((mesh.signed_measure() > 0).all())
    assert len(mesh.boundary_facets) == 64
    assert {name: len(facets) for name, facets in mesh.facet_tags.items()} == {
        "x0-": 8, "x0+": 8, "x1-": 8, "x1+": 8, "inner": 32, "outer": 32,
    }  # fmt: skip
    left = mesh.points[mesh.boundary_nodes("x0-")]
    torch.testing.assert_close(left[:, 0], torch.zeros(9, dtype=torch.float64), atol=1e-12, rtol=0)
    assert float(mesh.facet_measure()[mesh.facet_tags["outer"]].sum()) == pytest.approx(4.0, abs=1e-12)


def test_a_c_grid_is_joined_across_its_wake():
    grid, w = c_grid(8)
    assert grid.tags["x1-"].numel() == 34  # the plate with both copies of its trailing edge
    mesh = grid.to_mesh()
    assert mesh.n_points == grid.size - len(grid.seams[0].pairs)
    on_plate = mesh.points[mesh.boundary_nodes("x1-")]
    assert float(on_plate[:, 0].max()) == pytest.approx(
        float((w.real[:, 0] ** 2)[grid.seams[0].pairs[-1, 0] // 17])
    )
    errors = []
    for n in (8, 16, 32):
        grid, w = c_grid(n)
        u = (grid.coords[..., 0] * grid.coords[..., 1] + grid.coords[..., 1].sin()).reshape(-1, 1)
        g = grid.gradient()(u)[:, 0]
        exact = torch.stack([grid.coords[..., 1], grid.coords[..., 0] + grid.coords[..., 1].cos()], dim=-1)
        away = (w.abs() > 0.55).flatten()  # from the leading edge, where z = w² is singular
        errors.append(float((g - exact.reshape(-1, 2))[away].abs().max()))
        first, second = grid.seams[0].pairs.T
        torch.testing.assert_close(g[first], g[second], atol=1e-12, rtol=0)
    assert rates(errors)[-1] == pytest.approx(2.0, abs=0.15)


def test_meshes_of_bricks_in_three_dimensions_fill_them():
    grid = MappedGrid.from_map(lambda t: t * torch.tensor([1.0, 2.0, 3.0]).to(t), (3, 4, 5))
    for cell in ("hex", "tet"):
        mesh = grid.to_mesh(cell)
        assert float(mesh.signed_measure().min()) > 0
        assert float(mesh.cell_measure().sum()) == pytest.approx(6.0, abs=1e-12)
        assert sorted(mesh.facet_tags) == ["x0+", "x0-", "x1+", "x1-", "x2+", "x2-"]
        area = float(mesh.facet_measure()[mesh.facet_tags["x0+"]].sum())
        assert area == pytest.approx(6.0, abs=1e-12)


def test_gradients_of_a_grid_and_of_its_mesh_agree_at_second_order():
    gaps = []
    for n in (8, 16, 32):
        grid = o_grid(star, (4 * n, n + 1))
        u = grid.coords.sin().prod(dim=-1).reshape(-1, 1)
        gap = grid.gradient()(u) - gradient(grid.to_mesh("tri"), "wls2")(u)
        gaps.append(float(gap.norm() / grid.size**0.5))
    assert rates(gaps)[-1] == pytest.approx(2.0, abs=0.25)


def test_wrong_mapped_grids_are_refused_with_the_value():
    unit = Grid.unit((5, 4), location="node").coordinates()
    with pytest.raises(UsageError, match=r"got \(5, 4, 3\)"):
        MappedGrid(torch.zeros(5, 4, 3))
    with pytest.raises(UsageError, match="as many periodic flags"):
        MappedGrid(unit, periodic=(True,))
    broken = unit.clone()
    broken[1, 2, 0] = torch.nan
    with pytest.raises(UsageError, match=r"\(1, 2, 0\) is not finite"):
        MappedGrid(broken)
    with pytest.raises(UsageError, match=r"seam nodes \[0, 16\] are 1 apart"):
        MappedGrid(unit, seams=(Seam("x0-", "x0+", torch.tensor([[0, 16]])),))
    with pytest.raises(UsageError, match="column 1 of a seam must hold nodes of face 'x0\\+'"):
        MappedGrid(unit, seams=(Seam("x0-", "x0+", torch.tensor([[0, 0]])),))
    with pytest.raises(UsageError, match="got 'square', 30"):
        o_grid(0.2, (30, 5), outer="square")
    with pytest.raises(UsageError, match=r"got 0.6 of 0.5"):
        o_grid(0.6, (32, 5))
    with pytest.raises(UsageError, match="'hex' does not fit a grid of 2 axes"):
        MappedGrid(unit).to_mesh("hex")
