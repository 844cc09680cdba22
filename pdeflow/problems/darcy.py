"""Steady Darcy flow through a random medium: two-phase or log-normal permeability.

Li et al., Fourier Neural Operator, ICLR 2021, appendix A.3.2 (two-phase); Lord, Powell and Shardlow (2014),
section 9.1 (log-normal).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.problems.elliptic import UNIT_SQUARE, Elliptic
from pdeflow.problems.instance import At, Instance
from pdeflow.random_fields import field_deviation, gaussian_random_field


@dataclass(frozen=True)
class Darcy(Elliptic):
    """-∇·(a∇u) = 1 on (0,1)², u = 0 on the boundary; a = high where a Gaussian field g >= 0, low elsewhere.

    Attributes:
        low: Permeability of the tight phase, dimensionless.
        high: Permeability of the open phase.
        alpha: Smoothness of g, whose covariance is (-Δ + τ²)^(-α), zero Neumann.
        tau: Inverse correlation length of g.
        modes: Size of the mode table per axis.
    """

    low: float = 3.0
    high: float = 12.0
    alpha: float = 2.0
    tau: float = 3.0
    modes: int = 64

    equation: ClassVar[str] = "-div(a grad u) = 1 on (0,1)^2, u = 0 on the boundary; a is two-phase"

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high:
            raise UsageError(f"Darcy needs 0 < low <= high, got low {self.low} and high {self.high}")

    def sample(self, generator: torch.Generator) -> Instance:
        """Draw a permeability.

        Args:
            generator: Source of randomness.

        Returns:
            Instance with the field "a".
        """
        g = gaussian_random_field(UNIT_SQUARE, self.alpha, self.tau, generator=generator, modes=self.modes)
        return Instance({"a": replace(g, transform=self._phases)})

    def _phases(self, g: Tensor) -> Tensor:
        return torch.where(g >= 0, self.high, self.low).to(g.dtype)

    def source(self, instance: Instance, at: At) -> Tensor:
        """Return f = 1."""
        return torch.ones((), dtype=torch.float64)


@dataclass(frozen=True)
class LogNormalDarcy(Elliptic):
    """-∇·(a∇u) = 1 on (0,1)², u = 0 on the boundary; a = exp(σ g) with g of unit variance on average.

    Attributes:
        sigma: Standard deviation of log a; contrast grows like exp(6σ).
        alpha: Smoothness of g, whose covariance is a multiple of (-Δ + τ²)^(-α), zero Neumann.
        tau: Inverse correlation length of g.
        modes: Size of the mode table per axis.
    """

    sigma: float = 1.0
    alpha: float = 2.0
    tau: float = 3.0
    modes: int = 64

    equation: ClassVar[str] = "-div(a grad u) = 1 on (0,1)^2, u = 0 on the boundary; a is log-normal"

    def sample(self, generator: torch.Generator) -> Instance:
        """Draw a permeability.

        Args:
            generator: Source of randomness.

        Returns:
            Instance with the field "a".
        """
        g = gaussian_random_field(UNIT_SQUARE, self.alpha, self.tau, generator=generator, modes=self.modes)
        unit = field_deviation(UNIT_SQUARE, self.alpha, self.tau, modes=self.modes)
        return Instance({"a": replace(g, transform=lambda values: torch.exp(self.sigma * values / unit))})

    def source(self, instance: Instance, at: At) -> Tensor:
        """Return f = 1."""
        return torch.ones((), dtype=torch.float64)
