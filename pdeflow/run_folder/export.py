"""Trained networks as safetensors plus JSON: written at the end of a training, rebuilt without pickle.

A class path is imported only under a trusted prefix, since importing and calling it runs code.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import nn

from pdeflow.errors import DataError, UsageError
from pdeflow.run_folder.folder import FORMAT, read_json, replace_file, resolve, write_json
from pdeflow.run_folder.unfinished import resume_command, unfinished

TRUSTED = ("pdeflow.", "neuralop.", "torch.nn.")


def export(stage: Path, network: nn.Module, settings: Mapping[str, Any]) -> Path:
    """Write a trained network as stage/export/{model.safetensors, model.json}.

    Args:
        stage: Folder of the stage.
        network: The network.
        settings: At least {"network": {"class_path", "init_args"}}; what else is known travels along (problem,
            grid, ranges of the inputs, metrics).

    Returns:
        The export folder.
    """
    from safetensors.torch import save

    folder = stage / "export"
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    replace_file(folder / "model.safetensors", save(tensors))
    write_json(folder / "model.json", {"format": FORMAT, "pdeflow": version("pdeflow"), **settings})
    return folder


def exports(run: Path) -> dict[str, dict[str, Any]]:
    """Return the settings of every exported network of a run, by stage."""
    found = sorted(run.glob("*/export/model.json"))
    return {path.parents[1].name: read_json(path) for path in found}


def read_network(folder: Path, trust: Sequence[str] = ()) -> tuple[nn.Module, dict[str, Any]]:
    """Rebuild an exported network.

    Args:
        folder: The export folder.
        trust: Further prefixes of class paths that may be instantiated.

    Returns:
        (network in evaluation mode, its settings).

    Raises:
        DataError: If files are missing or damaged, of a newer format, or the class is not trusted or does not fit.
    """
    from safetensors.torch import load_file

    if not (folder / "model.json").is_file() or not (folder / "model.safetensors").is_file():
        raise DataError(
            f"{folder} holds no exported network (model.json and model.safetensors); run pdeflow fit again"
        )
    settings = read_json(folder / "model.json")
    if settings.get("format", 0) > FORMAT:
        raise DataError(
            f"{folder} has format {settings['format']}, this pdeflow reads up to {FORMAT}; upgrade pdeflow"
        )
    try:
        network = instantiate(settings["network"], trust)
        network.load_state_dict(load_file(folder / "model.safetensors"))
    except UsageError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise DataError(f"{folder}: the weights do not fit {settings.get('network')}: {reason}") from error
    return network.eval(), settings


def instantiate(spec: Mapping[str, Any], trust: Sequence[str] = ()) -> Any:
    """Build an object from {"class_path", "init_args"}; nested specs are built first.

    Args:
        spec: Class path and arguments.
        trust: Further prefixes that may be imported.

    Returns:
        The object.

    Raises:
        UsageError: If the class path is not under a trusted prefix.
    """
    path = str(spec["class_path"])
    if not path.startswith((*TRUSTED, *trust)):
        raise UsageError(
            f"class {path} is not under {', '.join(TRUSTED)}; allow it with --trust MODULE, or in Python trust=[{path.split('.')[0]!r}]"
        )
    module, _, name = path.rpartition(".")
    arguments = dict(spec.get("init_args") or {})
    for key, value in arguments.items():
        if isinstance(value, Mapping) and "class_path" in value:
            arguments[key] = instantiate(value, trust)
    return getattr(importlib.import_module(module), name)(**arguments)


USES = {
    "operator": "a trained operator, which predicts: pdeflow evaluate RUN, pdeflow predict RUN; a preconditioner is trained by a task such as DirectionLearning",
    "preconditioner": "a trained preconditioner, which proposes no solution of its own: pdeflow solve --preconditioner RUN uses it",
}
"""What a kind of network is for, said where the other kind is needed."""


def _other(found: Mapping[str, Mapping[str, Any]], kind: str | None) -> str:
    """Return what a run holds instead of a network of a kind, or nothing."""
    kinds = {str(spec.get("kind")) for spec in found.values()}
    return USES.get(min(kinds), "") if kind and kinds and kind not in kinds else ""


@dataclass(frozen=True)
class Stages:
    """Stages of a run that hold an exported network, chosen by path.

    Attributes:
        run: Run folder.
        stage: Name of the stage.
    """

    run: Path
    stage: str

    @classmethod
    def find(cls, path: str | Path, kind: str | None = None) -> Stages:
        """Choose the exported stage that RUN or RUN/STAGE names.

        Args:
            path: Folder of a run or of one of its stages.
            kind: "operator" or "preconditioner", to choose among several.

        Returns:
            Run and stage.

        Raises:
            UsageError: If the folder does not exist, or several stages fit.
            DataError: If the run holds no trained network of the kind; of an interrupted training, with the command to go on.
        """
        parent, last = Path(path).parent, Path(path).name
        folder = resolve(path) if not ("." in last and Path(path).is_dir()) else resolve(parent) / last
        if (own := folder / "export" / "model.json").is_file():
            if other := _other({folder.name: read_json(own)}, kind):
                raise DataError(f"{path} holds {other}")
            return cls(folder.parent, folder.name)
        found = {name: spec for name, spec in exports(folder).items() if kind in (None, spec.get("kind"))}
        if not found:
            for stopped in unfinished(folder)[:1]:
                raise DataError(f"{path}: the training of {stopped.name} was not finished; go on with: {resume_command(stopped)}")
            nothing = f"no trained {kind or 'network'}; pdeflow fit makes one"
            raise DataError(f"{path} holds {_other(exports(folder), kind) or nothing}")
        if len(found) > 1:
            operators = [name for name, spec in found.items() if spec.get("kind") == "operator"]
            if kind is not None or len(operators) != 1:
                raise UsageError(
                    f"{path} holds {', '.join(found)}; name one, e.g. {path}/{next(iter(found))}"
                )
            return cls(folder, operators[0])
        return cls(folder, next(iter(found)))
