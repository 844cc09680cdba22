"""Two processes that train together from a settings file: the metrics of one, and one folder."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pdeflow.cli.main import main
from pdeflow.cli.metrics_log import read_rows
from pdeflow.data import PDEDataModule
from pdeflow.errors import UsageError

from .conftest import inside
from .test_resume import settings

TWO = ["--trainer.strategy", "ddp", "--trainer.devices", "2", "--trainer.accelerator", "cpu", "--trainer.max_epochs", "3"]


def test_two_processes_give_the_metrics_of_one(experiment, tmp_path):
    with inside(tmp_path):
        Path("fit.yaml").write_text(settings(experiment))
        assert main(["fit", "-c", "fit.yaml", "--out", "one", "-q", "--trainer.max_epochs", "3"]) == 0
        done = subprocess.run(
            [sys.executable, "-m", "pdeflow", "fit", "-c", "fit.yaml", *TWO], capture_output=True, text=True, timeout=240, check=True
        )
        assert done.stdout.count("fit: TFNO") == 1  # the second process says nothing
        (run,) = Path("runs/tiny").glob("2*")  # and makes no folder of its own
        one, two = (
            [float(row["val/rel_l2"]) for row in read_rows(root / "fit" / "logs" / "metrics.csv") if row.get("val/rel_l2")]
            for root in (Path("one"), run)
        )
        assert two == pytest.approx(one, rel=1e-5)


def test_a_batch_that_processes_cannot_share_is_refused(experiment):
    data = PDEDataModule(str(experiment / "runs" / "tiny" / "latest" / "generate"), batch_size=3)
    data.trainer = SimpleNamespace(world_size=2, global_rank=0)
    with pytest.raises(UsageError, match="all 2 processes and must be a multiple"):
        data.setup("fit")
