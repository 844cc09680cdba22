"""`pdeflow fit`: train one stage through Lightning, keep its checkpoints, export it, draw its curves."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pdeflow.cli import experiment
from pdeflow.cli.exit_codes import INTERRUPTED, OK, TERMINATED
from pdeflow.cli.metrics_log import kept_metrics
from pdeflow.cli.training_data import with_found_data
from pdeflow.errors import DataError, UsageError

RUN = "PDEFLOW_RUN"
"""Environment variable by which processes that the trainer starts find the folder of the run."""


def main(argv: list[str], command: str = "fit") -> int:
    """Train one stage.

    Args:
        argv: Arguments after the command.
        command: Its name.

    Returns:
        Exit code.
    """
    files, rest = experiment.split_files(argv)
    stage, out, checkpoint = (experiment.take(rest, name) for name in ("--stage", "--out", "--ckpt_path"))
    quiet = "-q" in rest
    rest = [word for word in rest if word not in ("-q", "-v", "--help-all")]
    if "--help-all" in argv:
        rest = ["--help"]
    elif not files and "--print_config" not in " ".join(rest) and "--model" not in " ".join(rest):
        raise UsageError("no settings given; pass -c FILE, for example -c configs/fit/darcy.yaml")
    config, content = experiment.settings(files, "fit", stage)
    config = with_found_data(config, files, rest)
    return fit(config, rest, experiment.stage_of(content, "fit", stage), out, checkpoint, quiet)


def fit(
    config: dict[str, Any],
    overrides: list[str],
    stage: str,
    out: str | None,
    checkpoint: str | None,
    quiet: bool,
) -> int:
    """Train one stage.

    Args:
        config: Its settings.
        overrides: Options of the command line.
        stage: Name of its folder in the run.
        out: Run folder, made when missing; None makes runs/NAME/STAMP.
        checkpoint: Checkpoint to resume from, "last" for the run's own, or None.
        quiet: No progress.

    Returns:
        Exit code.
    """
    import torch

    from pdeflow.cli.trainer_cli import TrainerCLI
    from pdeflow.run_folder import create, point_latest, provenance, write_json, write_yaml

    config = with_data_path(config)
    cli = TrainerCLI(config, overrides)
    run = Path(out or os.environ.get(RUN) or create(cli.config.name))
    folder = run / stage
    resume = resume_path(folder, run, checkpoint)
    if is_follower():
        return run_trainer(make_trainer(cli, folder, quiet=True), cli, resume, folder)
    if resume is None and (folder / "checkpoints").exists():
        raise UsageError(
            f"{folder} holds a training already; resume it with --ckpt_path last, or choose another --out"
        )
    start = time.monotonic()
    made = [run, *run.parents[:2]] if out is None else [folder if run.exists() else run]
    with training_folder(folder, made), kept_metrics(folder), told_to_followers(run):
        trainer = make_trainer(cli, folder, quiet)
        write_yaml(folder / "config.yaml", cli.resolved())
        write_json(folder / "run.json", provenance(sys.argv[1:], int(cli.config.seed_everything)))
        code = run_trainer(trainer, cli, resume, folder)
    if out is None:
        point_latest(run)
    if code != OK:
        return code
    from pdeflow.cli.after_fit import finish

    torch.set_grad_enabled(True)
    print(finish(cli, trainer, folder, time.monotonic() - start))
    return OK


def is_follower() -> bool:
    """Whether this is not the first of several processes that train together: it writes nothing and says nothing."""
    from lightning.pytorch.utilities import rank_zero_only

    return getattr(rank_zero_only, "rank", 0) not in (None, 0)


@contextlib.contextmanager
def told_to_followers(run: Path) -> Iterator[None]:
    """Let processes that the trainer starts inherit the folder of the run.

    Args:
        run: Folder of the run.

    Yields:
        Nothing.
    """
    os.environ[RUN] = str(run)
    try:
        yield
    finally:
        del os.environ[RUN]


@contextlib.contextmanager
def training_folder(folder: Path, made: Sequence[Path]) -> Iterator[None]:
    """Make the folder of a training, and remove what one that failed before its first checkpoint left.

    Args:
        folder: Folder of the stage.
        made: Folders that this command makes: the first goes with all that is in it, those around it if nothing else is there.

    Yields:
        Nothing.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except Exception:
        if not any((folder / "checkpoints").glob("*.ckpt")):
            shutil.rmtree(made[0], ignore_errors=True)
            for around in made[1:]:
                with contextlib.suppress(OSError):
                    around.rmdir()
        raise


