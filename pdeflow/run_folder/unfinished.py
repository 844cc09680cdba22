"""Trainings of a run folder that were interrupted before they were exported, and how to go on with them."""

from __future__ import annotations

from pathlib import Path


def resume_command(folder: Path) -> str:
    """Return the command that goes on with the training of a stage, or starts it again where no checkpoint was kept.

    Args:
        folder: Folder of the stage, in that of its run.

    Returns:
        The command line.
    """
    text = f"pdeflow fit -c {folder / 'config.yaml'} --out {folder.parent}"
    text += " --ckpt_path last" if (folder / "checkpoints" / "last.ckpt").is_file() else ""
    return text + (f" --stage {folder.name.split('.', 1)[1]}" if "." in folder.name else "")


def unfinished(run: Path) -> list[Path]:
    """Return the stages of a run folder, or the stage itself, that hold a training but no exported network.

    Args:
        run: Folder of a run or of one of its stages.

    Returns:
        Folders of stages, in alphabetical order.
    """
    folders = [run, *sorted(path for path in run.iterdir() if path.is_dir())] if run.is_dir() else []
    return [
        folder
        for folder in folders
        if folder.name.split(".")[0] == "fit" and (folder / "config.yaml").is_file() and not (folder / "export" / "model.json").is_file()
    ]
