"""A trained run finds its dataset whatever folder a command is started in, and says where it looked when it does not."""

import re
import shlex
import shutil

import pytest
import yaml
from safetensors.numpy import load_file

from pdeflow.cli.main import main
from pdeflow.cli.training_data import training_data
from pdeflow.errors import UsageError
from pdeflow.run_folder import write_json, write_yaml

from .conftest import TINY, inside

OURS = "pdeflow.data.PDEDataModule"


def stage_of(root, path, class_path=OURS):
    """A stage whose training was started in root/work with the dataset at a path of the settings."""
    stage = root / "runs" / "run" / "fit"
    settings = {"data": {"class_path": class_path, "init_args": {"path": path} if path else {}}}
    (root / "work").mkdir(exist_ok=True)
    stage.mkdir(parents=True)
    write_yaml(stage / "config.yaml", settings)
    write_json(stage / "run.json", {"folder": str(root / "work")})
    return stage


def write_settings(experiment, folder):
    """Leave the settings of a training in fit.yaml, and its dataset in data, which they name by a relative path."""
    content = {key: TINY[key] for key in ("name", "problem", "seed_everything")} | TINY["fit.operator"]
    content["data"] = {"class_path": OURS, "init_args": {"path": "data", "batch_size": 4}}
    content["trainer"] = {"max_epochs": 1}
    (folder / "data").symlink_to(experiment / "runs" / "tiny" / "latest" / "generate")
    (folder / "fit.yaml").write_text(yaml.safe_dump(content))


def test_a_relative_path_counts_from_the_current_folder_then_from_where_the_training_was_started(tmp_path):
    stage = stage_of(tmp_path, "data")
    (tmp_path / "work" / "data").mkdir()
    with inside(tmp_path):
        assert training_data(stage, "--data").samefile(tmp_path / "work" / "data")
        (tmp_path / "data").mkdir()
        assert training_data(stage, "--data").samefile(tmp_path / "data")


def test_an_absolute_path_is_taken_as_it_is(tmp_path):
    (tmp_path / "data").mkdir()
    assert training_data(stage_of(tmp_path, str(tmp_path / "data")), "--data") == tmp_path / "data"


def test_data_that_a_run_generated_move_with_it(tmp_path):
    stage = stage_of(tmp_path, "runs/run/generate")
    (stage.parent / "generate").mkdir()
    moved = shutil.move(stage.parent, tmp_path / "elsewhere")
    with inside(tmp_path / "work"):
        assert training_data(moved / "fit", "--data") == moved / "generate"


def test_another_dataset_of_the_run_is_never_taken_for_the_one_that_is_missing(tmp_path):
    stage = stage_of(tmp_path, "data")
    (stage.parent / "generate").mkdir()
    with inside(tmp_path), pytest.raises(UsageError) as error:
        training_data(stage, "--data.path")
    for part in ("name the dataset data", str(tmp_path / "data"), str(tmp_path / "work" / "data"), "--data.path DIR"):
        assert part in str(error.value)


def test_a_path_that_only_another_data_module_understands_is_left_to_it(tmp_path):
    assert training_data(stage_of(tmp_path, "s3:bucket", "mine.Data"), "--data") is None


@pytest.mark.parametrize("stage", ["fit", "fit.operator"])
def test_the_recipe_of_the_report_makes_a_training_again(stage, experiment, tmp_path):
    write_settings(experiment, tmp_path)
    with inside(tmp_path):
        assert main(["fit", "-c", "fit.yaml", "-q", "--out", "run", *(["--stage", "operator"] if "." in stage else [])]) == 0
        assert main(["report", "run"]) == 0
    (recipe,) = re.findall(r"makes the run again, in a folder of its own: pdeflow ([^<]+)<", (tmp_path / "run" / "report.html").read_text())
    with inside(tmp_path / "run"):
        assert main(shlex.split(recipe)) == 0
    weights = [load_file(run / stage / "export" / "model.safetensors") for run in (tmp_path / "run", tmp_path / "run" / "again")]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])


def test_every_command_on_a_run_works_from_another_folder(experiment, tmp_path, capsys):
    write_settings(experiment, tmp_path)
    with inside(tmp_path):
        assert main(["fit", "-c", "fit.yaml", "-q", "--out", "run"]) == 0
    (tmp_path / "away").mkdir()
    with inside(tmp_path / "away"):
        for command in ("validate", "test", "predict", "evaluate"):
            assert main([command, "../run"]) == 0
        longer = ["fit", "-c", "../run/fit/config.yaml", "-q", "--out", "../run", "--ckpt_path", "last", "--trainer.max_epochs", "2"]
        assert main(longer) == 0
        (tmp_path / "data").unlink()
        assert main(longer) == 2
        for command, option in (("validate", "--data.path"), ("evaluate", "--data")):
            assert main([command, "../run"]) == 2
            assert f"name it with {option} DIR" in capsys.readouterr().err
        assert main(["evaluate", "../run", "--data", str(experiment / "runs" / "tiny" / "latest" / "generate")]) == 0
