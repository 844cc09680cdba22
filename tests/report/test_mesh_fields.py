import csv

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection

from pdeflow.report.canvas import new_figure
from pdeflow.report.mesh_fields import (
    plot_grid_field,
    plot_mesh,
    plot_mesh_samples,
    show_grid_field,
    show_mesh,
    show_mesh_field,
)

POINTS = np.array([[0.0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]])
QUADS = np.array([[0, 1, 4, 3], [1, 2, 5, 4]])
TRIANGLES = np.array([[0, 1, 4], [0, 4, 3], [1, 2, 5], [1, 5, 4]])


def axes():
    return new_figure(3, 3).subplots()


def rows(path):
    with open(path.with_suffix(".csv"), newline="") as file:
        return list(csv.DictReader(file))


def lines(shown):
    return next(item for item in shown.collections if isinstance(item, LineCollection))


@pytest.mark.parametrize(("cells", "kind", "edges"), [(QUADS, "quad", 7), (TRIANGLES, "tri", 9)])
def test_every_edge_is_drawn_once_at_equal_scales(cells, kind, edges):
    shown = axes()
    show_mesh(shown, POINTS, cells, kind)
    found = {tuple(sorted(map(tuple, line))) for line in lines(shown).get_segments()}
    assert len(lines(shown).get_segments()) == len(found) == edges
    assert shown.get_aspect() == 1
    assert shown.get_xlim()[0] < 0 < 2 < shown.get_xlim()[1]


def test_named_parts_get_a_colour_and_a_legend_entry_each():
    shown = axes()
    show_mesh(shown, POINTS, QUADS, "quad", parts={"left": [[0, 3]], "right": [[2, 5]]})
    assert shown.get_legend_handles_labels()[1] == ["left", "right"]
    colours = [tuple(item.get_colors()[0]) for item in shown.collections]
    assert len(set(colours)) == 3


def test_line_meshes_are_drawn():
    shown = axes()
    show_mesh(shown, POINTS, [[0, 1], [1, 2]], "line")
    assert len(lines(shown).get_segments()) == 2


def test_point_values_are_shaded_and_the_centre_of_a_quadrilateral_is_the_mean():
    image = show_mesh_field(axes(), POINTS, QUADS, "quad", np.array([0.0, 1, 2, 4, 5, 6]), (0, 6))
    np.testing.assert_allclose(image.get_array(), [0, 1, 2, 4, 5, 6, 2.5, 3.5])
    assert image.get_clim() == (0, 6)
    assert image.get_cmap().name == "viridis"


def test_cell_values_colour_whole_cells():
    image = show_mesh_field(axes(), POINTS, TRIANGLES, "tri", np.arange(4.0), (0, 3), edges=True)
    assert isinstance(image, PolyCollection)
    np.testing.assert_array_equal(image.get_array(), np.arange(4))
    np.testing.assert_allclose(image.get_paths()[2].vertices[:3], POINTS[TRIANGLES[2]])


def test_grid_values_stand_at_their_nodes_and_a_ring_is_closed():
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)[:, None]
    radius = np.array([1.0, 2, 3])
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    values = x[..., 0] + 10 * x[..., 1]
    image = show_grid_field(axes(), x, values, (-30, 30), periodic=(True, False))
    drawn = image.get_coordinates()
    assert drawn.shape == (9, 3, 2)
    np.testing.assert_array_equal(drawn[-1], drawn[0])
    np.testing.assert_allclose(image.get_array(), drawn[..., 0] + 10 * drawn[..., 1])  # not transposed


def test_samples_share_one_scale_and_one_frame_and_the_csv_holds_their_ranges(tmp_path, is_blank):
    samples = [(s * POINTS, QUADS, "quad", s * np.arange(6.0)) for s in (1.0, 0.5)]
    path = plot_mesh_samples(tmp_path / "s.png", samples, name="T", unit="K")
    assert not is_blank(path)
    assert [(r["field"], float(r["max"])) for r in rows(path)] == [("T, sample 0", 5.0), ("T, sample 1", 2.5)]
    assert len(rows(plot_mesh_samples(tmp_path / "s.png", samples * 4, count=3))) == 3


def test_a_mesh_and_its_parts_are_counted(tmp_path, is_blank):
    path = plot_mesh(
        tmp_path / "m.png", POINTS, QUADS, "quad", {"left": [[0, 3]], "bottom": [[0, 1], [1, 2]]}
    )
    assert not is_blank(path)
    counted = {row["what"]: int(row["count"]) for row in rows(path)}
    assert counted == {"vertices": 6, "cells": 2, "facets left": 1, "facets bottom": 2}


@pytest.mark.parametrize("height", [0.05, 1.0, 20.0])
def test_fields_on_flat_square_and_tall_grids_are_drawn(height, tmp_path, is_blank):
    x = np.stack(np.meshgrid(np.linspace(0, 1, 5), np.linspace(0, height, 4), indexing="ij"), axis=-1)
    path = plot_grid_field(tmp_path / "g.png", x, {"u": x[..., 0], "p": 1e-6 * x[..., 1]}, edges=True)
    assert not is_blank(path)
    assert [row["field"] for row in rows(path)] == ["u", "p"]


def test_shapes_that_do_not_fit_are_refused_in_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"write a \.vtu file"):
        show_mesh(axes(), np.zeros((4, 3)), [[0, 1, 2, 3]], "tet")
    with pytest.raises(ValueError, match=r"expected \(m, 3\)"):
        show_mesh(axes(), POINTS, QUADS, "tri")
    with pytest.raises(ValueError, match="6 at points or 2 at cells"):
        show_mesh_field(axes(), POINTS, QUADS, "quad", np.zeros(5), (0, 1))
    with pytest.raises(ValueError, match=r"\(nx, ny, 2\) and \(nx, ny\)"):
        show_grid_field(axes(), np.zeros((3, 4, 2)), np.zeros((4, 3)), (0, 1))
    with pytest.raises(ValueError, match="at least one"):
        plot_mesh_samples(tmp_path / "n.png", [])
    with pytest.raises(ValueError, match="at least one"):
        plot_grid_field(tmp_path / "n.png", np.zeros((3, 4, 2)), {})
