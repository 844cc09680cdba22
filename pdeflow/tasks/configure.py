"""Build the optimizer and the schedule of a task from settings, inside configure_optimizers.

Lightning's automatic mode hands over nameless parameters and steps per epoch; the named groups of
pdeflow.tasks.parameter_groups let a matrix-aware optimizer know what each weight is.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from lightning import Trainer
from torch import nn

from pdeflow.errors import UsageError
from pdeflow.tasks.optimizer_protocol import check_protocol, needs_residuals
from pdeflow.tasks.parameter_groups import parameter_groups


def epoch_steps(trainer: Trainer | None, steps: int) -> int:
    """Return the steps of an epoch of data that are drawn without end, so that a training shorter than one is validated, too.

    Args:
        trainer: With or without max_steps.
        steps: Steps between validations.
    """
    longest = getattr(trainer, "max_steps", -1)
    return min(steps, longest) if longest > 0 else steps


def configure(network: nn.Module, optimizer: Any, lr_scheduler: Any, trainer: Trainer) -> dict[str, Any]:
    """Build what LightningModule.configure_optimizers returns.

    Args:
        network: Its trainable parameters are optimized, in groups by matrix view.
        optimizer: {"class_path", "init_args"} or a callable from parameter groups to an optimizer.
        lr_scheduler: {"class_path", "init_args"} or a callable from an optimizer to a scheduler.
        trainer: Gives the number of optimizer steps to a scheduler that has an unset `total_steps`.

    Returns:
        Optimizer and scheduler; the scheduler steps once per optimizer step, or once per epoch on a metric if
        it has a `monitor`.

    Raises:
        UsageError: If a class cannot be imported, an option is unknown or out of range, the length of the
            training is unknown, the trainer would corrupt the optimizer's steps, or it needs residuals.
    """
    built = build_optimizer(optimizer, network)
    if needs_residuals(built):
        raise UsageError(
            f"{type(built).__name__} needs residual vectors, which this task has not; use it with pdeflow.tasks.PhysicsInformed"
        )
    check_protocol(built, trainer)
    return with_schedule(built, lr_scheduler, trainer)


def with_schedule(optimizer: torch.optim.Optimizer, lr_scheduler: Any, trainer: Trainer) -> dict[str, Any]:
    """Return what LightningModule.configure_optimizers returns for an optimizer and the settings of a scheduler.

    Args:
        optimizer: What the rates belong to.
        lr_scheduler: As in configure.
        trainer: As in configure.

    Raises:
        UsageError: As configure.
    """
    schedule = build_scheduler(lr_scheduler, optimizer, trainer)
    entry: dict[str, Any] = {"scheduler": schedule, "interval": "step"}
    if hasattr(schedule, "monitor"):
        entry |= {"interval": "epoch", "monitor": schedule.monitor}
    return {"optimizer": optimizer, "lr_scheduler": entry}


def build_optimizer(settings: Any, network: nn.Module) -> torch.optim.Optimizer:
    """Build an optimizer over the named groups of a network.

    Args:
        settings: {"class_path", "init_args"} or a callable that takes parameter groups.
        network: Module with trainable parameters.

    Returns:
        The optimizer; LBFGS gets one group, as it allows no more.

    Raises:
        UsageError: If nothing is trainable, or as configure.
    """
    make, options = resolve(settings, "optimizer")
    try:
        groups: Any = parameter_groups(network)
        if isinstance(make, type) and issubclass(make, torch.optim.LBFGS):
            groups = [p for group in groups for p in group["params"]]
        return make(groups, **options)
    except (TypeError, ValueError) as error:
        raise UsageError(f"optimizer {name_of(make)}: {error}; correct the section `optimizer`") from error


def build_scheduler(settings: Any, optimizer: torch.optim.Optimizer, trainer: Trainer) -> Any:
    """Build a scheduler; an option `total_steps` left unset becomes the trainer's number of steps.

    Args:
        settings: {"class_path", "init_args"} or a callable that takes an optimizer.
        optimizer: What the rates belong to.
        trainer: Knows the number of optimizer steps.

    Returns:
        The scheduler.

    Raises:
        UsageError: As configure.
    """
    make, options = resolve(settings, "lr_scheduler")
    if "total_steps" in inspect.signature(make).parameters and options.get("total_steps") is None:
        options["total_steps"] = training_steps(trainer)
    try:
        return make(optimizer, **options)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"lr_scheduler {name_of(make)}: {error}; correct the section `lr_scheduler`"
        ) from error


def training_steps(trainer: Trainer) -> int:
    """Return the number of optimizer steps of the whole training.

    Args:
        trainer: A trainer that is about to fit.

    Raises:
        UsageError: If neither epochs nor steps are bounded.
    """
    steps = trainer.estimated_stepping_batches
    if not math.isfinite(steps):
        raise UsageError(
            f"the schedule needs the length of the training, got max_epochs={trainer.max_epochs} and "
            f"max_steps={trainer.max_steps}; set trainer.max_epochs or trainer.max_steps"
        )
    return int(steps)


def resolve(settings: Any, section: str) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return the callable and the keyword arguments that settings stand for.

    Args:
        settings: A callable, or {"class_path": "package.Name", "init_args": {...}} as a mapping or as the
            namespace that jsonargparse passes on.
        section: Name used in messages.

    Raises:
        UsageError: If the settings have another form or the class cannot be imported.
    """
    if callable(settings) and not hasattr(settings, "class_path"):
        return settings, {}
    plain = settings.as_dict() if hasattr(settings, "as_dict") else settings
    if not isinstance(plain, dict) or not isinstance(plain.get("class_path"), str):
        raise UsageError(f"{section} must be {{class_path, init_args}} or a callable, got {settings!r}")
    module, _, name = plain["class_path"].rpartition(".")
    try:
        return getattr(import_module(module), name), dict(plain.get("init_args") or {})
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"{section}: cannot import {plain['class_path']!r} ({error}); write it as package.module.Class"
        ) from error


def name_of(make: Callable[..., Any]) -> str:
    """Return what a message calls a class or function."""
    return getattr(make, "__qualname__", type(make).__qualname__)
