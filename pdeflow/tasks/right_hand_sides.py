"""Right-hand sides to train a direction on, without a data set and without a solve.

Kaneda et al., arXiv 2205.10763 (Ritz vectors); Rudikov et al., arXiv 2402.05598 (residuals that the solver meets); the others are
ours.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.linalg import operators
from pdeflow.linalg.conjugate_window import norm, times
from pdeflow.linalg.ritz_vectors import ritz_vectors
from pdeflow.losses.energy import mixed_noise, on_policy_pairs


@dataclass(frozen=True, eq=False)
class Batch:
    """What a training step draws its right-hand sides for.

    Attributes:
        faces: Conductances of the operators, batch in front.
        shape: (batch, 1, *grid).
        direction: The current network, from residuals to directions.
        step: Number of the step.
        generator: Source of randomness.
        active: One in the domain and zero in obstacles, shape (*grid); None without obstacles.
    """

    faces: operators.Faces
    shape: tuple[int, ...]
    direction: Callable[[Tensor], Tensor]
    step: int
    generator: torch.Generator
    active: Tensor | None = None

    def apply(self, u: Tensor) -> Tensor:
        """Return A u, shape of u; zero in obstacles, and as if u were zero there."""
        if self.active is None:
            return operators.apply(u, self.faces)
        return self.active * operators.apply(self.active * u, self.faces)


class RightHandSides(ABC):
    """How right-hand sides are drawn; a subclass says how."""

    @abstractmethod
    def draw(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Draw one right-hand side for each operator of a batch.

        Args:
            batch: The operators.

        Returns:
            b of length one and x with A x = b, both (batch, 1, *grid) in float64; None for x where it is not known.
        """


