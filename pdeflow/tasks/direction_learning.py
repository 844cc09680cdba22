"""Label-free training of a multigrid cycle as preconditioner: random coefficients, no data set, no solves.

Kaneda et al., A Deep Conjugate Direction Method, arXiv 2205.10763, section 4 (training without solutions); the
loss is the energy that one step leaves (pdeflow.losses.energy), on right-hand sides that the solver itself
meets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from lightning import LightningModule
from torch import Tensor

from pdeflow import seeds
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid
from pdeflow.linalg import LinearSystem, operators, solve
from pdeflow.losses.energy import log_energy_loss, mixed_noise, on_policy_pairs
from pdeflow.models.learned_v_cycle import LearnedVCycle, setup_levels
from pdeflow.problems import Elliptic, Instance, Problem
from pdeflow.tasks.configure import configure

ADAM = {"class_path": "torch.optim.Adam", "init_args": {"lr": 1e-2}}
COSINE = {"class_path": "pdeflow.optim.WarmupCosine", "init_args": {"warmup": 0.0, "final": 0.05}}
CLIP = 1.0
"""Gradient norm, where the trainer sets none: single batches far from the solver's path are ten times larger."""
MAX_ITERATIONS = 100
FIRST_UNSEEN = 2**31
"""Validation draws its coefficients from here on; training uses the numbers of its steps."""


