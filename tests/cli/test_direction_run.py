"""A network that proposes directions, from the settings file to the table of solvers."""

from pathlib import Path

import pytest
import yaml

from pdeflow.cli import experiment
from pdeflow.cli.main import main
from pdeflow.run_folder import load

from .conftest import inside


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run folder after three steps: hardly trained, which the guard must not mind."""
    folder = tmp_path_factory.mktemp("direction")
    settings = experiment.read(experiment.configs() / "fit" / "deep_conjugate_directions.yaml")
    settings["trainer"] = {"max_steps": 3}
    settings["model"]["init_args"] |= {"grids": [[32, 32]], "steps_per_epoch": 3, "instances": 1, "batch_size": 2}
    with inside(folder):
        Path("settings.yaml").write_text(yaml.safe_dump(settings))
        assert main(["fit", "-c", "settings.yaml", "-q"]) == 0
        (run,) = Path("runs").glob("*/latest")
        return (folder / run).resolve()


def test_the_export_says_what_the_network_is_worth(trained):
    summary = load(trained, kind="preconditioner").summary()
    assert "LinearMultigridNet, 10,448 real parameters" in summary
    assert "iterations to 1e-08 on 32x32: 100.0 (cg " in summary  # three steps are worth nothing, and it says so


def test_the_table_has_the_network_and_the_answer_is_verified(trained, tmp_path, capsys):
    arguments = ["solve", "-c", str(experiment.configs() / "solve" / "poisson.yaml"), "--grid", "32,32", "-q"]
    learned = [f"--preconditioner={trained}", "--method", "dcdm"]
    with inside(tmp_path):
        assert main([*arguments, *learned]) == 0
        printed = capsys.readouterr().out
        assert "converged_fallback: dcdm + LinearMultigridNet" in printed
        assert "LinearMultigridNet, trained" in printed
        assert main([*arguments, *learned, "--guard", "multi"]) == 0
        assert "dcdm + LinearMultigridNet: converged in" in capsys.readouterr().out
        assert main([*arguments, *learned, "--unseen", "1"]) == 2
        assert "solves nothing untrained" in capsys.readouterr().err
        assert main([*arguments, f"--preconditioner={trained}", "--method", "cg"]) == 2
        assert "use method='fcg'" in capsys.readouterr().err
