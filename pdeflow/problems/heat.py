"""The heat equation on a periodic square, whose Fourier modes decay independently.

Evans, Partial Differential Equations, 2nd ed. (2010), section 2.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.problems.evolution import Evolution
from pdeflow.problems.instance import Instance, Resolution
from pdeflow.problems.spaces import Space
from pdeflow.random_fields import Field, basis, gaussian_random_field, wavenumbers


@dataclass(frozen=True)
class Heat(Evolution):
    """∂u/∂t = κ Δu on (0,1)², κ the diffusivity, periodic; u(0) a Gaussian field with covariance τ^(2α - 2) (-Δ + τ²)^(-α).

    Attributes:
        final_time: Time of the last frame.
        frames: Number of stored frames, the initial field included.
        diffusivity: Diffusivity κ, in length²/time.
        alpha: Smoothness of the initial field.
        tau: Inverse correlation length of the initial field.
        modes: Size of the mode table per axis.
    """

    diffusivity: float = 0.01
    alpha: float = 2.5
    tau: float = 7.0
    modes: int = 32

    inputs: ClassVar[tuple[str, ...]] = ("u0",)
    equation: ClassVar[str] = "u_t = kappa laplace(u) on (0,1)^2, periodic, kappa the diffusivity; u(0) Gaussian"
    resolution: ClassVar[Resolution] = (32, 32)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.diffusivity > 0:
            raise UsageError(f"Heat needs diffusivity > 0, got {self.diffusivity}")

    def sample(self, generator: torch.Generator) -> Instance:
        """Draw an initial temperature.

        Args:
            generator: Source of randomness.

        Returns:
            Instance with the field "u0".
        """
        u0 = gaussian_random_field(
            self.domain, self.alpha, self.tau, generator=generator, kind="periodic", modes=self.modes
        )
        return Instance({"u0": u0})

    def implicit(self, u: Tensor, space: Space) -> Tensor:
        """Return κ Δu, κ the diffusivity."""
        return self.diffusivity * space.laplacian(u)

    def exact(self, x: Tensor, instance: Instance) -> Tensor | None:
        """Return Σ c_k exp(-κ |k|² t) φ_k(x), or None for an initial field without modes.

        Args:
            x: Points of space-time, shape (..., 3), time last.
            instance: A draw.

        Returns:
            Temperature, shape (...,).
        """
        u0 = instance.fields["u0"]
        if not isinstance(u0, Field) or u0.transform is not None or u0.kind != "periodic":
            return None
        points = x.reshape(-1, x.shape[-1])
        values = None
        for axis, modes in enumerate(u0.coefficients.shape):
            lower, length = u0.box.lower[axis], u0.box.upper[axis] - u0.box.lower[axis]
            decay = self.diffusivity * wavenumbers("periodic", length, modes) ** 2
            factor = basis("periodic", points[:, axis], lower, length, modes) * torch.exp(
                -decay * points[:, -1:]
            )
            values = factor @ u0.coefficients if values is None else (factor * values).sum(-1)
        return None if values is None else values.reshape(x.shape[:-1])
