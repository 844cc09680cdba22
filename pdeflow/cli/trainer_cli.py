"""LightningCLI for one trainer command: model, data, trainer, optimizer and schedule as sections of the settings."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonargparse
import torch
import yaml
from lightning import LightningModule
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, LRSchedulerTypeTuple
from lightning.pytorch.utilities.exceptions import MisconfigurationException

import pdeflow.data
import pdeflow.losses
import pdeflow.models
import pdeflow.optim
import pdeflow.tasks  # noqa: F401  imported so that class paths resolve and --help-all lists them
from pdeflow.errors import UsageError
from pdeflow.problems import Problem

QUIET = (
    "jsonargparse", "does not have many workers", "log_every_n_steps", "logging interval", "LeafSpec", "tensorboard",
    "callbacks used to create the checkpoint", "across ranks is zero", "Checkpoint directory", "Experiment logs directory", "`val_dataloader`",
    "ended before the epoch ended",
)  # fmt: skip
"""Parts of third-party warnings that say nothing about a run."""
TRAINER = {
    "accelerator": "auto",
    "devices": 1,
    "log_every_n_steps": 10,
    "num_sanity_val_steps": 0,
    "deterministic": "warn",
    "enable_model_summary": False,
}
MODE = "yaml_or_none"
"""Name of our way to read values, for the parser and those that it makes for the arguments of a class."""


def _load(text: str) -> Any:
    """Read YAML, and the word None as null, since jsonargparse hands a null to the parser of a nested class as that word."""
    return None if text.strip() == "None" else jsonargparse.get_loader("yaml")(text)


jsonargparse.set_loader(MODE, _load, (yaml.YAMLError,))


def quiet_libraries() -> None:
    """Silence third-party adverts, notes and deprecations."""
    os.environ.setdefault("WANDB_MODE", "disabled")
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.fabric.utilities.seed"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for text in QUIET:
        warnings.filterwarnings("ignore", message=f".*{text}.*")
    warnings.filterwarnings("ignore", category=DeprecationWarning)


def new_trainer(kind: type, options: Mapping[str, Any]) -> Any:
    """Build a trainer.

    Args:
        kind: Its class.
        options: Its arguments.

    Raises:
        UsageError: If Lightning refuses them, such as an accelerator that this machine has not.
    """
    try:
        return kind(**options)
    except (MisconfigurationException, ValueError) as error:
        accelerator = options.get("accelerator", "auto")
        hint = f"; asked for --trainer.accelerator {accelerator}, --trainer.accelerator cpu works everywhere" if accelerator not in ("auto", "cpu") else ""
        raise UsageError(f"trainer: {' '.join(str(error).split()).rstrip('.')}{hint}") from error


class TrainerCLI(LightningCLI):
    """Parses and instantiates; the command calls the trainer."""

    def __init__(self, config: dict[str, Any], overrides: Sequence[str]) -> None:
        """Build task, data module and trainer.

        Args:
            config: Settings of the command, as `experiment.settings` returns them.
            overrides: Dotted options of the command line.
        """
        quiet_libraries()
        text = yaml.safe_dump(config, sort_keys=False)
        super().__init__(
            LightningModule,
            None,
            save_config_callback=None,
            subclass_mode_model=True,
            seed_everything_default=0,
            trainer_defaults=TRAINER,
            parser_kwargs={"prog": "pdeflow fit", "exit_on_error": False, "allow_abbrev": False, "parser_mode": MODE},
            args=[f"--config={text}", *overrides] if config else list(overrides),
            run=False,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add problem, optimizer and schedule, and link them to the task."""
        parser.add_argument(
            "--name", type=str, default="run", help="Name of the run; its folder is runs/NAME."
        )
        parser.add_subclass_arguments(Problem, "problem", required=False)
        parser.link_arguments("problem", "model.init_args.problem")
        parser.add_optimizer_args((torch.optim.Optimizer,), "optimizer", "model.init_args.optimizer")
        parser.add_lr_scheduler_args(LRSchedulerTypeTuple, "lr_scheduler", "model.init_args.lr_scheduler")
        parser.link_arguments("seed_everything", "model.init_args.seed", compute_fn=int)
        parser.link_arguments("seed_everything", "data.init_args.seed", compute_fn=int)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse without Lightning's warning about the process's own arguments."""
        self.config = parser.parse_args(args)

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        """Leave the trainer to the command, which knows the run's folder."""
        return None

    def resolved(self) -> dict[str, Any]:
        """Return the settings that repeat this command, without what equals the defaults or is linked."""
        text = self.parser.dump(self.config, skip_default=True, format="yaml")
        return dict(yaml.safe_load(text) or {})

    def spec(self, key: str) -> dict[str, Any]:
        """Return {"class_path", "init_args"} of one argument, nested, as plain values."""
        value: Any = self.config
        for part in key.split("."):
            value = value.get(part) if value is not None else None
        return yaml.safe_load(yaml.safe_dump(_plain(value))) if value is not None else {}


def _plain(value: Any) -> Any:
    if hasattr(value, "as_dict"):
        value = value.as_dict()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
