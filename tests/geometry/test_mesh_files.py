"""Round trips through scikit-fem, meshio and files are bit-equal; damaged files give one clear line."""

from pathlib import Path

import h5py
import meshio
import numpy as np
import pytest
import skfem
import torch
from mesh_cases import TYPES, assert_same, named_box

from pdeflow.discretization import FEMSpace
from pdeflow.errors import DataError, UsageError
from pdeflow.geometry.mesh import Mesh

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "tagged_square.msh"
needs_shared = pytest.mark.skipif(
    not SHARED.is_file(), reason="the public files in ../shared/data are absent"
)


@pytest.mark.parametrize("cell_type", TYPES)
@pytest.mark.parametrize("suffix", [".npz", ".h5", ".msh", ".vtu", ".xdmf"])
def test_files_keep_points_cells_and_names_bit_by_bit(cell_type, suffix, tmp_path):
    mesh = named_box(cell_type, warp=0.3)
    path = mesh.save(tmp_path / f"mesh{suffix}")
    assert_same(Mesh.load(path), mesh)
    assert list(tmp_path.iterdir()) == [path]  # nothing is left beside it


@pytest.mark.parametrize("cell_type", TYPES)
def test_scikit_fem_and_meshio_keep_everything(cell_type):
    mesh = named_box(cell_type, warp=0.3)
    assert_same(Mesh.from_skfem(mesh.to_skfem()), mesh)
    for names in ("sets", "gmsh", "data"):
        assert_same(Mesh.from_meshio(mesh.to_meshio(names=names)), mesh)


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_equal_meshes_make_equal_bytes(suffix, tmp_path):
    mesh = named_box("tri")
    one, two = (mesh.save(tmp_path / f"{name}{suffix}") for name in "ab")
    assert one.read_bytes() == two.read_bytes()


def test_names_may_overlap_and_hold_any_character(tmp_path):
    mesh = named_box("tri").tag_facets({"a/b %2F é": torch.tensor([0, 1]), "x": torch.tensor([1, 2])})
    for suffix in (".npz", ".h5", ".vtu"):
        assert_same(Mesh.load(mesh.save(tmp_path / f"m{suffix}")), mesh)


def test_surfaces_in_space_survive(tmp_path):
    surface = named_box("tet", warp=0.2).boundary()
    for suffix in (".npz", ".h5", ".vtu", ".msh"):
        if suffix != ".msh":
            assert_same(Mesh.load(surface.save(tmp_path / f"m{suffix}")), surface)
        else:
            one_name = Mesh(surface.points, surface.cells, "tri", {}, {"x0-": surface.cell_tags["x0-"]})
            assert_same(Mesh.load(one_name.save(tmp_path / "m.msh")), one_name)


def test_the_fingerprint_sees_points_cells_and_names():
    mesh = named_box("tri")
    others = [named_box("quad"), named_box("tri", warp=0.1), mesh.tag_facets({"new": torch.tensor([0])})]
    assert len({m.fingerprint for m in [mesh, *others]}) == 4
    assert mesh.fingerprint == named_box("tri").fingerprint


def test_a_group_inside_a_larger_hdf5_file(tmp_path):
    mesh = named_box("hex")
    with h5py.File(tmp_path / "data.h5", "w") as file:
        mesh.write_group(file.create_group("sample/mesh"))
        assert_same(Mesh.read_group(file["sample/mesh"]), mesh)
        with pytest.raises(UsageError, match="already holds a mesh"):
            mesh.write_group(file["sample/mesh"])


def test_scikit_fem_sorts_vertices_and_we_orient_them():
    theirs = skfem.MeshTri.init_sqsymmetric().refined().with_defaults()
    mesh = Mesh.from_skfem(theirs)
    mesh.validate()
    assert set(mesh.facet_tags) == {"left", "right", "bottom", "top"}
    np.testing.assert_array_equal(
        mesh.boundary_nodes("left"), np.unique(theirs.facets[:, theirs.boundaries["left"]])
    )
    with pytest.raises(UsageError, match="first-order scikit-fem mesh"):
        Mesh.from_skfem(skfem.MeshTri2())


