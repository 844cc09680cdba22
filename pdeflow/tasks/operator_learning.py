"""Supervised learning of a solution operator: fields in, fields out, any network, any loss, any optimizer.

Li et al., Fourier Neural Operator, ICLR 2021, section 2: minimise the mean loss between G_θ(a) and u over
pairs (a, u).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn

from pdeflow.errors import DataError, UsageError
from pdeflow.geometry import Grid
from pdeflow.losses import RelativeL2
from pdeflow.problems import Problem
from pdeflow.tasks.accuracy import field_errors
from pdeflow.tasks.channels import check_channels
from pdeflow.tasks.coarsening import coarser, coarser_shape
from pdeflow.tasks.configure import configure

Batch = dict[str, Tensor]
ADAMW = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-3}}
COSINE = {"class_path": "pdeflow.optim.WarmupCosine"}


class OperatorLearning(LightningModule):
    """Train a network on pairs of a data module; logs train/loss, val/rel_l2, val/rel_h1 and the test errors.

    Args:
        network: Maps (batch, C_in, *grid) to (batch, C_out, *grid) in physical units. If it has
            `check_grid` and `fit_normalizers`, they are called once before training.
        loss: loss(prediction, target), a scalar; None is the relative L2 error. If it has `fit_grid`, it is called with the
            grid of the data before training.
        optimizer: {"class_path", "init_args"} or a callable from parameter groups to an optimizer; None is
            AdamW with rate 1e-3.
        lr_scheduler: {"class_path", "init_args"} or a callable from an optimizer to a scheduler, which steps
            once per optimizer step; None is WarmupCosine over the whole training.
        problem: The PDE behind the data, kept for evaluation.
        coarsen: Training steps take turns on grids with cells so many times as wide as the data's; [1, 2] trains on
            two resolutions. Validation and test are on the data's grid.
        compile_network: Whether torch.compile translates the network first: faster steps after a minute's wait.

    Attributes:
        monitor: The metric that selects the best checkpoint.
    """

    monitor = "val/rel_l2"

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module | None = None,
        optimizer: Any = None,
        lr_scheduler: Any = None,
        problem: Problem | None = None,
        coarsen: Sequence[int] = (1,),
        compile_network: bool = False,
    ) -> None:
        super().__init__()
        self.network, self.problem = network, problem
        self.loss = RelativeL2() if loss is None else loss
        self.optimizer, self.lr_scheduler = optimizer or ADAMW, lr_scheduler or COSINE
        self.coarsen, self.compile_network = tuple(coarsen) or (1,), compile_network

    def setup(self, stage: str) -> None:
        """Check that data and network fit, and fit the normalisers, before the first step.

        Args:
            stage: "fit", "validate", "test" or "predict"; only "fit" does anything.

        Raises:
            DataError: If a training field is not finite or a solution is zero.
            UsageError: If there is no data module, or the grid or the channels do not fit the network.
        """
        if stage != "fit":
            return
        if not hasattr(getattr(self.trainer, "datamodule", None), "training_fields"):
            raise UsageError(
                "OperatorLearning needs a data module with grid and training_fields(); "
                "set `data`, e.g. class_path: pdeflow.data.PDEDataModule"
            )
        a, u = self.data.training_fields()
        check_training_fields(a, u)
        try:
            for factor in self.coarsen:
                shape = coarser_shape(self.grid, factor)
                getattr(self.network, "check_grid", lambda shape: None)(shape)
            check_channels(self.network, a, u, self.data)
            getattr(self.network, "fit_normalizers", lambda a, u: None)(a, u)
        except ValueError as error:
            raise UsageError(f"{type(self.network).__name__} does not fit the data: {error}") from error
        try:
            getattr(self.loss, "fit_grid", lambda grid: None)(self.grid)
        except ValueError as error:
            raise UsageError(f"{type(self.loss).__name__} does not fit the data: {error}") from error
        check_prediction(self.network, a[:1], u[:1])
        if self.compile_network:
            self.network.compile()

    @property
    def data(self) -> Any:
        """The data module."""
        return getattr(self.trainer, "datamodule")  # noqa: B009  the trainer sets it while it runs

    @property
    def grid(self) -> Grid:
        """Grid of the data."""
        return self.data.grid

    def forward(self, a: Tensor) -> Tensor:
        """Predict u from a, both in physical units."""
        return self.network(a)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch.

        Raises:
            UsageError: If the loss is not finite; names the step and the samples.
        """
        factor = self.coarsen[self.global_step % len(self.coarsen)]
        a, u = (coarser(batch[name], self.grid, factor) for name in ("a", "u"))
        loss = self.loss(self.network(a), u)
        if not torch.isfinite(loss):
            raise UsageError(
                f"the loss is {loss.item()} at step {self.global_step}, samples {batch['index'].tolist()}; "
                "lower optimizer.lr or set trainer.gradient_clip_val"
            )
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch["a"]))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log val/rel_l2 and val/rel_h1, means over samples."""
        self._log_errors(batch, "val", ("rel_l2", "rel_h1"))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Log test/rel_l2, test/rel_h1 and test/max_error, means over samples."""
        self._log_errors(batch, "test", ("rel_l2", "rel_h1", "max_error"))

    def predict_step(self, batch: Batch, batch_idx: int) -> Batch:
        """Return the predicted fields with the numbers of their samples."""
        return {"u": self.network(batch["a"]), "index": batch["index"]}

    def configure_optimizers(self) -> Any:
        """Build optimizer and scheduler from the settings; see pdeflow.tasks.configure."""
        return configure(self.network, self.optimizer, self.lr_scheduler, self.trainer)

    def _log_errors(self, batch: Batch, prefix: str, names: tuple[str, ...]) -> None:
        errors = field_errors(self.network(batch["a"]), batch["u"], self.grid)
        means = {f"{prefix}/{name}": errors[name].mean() for name in names}
        self.log_dict(means, prog_bar=prefix == "val", batch_size=len(batch["a"]), sync_dist=True)


