"""Two processes that train together from a settings file: the metrics of one, and one folder."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from pdeflow.cli.main import main
from pdeflow.cli.metrics_log import read_rows
from pdeflow.data import PDEDataModule
from pdeflow.errors import UsageError

from .conftest import inside
from .test_resume import settings

TWO = ["--trainer.strategy", "ddp", "--trainer.devices", "2", "--trainer.accelerator", "cpu", "--trainer.max_epochs", "3"]


def patched(text):
    """The settings of a fit with the network on patches, which processes share instead of the samples."""
    content = yaml.safe_load(text)
    inner = content["model"]["init_args"]["network"]
    inner["init_args"] |= {"n_modes": [4, 4], "in_channels": 6, "coordinates": False}
    options = {"network": inner, "levels": 1, "padding": 0.125, "distributed": "gather"}
    content["model"]["init_args"]["network"] = {"class_path": "pdeflow.models.PatchedNetwork", "init_args": options}
    content["trainer"]["use_distributed_sampler"] = False
    return yaml.safe_dump(content)


@pytest.mark.parametrize("share", ["samples", "patches"])
def test_two_processes_give_the_metrics_of_one(experiment, tmp_path, share):
    with inside(tmp_path):
        text = settings(experiment)
        Path("fit.yaml").write_text(patched(text) if share == "patches" else text)
        assert main(["fit", "-c", "fit.yaml", "--out", "one", "-q", "--trainer.max_epochs", "3"]) == 0
        done = subprocess.run(
            [sys.executable, "-m", "pdeflow", "fit", "-c", "fit.yaml", *TWO], capture_output=True, text=True, timeout=240, check=True
        )
        assert done.stdout.count("3 epochs") == 1  # the second process says nothing
        (run,) = Path("runs/tiny").glob("2*")  # and makes no folder of its own
        one, two = (
            [float(row["val/rel_l2"]) for row in read_rows(root / "fit" / "logs" / "metrics.csv") if row.get("val/rel_l2")]
            for root in (Path("one"), run)
        )
        assert two == pytest.approx(one, rel=1e-5)


def test_what_is_wrong_is_said_once(experiment, tmp_path):
    with inside(tmp_path):
        Path("fit.yaml").write_text(settings(experiment))
        command = [sys.executable, "-m", "pdeflow", "fit", "-c", "fit.yaml", *TWO, "--data.batch_size", "3"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 2
    assert done.stderr.count("must be a multiple of their number, 2; got 3") == 1


def test_a_batch_that_processes_cannot_share_is_refused(experiment):
    data = PDEDataModule(str(experiment / "runs" / "tiny" / "latest" / "generate"), batch_size=3)
    data.trainer = SimpleNamespace(world_size=2, global_rank=0)
    with pytest.raises(UsageError, match="multiple of their number, 2; got 3"):
        data.setup("fit")
