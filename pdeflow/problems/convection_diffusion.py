"""Transport of heat by a random recirculating flow.

Morton, Numerical Solution of Convection-Diffusion Problems (1996), section 1.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.problems.differentiate import gradient
from pdeflow.problems.elliptic import UNIT_SQUARE, Elliptic
from pdeflow.problems.instance import At, Instance, Resolution
from pdeflow.random_fields import field_amplitudes, gaussian_random_field, wavenumbers


@dataclass(frozen=True)
class ConvectionDiffusion(Elliptic):
    """-ν Δu + β·∇u = 1 on (0,1)², u = 0 on the boundary; β = (∂ψ/∂y, -∂ψ/∂x), ψ a Gaussian field of sines.

    β is divergence-free and does not cross the boundary. Central differences: where |β| h > 2ν the matrix is no longer
    monotone; the settings file exceeds that at the fastest points, and the dataset's card has the measured error.

    Attributes:
        diffusivity: ν, in the units of speed times length.
        speed: Root mean square of |β|.
        alpha: Smoothness of ψ, whose covariance is a multiple of (-Δ + τ²)^(-α); above two, so that β is continuous.
        tau: Inverse correlation length of ψ.
        modes: Size of the mode table per axis.
    """

    diffusivity: float = 0.05
    speed: float = 5.0
    alpha: float = 4.0
    tau: float = 5.0
    modes: int = 16

    inputs: ClassVar[tuple[str, ...]] = ("psi",)
    equation: ClassVar[str] = "-nu laplace(u) + beta.grad(u) = 1 on (0,1)^2, u = 0 on the boundary; beta = curl(psi)"
    resolution: ClassVar[Resolution] = (48, 48)

    def __post_init__(self) -> None:
        if not (self.diffusivity > 0 and self.speed >= 0 and self.alpha > 2):
            raise UsageError(
                f"ConvectionDiffusion needs diffusivity > 0, speed >= 0 and alpha > 2, got {self.diffusivity}, "
                f"{self.speed}, {self.alpha}"
            )

    def sample(self, generator: torch.Generator) -> Instance:
        """Draw a stream function, scaled so that the root of the expected square of |β| is `speed`.

        Args:
            generator: Source of randomness.

        Returns:
            Instance with the field "psi".
        """
        table: dict[str, Any] = {"kind": "dirichlet", "modes": self.modes}
        amplitude = field_amplitudes(UNIT_SQUARE, self.alpha, self.tau, scale=1.0, **table)
        squares = [wavenumbers("dirichlet", 1.0, self.modes) ** 2] * 2
        eigenvalue = sum(torch.meshgrid(*squares, indexing="ij"))
        scale = self.speed / float((amplitude**2 * eigenvalue).sum().sqrt())
        psi = gaussian_random_field(UNIT_SQUARE, self.alpha, self.tau, generator=generator, scale=scale, **table)
        return Instance({"psi": psi})

    def coefficient(self, instance: Instance, at: At) -> Tensor:
        """Return a = ν."""
        return torch.tensor(self.diffusivity, dtype=torch.float64)

    def source(self, instance: Instance, at: At) -> Tensor:
        """Return f = 1."""
        return torch.ones((), dtype=torch.float64)

    def velocity(self, instance: Instance, at: At) -> Tensor:
        """Return β = (∂ψ/∂y, -∂ψ/∂x), shape (..., 2)."""
        with torch.enable_grad():
            x = at.x.reshape(-1, 2)
            x = x if x.requires_grad else x.detach().requires_grad_()
            slope = gradient(instance.fields["psi"].at(x), x)
        beta = torch.stack([slope[:, 1], -slope[:, 0]], dim=1)
        return (beta if at.x.requires_grad else beta.detach()).reshape(at.x.shape)