@needs_shared
def test_the_tagged_square_of_gmsh_keeps_its_physical_groups(tmp_path):
    mesh = Mesh.load(SHARED)
    theirs = skfem.Mesh.load(SHARED)
    assert mesh.dim == 2
    assert set(mesh.facet_tags) == {"tagged", "test"}
    assert set(mesh.cell_tags) == {"all"}  # not gmsh:bounding_entities
    assert len(mesh.cell_tags["all"]) == mesh.n_cells == theirs.nelements
    for name in ("tagged", "test"):
        np.testing.assert_array_equal(mesh.facet_tags[name], np.sort(theirs.boundaries[name]))
    assert_same(Mesh.load(mesh.save(tmp_path / "again.msh")), mesh)
    assert_same(Mesh.load(mesh.save(tmp_path / "again.h5")), mesh)
    assert float(mesh.refine().cell_measure().sum()) == pytest.approx(
        float(mesh.cell_measure().sum()), rel=1e-13
    )


def test_fields_are_written_for_paraview(tmp_path):
    mesh = named_box("tri", warp=0.2)
    u, velocity, energy = mesh.points[:, 0], mesh.points, mesh.cell_measure()
    path = mesh.save(tmp_path / "u.vtu", {"u": u, "velocity": velocity}, {"energy": energy, "on": energy > 0})
    back = meshio.read(path)
    np.testing.assert_array_equal(back.point_data["u"], u)
    np.testing.assert_array_equal(back.point_data["velocity"][:, :2], velocity)
    assert back.point_data["velocity"].shape == (mesh.n_points, 3)
    np.testing.assert_array_equal(back.cell_data["energy"][0], energy)
    np.testing.assert_array_equal(back.cell_data["energy"][1], energy[mesh.facet_cells[back_facets(mesh, back), 0]])
    assert_same(Mesh.load(path), mesh)


def back_facets(mesh, back):
    """Ids of the facets in the second block of cells of a file, found by their end points."""
    ids = {tuple(ends): i for i, ends in enumerate(mesh.facets.tolist())}
    return [ids[tuple(sorted(ends))] for ends in back.cells[1].data.tolist()]


def test_vtu_shows_each_named_facet_as_a_cell_with_one_array_of_0_and_1_per_name(tmp_path):
    mesh = named_box("tri").tag_facets({"inflow": lambda m: m[:, 0] == 0})
    back = meshio.read(mesh.save(tmp_path / "m.vtu"))
    assert [(block.type, len(block.data)) for block in back.cells] == [("triangle", 40), ("line", 18)]
    facets = torch.tensor(back_facets(mesh, back))
    for name, ids in mesh.facet_tags.items():
        inner, on = back.cell_data[f"facet:{name}"]
        assert not inner.any()
        np.testing.assert_array_equal(on == 1, torch.isin(facets, ids))
    np.testing.assert_array_equal(np.flatnonzero(back.cell_data["cell:left"][0]), mesh.cell_tags["left"])


