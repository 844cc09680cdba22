"""Poisson's equation with a random source whose exact solution is known mode by mode."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from pdeflow.problems.elliptic import UNIT_SQUARE, Elliptic
from pdeflow.problems.instance import At, Instance
from pdeflow.random_fields import Field, gaussian_random_field, wavenumbers


@dataclass(frozen=True)
class Poisson(Elliptic):
    """-Δu = f on (0,1)², u = 0 on the boundary; f a Gaussian field of sines with covariance (-Δ + τ²)^(-α).

    Attributes:
        alpha: Smoothness of f.
        tau: Inverse correlation length of f.
        modes: Size of the mode table per axis.
    """

    alpha: float = 2.5
    tau: float = 7.0
    modes: int = 32

    inputs: ClassVar[tuple[str, ...]] = ("f",)
    equation: ClassVar[str] = "-laplace(u) = f on (0,1)^2, u = 0 on the boundary; f Gaussian"

    def sample(self, generator: torch.Generator) -> Instance:
        """Draw a source.

        Args:
            generator: Source of randomness.

        Returns:
            Instance with the field "f".
        """
        f = gaussian_random_field(
            UNIT_SQUARE, self.alpha, self.tau, generator=generator, kind="dirichlet", modes=self.modes
        )
        return Instance({"f": f})

    def coefficient(self, instance: Instance, at: At) -> Tensor:
        """Return a = 1."""
        return torch.ones((), dtype=torch.float64)

    def solution(self, instance: Instance) -> Field:
        """Return the exact solution: the sine -Δ divides each mode of f by its eigenvalue π²|k|².

        Args:
            instance: A draw of this problem.

        Returns:
            The field u.

        Raises:
            TypeError: If the instance was read from a file and has no modes.
        """
        f = instance.fields["f"]
        if not isinstance(f, Field):
            raise TypeError(
                "the exact solution needs a sampled source; values read from a file have no modes"
            )
        squares = [wavenumbers("dirichlet", 1.0, self.modes) ** 2] * 2
        return replace(f, coefficients=f.coefficients / sum(torch.meshgrid(*squares, indexing="ij")))

    def exact(self, x: Tensor, instance: Instance) -> Tensor:
        """Return the exact solution at points (..., d), shape (...,)."""
        return self.solution(instance).at(x.reshape(-1, x.shape[-1])).reshape(x.shape[:-1])
