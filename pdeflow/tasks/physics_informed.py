"""Training on the equation itself: a network becomes the solution of one instance of an elliptic problem, without data.

Raissi, Perdikaris and Karniadakis, J. Comput. Phys. 378 (2019) 686, section 2; as least squares for Gauss-Newton methods:
Müller and Zeinhofer, ICML 2023 (arXiv 2302.13163).
"""

from __future__ import annotations

from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn

from pdeflow import seeds
from pdeflow.errors import UsageError
from pdeflow.geometry.sampling import PointSet, Sampler, interior_points
from pdeflow.linalg import solve
from pdeflow.problems import Elliptic, Instance, Problem
from pdeflow.tasks.configure import build_optimizer, with_schedule
from pdeflow.tasks.optimizer_protocol import check_protocol, needs_residuals, searches_lines
from pdeflow.tasks.residual_vector import ResidualVector, blocks_of

ENGDW = {"class_path": "pdeflow.optim.ENGDW"}
COSINE = {"class_path": "pdeflow.optim.WarmupCosine"}
UNSEEN = 2**31
"""Round of the validation points; training draws the rounds from 0."""
TEST_POINTS = 10_000


class PhysicsInformed(LightningModule):
    """Minimise ½‖r‖², r the weighted residuals of a problem at points (residual_vector.py); it makes its own points.

    Logs train/loss, in units of the solution's size, and at other points val/residual = ‖r‖/‖r of u = 0‖ and, where the
    exact solution is known, val/rel_l2. An optimizer with `requires_residual` gets r and its Jacobian; others a loss.

    Args:
        network: Maps points (..., d) to values (..., 1), smoothly and each point on its own; a buffer `scale` is set
            to the solution's size.
        problem: Elliptic problem with a real solution; None only until the settings file fills it in.
        interior: Points inside.
        boundary: Points on the boundary.
        boundary_weight: Factor of the boundary's squared residuals, in units of 1/length³ for Dirichlet conditions.
        resample_every: Steps between new points; 0 keeps the first, as quasi-Newton methods need it.
        scale: Size of the solution; None takes max|u| of a discrete solution at the problem's own small resolution.
        steps_per_epoch: Steps between validations.
        seed: Root of the instance and of all points.
        index: Number of the instance.
        optimizer: As in OperatorLearning; None is ENGD-W.
        lr_scheduler: As in OperatorLearning; None is a constant rate for optimizers that search along lines, else WarmupCosine.
    """

    def __init__(
        self,
        network: nn.Module,
        problem: Problem | None = None,
        interior: int = 900,
        boundary: int = 120,
        boundary_weight: float = 1.0,
        resample_every: int = 0,
        scale: float | None = None,
        steps_per_epoch: int = 25,
        seed: int = 0,
        index: int = 0,
        optimizer: Any = None,
        lr_scheduler: Any = None,
    ) -> None:
        super().__init__()
        self.network, self.seed, self.index = network, seed, index
        self.problem: Any = problem
        self.counts, self.boundary_weight = {"interior": interior, "boundary": boundary}, boundary_weight
        self.resample_every, self.scale, self.steps_per_epoch = resample_every, scale, steps_per_epoch
        self.optimizer, self.lr_scheduler = optimizer or ENGDW, lr_scheduler
        self._residuals: tuple[int, ResidualVector] | None = None

    @property
    def monitor(self) -> str:
        """The metric that selects the best checkpoint: val/rel_l2, or val/residual where no exact solution is known."""
        known = isinstance(self.problem, Elliptic) and self.problem.exact(self.problem.probe, self.instance) is not None
        return "val/rel_l2" if known else "val/residual"

    @property
    def instance(self) -> Instance:
        """The draw that is solved."""
        return self.problem.sample(seeds.generator(self.seed, seeds.INPUTS, self.index))

    def setup(self, stage: str) -> None:
        """Check problem and network, and find the size of the solution.

        Args:
            stage: Any of Lightning's stages.

        Raises:
            UsageError: If the problem is not elliptic, a number is out of range, or points would see each other in the network.
        """
        if not isinstance(self.problem, Elliptic) or len(self.problem.outputs) != 1:
            raise UsageError(
                f"PhysicsInformed needs an elliptic problem with one real solution, got {self.problem!r}; "
                "set `problem`, e.g. class_path: pdeflow.problems.Poisson"
            )
        if min(*self.counts.values(), self.steps_per_epoch) < 1 or self.boundary_weight <= 0:
            raise UsageError("PhysicsInformed needs positive interior, boundary, boundary_weight and steps_per_epoch")
        if self.scale is not None and self.scale <= 0:
            raise UsageError(f"scale is the size of the solution, so it must be positive, got {self.scale}")
        check_network(self.network, self.problem.domain.dim)
        if self.scale is None:
            self.scale = solution_size(self.problem, self.instance)
        buffer = getattr(self.network, "scale", None)
        if isinstance(buffer, Tensor):
            buffer.fill_(self.scale)

    def train_dataloader(self) -> list[int]:
        """Return as many place-holders as an epoch has steps."""
        return list(range(self.steps_per_epoch))

    def val_dataloader(self) -> list[int]:
        """Return one place-holder: validation has one set of points."""
        return [0]

    def forward(self, x: Tensor) -> Tensor:
        """Return u at points (n, d), shape (n,), in physical units."""
        return self.network(x).squeeze(-1)

    def residuals(self, step: int) -> ResidualVector:
        """Return the residuals of a training step, the same for all steps of a round.

        Args:
            step: Number of the step.
        """
        turn = step // self.resample_every if self.resample_every else 0
        if self._residuals is None or self._residuals[0] != turn:
            self._residuals = turn, self._residuals_at(turn, self.counts)
        return self._residuals[1]

    def _residuals_at(self, turn: int, counts: dict[str, int]) -> ResidualVector:
        """Draw the points of a round, from (seed, round) only."""
        instance = self.instance
        sampler = Sampler(self.problem.shape(instance), counts, resample_every=1, seed=self.seed)
        points = {name: self._moved(part) for name, part in sampler(turn).items()}
        blocks = blocks_of(self.problem, instance, points, self.boundary_weight, float(self.scale or 1.0))
        return ResidualVector(self.network, blocks)

    def _moved(self, points: PointSet) -> PointSet:
        like = next(self.network.parameters())
        return points.to(like.device, like.dtype)

    def training_step(self, batch: int, batch_idx: int) -> Tensor | None:
        """Return ½‖r‖², or take the step of an optimizer that needs residuals.

        Raises:
            UsageError: If a residual is not finite; names the part of the domain and the point.
        """
        vector = self.residuals(self.global_step)
        if self.automatic_optimization:
            loss = 0.5 * vector.residual().square().sum()
            if not torch.isfinite(loss) and not searches_lines(self.trainer.optimizers[0]):
                vector.jacobian(list(self.network.parameters()))  # names the point
            self.log("train/loss", loss.detach(), prog_bar=True, batch_size=1)
            return loss
        optimizer: Any = self.optimizers()
        loss = optimizer.step(closure=lambda: vector)
        schedule: Any = self.lr_schedulers()
        if schedule is not None:
            schedule.step()
        self.log("train/loss", loss, prog_bar=True, batch_size=1)
        return None

    @torch.enable_grad()
    def validation_step(self, batch: int, batch_idx: int) -> None:
        """Log val/residual, and val/rel_l2 where the exact solution is known."""
        vector = self._residuals_at(UNSEEN, self.counts)
        size = vector.residual().detach().norm() / vector.residual_of_zero().norm()
        self.log("val/residual", size, batch_size=1, sync_dist=True)
        if self.monitor == "val/rel_l2":
            self.log("val/rel_l2", self.relative_l2(), prog_bar=True, batch_size=1, sync_dist=True)

    @torch.no_grad()
    def relative_l2(self) -> Tensor:
        """Return ‖u - u*‖/‖u*‖ in L² by TEST_POINTS points, 0-d; the problem must have an exact solution."""
        instance, generator = self.instance, seeds.generator(self.seed, seeds.GEOMETRY, UNSEEN)
        points = interior_points(self.problem.shape(instance), TEST_POINTS, generator=generator)
        exact = self.problem.exact(points.x, instance)
        difference = self(self._moved(points).x).to(exact) - exact
        return (points.w @ difference.square() / (points.w @ exact.square())).sqrt()

    def configure_optimizers(self) -> Any:
        """Build optimizer and scheduler; an optimizer that needs residuals is stepped by this task, not by Lightning.

        Raises:
            UsageError: If trainer settings would corrupt the steps, or as pdeflow.tasks.configure.
        """
        built = build_optimizer(self.optimizer, self.network)
        check_protocol(built, self.trainer)
        self.automatic_optimization = not needs_residuals(built)
        if self.lr_scheduler is None and searches_lines(built):
            return built
        return with_schedule(built, self.lr_scheduler or COSINE, self.trainer)