def test_values_of_p2_are_told_where_those_at_the_vertices_are(tmp_path):
    mesh = named_box("tri")
    space = FEMSpace(mesh, "P2")
    with pytest.raises(UsageError, match=r"must have 30 values, got .*values\[: mesh\.n_points\]"):
        mesh.save(tmp_path / "u.vtu", {"u": space.points[:, 0]})
    assert torch.equal(space.points[: mesh.n_points], mesh.points)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("point_data", "message"),
    [
        ({"u": np.zeros(4)}, r"point field 'u' must have 30 values, got shape \(4,\)"),
        ({"u": np.zeros(30, dtype=complex)}, "pass its real and imaginary parts"),
    ],
)
def test_fields_that_do_not_fit_are_named(point_data, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        named_box("tri").save(tmp_path / "u.vtu", point_data)
    with pytest.raises(UsageError, match=r"write fields to \.vtu"):
        named_box("tri").save(tmp_path / "u.npz", {"u": np.zeros(30)})
    assert not list(tmp_path.iterdir())


def test_msh_files_refuse_two_names_for_a_cell(tmp_path):
    mesh = named_box("tri")
    mesh = Mesh(mesh.points, mesh.cells, "tri", {}, {"a": torch.tensor([1, 2]), "b": torch.tensor([2])})
    with pytest.raises(UsageError, match="cell 2 has two"):
        mesh.save(tmp_path / "m.msh")


def damaged(tmp_path, kind):
    path = tmp_path / {"npz": "m.npz", "h5": "m.h5", "vtu": "m.vtu", "msh": "m.msh"}.get(
        kind[:3].strip("_"), "m.vtu"
    )
    mesh = named_box("tri")
    square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1], [2, 0]])
    if kind in ("npz", "h5", "vtu", "msh"):
        content = mesh.save(path).read_bytes()
        path.write_bytes(content[: len(content) // 2])
    elif kind == "npz_other":
        np.savez(path, points=square)
    elif kind == "mixed":
        meshio.Mesh(square, [("quad", [[0, 1, 2, 3]]), ("triangle", [[1, 4, 2]])]).write(path)
    elif kind == "quadratic":
        meshio.Mesh(np.zeros((6, 3)), [("triangle6", [[0, 1, 2, 3, 4, 5]])]).write(path)
    elif kind == "points":
        meshio.Mesh(square, [("vertex", [[0], [1]])]).write(path)
    elif kind == "overlap":
        meshio.Mesh(square, [("triangle", [[0, 1, 2], [0, 1, 3]])]).write(path)
    elif kind == "nan":
        meshio.Mesh(square * [[np.nan], [1], [1], [1], [1]], [("triangle", [[0, 1, 2], [1, 4, 2]])]).write(
            path
        )
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("npz", r"not a readable \.npz file"),
        ("h5", "not a readable HDF5 file"),
        ("vtu", r"not a readable \.vtu file"),
        ("msh", r"not a readable \.msh file"),
        ("npz_other", "not a mesh: cell_type is None and cells missing"),
        ("mixed", "it has 1 quad, 1 triangle; a mesh has cells of one type"),
        ("quadratic", r"it has 1 triangle6; only line, triangle, quad, tetra, hexahedron are supported"),
        ("points", "it has 2 vertex; a mesh has cells of one type"),
        ("overlap", "cells 0 and 1 overlap"),
        ("nan", "point 0 is not finite"),
    ],
)
def test_damaged_files_give_one_clear_line(kind, message, tmp_path, capfd):
    path = damaged(tmp_path, kind)
    capfd.readouterr()
    with pytest.raises(DataError, match=message) as caught:
        Mesh.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_missing_files_folders_and_formats_are_usage_errors(tmp_path):
    with pytest.raises(UsageError, match="there is no mesh file"):
        Mesh.load(tmp_path / "none.msh")
    with pytest.raises(UsageError, match=r"folder .* does not exist"):
        named_box("tri").save(tmp_path / "no" / "m.npz")
    (tmp_path / "m.xyz1").write_text("")
    with pytest.raises(UsageError, match=r"unknown mesh format '\.xyz1'"):
        Mesh.load(tmp_path / "m.xyz1")
    for name in ("n.xyz1", "n"):
        with pytest.raises(UsageError, match=r"unknown mesh format .* must be \.npz, \.h5, \.msh, \.vtu, or .*\.vtk") as caught:
            named_box("tri").save(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
    with pytest.raises(UsageError, match=r"meshio cannot write .*/n\.f3grid") as caught:
        named_box("line").save(tmp_path / "n.f3grid")
    assert "partial" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["m.xyz1"]


def test_formats_of_two_files_write_both(tmp_path):
    named_box("tet").save(tmp_path / "m.node")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.ele", "m.node"]


def test_gmsh_files_lose_unused_points_and_clockwise_cells(tmp_path):
    square = np.array([[9.0, 9, 0], [0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    other = meshio.Mesh(square, [("triangle", [[1, 2, 3], [1, 4, 3]])])
    other.write(tmp_path / "m.vtk")
    mesh = Mesh.load(tmp_path / "m.vtk")
    assert mesh.n_points == 4
    assert mesh.dim == 2
    mesh.validate()