def check_training_fields(a: Tensor, u: Tensor) -> None:
    """Check the training data before they are used.

    Args:
        a: Inputs, shape (samples, C_in, *grid).
        u: Solutions, shape (samples, C_out, *grid).

    Raises:
        DataError: If a value is not finite or a solution is zero everywhere; names the first sample.
    """
    for name, field in (("a", a), ("u", u)):
        bad = torch.nonzero(~torch.isfinite(field).flatten(1).all(1))
        if len(bad):
            raise DataError(
                f"training field {name!r} is not finite in {len(bad)} of {len(field)} samples, first in sample "
                f"{bad[0].item()}; run `pdeflow data check` on the data folder"
            )
    zero = torch.nonzero(u.flatten(1).abs().amax(1) == 0)
    if len(zero):
        raise DataError(
            f"training sample {zero[0].item()} has u = 0, so relative errors are undefined; drop it"
        )


@torch.no_grad()
def check_prediction(network: nn.Module, a: Tensor, u: Tensor) -> None:
    """Check on one sample that a network takes the inputs and returns fields of the solutions' shape.

    Args:
        network: The network; its modules stay in their modes.
        a: Inputs, shape (1, C_in, *grid).
        u: Solutions, shape (1, C_out, *grid).

    Raises:
        UsageError: If it does not.
    """
    modes, parameter = [(module, module.training) for module in network.modules()], next(network.parameters())
    name = type(network).__name__
    try:
        shape = tuple(network.eval()(a.to(parameter.device, parameter.dtype)).shape)
    except (ValueError, RuntimeError) as error:
        raise UsageError(
            f"{name} cannot take inputs of shape {tuple(a.shape)}: {error}; "
            "set its in_channels and n_modes to the data's"
        ) from error
    finally:
        for module, training in modes:
            module.training = training
    if shape != tuple(u.shape):
        raise UsageError(
            f"{name} maps inputs {tuple(a.shape)} to {shape} but the data have {tuple(u.shape)}; "
            "set its out_channels to the data's"
        )
