"""Measures, normals and quality: exact values, the divergence theorem, scikit-fem's mass matrix."""

import math
from dataclasses import replace

import numpy as np
import pytest
import skfem
import torch
from hypothesis import given
from hypothesis import strategies as st
from mesh_cases import TYPES, named_box, seeded

from pdeflow.errors import UsageError
from pdeflow.geometry.mesh import Mesh

ELEMENTS = {
    "line": skfem.ElementLineP1, "tri": skfem.ElementTriP1, "quad": skfem.ElementQuad1,
    "tet": skfem.ElementTetP1, "hex": skfem.ElementHex1,
}  # fmt: skip


@pytest.mark.parametrize("cell_type", TYPES)
def test_cells_and_nodes_sum_to_the_measure_of_the_box(cell_type):
    mesh = named_box(cell_type)
    moved = mesh.points.clone()
    inner = torch.ones(mesh.n_points, dtype=torch.bool)
    inner[mesh.boundary_nodes()] = False
    moved[inner] += 0.05 * torch.rand(int(inner.sum()), mesh.dim, generator=seeded()).double()
    mesh = replace(mesh, points=moved)
    assert float(mesh.cell_measure().sum()) == pytest.approx(2.0 ** (mesh.dim - 1), abs=1e-12)
    assert float(mesh.node_weights().sum()) == pytest.approx(2.0 ** (mesh.dim - 1), abs=1e-12)
    assert (mesh.signed_measure() > 0).all()


@pytest.mark.parametrize("cell_type", TYPES)
def test_node_weights_are_row_sums_of_the_mass_matrix(cell_type):
    mesh = named_box(cell_type, warp=0.3)
    basis = skfem.Basis(mesh.to_skfem(), ELEMENTS[cell_type](), intorder=6)
    load = skfem.LinearForm(lambda v, w: v).assemble(basis)
    np.testing.assert_allclose(mesh.node_weights(), load, atol=1e-13)
    cells = skfem.Functional(lambda w: 1.0).elemental(basis)
    np.testing.assert_allclose(mesh.cell_measure(), cells, atol=1e-13)


@given(seed=st.integers(0, 10_000), cell_type=st.sampled_from(TYPES))
def test_normals_times_measures_cancel_on_any_closed_boundary(seed, cell_type):
    mesh = named_box(cell_type, warp=0.4, seed=seed)
    flux = mesh.normals() * mesh.facet_measure()[mesh.boundary_facets][:, None]
    assert float(flux.sum(dim=0).abs().max()) < 1e-14 * max(1.0, float(flux.abs().sum()))


@given(seed=st.integers(0, 10_000), cell_type=st.sampled_from(["line", "tri", "quad", "tet"]))
def test_the_flux_of_the_position_is_dim_times_the_measure(seed, cell_type):
    mesh = named_box(cell_type, warp=0.4, seed=seed)  # facets are flat, so the midpoint rule is exact
    midpoints = mesh.points[mesh.facets[mesh.boundary_facets]].mean(dim=1)
    flux = (midpoints * mesh.normals()).sum(dim=1) * mesh.facet_measure()[mesh.boundary_facets]
    assert float(flux.sum()) == pytest.approx(mesh.dim * float(mesh.cell_measure().sum()), abs=1e-12)


@pytest.mark.parametrize("cell_type", ["tri", "quad", "tet", "hex"])
def test_normals_of_a_box_point_along_its_axes(cell_type):
    mesh = named_box(cell_type)
    for axis in range(mesh.dim):
        for side, sign in (("-", -1.0), ("+", 1.0)):
            expected = torch.zeros(mesh.dim, dtype=torch.float64)
            expected[axis] = sign
            normals = mesh.normals(f"x{axis}{side}")
            torch.testing.assert_close(normals, expected.expand_as(normals), atol=1e-15, rtol=0)
            size = float(mesh.facet_measure()[mesh.facets_named(f"x{axis}{side}")].sum())
            assert size == pytest.approx(2.0 ** (mesh.dim - 1) / (1.0 if axis == 0 else 2.0), abs=1e-13)


def test_normals_of_a_line_point_out():
    assert Mesh.box((4,)).normals().flatten().tolist() == [-1.0, 1.0]


