"""Label-free training of a preconditioner for one matrix, e.g. Helmholtz' equation in one medium: no solves.

The loss is the residual left by the best step along a direction as in GCR (Eisenstat, Elman and Schultz, SIAM J. Numer. Anal. 20 (1983)
345). It pays where one medium meets many right-hand sides and no factorization fits.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from lightning import LightningModule
from torch import Tensor

from pdeflow import seeds
from pdeflow.errors import UsageError
from pdeflow.linalg import LinearSystem, solve
from pdeflow.models.medium_net import MediumNet
from pdeflow.problems import Problem
from pdeflow.tasks.configure import configure, epoch_steps

ADAM = {"class_path": "torch.optim.Adam", "init_args": {"lr": 1e-2}}
ONE_CYCLE = {"class_path": "pdeflow.optim.WarmupCosine", "init_args": {"warmup": 0.2, "final": 0.01}}
MAX_ITERATIONS = 200
"""What counts for a network with which FGMRES does not converge."""


class MediumLearning(LightningModule):
    """Train a network on white noise b so that a multiple of A f(b) is near b, A being the matrix of one instance.

    The loss is 1 - |⟨A f, b⟩|² / (‖A f‖² ‖b‖²), the squared residual that is left along f; A need be neither symmetric nor definite.
    Step k draws its noise from (seed, k) only. Validation counts FGMRES iterations for the instance's own right-hand side, for a
    point source and for noise (val/iterations, the worst).

    Args:
        network: The network.
        problem: Problem on grids; None only until the settings file fills it in.
        instance: Number of the instance whose matrix is learned, as in `pdeflow solve --instance`.
        batch_size: Right-hand sides per step.
        steps_per_epoch: Steps between validations; the trainer's max_steps bounds the training (300 suffice at 64²).
        rtol: Tolerance to which validation counts iterations.
        seed: Root of all random draws, of the instance too.
        optimizer: As in OperatorLearning; None is Adam with rate 1e-2.
        lr_scheduler: As in OperatorLearning; None rises for a fifth of the steps, then falls to a hundredth.

    Attributes:
        monitor: The metric that selects the best checkpoint.
        most_iterations: What a solve that does not converge counts.
        metrics_meaning: A sentence for the log.
    """

    monitor, most_iterations = "val/iterations", MAX_ITERATIONS

    def __init__(
        self, network: MediumNet, problem: Problem | None = None, instance: int = 0, batch_size: int = 10, steps_per_epoch: int = 50,
        rtol: float = 1e-6, seed: int = 0, optimizer: Any = None, lr_scheduler: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.network: Any = network
        self.problem: Any = problem
        self.instance, self.batch_size, self.steps_per_epoch = instance, batch_size, steps_per_epoch
        self.rtol, self.seed = rtol, seed
        self.optimizer, self.lr_scheduler = optimizer or ADAM, lr_scheduler or ONE_CYCLE

    @property
    def metrics_meaning(self) -> str:
        """What the logged counts are."""
        return (
            f"val/iterations: the most iterations that FGMRES needs to the relative residual {self.rtol:.0e} for three right-hand sides; "
            f"{MAX_ITERATIONS} stand for a solve that does not converge"
        )

    def setup(self, stage: str) -> None:
        """Assemble the matrix, scaled so that its diagonal is about one.

        Args:
            stage: Any of Lightning's stages.

        Raises:
            UsageError: If there is no problem, or its system does not fit the network.
        """
        if self.problem is None or min(self.batch_size, self.steps_per_epoch) < 1:
            raise UsageError("MediumLearning needs `problem`, e.g. class_path: pdeflow.problems.SpongeHelmholtz, and positive numbers")
        drawn = self.problem.sample(seeds.generator(self.seed, seeds.SOLVE, self.instance))
        self.system: LinearSystem = self.problem.system(drawn, self.problem.grid(self.network.grid))
        try:
            self.network.setup(self.system)
        except ValueError as error:
            raise UsageError(f"MediumLearning: {error}") from error
        self.network.bind(self.system)
        entries = self.system.A.tocoo()
        values = torch.from_numpy(entries.data / np.abs(self.system.A.diagonal()).mean()).to(torch.complex64)
        places = torch.from_numpy(np.stack((entries.row, entries.col)).astype(np.int64))
        self.matrix = torch.sparse_coo_tensor(places, values, entries.shape, check_invariants=True).coalesce()

    def train_dataloader(self) -> list[int]:
        """Return as many place-holders as an epoch has steps: the step's number is its data. A shorter training is one epoch."""
        return list(range(epoch_steps(self._trainer, self.steps_per_epoch)))

    def val_dataloader(self) -> list[int]:
        """Return one place-holder."""
        return [0]

    def training_step(self, batch: int, batch_idx: int) -> Tensor:
        """Return the mean loss.

        Raises:
            UsageError: If it is not finite; names the step.
        """
        noise = seeds.generator(self.seed, seeds.NOISE, self.global_step)
        b = torch.randn(self.batch_size, self.system.n, generator=noise, dtype=torch.complex64).to(self.device)
        b = b / torch.linalg.vector_norm(b, dim=1, keepdim=True)  # (batch, n)
        f = self.network(b.reshape(-1, 1, *self.network.grid)).flatten(1)
        Af = (self.matrix.to(self.device) @ f.mT).mT
        along = (Af.conj() * b).sum(1).abs().square() / Af.abs().square().sum(1)
        loss = (1 - along).mean()
        if not torch.isfinite(loss):
            raise UsageError(f"the loss is {loss.item()} at step {self.global_step}; lower optimizer.lr")
        self.log("train/loss", loss, prog_bar=True, batch_size=self.batch_size)
        return loss

    def validation_step(self, batch: int, batch_idx: int) -> None:
        """Count iterations for three right-hand sides."""
        self.log("val/iterations", float(max(self.iterations(self.network))), batch_size=1, prog_bar=True)

    def iterations(self, M: Any) -> list[int]:
        """Count FGMRES iterations of the learned matrix with a preconditioner.

        Args:
            M: What `pdeflow.linalg.solve` takes.

        Returns:
            Counts for the instance's right-hand side, a point source and white noise; MAX_ITERATIONS where it does not converge.
        """
        counts = []
        for b in self.right_hand_sides():
            system = replace(self.system, b=b.astype(self.system.b.dtype))
            found = solve(system, method="fgmres", preconditioner=M, rtol=self.rtol, maxiter=MAX_ITERATIONS, guard="none")
            counts.append(found.iterations if found.converged else MAX_ITERATIONS)
        return counts

    def right_hand_sides(self) -> list[np.ndarray]:
        """Return the three right-hand sides of validation, shape (n,) each."""
        point = np.zeros(self.network.grid)
        point[self.network.grid[0] // 3, 2 * self.network.grid[1] // 3] = 1.0
        noise = seeds.generator(self.seed, seeds.NOISE, 2**31)
        return [self.system.b, point.reshape(-1), torch.randn(self.system.n, generator=noise, dtype=torch.float64).numpy()]

    def configure_gradient_clipping(self, optimizer: Any, gradient_clip_val: Any = None, gradient_clip_algorithm: Any = None) -> None:
        """Clip to norm 1 unless the trainer says otherwise."""
        self.clip_gradients(optimizer, 1.0 if gradient_clip_val is None else gradient_clip_val, gradient_clip_algorithm)

    def configure_optimizers(self) -> Any:
        """Build optimizer and scheduler from the settings; see pdeflow.tasks.configure."""
        return configure(self.network, self.optimizer, self.lr_scheduler, self.trainer)
