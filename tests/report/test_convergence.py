import csv

import numpy as np
import pytest

from pdeflow.report import plot_residuals, plot_solver_times


def read(path):
    with open(path.with_suffix(".csv"), newline="") as file:
        return list(csv.DictReader(file))


def test_residual_csv_holds_each_history_and_starts_at_the_end_of_the_set_up(tmp_path, is_blank):
    histories = {
        "CG": (0.5 ** np.arange(400.0), 2.0),
        "AMG": ([1.0, 1e-4, 1e-9], 1.0, 0.25),
        "zero": ([0.0], 0.1),
    }
    path = plot_residuals(tmp_path / "r.png", histories, 1e-8)
    rows = read(path)
    for name, (norms, seconds, *setup) in histories.items():
        own = [r for r in rows if r["method"] == name]
        np.testing.assert_allclose([float(r["relative_residual"]) for r in own], norms, rtol=1e-9)
        assert [int(r["iteration"]) for r in own] == list(range(len(norms)))
        assert float(own[0]["seconds"]) == (setup[0] if setup else 0.0)
        if len(norms) > 1:
            assert float(own[-1]["seconds"]) == seconds
    assert not is_blank(path)


def test_no_history_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one"):
        plot_residuals(tmp_path / "r.png", {})


def test_times_csv_holds_the_table_with_skipped_methods(solver_table, tmp_path, is_blank):
    path = plot_solver_times(tmp_path / "t.png", solver_table)
    rows = read(path)
    assert [r["method"] for r in rows] == [r["name"] for r in solver_table]
    assert float(rows[1]["seconds_setup"]) == solver_table[1]["seconds_setup"]
    assert rows[-1]["seconds_solve"] == ""
    assert not is_blank(path)


def test_times_of_nothing_are_drawn_as_a_note(tmp_path, is_blank):
    assert not is_blank(plot_solver_times(tmp_path / "t.png", [{"name": "direct", "skipped": "too large"}]))
