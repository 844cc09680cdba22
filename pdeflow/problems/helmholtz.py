"""Helmholtz' equation with a random wave number: reflecting walls (real, indefinite) or an absorbing sponge (complex).

Ihlenburg, Finite Element Analysis of Acoustic Scattering (1998), section 4.6 (resolution and pollution); Israeli and
Orszag, J. Comput. Phys. 41 (1981) 115 (sponge).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from pdeflow.discretization.boundary import Condition, Robin
from pdeflow.discretization.sponge import damped_reaction, sponge
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid
from pdeflow.linalg import LinearSystem
from pdeflow.problems.elliptic import UNIT_SQUARE, Elliptic
from pdeflow.problems.instance import At, Function, Instance, Layout, Resolution
from pdeflow.random_fields import Field, field_deviation, gaussian_random_field


@dataclass(frozen=True)
class Helmholtz(Elliptic):
    """-Δu - k(x)² u = f on (0,1)², u = 0 on the boundary; k = k0 (1 + ε tanh g), g Gaussian, f a Gaussian pulse.

    Real, symmetric and indefinite as soon as k exceeds π√2. Near a resonance the solution is large and the relative
    residual says little about its error.

    Attributes:
        wave_number: Mean wave number k0, in one over the length unit; sensible up to about 80.
        contrast: ε, the largest relative change of k, below one.
        alpha: Smoothness of g, whose covariance is (-Δ + τ²)^(-α), zero Neumann, scaled to unit variance.
        tau: Inverse correlation length of g.
        modes: Size of the mode table per axis.
        width: Standard deviation of the pulse, in length units; its place is uniform in [0.2, 0.8]².
    """

    wave_number: float = 10.0
    contrast: float = 0.2
    alpha: float = 2.5
    tau: float = 7.0
    modes: int = 32
    width: float = 0.05

    inputs: ClassVar[tuple[str, ...]] = ("k", "f")
    equation: ClassVar[str] = "-laplace(u) - k^2 u = f on (0,1)^2, u = 0 on the boundary"
    resolution: ClassVar[Resolution] = (64, 64)
    pollution: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not (self.wave_number > 0 and 0 <= self.contrast < 1 and self.width > 0):
            raise UsageError(
                f"{type(self).__name__} needs wave_number > 0, 0 <= contrast < 1 and width > 0, got {self.wave_number}, "
                f"{self.contrast}, {self.width}"
            )

    def sample(self, generator: torch.Generator) -> Instance:
        """Draw a wave number and the place of the pulse.

        Args:
            generator: Source of randomness.

        Returns:
            Instance with the fields "k" and "f" and the scalars x and y.
        """
        g = gaussian_random_field(UNIT_SQUARE, self.alpha, self.tau, generator=generator, modes=self.modes)
        deviation = field_deviation(UNIT_SQUARE, self.alpha, self.tau, modes=self.modes)
        k: Field = replace(
            g, transform=lambda v: self.wave_number * (1 + self.contrast * torch.tanh(v / deviation))
        )
        x, y = (0.2 + 0.6 * torch.rand(2, generator=generator, dtype=torch.float64)).tolist()
        return Instance({"k": k, "f": Function(lambda p: self._pulse(p, x, y))}, {"x": x, "y": y})

    def _pulse(self, points: Tensor, x: float, y: float) -> Tensor:
        square = (points - points.new_tensor([x, y])).pow(2).sum(-1)
        return torch.exp(-square / (2 * self.width**2)) / (2 * math.pi * self.width**2)

    def coefficient(self, instance: Instance, at: At) -> Tensor:
        """Return a = 1."""
        return torch.ones((), dtype=torch.float64)

    def reaction(self, instance: Instance, at: At) -> Tensor:
        """Return c = -k²."""
        return -at("k") ** 2

    def system(self, instance: Instance, layout: Layout) -> LinearSystem:
        """Assemble on a grid or mesh; a grid must resolve the waves.

        Args:
            instance: A draw.
            layout: Grid or mesh.

        Raises:
            UsageError: If the grid has fewer than ten points per mean wave length, or, between walls, k³h² > 1.

        Reference: Ihlenburg (1998), section 4.6.5 (the error of the phase grows like k³h²).
        """
        if isinstance(layout, Grid):
            h = max(layout.spacing())
            finest = min(2 * math.pi / (10 * self.wave_number), self.wave_number**-1.5 if self.pollution else 1.0)
            if h > finest:
                needed = math.ceil(max(layout.shape) * h / finest)
                raise UsageError(
                    f"the grid {layout.shape} is too coarse for k = {self.wave_number}: ten points per wave length"
                    f"{' and k³h² <= 1' if self.pollution else ''} need grid: [{needed}, {needed}]; or lower wave_number"
                )
        return super().system(instance, layout)


@dataclass(frozen=True)
class SpongeHelmholtz(Helmholtz):
    """-Δu - k² (1 + iσ) u = f on (0,1)²; σ grows like a square in a layer at the boundary, where ∂u/∂n = i k0 u.

    Complex symmetric; the real and the imaginary part are stored as two fields. Waves leave: no resonances.

    Attributes:
        layer: Width of the sponge, in length units, below one half.
        absorption: σ at the boundary, dimensionless.
    """

    layer: float = 0.15
    absorption: float = 1.0

    wave_number: float = 20.0

    outputs: ClassVar[tuple[str, ...]] = ("u_re", "u_im")
    pollution: ClassVar[bool] = False
    equation: ClassVar[str] = "-laplace(u) - k^2 (1 + i sigma) u = f on (0,1)^2, du/dn = i k0 u on the boundary"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (0 < self.layer < 0.5 and self.absorption >= 0):
            raise UsageError(f"SpongeHelmholtz needs 0 < layer < 0.5 and absorption >= 0, got {self.layer}, {self.absorption}")

    def reaction(self, instance: Instance, at: At) -> Tensor:
        """Return c = -k² (1 + iσ)."""
        damping = sponge(at.x, UNIT_SQUARE.bounds, self.layer, self.absorption)
        return damped_reaction(at("k"), damping)

    def boundary(self, instance: Instance) -> Mapping[str, Condition]:
        """Return the impedance condition ∂u/∂n - i k0 u = 0 on every side."""
        return dict.fromkeys(self.domain.tags, Robin(-1j * self.wave_number, 0.0))
