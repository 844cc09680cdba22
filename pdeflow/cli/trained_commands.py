"""`pdeflow validate`, `test` and `predict` on a run folder: the settings come from the run, no file is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from pdeflow.cli import experiment
from pdeflow.cli.arrays import check_place
from pdeflow.cli.exit_codes import OK
from pdeflow.cli.resuming import check_checkpoint
from pdeflow.cli.training_data import training_data
from pdeflow.errors import DataError, UsageError
from pdeflow.run_folder import Stages


def main(argv: list[str], command: str) -> int:
    """Run one trainer command on a trained stage.

    Args:
        argv: RUN or RUN/STAGE, then overrides such as --data.path DIR; predict takes --out FILE.
        command: "validate", "test" or "predict".

    Returns:
        Exit code.
    """
    rest = [word for word in argv if word not in ("-q", "-v")]
    out, checkpoint = experiment.take(rest, "--out"), experiment.take(rest, "--ckpt_path")
    if not rest or rest[0].startswith("-"):
        raise UsageError(
            f"name a run folder: pdeflow {command} RUN, for example runs/darcy-quickstart/latest"
        )
    found = Stages.find(rest[0], "operator")
    folder = found.run / found.stage
    target = (Path(out) if out else folder / "predictions.npz").with_suffix(".npz")
    if command == "predict":
        check_place(str(target), "out")
    if not (folder / "config.yaml").is_file():
        raise DataError(f"{folder} has no config.yaml; it was not made by pdeflow fit")
    from pdeflow.cli.trainer_cli import quiet_libraries

    cli, trainer = build(folder, rest[1:])
    path = Path(checkpoint) if checkpoint and checkpoint not in ("best", "last") else None
    path = path or folder / "checkpoints" / f"{checkpoint or 'best'}.ckpt"
    if not path.is_file():
        raise UsageError(f"checkpoint {path} not found; --ckpt_path takes best, last or a file")
    check_checkpoint(path, cli.model)
    quiet_libraries()
    silent = {} if command == "predict" else {"verbose": False}
    run = getattr(trainer, command)
    result = run(cli.model, datamodule=cli.datamodule, ckpt_path=path, weights_only=True, **silent)
    if command == "predict":
        print(write_predictions(result, target))
    else:
        numbers = "  ".join(f"{name} {value:.6g}" for name, value in result[0].items())
        print(f"{command} {folder}: {numbers}")
    return OK


def build(folder: Path, overrides: list[str]) -> tuple[Any, Any]:
    """Rebuild task, data and a bare trainer from the settings of a stage."""
    from lightning import Trainer

    from pdeflow.cli.trainer_cli import TrainerCLI, new_trainer

    settings = experiment.read(folder / "config.yaml")
    named = ((settings.get("data") or {}).get("init_args") or {}).get("path") is not None
    if named and not any(word.partition("=")[0] in ("--data.path", "--data.init_args.path") for word in overrides):
        path = training_data(folder, "--data.path")
        settings = experiment.merge(settings, {"data": {"init_args": {"path": str(path)}}}) if path is not None else settings
    cli = TrainerCLI(settings, overrides)
    options = {
        "accelerator": cli.config.trainer.accelerator, "devices": 1, "logger": False, "enable_progress_bar": False,
        "enable_checkpointing": False, "enable_model_summary": False, "default_root_dir": str(folder),
    }  # fmt: skip
    return cli, new_trainer(Trainer, options)


def write_predictions(batches: list[dict[str, torch.Tensor]], path: Path) -> str:
    """Write the predicted fields as .npz, ordered by sample.

    Args:
        batches: What predict_step returned.
        path: File to write.

    Returns:
        A line for people.
    """
    import os

    import numpy as np

    u = torch.cat([batch["u"] for batch in batches])
    index = torch.cat([torch.as_tensor(batch["index"]) for batch in batches])
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    np.savez_compressed(aside, u=u.numpy(), index=index.numpy())
    os.replace(aside, path)
    return f"predict: {len(u)} samples, fields u {tuple(u.shape[1:])}, written to {path}"
