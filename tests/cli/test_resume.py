"""kill -9 and resume: a training continues bitwise, whatever the moment."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml
from safetensors.numpy import load_file

from pdeflow.cli.main import main
from pdeflow.cli.metrics_log import read_rows

from .conftest import TINY, inside

EPOCHS = 40


def settings(experiment):
    content = {key: TINY[key] for key in ("name", "problem", "seed_everything")} | yaml.safe_load(
        yaml.safe_dump(TINY["fit.operator"])
    )
    content["data"]["init_args"]["path"] = str(experiment / "runs" / "tiny" / "latest" / "generate")
    content["trainer"]["max_epochs"] = EPOCHS
    return yaml.safe_dump(content)


def test_a_killed_training_resumes_to_the_bits_of_an_uninterrupted_one(experiment, tmp_path):
    with inside(tmp_path):
        Path("fit.yaml").write_text(settings(experiment))
        assert main(["fit", "-c", "fit.yaml", "--out", "whole", "-q"]) == 0
        command = [sys.executable, "-m", "pdeflow", "fit", "-c", "fit.yaml", "--out", "killed"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        checkpoint = Path("killed/fit/checkpoints/last.ckpt")
        while process.poll() is None and not (checkpoint.exists() and epochs_of(checkpoint) >= EPOCHS // 2):
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not Path("killed/fit/export").exists(), "it had finished before it was killed"
        assert main(["fit", "-c", "fit.yaml", "--out", "killed", "--ckpt_path", "last", "-q"]) == 0
        whole, killed = (load_file(f"{run}/fit/export/model.safetensors") for run in ("whole", "killed"))
        logged = [
            [
                row["step"]
                for row in read_rows(Path(run) / "fit" / "logs" / "metrics.csv")
                if row["val/rel_l2"]
            ]
            for run in ("whole", "killed")
        ]
        assert logged[0] == logged[1]  # every epoch once, those before the kill too
    assert whole.keys() == killed.keys()
    assert all((whole[name] == killed[name]).all() for name in whole)


def epochs_of(checkpoint):
    """Finished epochs of a checkpoint, 0 while it is being written."""
    import torch

    try:
        return torch.load(checkpoint, weights_only=True)["epoch"] + 1
    except Exception:
        return 0


def listen_to_interrupts():
    """A shell starts its background jobs, a test run among them, with SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupted_training_says_how_to_resume(experiment, tmp_path):
    with inside(tmp_path):
        Path("fit.yaml").write_text(
            settings(experiment).replace(f"max_epochs: {EPOCHS}", "max_epochs: 100000")
        )
        command = [sys.executable, "-m", "pdeflow", "fit", "-c", "fit.yaml", "--out", "run"]
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=listen_to_interrupts
        )  # fmt: skip
        try:
            while process.poll() is None and not Path("run/fit/checkpoints/last.ckpt").exists():
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == 130
        assert "pdeflow fit -c run/fit/config.yaml --out run --ckpt_path last" in error
