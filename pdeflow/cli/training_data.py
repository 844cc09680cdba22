"""Where the dataset of a trained stage is, whatever folder a later command is started in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pdeflow.cli import experiment
from pdeflow.errors import UsageError


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
    from pdeflow.run_folder import read_json

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


def with_found_data(config: dict[str, Any], files: Sequence[str], overrides: Sequence[str]) -> dict[str, Any]:
    """Name the dataset where it is, if the settings are those of a stage and are read from another folder than it was trained from.

    Args:
        config: Settings of a training.
        files: Files they come from.
        overrides: Options of the command line; one that names a dataset is left alone.

    Returns:
        The settings, with the dataset's place where it was looked for.

    Raises:
        UsageError: As training_data.
    """
    stage = Path(files[-1]).parent if files else Path()
    named = any(word.startswith(("--data.path", "--data.init_args.path")) for word in overrides)
    path = ((config.get("data") or {}).get("init_args") or {}).get("path")
    if named or path is None or Path(files[-1]).name != "config.yaml" or not (stage / "run.json").is_file():
        return config
    found = training_data(stage, "--data.path")
    return config if found is None else experiment.merge(config, {"data": {"init_args": {"path": str(found)}}})


def with_data_path(config: dict[str, Any]) -> dict[str, Any]:
    """Fill in the dataset's folder, datasets/NAME, where the settings have a data section without a path."""
    data = config.get("data")
    if not isinstance(data, dict) or "path" in (data.get("init_args") or {}) or "path" in data:
        return config
    where = {"init_args": {"path": f"datasets/{config.get('name', 'run')}"}}
    return experiment.merge(config, {"data": experiment.merge(where, data)})


def check_data(config: Mapping[str, Any], overrides: Sequence[str]) -> None:
    """Refuse a dataset that is not there, or that nobody reads, before the seconds that the libraries take to load.

    Args:
        config: Settings of a training.
        overrides: Options of the command line.

    Raises:
        UsageError: If the settings or the command line name a folder that does not exist, or the task draws its own data.
    """
    rest = list(overrides)
    named = [experiment.take(rest, option) for option in ("--data.path", "--data.init_args.path")]
    if any(word.partition("=")[0] in ("--data", "--data.class_path") for word in rest):
        return
    data = config.get("data") or {}
    if any(named) and config and not data:
        raise UsageError("these settings have no section data, their task draws its own data; leave --data.path out")
    path = next(filter(None, named), (data.get("init_args") or {}).get("path"))
    if path is not None and str(data.get("class_path")).startswith("pdeflow.") and not Path(path).is_dir():
        made = f"create it with: pdeflow generate -c SETTINGS, such as configs/generate/darcy.yaml, --out {path}"
        raise UsageError(f"dataset {path} not found; {made}; or name another with --data.path DIR")
