"""`pdeflow fit`: train one stage through Lightning, keep its checkpoints, export it, draw its curves."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pdeflow.cli import experiment
from pdeflow.cli.arrays import check_place
from pdeflow.cli.exit_codes import INTERRUPTED, OK, TERMINATED
from pdeflow.cli.metrics_log import kept_metrics
from pdeflow.cli.resuming import (
    WITHIN_EPOCH,
    begun,
    check_checkpoint,
    check_length,
    is_within_epoch,
    resume_path,
)
from pdeflow.cli.training_data import check_data, with_data_path, with_found_data
from pdeflow.errors import UsageError

RUN = "PDEFLOW_RUN"
"""Environment variable by which processes that the trainer starts find the folder of the run."""
RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
"""Environment variables in which Lightning looks for the number of a process, in this order."""


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
    if "--resume" in rest:
        files, stage, checkpoint = (files, stage, checkpoint or "last") if files else begun(out, stage, checkpoint)
    rest = [word for word in rest if word not in ("-q", "-v", "--help-all", "--resume")]
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
    config, known = with_data_path(config), out or os.environ.get(RUN)
    check_place(out, "out", folder=True)
    check_data(config, overrides)
    resume = resume_path(None if known is None else Path(known) / stage, checkpoint)
    if known is not None and resume is None and not is_follower() and (Path(known) / stage / "checkpoints").exists():
        raise UsageError(
            f"{Path(known) / stage} holds a training already; resume it with --ckpt_path last, or choose another --out"
        )
    import torch  # from here on seconds pass

    from pdeflow.cli.trainer_cli import TrainerCLI
    from pdeflow.run_folder import create, point_latest

    cli = TrainerCLI(config, overrides)
    run = Path(known or create(cli.config.name))
    folder = run / stage
    if is_follower():
        return run_trainer(make_trainer(cli, folder, quiet=True), cli, resume, folder)
    start = time.monotonic()
    made = [run, *run.parents[:2]] if out is None else [folder if run.exists() else run]
    with training_folder(folder, made), kept_metrics(folder), told_to_followers(run):
        trainer = make_trainer(cli, folder, quiet)
        record_settings(cli, trainer, folder, resume)
        if not quiet and hasattr(cli.model, "metrics_meaning"):
            print(f"  {cli.model.metrics_meaning}", flush=True)
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
    return next((os.environ[name] for name in RANKS if name in os.environ), "0") != "0"


def record_settings(cli: Any, trainer: Any, folder: Path, resume: Path | None) -> None:
    """Write the settings and what made the run: at once, or, over those of a training that is resumed, when it goes on.

    Args:
        cli: Parsed settings.
        trainer: The trainer.
        folder: Folder of the stage.
        resume: Checkpoint, or None.
    """
    from pdeflow.cli.callbacks import AtStart
    from pdeflow.run_folder import provenance, write_json, write_yaml

    def write() -> None:
        write_yaml(folder / "config.yaml", cli.resolved())
        write_json(folder / "run.json", provenance(sys.argv[1:], int(cli.config.seed_everything)))

    if resume is None:
        write()
    else:
        trainer.callbacks.append(AtStart(write))


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


def make_trainer(cli: Any, folder: Path, quiet: bool) -> Any:
    """Instantiate the trainer with the run's logger, checkpoints and progress."""
    from lightning.pytorch.loggers import CSVLogger

    from pdeflow.cli.callbacks import OptimizerName, PlainProgress, RateLog, checkpoints
    from pdeflow.cli.trainer_cli import new_trainer

    extra: list[Any] = [*checkpoints(folder, monitor_of(cli)), RateLog(), OptimizerName()]
    bar = sys.stdout.isatty() and not quiet
    extra += [] if bar or quiet else [PlainProgress()]
    config = dict(cli.config_init["trainer"])
    config["callbacks"] = [*(config.get("callbacks") or []), *extra]
    if config.get("logger") in (None, True):
        config["logger"] = CSVLogger(folder, name="", version="logs")
    config |= {"enable_progress_bar": bar, "default_root_dir": str(folder)}
    return new_trainer(cli.trainer_class, config)


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
        UsageError: If it has been trained for longer than the settings allow.
    """
    from pdeflow.cli.trainer_cli import quiet_libraries
    from pdeflow.run_folder.unfinished import resume_command

    quiet_libraries()
    if resume is not None:
        checkpoint = check_checkpoint(resume, cli.model)
        check_length(resume, checkpoint, trainer)
        warnings.filterwarnings("ignore", message=".*could not find the monitored key.*")  # in an epoch that was trained, not validated
        if cli.datamodule is not None and is_within_epoch(checkpoint) and not is_follower():
            print(f"fit: {WITHIN_EPOCH}", file=sys.stderr)
    with contextlib.suppress(SystemExit):  # Lightning's graceful end of an interrupted training
        trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=resume, weights_only=True)
    if not trainer.interrupted and not trainer.received_sigterm:
        return OK
    print(f"\nfit: interrupted; resume with: {resume_command(folder)}", file=sys.stderr)
    return TERMINATED if trainer.received_sigterm else INTERRUPTED
