"""A buoyant plume as a sum of Gaussian puffs that rise, wander, widen and keep their heat.

Morton, Taylor and Turner, Turbulent gravitational convection from maintained and instantaneous sources, Proc. R. Soc. A 234
(1956) 1: a plume widens linearly with height, by 6/5 times the entrainment coefficient, which is about 0.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SPREAD = 0.12
"""Growth of a puff's width per height it has risen."""
SOURCE = 0.1
"""Height of the source, above which the puffs are strung up to the top of the unit box."""


@dataclass(frozen=True, eq=False)
class Plume:
    """Warm air Σ s_j exp(-|x - c_j|² / (2 σ_j²)); axis 1 points up.

    Attributes:
        centres: c_j, shape (J, d), length units.
        widths: σ_j, shape (J,), length units.
        strengths: s_j, shape (J,), the upward velocity at the centre of a puff, length/time.
    """

    centres: Tensor
    widths: Tensor
    strengths: Tensor

    def velocity(self, x: Tensor) -> Tensor:
        """Return the upward velocity that the heat causes in a unit of time, at points (n, d), shape (n, d).

        Args:
            x: Points.
        """
        rise = torch.zeros_like(x[:, 0])
        for centre, width, strength in zip(self.centres, self.widths, self.strengths, strict=True):
            rise = rise + strength * torch.exp(-(x - centre).square().sum(1) / (2 * width**2))
        return torch.stack([rise if k == 1 else torch.zeros_like(rise) for k in range(x.shape[1])], dim=1)

    def divergence(self, x: Tensor) -> Tensor:
        """Return the divergence of `velocity` at points (n, d), shape (n,), one over time.

        Args:
            x: Points.
        """
        total = torch.zeros_like(x[:, 0])
        for centre, width, strength in zip(self.centres, self.widths, self.strengths, strict=True):
            away = x - centre
            total = total - strength * away[:, 1] / width**2 * torch.exp(-away.square().sum(1) / (2 * width**2))
        return total


def draw_plume(dim: int, puffs: int, width: float, wander: float, buoyancy: float, *, generator: torch.Generator) -> Plume:
    """Draw puffs from a source on the bottom of the unit box, 0.1 above it in the middle.

    Args:
        dim: Space dimension d.
        puffs: Number J; their heights are equally spaced from a random start.
        width: σ at the source, length units.
        wander: Standard deviation of the sideways way of a puff that has reached the top, length units; a random walk.
        buoyancy: Largest upward velocity at the source, up to a factor uniform in [0.5, 1.5], length/time.
        generator: Source of randomness.

    Returns:
        The plume; s_j σ_j^d varies by that factor only: puffs keep their heat.
    """
    start, factor = torch.rand(1, generator=generator, dtype=torch.float64), torch.rand(puffs, generator=generator, dtype=torch.float64)
    risen = (1 - SOURCE) * (torch.arange(puffs, dtype=torch.float64) + start) / puffs
    steps = wander / puffs**0.5 * torch.randn(puffs, dim, generator=generator, dtype=torch.float64)
    centres = 0.5 + steps.cumsum(0)
    centres[:, 1] = SOURCE + risen
    widths = width + SPREAD * risen
    return Plume(centres, widths, buoyancy * (0.5 + factor) * (width / widths) ** dim)
