"""`pdeflow info` on mesh files, polygons and datasets; `pdeflow data export` of a dataset with one split."""

import sys

import pytest

from pdeflow.cli.info import shape_text
from pdeflow.cli.main import main
from pdeflow.geometry import Mesh

SQUARE = Mesh.box((4, 2), (0.0, 0.0), (2.0, 1.0), "tri").tag_facets({"inlet": lambda m: m[:, 0] == 0})


@pytest.mark.parametrize("suffix", [".vtu", ".msh", ".h5", ".npz", ".xdmf"])
def test_info_describes_mesh_files(suffix, tmp_path, capsys):
    mesh = SQUARE if suffix != ".msh" else Mesh(SQUARE.points, SQUARE.cells, "tri", {"inlet": SQUARE.facet_tags["inlet"]})
    assert main(["info", str(mesh.save(tmp_path / f"m{suffix}"))]) == 0
    text = capsys.readouterr().out
    for line in (
        "points      15 in 2-D", "cells       16 tri, 12 boundary facets", "inlet 2", "cell tags   none", "quality     min 0.866",
        "bounds      [0, 2] × [0, 1]", "area        2",
    ):  # fmt: skip
        assert line in text, text


def test_info_describes_surfaces_and_polygons_of_obj_files(tmp_path, capsys):
    cube = Mesh.box((1, 1, 1), (0.0,) * 3, (1.0,) * 3, "tet").boundary()
    surface = Mesh(cube.points, cube.cells, "tri").save(tmp_path / "cube.obj")
    assert main(["info", str(surface)]) == 0
    assert "cells       12 tri, 0 boundary facets" in (text := capsys.readouterr().out)
    assert text.endswith("area        6\n")
    polygon = tmp_path / "square.obj"
    polygon.write_text("v 0 0 0\nv 3 0 0\nv 3 2 0\nv 0 2 0\nl 1 2 3 4 1\n")
    assert main(["info", str(polygon)]) == 0
    assert "perimeter   10\narea        6\n" in capsys.readouterr().out


def test_info_says_what_a_mesh_file_lacks(tmp_path, capsys, monkeypatch):
    (tmp_path / "broken.vtu").write_text("<VTKFile")
    path = SQUARE.save(tmp_path / "m.vtu")
    assert main(["info", str(tmp_path / "broken.vtu")]) == 4
    assert "not a readable .vtu file" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "meshio", None)
    assert main(["info", str(path)]) == 2
    assert "pip install 'pdeflow[mesh]'" in capsys.readouterr().err


def test_shapes_are_plain_text():
    assert shape_text((8, "n")) == "8 × n points"
    assert shape_text((8, 3, 64, 64)) == "8 × 3 × 64 × 64"


def test_a_dataset_with_one_split_is_exported_without_naming_it(tmp_path, capsys):
    out = str(tmp_path / "d")
    assert main(["generate", "--problem", "pdeflow.problems.StarPoisson", "--count", "2", "--h", "0.3", "--out", out, "-q"]) == 0
    assert main(["data", "export", out, "--to", "vtu", "--out", str(tmp_path / "v")]) == 0
    assert "2 files of split train" in capsys.readouterr().out
    assert all("boundary" in Mesh.load(path).facet_tags for path in (tmp_path / "v").glob("*_train_0000[01].vtu"))
    assert main(["data", "export", out, "--to", "vtu", "--split", "test", "--out", str(tmp_path / "w")]) == 2
    assert "no split 'test'; it has train" in capsys.readouterr().err
