from pathlib import Path

import pytest
import torch

from pdeflow.errors import DataError, UsageError
from pdeflow.geometry.domain import Polygon
from pdeflow.geometry.segments import closest_on_segment, nearest_by_brute_force
from tests.geometry.domain_cases import around, star_loop

ENGINE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "engine_boundary.obj"
SQUARE = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]


def shifted(loop, x, y, factor=1.0):
    return [[x + factor * p, y + factor * q] for p, q in loop]


@pytest.mark.skipif(not ENGINE.exists(), reason="../shared/data/engine_boundary.obj is absent")
def test_the_engine_loads_with_five_holes_and_distances_equal_brute_force():
    engine = Polygon.load(ENGINE)
    assert engine.tags == ("outer", "hole0", "hole1", "hole2", "hole3", "hole4")
    assert sum(map(len, engine.loops)) <= 647  # lines of length zero are left out
    assert 0 < engine.measure() < 1000**2
    x = around(engine, 3000)
    point, _ = closest_on_segment(x, engine.table[:, nearest_by_brute_force(x, engine.table)])
    torch.testing.assert_close(
        engine.distance(x), (x - point).norm(dim=1), atol=1e-14 * engine.diameter, rtol=0
    )
    inner = engine.sample_interior(2000, generator=torch.Generator().manual_seed(0))
    assert bool(engine.inside(inner).all())
    share = 2000 / engine.measure()
    assert float(engine.inside(around(engine, 20_000, margin=0.0)).double().mean()) == pytest.approx(
        engine.measure()
        / ((engine.bounds[0][1] - engine.bounds[0][0]) * (engine.bounds[1][1] - engine.bounds[1][0])),
        abs=0.02,
    )
    assert share > 0


@pytest.mark.parametrize(
    ("loops", "message"),
    [
        ([SQUARE[:2]], "outer boundary needs at least 3 vertices"),
        ([[[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]], r"edges 0 and 2 intersect near \(0.5, 0.5\)"),
        ([[*SQUARE, [0.0, 0.0]]], "vertices 0 and 4 coincide.*leave out the closing vertex"),
        (
            [[SQUARE[0], SQUARE[1], SQUARE[1], SQUARE[2]]],
            r"vertices 1 and 2 coincide at \(1, 0\); remove one",
        ),
        ([[[0.0, 0.0], [1.0, 0.0], [float("nan"), 1.0]]], "vertex 2 of the outer boundary is not finite"),
        ([[[0.0, 0.0], [2.0, 0.0], [1.0, 0.0], [1.0, 1.0]]], "edges 0 and 1 intersect"),
        ([[*SQUARE[:3], [0.5, 0.0], SQUARE[3]]], r"edges 0 and [23] intersect"),
        ([SQUARE, shifted(SQUARE, 0.5, 0.5)], "edges (1|2) and (4|7) intersect"),
        ([SQUARE, shifted(SQUARE, 3, 3)], "hole 0 lies outside the outer boundary"),
        (
            [SQUARE, shifted(SQUARE, 0.1, 0.1, 0.8), shifted(SQUARE, 0.3, 0.3, 0.1)],
            "hole 1 lies inside hole 0",
        ),
    ],
)
def test_loops_that_bound_no_region_give_one_clear_line(loops, message):
    with pytest.raises(UsageError, match=message) as caught:
        Polygon(loops[0], tuple(loops[1:]))
    assert "\n" not in str(caught.value)


def test_a_crossing_among_1000_edges_is_found_and_named():
    loop = star_loop(1000)
    Polygon(loop)
    loop[[500, 502]] = loop[[502, 500]]
    with pytest.raises(UsageError, match=r"edges (499|500|501|502) and (499|500|501|502) intersect"):
        Polygon(loop)


def test_wrong_tags_are_refused():
    with pytest.raises(UsageError, match="'wall' names edge 4, but edges are numbered 0 to 3"):
        Polygon(SQUARE, edge_tags={"wall": [4]})
    with pytest.raises(UsageError, match="unknown boundary tag 'wall'; the domain has outer"):
        Polygon(SQUARE).sample_boundary(4, "wall", generator=torch.Generator())


VERTICES = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"


@pytest.mark.parametrize(
    "lines", ["l 1 2 3 4 1\n", "l 1 2\nl 2 3\nl 3 4\nl 4 1\n", "# c\nl 3 2\nl 1 2\nl 1 4\nl 4 3\n"]
)
def test_polylines_and_lines_in_any_direction_are_read(tmp_path, lines):
    path = tmp_path / "square.obj"
    path.write_text(VERTICES + lines)
    assert Polygon.load(path).measure() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (VERTICES, "no line elements"),
        (VERTICES + "l 1 2 3 4\n", "open or branches, vertex 1 has 1 lines; it needs 2"),
        (VERTICES + "l 1 2 3 4 1\nl 1 3\n", "vertex 1 has 3 lines"),
        (VERTICES + "l 1 2 9 1\n", "line 2 9 but only 4 vertices"),
        (VERTICES + "l 1 two\n", r"bad.obj, line 5: cannot read 'l 1 two'"),
        (VERTICES + "l 1 2 4 3 1\n", "bad.obj: polygon edges 1 and 3 intersect"),
        ("v 0 0 0\nv 1 0 0\nv nan 1 0\nl 1 2 3 1\n", "not finite"),
    ],
)
def test_damaged_files_give_one_clear_line(tmp_path, text, message):
    path = tmp_path / "bad.obj"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        Polygon.load(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"no such file: .*nowhere.obj"):
        Polygon.load(tmp_path / "nowhere.obj")
