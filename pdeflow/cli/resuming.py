"""Resuming a training: which checkpoint, and whether it fits task, optimizer and length of the training that goes on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pdeflow.errors import DataError, UsageError

WITHIN_EPOCH = (
    "the checkpoint was kept within an epoch, whose samples begin again: its first ones count twice and as many of its last ones "
    "not at all; all later epochs are whole"
)


def begun(out: str | None, stage: str | None, checkpoint: str | None) -> tuple[list[str], str | None, str]:
    """Return with what `pdeflow fit --resume --out RUN` goes on: the settings, the stage and the checkpoint that RUN holds.

    Args:
        out: Run folder.
        stage: NAME of fit.NAME, to choose among several.
        checkpoint: A file, or None for the last one.

    Returns:
        (settings files, stage, checkpoint).

    Raises:
        UsageError: If there is no --out, or not one training there.
    """
    if out is None:
        raise UsageError("expected pdeflow fit --resume --out RUN, or -c FILE --resume --out RUN with other settings, got no --out")
    found = sorted(Path(out).glob(f"{f'fit.{stage}' if stage else 'fit*'}/config.yaml"))
    if not found:
        raise UsageError(f"no training was begun in {out} (no {f'fit.{stage}' if stage else 'fit'}/config.yaml); start with pdeflow fit -c FILE --out {out}")
    if len(found) > 1:
        names = ", ".join(file.parent.name for file in found)
        raise UsageError(f"{out} holds {names}; choose one with --stage {found[0].parent.name.partition('.')[2] or 'NAME'}")
    return [str(found[0])], found[0].parent.name.partition(".")[2] or None, checkpoint or "last"


def resume_path(folder: Path | None, checkpoint: str | None) -> Path | None:
    """Return the checkpoint to resume from.

    Args:
        folder: Folder of the stage, None where the command line names no run.
        checkpoint: A file, "last", or None.

    Returns:
        The file, or None.

    Raises:
        UsageError: If it does not exist.
    """
    if checkpoint is None:
        return None
    if checkpoint == "last" and folder is None:
        raise UsageError("--ckpt_path last needs the run that holds it; name it with --out")
    path = folder / "checkpoints" / "last.ckpt" if checkpoint == "last" and folder is not None else Path(checkpoint)
    if not path.is_file():
        hint = f"; name the run that holds it with --out (now {folder.parent})" if checkpoint == "last" and folder is not None else ""
        raise UsageError(f"checkpoint {path} not found{hint}")
    return path


def check_length(path: Path, checkpoint: Mapping[str, Any], trainer: Any) -> None:
    """Refuse to resume a training that is longer than the one that was asked for: nothing would be trained.

    Args:
        path: File of the checkpoint.
        checkpoint: Its content.
        trainer: The trainer, with max_epochs and max_steps.

    Raises:
        UsageError: If it is.
    """
    epochs, steps = progress_of(checkpoint)["epoch_progress"]["current"]["processed"], checkpoint["global_step"]
    for done, option in ((epochs, "max_epochs"), (steps, "max_steps")):
        limit = getattr(trainer, option)
        if limit is not None and 0 <= limit < done:
            raise UsageError(
                f"checkpoint {path} has {done} {option[4:]} behind it, more than --trainer.{option} {limit}; ask for more than {done}, or "
                "train anew in another --out"
            )


def is_within_epoch(checkpoint: Mapping[str, Any]) -> bool:
    """Whether a checkpoint was kept between two batches of an epoch, as when a training is interrupted."""
    return not progress_of(checkpoint)["epoch_loop.batch_progress"]["is_last_batch"]


def progress_of(checkpoint: Mapping[str, Any]) -> Any:
    """Return what Lightning keeps of the progress of a training."""
    return checkpoint["loops"]["fit_loop"]


def check_checkpoint(path: Path, task: Any) -> dict[str, Any]:
    """Refuse a checkpoint of another class, shape or optimizer before training starts.

    Args:
        path: Lightning checkpoint.
        task: The task that would be resumed.

    Returns:
        Its content.

    Raises:
        DataError: If the file is damaged, its weights have other names or shapes, or its optimizer is another.
    """
    import torch

    try:
        checkpoint = torch.load(path, weights_only=True, map_location="cpu")
        state = checkpoint["state_dict"]
    except Exception as error:
        raise DataError(f"checkpoint {path} cannot be read ({' '.join(str(error).split())[:160]})") from error
    own = {name: tuple(value.shape) for name, value in task.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    different = sorted(name for name in own.keys() | found.keys() if own.get(name) != found.get(name))
    if different:
        name = different[0]
        raise DataError(
            f"checkpoint {path} does not fit {type(task).__name__} with {type(task.network).__name__}: {len(different)} "
            f"tensors differ, first {name!r} is {found.get(name, 'missing')} there and {own.get(name, 'missing')} here; "
            "use the settings it was trained with"
        )
    check_optimizer(path, checkpoint, task)
    return dict(checkpoint)


def check_optimizer(path: Path, checkpoint: dict[str, Any], task: Any) -> None:
    """Refuse a checkpoint whose optimizer is of another class than the settings name.

    Args:
        path: File of the checkpoint.
        checkpoint: Its content.
        task: The task that would be resumed.

    Raises:
        DataError: If it is.
    """
    from pdeflow.cli.callbacks import OptimizerName, class_path
    from pdeflow.tasks.configure import resolve

    saved = checkpoint.get(OptimizerName.KEY)
    make, _ = resolve(task.optimizer, "optimizer")
    if saved is not None and isinstance(make, type) and class_path(make) != saved:
        raise DataError(
            f"checkpoint {path} holds the state of {saved}, the settings name {class_path(make)}; "
            "resume with the optimizer it was trained with, or train anew in another --out"
        )