def check_network(network: nn.Module, dim: int) -> None:
    """Check that a network maps points of a dimension to one value each, by that point alone.

    Args:
        network: The network.
        dim: Dimension of the points.

    Raises:
        UsageError: If it has batch normalisation or dropout, or does not take the points.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm | nn.modules.dropout._DropoutNd):
            raise UsageError(
                f"PhysicsInformed needs a network whose value at a point depends on that point only; found "
                f"{type(module).__name__} at {name!r}; leave it out"
            )
    like = next(network.parameters())
    try:
        with torch.no_grad():
            shape = tuple(network(torch.zeros(3, dim, dtype=like.dtype, device=like.device)).shape)
    except (RuntimeError, ValueError) as error:
        name, reason = type(network).__name__, str(error).splitlines()[0]
        raise UsageError(
            f"{name} cannot take points of {dim} coordinates ({reason}); set in_features: {dim}"
        ) from error
    if shape != (3, 1):
        raise UsageError(f"{type(network).__name__} maps 3 points to shape {shape}, expected (3, 1); set out_features: 1")


def solution_size(problem: Elliptic, instance: Instance) -> float:
    """Return max|u| of the discrete solution at the problem's own small resolution, 1 where u vanishes.

    Args:
        problem: The problem.
        instance: A draw.

    Raises:
        UsageError: If it has no discretization.
    """
    try:
        layout = problem.layout(instance, problem.resolution)
        fields = problem.compute(instance, layout, lambda system: solve(system, method="direct", rtol=1e-6)).fields
    except UsageError as error:
        raise UsageError(f"the size of the solution is unknown ({error}); give the task a scale") from error
    return max(float(abs(u).max()) for u in fields.values()) or 1.0
