import csv

import pytest

from pdeflow.report import plot_training, read_metrics

LINES = (
    "epoch,step,lr-Muon,train/loss,val/rel_l2\n0,0,0.02,,\n0,4,,0.5,\n0,4,,,0.25\n1,9,,0.125,\n1,9,,,0.1\n"
)


@pytest.fixture
def metrics(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(LINES)
    return path


def test_empty_cells_of_the_log_are_absent_not_zero(metrics):
    assert read_metrics(metrics)[:2] == [
        {"epoch": 0, "step": 0, "lr-Muon": 0.02},
        {"epoch": 0, "step": 4, "train/loss": 0.5},
    ]


def test_csv_beside_the_curves_holds_every_logged_value(metrics, tmp_path, is_blank):
    path = plot_training(tmp_path / "t.png", read_metrics(metrics))
    with open(path.with_suffix(".csv"), newline="") as file:
        rows = [(r["quantity"], float(r["step"]), float(r["value"])) for r in csv.DictReader(file)]
    assert set(rows) == {
        ("lr-Muon", 0, 0.02),
        ("train/loss", 4, 0.5),
        ("train/loss", 9, 0.125),
        ("val/rel_l2", 4, 0.25),
        ("val/rel_l2", 9, 0.1),
    }
    assert not is_blank(path)


def axes_of(monkeypatch, tmp_path, rows, **options):
    kept = []
    monkeypatch.setattr("pdeflow.report.training.save_figure", lambda figure, path: kept.append(figure) or path)
    plot_training(tmp_path / "t.png", rows, **options)
    kept[0].canvas.draw()
    return kept[0].axes


def test_the_count_that_stands_for_no_convergence_is_a_line_where_it_occurs_and_the_axis_has_plain_numbers(monkeypatch, tmp_path):
    counts = [{"step": float(k), "val/iterations": value} for k, value in enumerate((100.0, 61.0, 12.0))]
    (axes,) = axes_of(monkeypatch, tmp_path, counts, most_iterations=100)
    assert [line.get_label() for line in axes.lines] == ["val/iterations", "100: not converged"]
    labels = [label.get_text() for label in axes.get_yticklabels(which="both") if label.get_text()]
    assert {"20", "50", "100"} <= set(labels)
    assert all(label.isdigit() for label in labels)
    (axes,) = axes_of(monkeypatch, tmp_path, counts[1:], most_iterations=100)
    assert len(axes.lines) == 1


def test_legends_lie_outside_the_axes(monkeypatch, tmp_path, metrics):
    for axes in axes_of(monkeypatch, tmp_path, read_metrics(metrics)):
        assert axes.get_legend().get_window_extent().y1 < axes.get_window_extent().y0


@pytest.mark.parametrize(
    "rows", [[], [{"epoch": 0.0, "step": 1.0}], [{"train/loss": 0.0}, {"train/loss": -1.0}]]
)
def test_a_log_without_values_or_with_negative_ones_is_still_drawn(rows, tmp_path, is_blank):
    assert not is_blank(plot_training(tmp_path / "t.png", rows))


def test_a_missing_log_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_metrics(tmp_path / "none.csv")
