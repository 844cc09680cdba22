"""What a time-stepping method needs to know of an equation u' = N(u, t) + L u whose stiff part L is diagonal.

Ascher, Ruuth and Spiteri, Appl. Numer. Math. 25 (1997), 151: the split into an explicit and an implicit part.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class SemilinearEquation(Protocol):
    """u' = N(u, t) + L u for coefficients u of shape (*batch, *symbol.shape), usually a Fourier spectrum."""

    @property
    def dtype(self) -> torch.dtype:
        """Real type of the arithmetic: float64 or float32."""
        ...

    @property
    def symbol(self) -> Tensor:
        """The diagonal of L in float64 or complex128, in one over time."""
        ...

    def explicit(self, u_hat: Tensor, t: float) -> Tensor:
        """Return N(u, t)."""
        ...

    def implicit(self, u_hat: Tensor) -> Tensor:
        """Return L u."""
        ...

    def solve_implicit(self, u_hat: Tensor, dt: float) -> Tensor:
        """Return v with v - dt L v = u."""
        ...

    def rate(self, u_hat: Tensor) -> float:
        """Return the largest frequency of N linearised at u over the batch, in one over time; zero without advection."""
        ...


class OneStep(Protocol):
    """A one-step method made for one equation and one step size."""

    def __init__(self, equation: SemilinearEquation, dt: float) -> None: ...

    def step(self, u_hat: Tensor, t: float) -> Tensor:
        """Return the state at t + dt."""
        ...
