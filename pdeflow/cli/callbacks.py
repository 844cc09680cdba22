"""Lightning callbacks of a run: plain progress lines, the learning rate, and checkpoints that name their optimizer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from pdeflow.run_folder import metric_text


class PlainProgress(Callback):
    """Print a line per epoch, at most one every few seconds: for logs and pipes."""

    def __init__(self, every: float = 10.0) -> None:
        self.every, self.start, self.last = every, time.monotonic(), 0.0

    def on_train_epoch_end(self, trainer: Trainer, task: LightningModule) -> None:
        """Print epoch, metrics and time."""
        now = time.monotonic()
        if trainer.current_epoch + 1 != trainer.max_epochs and now - self.last < self.every:
            return
        self.last = now
        total = trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else None
        where = f"epoch {trainer.current_epoch + 1}" + (
            f"/{total}" if total else f", step {trainer.global_step}"
        )
        most = getattr(task, "most_iterations", None)
        text = "  ".join(metric_text(name, float(value), most) for name, value in trainer.callback_metrics.items())
        print(f"  {where}  {text}  {now - self.start:.0f} s", flush=True)


class RateLog(Callback):
    """Log one learning rate, that of the first parameter group, as "lr"; in a short training everything is logged more often."""

    POINTS = 100
    """Points of a curve that a picture shows apart."""

    def on_train_start(self, trainer: Any, task: LightningModule) -> None:
        """Shorten the interval."""
        steps = trainer.estimated_stepping_batches
        if math.isfinite(steps):
            trainer.log_every_n_steps = max(1, min(trainer.log_every_n_steps, int(steps) // self.POINTS))

    def on_train_batch_end(self, trainer: Any, task: LightningModule, *_: Any) -> None:
        """Log at the trainer's interval."""
        if trainer.logger is not None and trainer.optimizers and trainer.global_step % trainer.log_every_n_steps == 0:
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            trainer.logger.log_metrics({"lr": float(rate)}, step=trainer.global_step)


class AtStart(Callback):
    """Call a function when a training starts, after all that may refuse it.

    Args:
        write: What to do, by the first of several processes.
    """

    def __init__(self, write: Callable[[], None]) -> None:
        self.write = write

    def on_train_start(self, trainer: Trainer, task: LightningModule) -> None:
        """Call it."""
        if trainer.is_global_zero:
            self.write()


class OptimizerName(Callback):
    """Write the class of the optimizer into checkpoints, so that its state is never read by another one."""

    KEY = "optimizer_class"

    def on_save_checkpoint(self, trainer: Trainer, task: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the name."""
        checkpoint[self.KEY] = ", ".join(class_path(type(optimizer)) for optimizer in trainer.optimizers)


def class_path(kind: type) -> str:
    """Return the path by which a class is imported where it is defined."""
    return f"{kind.__module__}.{kind.__qualname__}"


class LastState(ModelCheckpoint):
    """Keep the state after every epoch, and after an exception that came while training.

    A start that is refused, such as a resume with other settings, leaves the checkpoint that was there.
    """

    started = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that the state is that of a training."""
        super().on_train_start(trainer, pl_module)
        self.started = True

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save if the training had started."""
        if self.started:
            super().on_exception(trainer, pl_module, exception)


def checkpoints(folder: Path, monitor: str | None) -> list[ModelCheckpoint]:
    """Keep the best weights by the task's metric, and the state after every epoch or an interruption.

    Two callbacks, for one of Lightning's would write the last state only where the metric has improved, and over the best
    weights where the training is interrupted.

    Args:
        folder: Folder of the stage.
        monitor: Metric to minimise, or None to keep the last state only.

    Returns:
        The callbacks, that of the best weights first.
    """
    plain: dict[str, Any] = {"dirpath": folder / "checkpoints", "enable_version_counter": False, "auto_insert_metric_name": False}
    last = LastState(filename="last", save_on_exception=True, **plain)
    return [*([ModelCheckpoint(filename="best", monitor=monitor, **plain)] if monitor else []), last]
