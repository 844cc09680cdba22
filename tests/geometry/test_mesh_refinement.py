"""Refinement keeps the region, the names and their measures, and stays conforming."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_cases import TYPES, named_box

from pdeflow.errors import UsageError
from pdeflow.geometry.mesh import Mesh


def assert_same_region(coarse, fine):
    fine.validate()  # conforming: no facet with three cells, no folded neighbours
    assert float(fine.cell_measure().sum()) == pytest.approx(float(coarse.cell_measure().sum()), abs=1e-12)
    for name, ids in coarse.cell_tags.items():
        part = fine.cell_measure()[fine.cell_tags[name]].sum()
        assert float(part) == pytest.approx(float(coarse.cell_measure()[ids].sum()), abs=1e-12)
    for name, ids in coarse.facet_tags.items():
        part = fine.facet_measure()[fine.facet_tags[name]].sum()
        assert float(part) == pytest.approx(float(coarse.facet_measure()[ids].sum()), abs=1e-12)
    boundary = torch.cat(list(fine.facet_tags.values())).sort().values
    assert torch.equal(boundary, fine.boundary_facets)
    assert torch.equal(fine.points[: coarse.n_points], coarse.points)


@pytest.mark.parametrize("cell_type", TYPES)
def test_uniform_refinement_keeps_measures_and_names(cell_type):
    coarse = named_box(cell_type, warp=0.3)
    if cell_type == "hex":
        coarse = named_box(
            cell_type
        )  # warped faces change a little: a trilinear part is not the trilinear whole
    fine = coarse.refine()
    parts = 2**coarse.dim
    assert fine.n_cells == parts * coarse.n_cells
    assert_same_region(coarse, fine)
    shares = fine.cell_measure().reshape(-1, parts).sum(dim=1)  # the parts of cell i come one after another
    torch.testing.assert_close(shares, coarse.cell_measure(), atol=1e-13, rtol=0)


@pytest.mark.parametrize("cell_type", ["line", "tri", "quad"])
def test_refining_plane_meshes_keeps_the_least_quality_of_triangles(cell_type):
    coarse = named_box(cell_type, warp=0.3)
    fine = coarse.refine()
    if cell_type == "tri":
        assert float(fine.quality().min()) == pytest.approx(float(coarse.quality().min()), rel=1e-9)
    assert (fine.quality() > 0).all()


def test_repeated_refinement_of_tetrahedra_does_not_degenerate():
    mesh = Mesh.box((1, 1, 1), cell_type="tet")
    least = [float(mesh.quality().min())]
    for _ in range(3):
        mesh = mesh.refine()
        least.append(float(mesh.quality().min()))
    assert min(least) > 0.6  # Bey: finitely many similarity classes
    assert least[-1] == pytest.approx(least[-2], rel=1e-9)


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), picks=st.sets(st.integers(0, 39), max_size=12))
def test_local_refinement_of_triangles_conforms_and_splits_the_chosen(seed, picks):
    coarse = named_box("tri", warp=0.4, seed=seed)
    fine = coarse.refine(torch.tensor(sorted(picks), dtype=torch.int64))
    assert_same_region(coarse, fine)
    found, _ = fine.locate(coarse.centroids())
    size = fine.cell_measure()[found]
    for cell in picks:
        assert float(size[cell]) == pytest.approx(float(coarse.cell_measure()[cell]) / 4, rel=1e-9)


def test_local_refinement_keeps_half_the_least_angle():
    mesh = Mesh.rectangle((4, 4))
    target = torch.tensor([[0.3, 0.3]], dtype=torch.float64)
    for _ in range(8):
        mesh = mesh.refine(mesh.locate(target)[0])
    assert_same_region(Mesh.rectangle((4, 4)), mesh)
    assert float(mesh.quality().min()) > 0.8  # right isosceles triangles stay so
    assert mesh.n_cells < 400
    assert float(mesh.cell_measure().min()) < 1e-4 * float(mesh.cell_measure().max())


def test_local_refinement_of_lines():
    coarse = named_box("line")
    fine = coarse.refine(torch.tensor([0, 3]))
    assert fine.n_cells == coarse.n_cells + 2
    assert_same_region(coarse, fine)


def test_refinement_works_on_surfaces_in_space():
    sphere = Mesh.box((2, 2, 2), (-1, -1, -1), cell_type="tet").boundary()
    for _ in range(3):
        sphere = sphere.refine()
        sphere = replace(sphere, points=sphere.points / sphere.points.norm(dim=1, keepdim=True))
    assert float(sphere.cell_measure().sum()) == pytest.approx(4 * torch.pi, rel=0.01)
    assert len(sphere.boundary_facets) == 0


def test_wrong_cells_to_refine_are_named():
    with pytest.raises(UsageError, match="must be in 0 to 39"):
        named_box("tri").refine(torch.tensor([40]))
    with pytest.raises(UsageError, match="local refinement is for lines and triangles"):
        named_box("quad").refine(torch.tensor([0]))
