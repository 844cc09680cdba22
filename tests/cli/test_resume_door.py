"""What is checked before a training is resumed or started, and what a refusal leaves as it was."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from lightning import Callback

from pdeflow.cli.main import main
from pdeflow.cli.resuming import WITHIN_EPOCH, is_within_epoch

from .conftest import TINY, inside


class StopAt(Callback):
    """Fail after a step, as a machine does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            raise RuntimeError("the machine stopped")


def settings(stage, experiment=None, **trainer):
    content = {key: TINY[key] for key in ("name", "problem", "seed_everything")} | yaml.safe_load(yaml.safe_dump(TINY[stage]))
    if experiment is not None:
        content["data"]["init_args"]["path"] = str(experiment / "runs" / "tiny" / "latest" / "generate")
    content["trainer"] = trainer
    Path("fit.yaml").write_text(yaml.safe_dump(content))


def stopping(step):
    return [{"class_path": f"{__name__}.StopAt", "init_args": {"step": step}}]


def error_of(capsys, arguments, code=2):
    capsys.readouterr()
    assert main([*arguments, "-q"]) == code
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    return error


def test_a_resume_that_is_refused_keeps_the_settings_and_one_that_goes_on_writes_its_own(experiment, tmp_path, capsys):
    with inside(tmp_path):
        settings("fit.operator", experiment, max_epochs=2)
        assert main(["fit", "-c", "fit.yaml", "--out", "run", "-q"]) == 0
        kept = {name: Path("run/fit", name).read_bytes() for name in ("config.yaml", "run.json")}
        again = ["fit", "-c", "fit.yaml", "--out", "run", "--ckpt_path", "last"]
        for option, limit, done in (("max_epochs", 1, 2), ("max_steps", 5, 6)):
            error = error_of(capsys, [*again, f"--trainer.{option}", str(limit)])
            assert f"has {done} {option[4:]} behind it, more than --trainer.{option} {limit}" in error
        assert "holds the state of" in error_of(capsys, [*again, "--optimizer=torch.optim.SGD", "--optimizer.lr=0.1"], 4)
        assert kept == {name: Path("run/fit", name).read_bytes() for name in kept}
        assert main(["fit", "--resume", "--out", "run", "--trainer.max_epochs", "3", "-q"]) == 0
        assert yaml.safe_load(Path("run/fit/config.yaml").read_text())["trainer"]["max_epochs"] == 3


def test_resume_takes_the_settings_of_the_stage_and_says_what_it_misses(tmp_path, capsys):
    with inside(tmp_path):
        assert "expected pdeflow fit --resume --out RUN" in error_of(capsys, ["fit", "--resume"])
        assert "no training was begun in run" in error_of(capsys, ["fit", "--resume", "--out", "run"])
        for stage in ("fit.one", "fit.two"):
            Path("run", stage).mkdir(parents=True)
            Path("run", stage, "config.yaml").write_text("trainer: {max_epochs: 1}")
        assert "run holds fit.one, fit.two; choose one with --stage one" in error_of(capsys, ["fit", "--resume", "--out", "run"])
        assert "checkpoint run/fit.two/checkpoints/last.ckpt not found" in error_of(capsys, ["fit", "--resume", "--out", "run", "--stage", "two"])


@pytest.mark.parametrize(("step", "within"), [(3, False), (4, True)])
def test_a_training_stopped_within_an_epoch_says_what_that_means_when_it_is_resumed(step, within, experiment, tmp_path, capsys):
    with inside(tmp_path):  # three steps an epoch
        settings("fit.operator", experiment, max_epochs=2, callbacks=stopping(step))
        assert main(["fit", "-c", "fit.yaml", "--out", "run", "-q"]) == 1
        checkpoint = torch.load("run/fit/checkpoints/last.ckpt", weights_only=True)
        assert (checkpoint["global_step"], is_within_epoch(checkpoint)) == (step, within)
        settings("fit.operator", experiment, max_epochs=2)
        capsys.readouterr()
        assert main(["fit", "-c", "fit.yaml", "--out", "run", "--resume", "-q"]) == 0
    assert capsys.readouterr().err == f"fit: {WITHIN_EPOCH}\n" * within


def test_a_training_whose_steps_draw_their_own_data_resumes_within_an_epoch_to_the_bits_of_a_whole_one_and_without_a_word(tmp_path, capsys):
    with inside(tmp_path):
        settings("fit.preconditioner", max_steps=4, callbacks=stopping(3))
        assert main(["fit", "-c", "fit.yaml", "--out", "run", "-q"]) == 1
        settings("fit.preconditioner", max_steps=4)
        capsys.readouterr()
        assert main(["fit", "-c", "fit.yaml", "--out", "run", "--resume", "-q"]) == 0
        assert capsys.readouterr().err == ""
        assert main(["fit", "-c", "fit.yaml", "--out", "whole", "-q"]) == 0
        resumed, whole = (torch.load(f"{run}/fit/checkpoints/last.ckpt", weights_only=True) for run in ("run", "whole"))
        assert resumed["global_step"] == whole["global_step"] == 4
        assert all(torch.equal(resumed["state_dict"][name], value) for name, value in whole["state_dict"].items())
        assert "leave --data.path out" in error_of(capsys, ["fit", "-c", "fit.yaml", "--data.path", "D"])


def test_an_accelerator_that_is_not_here_is_refused_with_one_that_is(experiment, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with inside(tmp_path):
        settings("fit.operator", experiment, max_epochs=1)
        assert "--trainer.accelerator cpu works everywhere" in error_of(capsys, ["fit", "-c", "fit.yaml", "--trainer.accelerator", "cuda"])
        assert {path.name for path in tmp_path.iterdir()} == {"fit.yaml"}


def test_what_needs_no_library_is_refused_before_one_is_loaded(experiment, tmp_path):
    with inside(tmp_path):
        settings("fit.operator", experiment, max_epochs=1)
        Path("run/fit/checkpoints").mkdir(parents=True)
        for arguments, words in {
            ("-c", "none.yaml"): "none.yaml not found",
            ("-c", "fit.yaml", "--out", "run"): "holds a training already",
            ("-c", "fit.yaml", "--data.path", "D"): "dataset D not found; create it with: pdeflow generate",
            ("-c", "fit.yaml", "--ckpt_path", "last"): "name it with --out",
        }.items():
            code = f"import sys; from pdeflow.cli.main import main; code = main(['fit', *{arguments}]); print('torch' in sys.modules, code)"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            assert done.stdout == "False 2\n"
            assert words in done.stderr
