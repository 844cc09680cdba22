import csv

import numpy as np
import pytest

from pdeflow.report import convergence, plot_residuals, plot_solver_times


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


def drawn(monkeypatch):
    """Keep the figures that are saved."""
    kept = []
    monkeypatch.setattr(convergence, "save_figure", lambda figure, path: kept.append(figure) or path)
    return kept


def words(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_the_legend_accounts_for_every_method_and_the_picture_for_the_system(tmp_path, monkeypatch):
    kept = drawn(monkeypatch)
    histories = {"CG": (0.5 ** np.arange(40.0), 2.0), "net": ([1.0, 1.0, 1e-5, 1e-9], 1.0), "direct": ([1.0, 1e-12], 0.5, 0.4)}
    plot_residuals(
        tmp_path / "r.png", histories, 1e-8, title="A x = b", remarks={"net": "cg from step 1"}, switches={"net": 1},
        absent=["not drawn: MINRES: skipped: complex"],
    )  # fmt: skip
    (figure,) = kept
    assert words(figure) == [
        "CG (39 its, 2.00 s)", "net (3 its, 1.00 s, cg from step 1)", "direct (0.500 s)", "tolerance 1e-08", "not drawn: MINRES: skipped: complex",
    ]  # fmt: skip
    assert figure.get_suptitle() == "A x = b"
    left, right = figure.axes
    for axes, x in ((left, 1.0), (right, 1 / 3)):
        (mark,) = [line for line in axes.lines if line.get_marker() == "X"]
        np.testing.assert_allclose(mark.get_xdata(), [x])


@pytest.mark.parametrize(("long", "scale"), [(20, "linear"), (400, "log")])
def test_an_axis_is_linear_or_logarithmic_as_a_whole_and_a_failed_method_does_not_stretch_it(long, scale, tmp_path, monkeypatch):
    kept = drawn(monkeypatch)
    fast, slow = np.geomspace(1, 1e-9, 8), np.geomspace(1, 1e-9, long)
    plot_residuals(tmp_path / "r.png", {"AMG": (fast, 1.0), "CG": (slow, long / 8), "bad": (np.ones(5000), 1e4)}, 1e-8)
    assert [axes.get_xscale() for axes in kept[0].axes] == [scale] * 2
    assert kept[0].axes[0].get_xlim()[1] < 3.5 * long


def test_failed_methods_stand_below_in_another_colour(solver_table, tmp_path, monkeypatch):
    kept = drawn(monkeypatch)
    failed = {**solver_table[0], "name": "quick failure", "reason": "indefinite", "residual": 9.0, "seconds_solve": 1e-5}
    plot_solver_times(tmp_path / "t.png", [failed, *solver_table], "A x = b")
    (axes,) = kept[0].axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["CG + AMG", "cycle, trained", "CG", "cycle, untrained", "quick failure", "MINRES", "direct"]
    assert words(kept[0]) == ["set-up", "solve", "failed"]
    assert kept[0].get_suptitle() == "A x = b"
