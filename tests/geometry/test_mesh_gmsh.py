"""The wrapper of Gmsh: regions, names and repeatability; skipped where Gmsh cannot be imported."""

import math

import pytest
import torch
from mesh_cases import assert_same

from pdeflow.errors import UsageError
from pdeflow.geometry.mesh.gmsh_model import gmsh_available, mesh_polygon

pytestmark = pytest.mark.skipif(not gmsh_available(), reason="Gmsh or a system library it needs is missing")

SQUARE = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
SIDES = ["bottom", "right", "top", "left"]


def star(count=67):
    angle = torch.arange(count).double() * (2 * math.pi / count)
    radius = 0.2 + 0.05 * (5 * angle).sin()
    return torch.stack([0.5 + radius * angle.cos(), 0.5 + radius * angle.sin()], dim=1)


def area(loop):
    x, y = loop.double().T
    return abs(0.5 * float((x * y.roll(-1) - x.roll(-1) * y).sum()))


def test_the_unit_cell_with_a_hole_keeps_its_five_names_and_its_measures():
    hole = star()
    mesh = mesh_polygon([SQUARE, hole], 0.06, [SIDES, "hole"])
    mesh.validate()
    counts = {name: len(ids) for name, ids in mesh.facet_tags.items()}
    assert counts == {"bottom": 17, "right": 17, "top": 17, "left": 17, "hole": 67}
    assert float(mesh.cell_measure().sum()) == pytest.approx(1 - area(hole), abs=1e-12)
    rim = (hole - hole.roll(-1, 0)).norm(dim=1).sum()
    assert float(mesh.facet_measure()[mesh.facet_tags["hole"]].sum()) == pytest.approx(float(rim), abs=1e-12)
    assert torch.equal(torch.cat(list(mesh.facet_tags.values())).sort().values, mesh.boundary_facets)
    assert float(mesh.quality().mean()) > 0.93


def test_the_same_call_gives_the_same_mesh_and_closes_gmsh():
    import gmsh

    assert_same(mesh_polygon([SQUARE.flip(0)], 0.2), mesh_polygon([SQUARE.flip(0)], 0.2))
    assert not gmsh.isInitialized()


def test_a_model_of_the_caller_survives():
    import gmsh

    gmsh.initialize(readConfigFiles=False, interruptible=False)
    try:
        gmsh.model.add("mine")
        mesh_polygon([SQUARE], 0.5)
        assert gmsh.model.getCurrent() == "mine"
    finally:
        gmsh.finalize()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([SQUARE], -1.0), "mesh size must be positive"),
        (([SQUARE[:2]], 0.1), r"the outer boundary needs at least 3 vertices"),
        (([SQUARE], 0.1, ["a", "b"]), "one entry of tags per loop, got 2 for 1 loops"),
        (([SQUARE], 0.1, [["a", "b"]]), "loop 0 has 4 sides but 2 names"),
        (([SQUARE[[0, 2, 1, 3]]], 0.1), "edges 0 and 2 intersect near"),
    ],
)
def test_bad_polygons_give_one_clear_line(arguments, message):
    with pytest.raises(UsageError, match=message) as caught:
        mesh_polygon(*arguments)
    assert "\n" not in str(caught.value)
