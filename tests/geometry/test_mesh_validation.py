"""Bad meshes give one clear line each, and cleaning mends what can be mended."""

from dataclasses import replace

import pytest
import torch
from mesh_cases import TYPES, assert_same, named_box

from pdeflow.errors import DataError, UsageError
from pdeflow.geometry.mesh import Mesh

SQUARE = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]).double()


def tri(*cells, points=SQUARE, **tags):
    return Mesh(points, torch.tensor(cells), "tri", **tags)


def quad(*points):
    return Mesh(torch.tensor(points), torch.arange(4)[None], "quad")


BAD = {
    "inverted": (tri([0, 1, 2], [0, 3, 2]), r"^cell 1 is inverted \(area -5\.0e-1\); reorder its vertices or call "
                 r"mesh\.oriented\(\)$"),
    "all inverted": (tri([0, 2, 1], [0, 3, 2]), r"^cells 0, 1 are inverted \(the first has area -5\.0e-1\)"),
    "id out of range": (tri([0, 1, 2], [0, 2, 4]), r"^cell 1 names vertex 4 but the mesh has 4 points"),
    "negative id": (tri([0, 1, 2], [0, 2, -1]), r"^cell 1 names vertex -1"),
    "repeated vertex": (tri([0, 1, 2], [0, 2, 2]), r"^cell 1 is degenerate \(no area\); call mesh\.cleaned"),
    "flat": (tri([0, 1, 2], points=SQUARE * torch.tensor([1.0, 0.0])), r"^cell 0 is degenerate"),
    "unused": (tri([0, 1, 2]), r"^point 3 is used by no cell; call mesh\.cleaned\(\)$"),
    "nan": (tri([0, 1, 2], [0, 2, 3], points=SQUARE / torch.tensor([1.0, 0.0])), r"^points 0, 1, 2 and 1 more are "
            r"not finite"),
    "empty": (Mesh(SQUARE, torch.zeros(0, 3), "tri"), r"^the mesh has 4 points but no tri cells$"),
    "facet tag": (tri([0, 1, 2], [0, 2, 3], facet_tags={"in": torch.tensor([5])}), r"^facet tag 'in' names facet 5 "
                  r"but the mesh has 5 facets$"),
    "cell tag": (tri([0, 1, 2], [0, 2, 3], cell_tags={"a": torch.tensor([-1])}), r"^cell tag 'a' names cell -1"),
    "twice": (tri([0, 1, 2], [0, 2, 3], [0, 1, 2], [0, 2, 3]), r"belongs to more than two cells"),
    "overlap": (tri([0, 1, 2], [0, 1, 3]), r"^cells 0 and 1 overlap"),
    "not convex": (quad([0.0, 0.0], [1.0, 0.0], [0.2, 0.2], [0.0, 1.0]), r"^cell 0 is not convex \(Jacobian -6\.0e-1 "
                   r"at vertex 2\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_each_defect_is_one_clear_line(name):
    mesh, message = BAD[name]
    with pytest.raises(DataError, match=message) as caught:
        mesh.validate()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cell_type", TYPES)
def test_good_meshes_pass_and_cleaning_leaves_them_alone(cell_type):
    mesh = named_box(cell_type, warp=0.3)
    mesh.validate()
    assert_same(mesh.cleaned(), mesh)


@pytest.mark.parametrize("cell_type", ["tri", "quad", "tet", "hex"])
def test_cleaning_undoes_every_defect_and_keeps_names(cell_type):
    good = named_box(cell_type, warp=0.2)
    n, m, d = good.n_points, good.n_cells, good.dim
    points = torch.cat([good.points, good.points, torch.full((3, d), 7.0, dtype=torch.float64)])
    cells = torch.cat(
        [good.cells, good.cells[:2] + n, good.cells[:1] * 0]
    )  # copies, and a cell that is a point
    cells[1:m:2] += n  # every other cell has vertices of its own
    cells[0] = cells[0][good.reference.mirror]
    broken = Mesh(points, cells, cell_type, {}, good.cell_tags)
    x = broken.points[broken.facets][:, :, 0]
    side = torch.nonzero((x < 0.05).all(dim=1)).flatten()
    mended = replace(broken, facet_tags={"x0-": side}).cleaned()
    assert mended.n_cells == m
    assert mended.n_points == n
    mended.validate()
    torch.testing.assert_close(mended.cell_measure(), good.cell_measure())
    assert torch.equal(mended.cell_tags["left"], good.cell_tags["left"])
    assert torch.equal(mended.boundary_nodes("x0-"), good.boundary_nodes("x0-"))


def test_nearly_coincident_points_merge_within_the_tolerance():
    points = torch.cat([SQUARE, SQUARE[[0, 2]] + 1e-9])
    torn = tri([0, 1, 2], [4, 5, 3], points=points)
    assert len(torn.boundary_facets) == 6
    assert torn.cleaned().n_points == 6
    assert len(torn.cleaned(tol=1e-8).boundary_facets) == 4
    with pytest.raises(UsageError, match="tol must not be negative"):
        torn.cleaned(tol=-1.0)