class DirectionLearning(LightningModule):
    """Train the few numbers of a V-cycle on random coefficients of a problem; it makes its own batches.

    Step k draws coefficients and errors from (seed, k) only, on the grid k mod len(grids). Validation counts
    conjugate-gradient iterations to 1e-8 on fixed other coefficients and logs the worst (val/iterations, which
    selects the best weights) and the mean (val/mean_iterations); counts are interpolated between iterations, so
    that they can be compared finely.

    Args:
        network: The cycle.
        problem: Elliptic problem in two dimensions; None only until the settings file fills it in.
        grids: Grids to train on, in turn; more than one size makes the weights fit finer grids too.
        batch_size: Coefficients per step.
        noise_steps: First steps with random errors; later ones use residuals of the current solver.
        policy_steps: Most iterations that the solver runs before its residual is used.
        steps_per_epoch: Steps between validations; the trainer's max_steps bounds the training (300 suffice).
        instances: Coefficients per grid in validation.
        seed: Root of all random draws.
        optimizer: As in OperatorLearning; None is Adam with rate 1e-2.
        lr_scheduler: As in OperatorLearning; None is a cosine from that to 5e-4.

    Attributes:
        monitor: The metric that selects the best checkpoint.
    """

    monitor = "val/iterations"

    def __init__(
        self,
        network: LearnedVCycle,
        problem: Problem | None = None,
        grids: Sequence[Sequence[int]] = ((32, 32), (64, 64)),
        batch_size: int = 8,
        noise_steps: int = 30,
        policy_steps: int = 5,
        steps_per_epoch: int = 50,
        instances: int = 4,
        seed: int = 0,
        optimizer: Any = None,
        lr_scheduler: Any = None,
    ) -> None:
        super().__init__()
        self.network, self.seed = network, seed
        self.problem: Any = problem
        self.grids, self.batch_size = [tuple(grid) for grid in grids], batch_size
        self.noise_steps, self.policy_steps = noise_steps, policy_steps
        self.steps_per_epoch, self.instances = steps_per_epoch, instances
        self.optimizer, self.lr_scheduler = optimizer or ADAM, lr_scheduler or COSINE

    def setup(self, stage: str) -> None:
        """Check problem and grids.

        Args:
            stage: Any of Lightning's stages.

        Raises:
            UsageError: If the problem is not elliptic in 2-D or a grid cannot be coarsened.
        """
        if not isinstance(self.problem, Elliptic) or self.problem.domain.dim != 2:
            raise UsageError(
                f"DirectionLearning needs a problem -div(a grad u) = f in 2-D, got {self.problem!r}; "
                "set `problem`, e.g. class_path: pdeflow.problems.Darcy"
            )
        if not self.grids or min(self.batch_size, self.steps_per_epoch, self.instances) < 1:
            raise UsageError(
                "DirectionLearning needs grids and positive batch_size, steps_per_epoch, instances"
            )
        for shape in self.grids:
            try:
                levels = setup_levels(
                    torch.ones(1, 1, *shape), self.problem.grid(shape).spacing(), self.network.coarsest
                )
            except ValueError as error:
                raise UsageError(f"DirectionLearning cannot use the grid {shape}: {error}") from error
            if len(levels) == 1:
                raise UsageError(
                    f"the grid {shape} has at most coarsest={self.network.coarsest} cells, which the cycle "
                    "solves exactly: nothing to learn; take a finer grid"
                )

    def train_dataloader(self) -> list[int]:
        """Return as many place-holders as an epoch has steps: the step's number is its data."""
        return list(range(self.steps_per_epoch))

    def val_dataloader(self) -> list[int]:
        """Return the numbers of the validation coefficients."""
        return list(range(self.instances))

    def training_step(self, batch: int, batch_idx: int) -> Tensor:
        """Return the mean log of the energy that one step along the cycle's direction leaves.

        Raises:
            UsageError: If it is not finite; names the step.
        """
        step = self.global_step
        noise = seeds.generator(self.seed, seeds.NOISE, step)
        a, spacing = self.coefficients(step)
        levels = setup_levels(a, spacing, self.network.coarsest)
        faces = levels[0].faces
        x = mixed_noise(a.shape, generator=noise).to(a.device)
        b = operators.apply(x, faces)
        count = (
            int(torch.randint(self.policy_steps + 1, (), generator=noise)) if step >= self.noise_steps else 0
        )
        b, x = on_policy_pairs(
            lambda u: operators.apply(u, faces), lambda r: self.network.cycle(r, levels), b, x, count
        )
        f = self.network.cycle(b, levels)
        loss = log_energy_loss(f, operators.apply(f, faces), b, x).mean()
        if not torch.isfinite(loss):
            raise UsageError(f"the loss is {loss.item()} at step {step}; lower optimizer.lr")
        self.log("train/loss", loss, prog_bar=True, batch_size=len(a))
        return loss

    def validation_step(self, batch: int, batch_idx: int) -> None:
        """Count iterations for one unseen coefficient on every grid."""
        counts = [
            interpolated_iterations(self.network, self.unseen_system(int(batch), shape))
            for shape in self.grids
        ]
        self.log("val/iterations", max(counts), reduce_fx="max", batch_size=1, prog_bar=True, sync_dist=True)
        self.log("val/mean_iterations", float(np.mean(counts)), batch_size=1, sync_dist=True)

    def coefficients(self, step: int) -> tuple[Tensor, tuple[float, ...]]:
        """Draw the coefficients of a training step.

        Args:
            step: Number of the step.

        Returns:
            Cell values, shape (batch_size, 1, nx, ny), and the spacing of their grid.
        """
        generator = seeds.generator(self.seed, seeds.INPUTS, step)
        grid = self.problem.grid(self.grids[step % len(self.grids)])
        values = [
            self.coefficient_values(self.problem.sample(generator), grid) for _ in range(self.batch_size)
        ]
        a = torch.stack(values).unsqueeze(1)
        return a.to(self.network.correction.device), grid.spacing()

    def coefficient_values(self, instance: Instance, grid: Grid) -> Tensor:
        """Return the coefficient of one draw on a grid, shape (*grid.shape,)."""
        a = self.problem.coefficient(instance, lambda name: instance.fields[name].on(grid))
        return a.expand(grid.shape)

    def unseen_system(self, index: int, shape: Sequence[int]) -> LinearSystem:
        """Assemble the system of a coefficient that training never draws.

        Args:
            index: Number of the coefficient.
            shape: Cells per axis.

        Returns:
            The system, the same in every run with this seed.
        """
        generator = seeds.generator(self.seed, seeds.INPUTS, FIRST_UNSEEN + index)
        return self.problem.system(self.problem.sample(generator), self.problem.grid(tuple(shape)))

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: Any = None, gradient_clip_algorithm: Any = None
    ) -> None:
        """Clip to norm 1 unless the trainer says otherwise."""
        value = CLIP if gradient_clip_val is None else gradient_clip_val
        self.clip_gradients(optimizer, value, gradient_clip_algorithm)

    def configure_optimizers(self) -> Any:
        """Build optimizer and scheduler from the settings; see pdeflow.tasks.configure."""
        return configure(self.network, self.optimizer, self.lr_scheduler, self.trainer)


def interpolated_iterations(network: LearnedVCycle, system: LinearSystem, rtol: float = 1e-8) -> float:
    """Count the iterations of flexible conjugate gradients, with a fraction for the last one.

    Args:
        network: The cycle, used as preconditioner.
        system: Symmetric positive definite system on a grid.
        rtol: Tolerance on ‖b - A x‖₂ / ‖b‖₂.

    Returns:
        Where log‖b - A x_k‖, interpolated in k, meets the tolerance; MAX_ITERATIONS if it does not.
    """
    solution = solve(
        system, method="fcg", preconditioner=network, rtol=rtol, maxiter=MAX_ITERATIONS, guard="none"
    )
    norms, stop = solution.residual_norms, rtol * float(np.linalg.norm(system.b))
    k = next((k for k, norm in enumerate(norms) if norm <= stop), None)
    if not solution.converged or k is None:
        return float(MAX_ITERATIONS)
    if k == 0 or norms[k] == 0:
        return float(k)
    return k - 1 + float(np.log(norms[k - 1] / stop) / np.log(norms[k - 1] / norms[k]))
