"""Where the terms of an equation are evaluated: the operations that spectra and point values have in common.

An equation written with them is marched on spectra (`FourierGrid`) and has its residual taken at points (`PointSpace`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.problems.differentiate import gradient


class Space(Protocol):
    """Where the terms of an equation are evaluated: `FourierGrid` on spectra, `PointSpace` on point values."""

    def derivative(self, u: Tensor, axis: int, order: int = 1) -> Tensor:
        """Differentiate along an axis."""
        ...

    def laplacian(self, u: Tensor) -> Tensor:
        """Return Δu."""
        ...

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        """Return a b."""
        ...

    def advection(self, w: Tensor) -> Tensor:
        """Return u·∇w with the plane velocity u whose curl is w."""
        ...


@dataclass(frozen=True, eq=False)
class PointSpace:
    """Derivatives at points of space-time by automatic differentiation.

    Attributes:
        x: Points (n, d + 1) that require gradients, time last.
        psi: Values of a stream function, shape (n,), for equations that need a velocity.
    """

    x: Tensor
    psi: Tensor | None = None

    def derivative(self, u: Tensor, axis: int, order: int = 1) -> Tensor:
        """Differentiate values (n,) along an axis; the last axis is time."""
        for _ in range(order):
            u = gradient(u, self.x)[:, axis]
        return u

    def laplacian(self, u: Tensor) -> Tensor:
        """Return Δu in space, shape (n,)."""
        slope = gradient(u, self.x)
        second = [gradient(slope[:, j], self.x)[:, j] for j in range(self.x.shape[1] - 1)]
        return torch.stack(second).sum(0)

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        """Return a b."""
        return a * b

    def advection(self, w: Tensor) -> Tensor:
        """Return (∂ψ/∂y) ∂w/∂x - (∂ψ/∂x) ∂w/∂y, shape (n,)."""
        if self.psi is None:
            raise UsageError("advection at points needs the stream function as a second column of u")
        slope, rotated = gradient(w, self.x), gradient(self.psi, self.x)
        return rotated[:, 1] * slope[:, 0] - rotated[:, 0] * slope[:, 1]
