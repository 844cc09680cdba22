"""Label-free training of what proposes search directions: no data set, no solves.

Kaneda et al., A Deep Conjugate Direction Method, arXiv 2205.10763 (training without solutions); Rudikov et al., Neural operators
meet conjugate gradients, arXiv 2402.05598 (residuals that the solver meets). The selection by iterations is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from lightning import LightningModule
from torch import Tensor, nn

from pdeflow import seeds
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid
from pdeflow.linalg import LinearSystem, operators
from pdeflow.linalg.obstacles import Obstacles, obstacle_faces
from pdeflow.losses.direction import DirectionLoss, LogEnergy
from pdeflow.problems import Instance, Problem
from pdeflow.tasks.configure import configure, epoch_steps
from pdeflow.tasks.iteration_card import MAX_ITERATIONS, classical_counts, interpolated_iterations
from pdeflow.tasks.right_hand_sides import Batch, OnPolicy, RightHandSides

ADAM = {"class_path": "torch.optim.Adam", "init_args": {"lr": 1e-2}}
COSINE = {"class_path": "pdeflow.optim.WarmupCosine", "init_args": {"warmup": 0.0, "final": 0.05}}
CLIP = 1.0
"""Gradient norm, where the trainer sets none: single batches far from the solver's path are ten times larger."""
FIRST_UNSEEN = 2**31
"""Validation draws its coefficients from here on; training uses the numbers of its steps."""


