"""An interrupted training is a run folder, and every command that needs its network says how to go on."""

import shutil
from pathlib import Path

import pytest

from pdeflow.cli.main import main
from pdeflow.errors import DataError
from pdeflow.run_folder import load
from pdeflow.run_folder.unfinished import resume_command

from .conftest import inside

RESUME = "pdeflow fit -c run/fit.operator/config.yaml --out run --ckpt_path last --stage operator"


@pytest.fixture
def interrupted(experiment, tmp_path):
    """A run whose training of the operator has checkpoints and no export, in the folder to work in."""
    shutil.copytree(experiment / "runs" / "tiny" / "latest" / "fit.operator", tmp_path / "run" / "fit.operator")
    shutil.rmtree(tmp_path / "run" / "fit.operator" / "export")
    with inside(tmp_path):
        yield Path("run")


@pytest.mark.parametrize("path", ["run", "run/fit.operator"])
@pytest.mark.parametrize("command", ["test", "validate", "predict", "evaluate"])
def test_a_command_that_needs_the_network_says_how_to_go_on(interrupted, command, path, capsys):
    assert main([command, path]) == 4
    assert capsys.readouterr().err == f"{command}: {path}: the training of fit.operator was not finished; go on with: {RESUME}\n"


def test_solve_says_how_to_go_on(interrupted, capsys):
    assert main(["solve", "--problem=pdeflow.problems.Darcy", "--grid", "8,8", "--preconditioner", "run"]) == 4
    assert RESUME in capsys.readouterr().err


@pytest.mark.parametrize("path", ["run", "run/fit.operator"])
def test_info_shows_it_as_a_run_folder(interrupted, path, capsys):
    assert main(["info", path]) == 0
    assert f"\nfit.operator training not finished; go on with: {RESUME}\n" in capsys.readouterr().out


def test_the_command_resumes_from_a_checkpoint_only_where_there_is_one(interrupted):
    assert resume_command(interrupted / "fit.operator") == RESUME
    shutil.rmtree(interrupted / "fit.operator" / "checkpoints")
    assert resume_command(interrupted / "fit.operator") == RESUME.replace(" --ckpt_path last", "")


def test_a_folder_without_a_training_still_has_none(tmp_path):
    with pytest.raises(DataError, match="pdeflow fit makes one"):
        load(tmp_path, kind="operator")


def test_in_python_the_message_is_the_same(interrupted):
    with pytest.raises(DataError, match=r"the training of fit\.operator was not finished; go on with: pdeflow fit"):
        load(interrupted)


def test_the_command_finishes_the_training(interrupted, experiment, capsys):
    data = f"--data.init_args.path={experiment / 'runs' / 'tiny' / 'latest' / 'generate'}"
    assert main([*RESUME.split()[1:], data, "-q"]) == 0
    assert main(["info", "run"]) == 0
    assert "fit.operator operator, pdeflow.models.TFNO" in capsys.readouterr().out