def with_data_path(config: dict[str, Any]) -> dict[str, Any]:
    """Fill in the dataset's folder, datasets/NAME, where the settings have a data section without a path."""
    data = config.get("data")
    if not isinstance(data, dict) or "path" in (data.get("init_args") or {}) or "path" in data:
        return config
    where = {"init_args": {"path": f"datasets/{config.get('name', 'run')}"}}
    return experiment.merge(config, {"data": experiment.merge(where, data)})


def resume_path(folder: Path, run: Path, checkpoint: str | None) -> Path | None:
    """Return the checkpoint to resume from.

    Args:
        folder: Folder of the stage.
        run: Run folder.
        checkpoint: A file, "last", or None.

    Returns:
        The file, or None.

    Raises:
        UsageError: If it does not exist.
    """
    if checkpoint is None:
        return None
    path = folder / "checkpoints" / "last.ckpt" if checkpoint == "last" else Path(checkpoint)
    if not path.is_file():
        hint = f"; name the run that holds it with --out (now {run})" if checkpoint == "last" else ""
        raise UsageError(f"checkpoint {path} not found{hint}")
    return path


def make_trainer(cli: Any, folder: Path, quiet: bool) -> Any:
    """Instantiate the trainer with the run's logger, checkpoints and progress."""
    from lightning.pytorch.loggers import CSVLogger

    from pdeflow.cli.callbacks import OptimizerName, PlainProgress, RateLog, checkpoints

    extra: list[Any] = [*checkpoints(folder, monitor_of(cli)), RateLog(), OptimizerName()]
    bar = sys.stdout.isatty() and not quiet
    extra += [] if bar or quiet else [PlainProgress()]
    config = dict(cli.config_init["trainer"])
    config["callbacks"] = [*(config.get("callbacks") or []), *extra]
    if config.get("logger") in (None, True):
        config["logger"] = CSVLogger(folder, name="", version="logs")
    config |= {"enable_progress_bar": bar, "default_root_dir": str(folder)}
    return cli.trainer_class(**config)


def monitor_of(cli: Any) -> str | None:
    """Return the metric that chooses the best weights, or None where the dataset has no validation split."""
    validated = cli.datamodule is None or getattr(cli.datamodule, "has_validation", True)
    return getattr(cli.model, "monitor", None) if validated else None


def run_trainer(trainer: Any, cli: Any, resume: Path | None, folder: Path) -> int:
    """Call trainer.fit and translate how it ended into an exit code.

    Args:
        trainer: The trainer.
        cli: Task and data.
        resume: Checkpoint, or None.
        folder: Folder of the stage, named in the resume command.

    Returns:
        0, 130 or 143.

    Raises:
        DataError: If the checkpoint does not fit the task.
    """
    from pdeflow.cli.trainer_cli import quiet_libraries
    from pdeflow.run_folder.unfinished import resume_command

    quiet_libraries()
    if resume is not None:
        check_checkpoint(resume, cli.model)
    with contextlib.suppress(SystemExit):  # Lightning's graceful end of an interrupted training
        trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=resume, weights_only=True)
    if not trainer.interrupted and not trainer.received_sigterm:
        return OK
    print(f"\nfit: interrupted; resume with: {resume_command(folder)}", file=sys.stderr)
    return TERMINATED if trainer.received_sigterm else INTERRUPTED


def check_checkpoint(path: Path, task: Any) -> None:
    """Refuse a checkpoint of another class, shape or optimizer before training starts.

    Args:
        path: Lightning checkpoint.
        task: The task that would be resumed.

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
