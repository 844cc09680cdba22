"""Lightning callbacks of a run: plain progress lines, checkpoints, and the first value that was not finite."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint


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
        text = "  ".join(f"{name} {float(value):.3g}" for name, value in trainer.callback_metrics.items())
        print(f"  {where}  {text}  {now - self.start:.0f} s", flush=True)


class RateLog(Callback):
    """Log one learning rate, that of the first parameter group, as "lr"."""

    def on_train_batch_end(self, trainer: Trainer, task: LightningModule, *_: Any) -> None:
        """Log at the trainer's interval."""
        every: int = getattr(trainer, "log_every_n_steps", 10)
        if trainer.logger is not None and trainer.optimizers and trainer.global_step % every == 0:
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            trainer.logger.log_metrics({"lr": float(rate)}, step=trainer.global_step)


def checkpoints(folder: Path, monitor: str | None) -> ModelCheckpoint:
    """Keep the best weights by the task's metric and the last state, also after an interruption.

    Args:
        folder: Folder of the stage.
        monitor: Metric to minimise, or None to keep the last state only.

    Returns:
        The callback.
    """
    options: dict[str, Any] = {"monitor": monitor, "mode": "min", "save_top_k": 1} if monitor else {}
    return ModelCheckpoint(
        dirpath=folder / "checkpoints", filename="best", save_last=True, enable_version_counter=False,
        save_on_exception=True, auto_insert_metric_name=False, **options,
    )  # fmt: skip
