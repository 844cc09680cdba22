"""Every settings file that ships runs, for one step and on a small grid."""

import copy
from pathlib import Path

import pytest
import yaml

from pdeflow.cli import experiment
from pdeflow.cli.main import main

from .conftest import inside

FILES = sorted(experiment.configs().glob("*/*.yaml"))
SMALL = {"hidden_channels": 8, "n_layers": 1}


def shrunk(content, path):
    """The same settings with one step, few samples and small grids; nothing else is changed."""
    content = copy.deepcopy(content)
    for section in [
        content,
        *(value for key, value in content.items() if key.split(".")[0] in experiment.SECTIONS),
    ]:
        if "count" in section:
            section.update(count=dict.fromkeys(section["count"], 2), workers=1)
            if path.parent.name == "generate":  # the problem's own small resolution
                section.pop("grid", None)
                section.pop("h", None)
            else:
                section["grid"] = [16, 16]
        if "trainer" in section:
            section["trainer"] = {**section["trainer"], "max_steps": 1}
        if "unseen" in section:
            section.update(unseen=1, unseen_grids=[[16, 16]])
        if "rtol" in section and "count" not in section:
            section["grid"] = [16, 16]
        network = section.get("model", {}).get("init_args", {}).get("network", {})
        if "n_modes" in network.get("init_args", {}):
            network["init_args"].update(SMALL, n_modes=[4] * len(network["init_args"]["n_modes"]))
        task = section.get("model", {})
        if task.get("class_path", "").endswith("DirectionLearning"):
            sides = {2: [32, 32], 3: [16, 16, 16]}[len(task["init_args"].get("grids", [[64, 64]])[0])]
            task["init_args"].update(steps_per_epoch=1, instances=1, batch_size=1, grids=[sides])
    return content


def own_data(content):
    """The dataset of a network that is not for fields in the plane, made from the settings that have its name; else None."""
    network = content.get("model", {}).get("init_args", {}).get("network", {})
    if len(network.get("init_args", {}).get("n_modes", (1, 1))) == 2:
        return None
    path = experiment.configs() / "generate" / f"{content['name']}.yaml"
    Path("generate.yaml").write_text(yaml.safe_dump(shrunk(experiment.read(path), path), sort_keys=False))
    assert main(["generate", "-c", "generate.yaml"]) == 0
    return f"datasets/{content['name']}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_file_runs_for_one_step(path, here, tmp_path):
    data = here / "runs" / "tiny" / "latest" / "generate"
    with inside(tmp_path):
        content = shrunk(experiment.read(path), path)
        Path("settings.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        command = "run" if path.parent.name == "experiments" else path.parent.name
        extra = [f"--data.path={own_data(content) or data}"] if command == "fit" and "data" in content else []
        arguments = ["settings.yaml"] if command == "run" else ["-c", "settings.yaml", *extra]
        assert main([command, *arguments]) == 0
        if path.parent.name == "generate":
            assert main(["info", f"datasets/{content['name']}"]) == 0


def test_there_is_one_file_for_each_command_and_one_experiment():
    assert {path.parent.name for path in FILES} == {"generate", "fit", "solve", "experiments"}