class Manufactured(RightHandSides):
    """b = A x for x a mixture of white noise and smoothed noise of random width; for every operator.

    Args:
        narrow: Smallest width of the filter, as a fraction of the side.
        wide: Largest one.
    """

    def __init__(self, narrow: float = 0.01, wide: float = 0.2) -> None:
        if not 0 < narrow <= wide:
            raise UsageError(f"Manufactured needs 0 < narrow <= wide, got {narrow} and {wide}")
        self.narrow, self.wide = narrow, wide

    def draw(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Draw b and x; see RightHandSides."""
        x = mixed_noise(batch.shape, generator=batch.generator, narrow=self.narrow, wide=self.wide)
        return normalized(batch, x.to(batch.faces[0].device))


class OnPolicy(Manufactured):
    """Manufactured at first, then the residuals that the solver meets with the current network.

    Args:
        noise_steps: First training steps, with manufactured right-hand sides.
        policy_steps: Most iterations that the solver runs before its residual is used; as likely as any smaller number.
        narrow: As in Manufactured.
        wide: As in Manufactured.
    """

    def __init__(self, noise_steps: int = 30, policy_steps: int = 5, narrow: float = 0.01, wide: float = 0.2) -> None:
        super().__init__(narrow, wide)
        if min(noise_steps, policy_steps) < 0:
            raise UsageError(f"OnPolicy needs numbers of steps >= 0, got {noise_steps} and {policy_steps}")
        self.noise_steps, self.policy_steps = noise_steps, policy_steps

    def draw(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Draw b and x; see RightHandSides."""
        b, x = super().draw(batch)
        if batch.step < self.noise_steps:
            return b, x
        count = int(torch.randint(self.policy_steps + 1, (), generator=batch.generator))
        return on_policy_pairs(batch.apply, batch.direction, b, x, count)


class Spectral(RightHandSides):
    """b = A x with b's share of each mode about λ^(-s), s uniform: from rough to smooth.

    The modes are the sines of the operator with a constant coefficient, on which this is exact; on others b is what A makes
    of the same x.

    Args:
        roughest: Smallest s; negative ones favour high frequencies.
        smoothest: Largest s.
    """

    def __init__(self, roughest: float = -0.2, smoothest: float = 1.0) -> None:
        if roughest > smoothest:
            raise UsageError(f"Spectral needs roughest <= smoothest, got {roughest} and {smoothest}")
        self.roughest, self.smoothest = roughest, smoothest

    def draw(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Draw b and x; see RightHandSides."""
        generator, sides = batch.generator, batch.shape[2:]
        s = self.roughest + (self.smoothest - self.roughest) * torch.rand(batch.shape[0], generator=generator, dtype=torch.float64)
        squares = [4 * torch.sin(math.pi * torch.arange(1, n + 1, dtype=torch.float64) / (2 * n)) ** 2 for n in sides]
        eigenvalues = sum(torch.meshgrid(*squares, indexing="ij"))  # (*grid,), up to the cell's size
        c = torch.randn(batch.shape, generator=generator, dtype=torch.float64)
        x = c * eigenvalues ** -(s + 1).reshape(-1, *[1] * (c.ndim - 1))
        for axis, n in enumerate(sides, start=2):
            modes, cells = torch.arange(1, n + 1, dtype=torch.float64), torch.arange(n, dtype=torch.float64) + 0.5
            sines = torch.sin(math.pi / n * cells[:, None] * modes)  # zero half a cell outside
            x = torch.tensordot(x, sines, dims=([axis], [1])).movedim(-1, axis)
        return normalized(batch, x.to(batch.faces[0].device))


class Ritz(RightHandSides):
    """The paper's data: random combinations of Ritz vectors of one matrix, the lower ones with nine times the weight.

    No x comes with them, so they go with a loss on the residual.

    Args:
        count: Lanczos steps; the paper's 10,000 need 21 GB at 64³.
        low: Share of the Ritz vectors, from below, that weigh more.
        factor: Standard deviation of their coefficients, those of the others being one.

    Reference: Kaneda et al., arXiv 2205.10763, and its official code.
    """

    def __init__(self, count: int = 400, low: float = 0.55, factor: float = 9.0) -> None:
        if count < 1 or not 0 <= low <= 1 or factor <= 0:
            raise UsageError(f"Ritz needs count >= 1, low in [0, 1] and factor > 0, got {count}, {low} and {factor}")
        self.count, self.low, self.factor = count, low, factor
        self.vectors: dict[tuple[int, ...], Tensor] = {}

    def draw(self, batch: Batch) -> tuple[Tensor, None]:
        """Draw b; see RightHandSides.

        Raises:
            UsageError: If the operators of the batch differ, or there are obstacles.
        """
        if batch.active is not None:
            raise UsageError("Ritz vectors belong to one matrix, but obstacles are random; use OnPolicy")
        q = self._vectors(batch)
        c = torch.randn(batch.shape[0], len(q), generator=batch.generator, dtype=torch.float64)
        c[:, : round(self.low * len(q))] *= self.factor
        b = (c.to(q) @ q.flatten(1)).reshape(batch.shape)
        return times(1 / norm(b), b), None

    def _vectors(self, batch: Batch) -> Tensor:
        """Return the Ritz vectors of a grid, computed when it is first met, shape (k, *grid)."""
        sides = tuple(batch.shape[2:])
        if sides not in self.vectors:
            if any(bool((face != face[:1]).any()) for face in batch.faces):
                raise UsageError("Ritz vectors belong to one matrix, but the problem's coefficient is random; use OnPolicy")
            one: Any = [face[:1].double() for face in batch.faces]
            z = torch.randn(1, 1, *sides, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(one[0].device)
            self.vectors[sides] = ritz_vectors(lambda u: operators.apply(u, one), z, self.count)[1].reshape(-1, *sides)
        return self.vectors[sides]


def normalized(batch: Batch, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return (b, x) with b = A x of length one."""
    b = batch.apply(x)
    scale = 1 / norm(b)
    return times(scale, b), times(scale, x)
