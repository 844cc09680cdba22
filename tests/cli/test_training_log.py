"""The logged curves of a training have enough points, however short it is."""

from types import SimpleNamespace

import pytest

from pdeflow.cli.callbacks import RateLog
from pdeflow.cli.main import main
from pdeflow.cli.metrics_log import read_rows

from .conftest import inside
from .test_resume_door import settings


@pytest.mark.parametrize(("steps", "every"), [(6, 1), (199, 1), (400, 4), (1000, 10), (10**6, 10), (float("inf"), 10)])
def test_a_short_training_is_logged_more_often_and_never_less(steps, every):
    trainer = SimpleNamespace(estimated_stepping_batches=steps, log_every_n_steps=10)
    RateLog().on_train_start(trainer, None)
    assert trainer.log_every_n_steps == every


def test_the_rise_of_the_rate_and_every_loss_of_a_short_training_are_kept(experiment, tmp_path):
    with inside(tmp_path):
        settings("fit.operator", experiment, max_epochs=2)
        assert main(["fit", "-c", "fit.yaml", "--out", "run", "-q"]) == 0
        rows = read_rows(tmp_path / "run" / "fit" / "logs" / "metrics.csv")
    assert [int(row["step"]) for row in rows if row["lr"]] == [1, 2, 3, 4, 5, 6]
    assert [int(row["step"]) for row in rows if row["train/loss"]] == [0, 1, 2, 3, 4, 5]
