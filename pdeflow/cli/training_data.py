"""Where the dataset of a trained stage is, whatever folder a later command is started in."""

from __future__ import annotations

from pathlib import Path

from pdeflow.cli import experiment
from pdeflow.errors import UsageError
from pdeflow.run_folder import read_json


def training_data(stage: Path, option: str) -> Path | None:
    """Find the dataset that a stage was trained on.

    A relative path of the settings counts from the current folder, else from the folder where the training was started. Where
    `pdeflow run` generated the data, they are beside the stage, wherever the run was moved to.

    Args:
        stage: Folder of the stage.
        option: Option of the command that names another dataset, for the message.

    Returns:
        The dataset's folder; where the settings name none, that of the run's own data or None.

    Raises:
        UsageError: If they name one that is in none of these places.
    """
    settings = experiment.read(stage / "config.yaml") if (stage / "config.yaml").is_file() else {}
    data = settings.get("data") or {}
    path = (data.get("init_args") or {}).get("path")
    made = read_json(stage / "run.json") if (stage / "run.json").is_file() else {}
    places = [] if path is None else [Path(path), Path(made.get("folder", "")) / path]
    places += [stage.parent / "generate"] if path is None or Path(path).name == "generate" else []
    found = next((place for place in places if place.is_dir()), None)
    if found is None and path is not None and str(data.get("class_path")).startswith("pdeflow."):
        looked = " or ".join(dict.fromkeys(str(place.absolute()) for place in places))
        raise UsageError(f"the settings of {stage} name the dataset {path}, but there is no folder {looked}; name it with {option} DIR")
    return found
