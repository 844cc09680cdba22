"""An option of a nested class can be null on the command line, as in a settings file."""

import pytest
import yaml

from pdeflow.cli import experiment
from pdeflow.cli.main import main

NETWORK = "pdeflow.models.TFNO"
SETTINGS = {
    "name": "n",
    "model": {
        "class_path": "pdeflow.tasks.OperatorLearning",
        "init_args": {
            "network": {
                "class_path": "pdeflow.models.PatchedNetwork",
                "init_args": {
                    "network": {"class_path": NETWORK, "init_args": {"n_modes": [4, 4], "in_channels": 4, "coordinates": False}},
                    "coarse": {"class_path": NETWORK, "init_args": {"n_modes": [4, 4], "norm": "group_norm"}},
                },
            }
        },
    },
}


@pytest.fixture
def resolved(tmp_path, capsys):
    """Settings that `fit --print_config` prints with some options."""

    def ask(*options):
        (tmp_path / "fit.yaml").write_text(yaml.safe_dump(SETTINGS))
        with pytest.raises(SystemExit) as end:
            main(["fit", "-c", str(tmp_path / "fit.yaml"), *options, "--print_config"])
        assert end.value.code == 0
        return yaml.safe_load(capsys.readouterr().out)

    return ask


def patched(settings):
    return settings["model"]["init_args"]["network"]["init_args"]


@pytest.mark.parametrize(
    "options",
    [
        ("--model.network.coarse", "null"),
        ("--model.network.coarse=null",),
        ("--model.network.init_args.coarse=null",),
        ("--model.init_args.network.init_args.coarse", "null"),
    ],
)
def test_a_nested_class_is_taken_out_by_null_and_nothing_else_changes(resolved, options):
    before, after = resolved(), resolved(*options)
    assert patched(before)["coarse"]["class_path"] == NETWORK
    assert patched(after)["coarse"] is None
    assert patched(after) | {"coarse": patched(before)["coarse"]} == patched(before)


def test_null_reaches_an_argument_at_any_depth(resolved):
    assert patched(resolved())["coarse"]["init_args"]["norm"] == "group_norm"
    assert patched(resolved("--model.network.coarse.norm=null"))["coarse"]["init_args"]["norm"] is None


def test_a_text_is_not_taken_for_null(resolved):
    assert resolved("--name", "None")["name"] == "None"


def test_a_required_class_still_refuses_null(tmp_path, capsys):
    settings = experiment.configs() / "fit" / "mg_tfno.yaml"
    assert main(["fit", "-c", str(settings), "--model.network.network=null", "--out", str(tmp_path / "run")]) == 2
    assert "network" in capsys.readouterr().err