class DirectionLearning(LightningModule):
    """Train a V-cycle or a network to propose search directions; it makes its own batches.

    Step k draws coefficients and right-hand sides from (seed, k) only, on the grid k mod len(grids). Validation counts
    flexible conjugate-gradient iterations on fixed other coefficients, every other time with white noise as right-hand side, and
    logs the worst (val/iterations, which selects the best weights) and the mean (val/mean_iterations); counts are interpolated
    between iterations, so that they can be compared finely. A checkpoint carries an iteration card: those counts beside
    conjugate gradients, Jacobi, incomplete Cholesky and multigrid on the same systems.

    Args:
        network: LearnedVCycle, DirectionNet, LinearMultigridNet, or another module with `on`, `check_grid`, `setup` and `dim`.
        problem: With a coefficient a of -div(a grad u) and u = 0 on the boundary of a box, or with obstacles, which only LearnedVCycle
            sees; None only until the settings file fills it in.
        loss: LogEnergy, Energy, Residual (the paper's) or MinimalResidual of pdeflow.losses; None is LogEnergy.
        right_hand_sides: Manufactured, OnPolicy, Spectral or Ritz (the paper's); None is OnPolicy.
        grids: Grids to train on, in turn; more than one size makes the weights fit finer grids too.
        batch_size: Coefficients per step; obstacles are the same for a step.
        steps_per_epoch: Steps between validations; the trainer's max_steps bounds the training (300 suffice).
        instances: Coefficients per grid in validation.
        rtol: Tolerance to which validation counts iterations.
        seed: Root of all random draws.
        optimizer: As in OperatorLearning; None is Adam with rate 1e-2.
        lr_scheduler: As in OperatorLearning; None is a cosine from that to 5e-4.

    Attributes:
        monitor: The metric that selects the best checkpoint.
        most_iterations: What a solve that does not converge counts.
        metrics_meaning: A sentence for the log.
    """

    monitor, most_iterations = "val/iterations", MAX_ITERATIONS

    def __init__(
        self,
        network: nn.Module,
        problem: Problem | None = None,
        loss: DirectionLoss | None = None,
        right_hand_sides: RightHandSides | None = None,
        grids: Sequence[Sequence[int]] = ((32, 32), (64, 64)),
        batch_size: int = 8,
        steps_per_epoch: int = 50,
        instances: int = 4,
        rtol: float = 1e-8,
        seed: int = 0,
        optimizer: Any = None,
        lr_scheduler: Any = None,
    ) -> None:
        super().__init__()
        self.network: Any = network
        self.problem: Any = problem
        self.loss, self.right_hand_sides = loss or LogEnergy(), right_hand_sides or OnPolicy()
        self.grids, self.batch_size = [tuple(grid) for grid in grids], batch_size
        self.steps_per_epoch, self.instances = steps_per_epoch, instances
        self.rtol, self.seed = rtol, seed
        self.optimizer, self.lr_scheduler = optimizer or ADAM, lr_scheduler or COSINE
        self.counts: dict[tuple[int, ...], float] = {}
        self.classical: dict[tuple[int, ...], dict[str, Any]] = {}
        self.untrained: dict[tuple[int, ...], float] = {}

    @property
    def metrics_meaning(self) -> str:
        """What the logged counts are."""
        return (
            f"val/iterations: the most iterations that flexible conjugate gradients need to the relative residual {self.rtol:.0e} on unseen "
            f"systems, val/mean_iterations: their mean; the last iteration counts by the part that was needed, a solve without success {MAX_ITERATIONS}"
        )

    def setup(self, stage: str) -> None:
        """Check network, problem and grids.

        Args:
            stage: Any of Lightning's stages.

        Raises:
            UsageError: If the network proposes no directions, the problem is not elliptic or of another dimension or has obstacles that
                the network does not see, or a grid does not fit the network.
        """
        missing = [name for name in ("on", "check_grid", "setup", "dim") if not hasattr(self.network, name)]
        if missing:
            raise UsageError(
                f"{type(self.network).__name__} proposes no directions (it lacks {', '.join(missing)}); use LearnedVCycle, "
                "DirectionNet or LinearMultigridNet of pdeflow.models"
            )
        if not hasattr(self.problem, "coefficient"):
            raise UsageError(
                f"{type(self.network).__name__} needs a problem -div(a grad u) = f, got {self.problem!r}; "
                "set `problem`, e.g. class_path: pdeflow.problems.Darcy"
            )
        if self.problem.domain.dim != self.network.dim:
            raise UsageError(
                f"{type(self.network).__name__} has dim={self.network.dim}, but {type(self.problem).__name__} lives in "
                f"{self.problem.domain.dim}-D; set the network's dim (and grids of as many axes), or another problem"
            )
        if not self.grids or min(self.batch_size, self.steps_per_epoch, self.instances) < 1:
            raise UsageError(
                "DirectionLearning needs grids and positive batch_size, steps_per_epoch, instances"
            )
        if self.obstacles(0) is not None and not getattr(self.network, "reads_coefficient", False):
            raise UsageError(f"{type(self.network).__name__} does not see the obstacles of {type(self.problem).__name__}; use LearnedVCycle")
        for shape in self.grids:
            try:
                self.network.check_grid(shape, self.problem.grid(shape).spacing())
            except ValueError as error:
                raise UsageError(f"DirectionLearning cannot use the grid {shape}: {error}") from error

    def train_dataloader(self) -> list[int]:
        """Return as many place-holders as an epoch has steps: the step's number is its data. A shorter training is one epoch."""
        return list(range(epoch_steps(self._trainer, self.steps_per_epoch)))

    def val_dataloader(self) -> list[int]:
        """Return the numbers of the validation coefficients."""
        return list(range(self.instances))

    def training_step(self, batch: int, batch_idx: int) -> Tensor:
        """Return the mean loss of the network's directions.

        Raises:
            UsageError: If it is not finite, or needs solutions that the right-hand sides do not bring; names the step.
        """
        step = self.global_step
        a, spacing = self.coefficients(step)
        obstacles, noise = self.obstacles(step), seeds.generator(self.seed, seeds.NOISE, step)
        if obstacles is None:
            faces, direction, active = operators.face_conductances(a, spacing), self.network.on(a, spacing), None
        else:
            faces, direction = obstacle_faces(a, spacing, obstacles), self.network.on(a, spacing, obstacles)
            active = obstacles.active.to(a)
        drawn = Batch(faces, tuple(a.shape), direction, step, noise, active)
        b, x = self.right_hand_sides.draw(drawn)
        f = direction(b)
        if x is None and self.loss.needs_solution:
            raise UsageError(
                f"{type(self.right_hand_sides).__name__} brings no solutions, which {type(self.loss).__name__} needs; set "
                "loss: pdeflow.losses.Residual, or other right_hand_sides"
            )
        loss = self.loss(f, drawn.apply(f), b, x).mean()
        if not torch.isfinite(loss):
            raise UsageError(f"the loss is {loss.item()} at step {step}; lower optimizer.lr")
        self.log("train/loss", loss, prog_bar=True, batch_size=len(a))
        return loss

    @torch.no_grad()
    def on_fit_start(self) -> None:
        """Count the iterations of the untrained network, where validation will count those of the trained one."""
        if self.trainer.limit_val_batches and not self.untrained:
            for shape in self.grids:
                systems = (self.unseen_system(index, shape) for index in range(self.instances))
                self.untrained[shape] = max(interpolated_iterations(self.network, system, self.rtol) for system in systems)

    def on_validation_epoch_start(self) -> None:
        """Forget the counts of the validation before."""
        self.counts = {}

    def validation_step(self, batch: int, batch_idx: int) -> None:
        """Count iterations for one unseen coefficient on every grid."""
        counts = []
        for shape in self.grids:
            system = self.unseen_system(int(batch), shape)
            counts.append(interpolated_iterations(self.network, system, self.rtol))
            self.counts[shape] = max(counts[-1], self.counts.get(shape, 0.0))
        self.log("val/iterations", max(counts), reduce_fx="max", batch_size=1, prog_bar=True, sync_dist=True)
        self.log("val/mean_iterations", float(np.mean(counts)), batch_size=1, sync_dist=True)

    def iteration_card(self) -> dict[str, Any]:
        """Return the worst counts of the last validation beside those of classical methods on the same systems.

        Returns:
            {"problem", "rtol", "most_iterations", "grids": [{"grid", "network", "untrained", "cg", "jacobi", "ic", "amg"}]}, plain values;
            "network" is None before the first validation, and "most_iterations" where a solve did not converge.
        """
        rows = []
        for shape in self.grids:
            if shape not in self.classical:
                systems = [self.unseen_system(index, shape) for index in range(self.instances)]
                self.classical[shape] = classical_counts(systems, self.rtol)
            own = {"network": self.counts.get(shape), "untrained": self.untrained.get(shape)}
            rows.append({"grid": list(shape), **own, **self.classical[shape]})
        return {"problem": self.problem.equation, "rtol": self.rtol, "most_iterations": MAX_ITERATIONS, "grids": rows}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the iteration card beside the weights."""
        checkpoint["iteration_card"] = self.iteration_card()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the counts of the untrained network over, which a resumed training cannot repeat."""
        for row in checkpoint.get("iteration_card", {}).get("grids", ()):
            if row.get("untrained") is not None:
                self.untrained[tuple(row["grid"])] = row["untrained"]

    def coefficients(self, step: int) -> tuple[Tensor, tuple[float, ...]]:
        """Draw the coefficients of a training step.

        Args:
            step: Number of the step.

        Returns:
            Cell values, shape (batch_size, 1, *grid), and the spacing of their grid.
        """
        generator = seeds.generator(self.seed, seeds.INPUTS, step)
        grid = self.problem.grid(self.grids[step % len(self.grids)])
        values = [
            self.coefficient_values(self.problem.sample(generator), grid) for _ in range(self.batch_size)
        ]
        a = torch.stack(values).unsqueeze(1)
        return a.to(next(self.network.parameters()).device), grid.spacing()

    def obstacles(self, step: int) -> Obstacles | None:
        """Return what the first draw of a training step has in its way, for the whole batch; None for problems without obstacles.

        Args:
            step: Number of the step.
        """
        grid = self.problem.grid(self.grids[step % len(self.grids)])
        return self.problem.obstacles(self.problem.sample(seeds.generator(self.seed, seeds.INPUTS, step)), grid)

    def coefficient_values(self, instance: Instance, grid: Grid) -> Tensor:
        """Return the coefficient of one draw on a grid, shape (*grid.shape,)."""
        a = self.problem.coefficient(instance, lambda name: instance.fields[name].on(grid))
        return a.expand(grid.shape)

    def unseen_system(self, index: int, shape: Sequence[int]) -> LinearSystem:
        """Assemble the system of a coefficient that training never draws.

        Args:
            index: Number of the coefficient; odd ones get white noise as right-hand side.
            shape: Cells per axis.

        Returns:
            The system, the same in every run with this seed.
        """
        generator = seeds.generator(self.seed, seeds.INPUTS, FIRST_UNSEEN + index)
        system = self.problem.system(self.problem.sample(generator), self.problem.grid(tuple(shape)))
        if index % 2 == 0:
            return system
        return replace(system, b=torch.randn(system.n, generator=generator, dtype=torch.float64).numpy())

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: Any = None, gradient_clip_algorithm: Any = None
    ) -> None:
        """Clip to norm 1 unless the trainer says otherwise."""
        value = CLIP if gradient_clip_val is None else gradient_clip_val
        self.clip_gradients(optimizer, value, gradient_clip_algorithm)

    def configure_optimizers(self) -> Any:
        """Build optimizer and scheduler from the settings; see pdeflow.tasks.configure."""
        return configure(self.network, self.optimizer, self.lr_scheduler, self.trainer)
