"""A linear network that learns the inverse of one matrix on a grid, e.g. Helmholtz' equation in one medium.

A multigrid-shaped network whose features are also weighted point by point, so that it knows the medium without being told; after
Azulay and Treister, Multigrid-augmented deep learning preconditioners for the Helmholtz equation, SIAM J. Sci. Comput. 45 (2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pdeflow.models.network_preconditioner import NetworkPreconditioner

COMPLEX = torch.complex64


class Modulated(nn.Module):
    """h + m ⊙ conv(h), m one complex number for each channel and point.

    Args:
        channels: Channels in and out.
        shape: Points per axis.
    """

    def __init__(self, channels: int, shape: Sequence[int]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False, dtype=COMPLEX)
        self.weight = nn.Parameter(torch.ones(channels, *shape, dtype=COMPLEX))

    def forward(self, h: Tensor) -> Tensor:
        """Return the sum, shape of h."""
        return h + self.weight * self.conv(h)


class MediumNet(nn.Module):
    """Complex linear V-shaped network for one matrix on one grid in the plane; for FGMRES.

    Args:
        grid: Points per axis, the same in training and use.
        channels: Complex feature channels.
        levels: Grids, each half as fine as the one before.

    Attributes:
        dim: 2.
        fingerprint: What the matrix of the training does to a fixed vector, in two numbers; zero before training.

    Raises:
        ValueError: If a side is not divisible by 2^(levels - 1), or a number is below one.

    Reference: the architecture is ours, after Azulay and Treister (2023).
    """

    fingerprint: Tensor
    dim = 2

    def __init__(self, grid: Sequence[int] = (64, 64), channels: int = 8, levels: int = 5) -> None:
        super().__init__()
        if len(grid) != 2 or min(channels, levels, *grid) < 1 or any(side % 2 ** (levels - 1) for side in grid):
            raise ValueError(
                f"expected two sides divisible by 2^(levels - 1) and positive channels and levels, got grid {tuple(grid)}, channels "
                f"{channels}, levels {levels}"
            )
        self.grid = tuple(grid)
        sides = [[side >> level for side in grid] for level in range(levels)]
        plain: dict[str, Any] = {"bias": False, "dtype": COMPLEX}
        self.lift = nn.Conv2d(1, channels, 3, padding=1, **plain)
        self.project = nn.Conv2d(channels, 1, 3, padding=1, **plain)
        self.before = nn.ModuleList(Modulated(channels, shape) for shape in sides)
        self.after = nn.ModuleList(Modulated(channels, shape) for shape in sides)
        self.down = nn.ModuleList(nn.Conv2d(channels, channels, 2, stride=2, **plain) for _ in sides[1:])
        self.up = nn.ModuleList(nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1, **plain) for _ in sides[1:])
        self.register_buffer("fingerprint", torch.zeros(2, dtype=torch.float64))

    def forward(self, r: Tensor) -> Tensor:
        """Propose directions.

        Args:
            r: Residuals, complex, shape (batch, 1, *grid).

        Returns:
            Directions, same shape; linear in r.
        """
        return self.project(self._level(self.lift(r), 0))

    def _level(self, h: Tensor, level: int) -> Tensor:
        h = self.before[level](h)
        if level < len(self.down):
            h = h + self.up[level](self._level(self.down[level](h), level + 1))
        return self.after[level](h)

    def bind(self, system: Any) -> None:
        """Remember the matrix that the weights are for.

        Args:
            system: LinearSystem on `grid`.
        """
        self.fingerprint.copy_(fingerprint(system))

    def check_system(self, system: Any) -> None:
        """Refuse any other matrix than that of the training.

        Raises:
            ValueError: In one line.
        """
        self._check_size(system)
        if not torch.allclose(self.fingerprint.cpu(), fingerprint(system), rtol=1e-6, atol=0.0):
            raise ValueError("MediumNet knows the one matrix it was trained on, and this is another; train it on this medium, or use ilu")

    def setup(self, system: Any) -> NetworkPreconditioner:
        """Build M @ r of one system (protocol of pdeflow.linalg), residuals scaled to length one.

        Args:
            system: LinearSystem whose unknowns are the cells of `grid`.

        Raises:
            ValueError: If the system has another layout.
        """
        self._check_size(system)
        return NetworkPreconditioner(self, self.grid, linear=True)

    def _check_size(self, system: Any) -> None:
        expected = f"cell-{'x'.join(map(str, self.grid))}"
        if system.layout != expected:
            raise ValueError(f"MediumNet was made for the cells of the grid {self.grid}, this system's layout is {system.layout or 'unknown'!r}; use ilu")


def fingerprint(system: Any) -> Tensor:
    """Return real and imaginary part of vᵀAw for fixed random v and w, shape (2,), float64.

    Args:
        system: Anything with `A` and `n`.
    """
    v, w = np.random.default_rng(0).standard_normal((2, system.n))
    value = complex(v @ (system.A @ w))
    return torch.tensor([value.real, value.imag], dtype=torch.float64)
