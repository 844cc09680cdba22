"""The losses of pdeflow.losses.energy as modules, which a settings file can name: how good is a proposed direction f?

Kaneda et al., A Deep Conjugate Direction Method (arXiv 2205.10763) for the residual; Rudikov et al. (arXiv 2402.05598) for the
energy; the logarithm and the minimal residual are ours. All are blind to the length and sign of f.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from pdeflow.losses.energy import energy_loss, log_energy_loss, minimal_residual_loss, residual_loss


class DirectionLoss(nn.Module, ABC):
    """Value of each direction of a batch; a subclass says which.

    Attributes:
        needs_solution: Whether x with A x = b must be known.
    """

    needs_solution: ClassVar[bool] = True

    @abstractmethod
    def forward(self, f: Tensor, Af: Tensor, b: Tensor, x: Tensor | None = None) -> Tensor:
        """Return one value per sample, shape (batch,).

        Args:
            f: Proposed directions, shape (batch, ...).
            Af: A f, same shape.
            b: Right-hand sides of length one, same shape.
            x: Exact solutions, same shape; None where the loss needs none.
        """


class Energy(DirectionLoss):
    """Share of the squared A-norm error that a line search along f leaves: the step itself, for positive definite A."""

    def forward(self, f: Tensor, Af: Tensor, b: Tensor, x: Tensor | None = None) -> Tensor:
        """Return pdeflow.losses.energy.energy_loss, shape (batch,)."""
        return energy_loss(f, Af, b, _solution(x))


class LogEnergy(DirectionLoss):
    """Logarithm of the same, which weighs all samples of a good network alike."""

    def forward(self, f: Tensor, Af: Tensor, b: Tensor, x: Tensor | None = None) -> Tensor:
        """Return pdeflow.losses.energy.log_energy_loss, shape (batch,)."""
        return log_energy_loss(f, Af, b, _solution(x))


class Residual(DirectionLoss):
    """Squared residual after the line search: the paper's; it weighs high frequencies more."""

    needs_solution = False

    def forward(self, f: Tensor, Af: Tensor, b: Tensor, x: Tensor | None = None) -> Tensor:
        """Return pdeflow.losses.energy.residual_loss, shape (batch,)."""
        return residual_loss(f, Af, b)


class MinimalResidual(DirectionLoss):
    """Smallest squared residual along f, for an A that is not positive definite."""

    needs_solution = False

    def forward(self, f: Tensor, Af: Tensor, b: Tensor, x: Tensor | None = None) -> Tensor:
        """Return pdeflow.losses.energy.minimal_residual_loss, shape (batch,)."""
        return minimal_residual_loss(f, Af, b)


def _solution(x: Tensor | None) -> Tensor:
    if x is None:
        raise ValueError("this loss needs x with A x = b, got None; use Residual or MinimalResidual")
    return x
