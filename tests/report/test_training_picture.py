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


@pytest.mark.parametrize(
    "rows", [[], [{"epoch": 0.0, "step": 1.0}], [{"train/loss": 0.0}, {"train/loss": -1.0}]]
)
def test_a_log_without_values_or_with_negative_ones_is_still_drawn(rows, tmp_path, is_blank):
    assert not is_blank(plot_training(tmp_path / "t.png", rows))


def test_a_missing_log_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_metrics(tmp_path / "none.csv")