def test_a_quadrilateral_has_the_area_of_its_polygon():
    corners = torch.tensor([[0.0, 0.0], [3.0, 0.5], [2.5, 2.0], [0.2, 1.7]])
    mesh = Mesh(corners, torch.tensor([[0, 1, 2, 3]]), "quad")
    x, y = corners.double().T
    shoelace = 0.5 * float((x * y.roll(-1) - x.roll(-1) * y).sum())
    assert float(mesh.cell_measure()) == pytest.approx(shoelace, abs=1e-14)


def test_a_trilinear_hexahedron_is_exact():
    mesh = Mesh.box((1, 1, 1))
    points = mesh.points.clone()
    points[:, 2] *= 1 + points[:, 0] * points[:, 1]  # z = ζ (1 + ξ η), volume 1 + 1/4
    assert float(replace(mesh, points=points).cell_measure()) == pytest.approx(1.25, abs=1e-14)


def test_the_disk_is_the_inscribed_polygon():
    mesh = Mesh.disk(0.1, radius=2.0, center=(1.0, -1.0))
    n = len(mesh.boundary_facets)
    assert float(mesh.cell_measure().sum()) == pytest.approx(2 * n * math.sin(2 * math.pi / n), abs=1e-12)
    assert float(mesh.facet_measure()[mesh.boundary_facets].sum()) == pytest.approx(
        4 * n * math.sin(math.pi / n), abs=1e-12
    )
    lengths = (mesh.points[mesh.edges()[0]] - mesh.points[mesh.edges()[1]]).norm(dim=1)
    assert float(lengths.max()) < 0.1 * 1.45
    assert float(mesh.quality().min()) > 0.85
    assert n == 120


@pytest.mark.parametrize("cell_type", ["tri", "tet", "quad", "hex"])
def test_regular_cells_have_quality_one_and_similarities_keep_it(cell_type):
    regular = {
        "tri": [[0, 0], [1, 0], [0.5, math.sqrt(0.75)]],
        "tet": [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]],
        "quad": [[0, 0], [1, 0], [1, 1], [0, 1]],
    }
    points = torch.tensor(regular.get(cell_type, [])).double() if cell_type != "hex" else None
    mesh = Mesh.box((1, 1, 1)) if points is None else Mesh(points, torch.arange(len(points))[None], cell_type)
    mesh = mesh.oriented()
    assert float(mesh.quality()) == pytest.approx(1.0, abs=1e-14)
    turn, _ = torch.linalg.qr(torch.randn(mesh.dim, mesh.dim, generator=seeded()).double())
    turn[:, 0] *= torch.linalg.det(turn)
    warped = replace(mesh, points=3e-4 * mesh.points @ turn.T + 1)
    assert float(warped.quality()) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("cell_type", ["tri", "tet", "quad", "hex"])
def test_quality_changes_sign_with_the_orientation_and_vanishes_on_flat_cells(cell_type):
    mesh = named_box(cell_type, warp=0.3)
    assert ((mesh.quality() > 0) & (mesh.quality() <= 1)).all()
    mirrored = replace(mesh, cells=mesh.cells[:, mesh.reference.mirror])
    assert (mirrored.quality() < 0).all()
    if mesh.reference.simplex:  # the others take the worst corner
        torch.testing.assert_close(mirrored.quality(), -mesh.quality())
    flat = replace(mesh, points=mesh.points * torch.tensor([1.0, 0.0, 1.0])[: mesh.dim])
    assert float(flat.quality().abs().max()) == 0.0


def test_surfaces_in_space_have_areas_but_no_normals():
    mesh = Mesh.box((3, 3), cell_type="quad")
    points = torch.cat([mesh.points, mesh.points[:, :1]], dim=1)  # the plane z = x
    surface = replace(mesh, points=points)
    assert float(surface.cell_measure().sum()) == pytest.approx(math.sqrt(2), abs=1e-14)
    assert float(surface.node_weights().sum()) == pytest.approx(math.sqrt(2), abs=1e-14)
    with pytest.raises(UsageError, match="cells that fill the space"):
        surface.normals()
