import html
import math
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdeflow.report import (
    SOLVER_HEADER,
    format_number,
    html_table,
    mean_iterations,
    solver_notes,
    solver_rows,
    text_table,
)
from pdeflow.report.tables import total_seconds


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
def test_three_digits_are_right_to_half_a_unit(value):
    assert float(format_number(value)) == pytest.approx(value, rel=0.5e-2, abs=1e-300)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00412, "0.00412"), (1.234e-9, "1.23e-09"), (12345.6, "12346"), (None, "–"), (True, "yes"), (7, "7"),
        (math.inf, "inf"), (math.nan, "nan"), ("CG", "CG"), (0.0, "0"),
    ],
)  # fmt: skip
def test_numbers_read_as_documented(value, text):
    assert format_number(value) == text


cells = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1, max_size=40)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=5), st.integers(20, 60))
def test_no_line_of_a_text_table_is_wider_than_asked(rows, width):
    lines = text_table(("name", "value"), rows, width).splitlines()
    assert len(lines) == len(rows) + 2
    assert max(map(len, lines)) <= width


class Cells(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.tags, self.cells = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data):
        if self.cells:
            self.cells[-1] += data


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=5))
def test_every_cell_of_an_html_table_reads_back_as_it_was(rows):
    parser = Cells()
    parser.feed(html_table(("a", "b"), rows))
    found = [cell.strip("\n") for cell in parser.cells]
    assert found == ["a", "b", *(cell for row in rows for cell in row)]
    assert set(parser.tags) <= {"div", "table", "thead", "tbody", "tr", "td", "th"}


def test_numbers_are_right_aligned_and_hashes_are_not():
    page = html_table(("n", "hash"), [(1.5, "41" * 32), (2, "9" * 64)])
    assert page.count("<td class=number>") == 2


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="expected 2 cells"):
        text_table(("a", "b"), [(1,)])


def test_solver_rows_keep_set_up_apart_and_say_why_a_method_was_skipped(solver_table):
    rows = [dict(zip(SOLVER_HEADER, row, strict=True)) for row in solver_rows(solver_table)]
    assert rows[1]["total s"] == rows[1]["set-up s"] + rows[1]["solve s"]
    assert [row["outcome"] for row in rows[1:]] == [
        "converged, fastest", "converged", "converged", "maxiter", "skipped: needs about 4 GB",
    ]  # fmt: skip
    assert rows[-1]["total s"] is None
    assert html.escape(rows[-1]["method"]) == "direct"


def test_a_solve_without_time_takes_forever():
    assert total_seconds({"seconds_setup": 1.0}) == math.inf
    assert total_seconds({"seconds_solve": 2.0}) == 2.0


def test_a_reason_too_long_for_the_table_is_given_in_full_below_it(solver_table):
    why = "needs a symmetric matrix, and this one is not; " * 4
    rows = [*solver_table, {"name": "DirectionNet, trained", "skipped": f"skipped: {why}"}]
    table = text_table(SOLVER_HEADER, solver_rows(rows, brief=True), None)
    assert "…" not in table
    assert all(row["name"] in table for row in rows)
    assert max(map(len, table.splitlines())) < 100
    assert solver_notes(rows)[-1] == f"DirectionNet, trained: skipped: {why}"


def test_the_outcome_of_a_rescued_solve_names_the_rescuer_and_the_step():
    row = {"name": "net", "method": "cg", "preconditioner": "amg:rs", "reason": "converged_fallback", "switched_at": 10, "detail": "dcdm: stagnated; then cg"}
    assert solver_rows([row])[0][-1] == "cg + amg:rs from step 10"
    assert solver_rows([{**row, "reason": "timeout"}])[0][-1] == "timeout, cg + amg:rs from step 10"
    assert solver_notes([row, {**row, "reason": "timeout"}]) == ["net: dcdm: stagnated; then cg"]


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"cg_mean": 9.5}, "9.50"),
        ({"cg_mean": math.inf, "cap": 40, "ended": {"cg": "maxiter"}}, "> 40"),
        ({"cg_mean": math.inf, "cap": 40, "ended": {"cg": "stagnated"}}, "stagnated"),
        ({"cg_mean": math.inf}, "not reached"),
        ({}, "–"),
    ],
)
def test_a_mean_that_is_not_finite_says_what_happened(entry, text):
    assert mean_iterations(entry, "cg") == text
