"""The learned V-cycle as preconditioner in tensors: for three dimensions, many right-hand sides, and other devices.

In the plane, for one right-hand side on a CPU, pdeflow.models.v_cycle_steps does the same several times faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from pdeflow.linalg import operators
from pdeflow.models.v_cycle_levels import Level, Weights, apply_cycle, smooth

SAFE = 1.6
"""Estimate of the largest eigenvalue of SA below which 2 is taken to be a bound: power iterations come from below."""


class TensorVCycle:
    """M @ r for one learned V-cycle and one coefficient; also a map of batches, `directions`.

    Args:
        levels: Hierarchy of a single coefficient, from setup_levels, in the device and precision of the work.
        weights: Stencils and factor of the cycle, likewise.
        smoother_range: Bounds of the eigenvalues of K.

    Attributes:
        linear: True.
        symmetric: True, by construction.
        name: What a table of solvers calls it.
    """

    linear = True
    symmetric = True
    name = "learned_v_cycle"

    def __init__(self, levels: Sequence[Level], weights: Weights, smoother_range: tuple[float, float]) -> None:
        self._levels, self._weights, self._range = levels, weights, smoother_range
        self.grid_shape = tuple(levels[0].diagonal.shape[2:])
        n = int(np.prod(self.grid_shape))
        self.shape, self.dtype = (n, n), np.dtype(np.float64)
        self._inside = None if levels[0].active is None else levels[0].active > 0
        self._mean = None if self._inside is None else levels[0].diagonal[0, 0, self._inside].double().mean()

    @cached_property
    def positive(self) -> bool | None:
        """True if positive definite (K > 0 and eigenvalues of SA below 2 on all levels), None if unknown.

        Those of D^(-1/2) A D^(-1/2) are at most 2 (Gershgorin), so K < 1 is a proof; else power iterations must stay under 1.6.
        """
        low, high = self._range
        if low <= 0 or float(self._weights.correction) < 0:
            return None
        if high < 1:
            return True
        return True if all(self._largest(level) < SAFE for level in self._levels if level.inverse is None) else None

    @torch.no_grad()
    def _largest(self, level: Level, iterations: int = 8) -> float:
        x = torch.randn(level.diagonal.shape, generator=torch.Generator().manual_seed(0)).to(level.diagonal)
        for _ in range(iterations):
            x = x / x.norm()
            x = smooth(operators.apply(x, level.faces), level.diagonal, self._weights.smoother)
        return float(x.norm())

    @torch.no_grad()
    def directions(self, r: Tensor) -> Tensor:
        """Return corrections for residuals (R, *grid) of length about one, in their type; the network of `dcdm`, which waits for no device.

        In obstacles, where the system is diagonal, they are the residuals over the mean diagonal.
        """
        work = self._levels[0].diagonal
        e = apply_cycle(r.to(work.device, work.dtype)[:, None], self._levels, self._weights)[:, 0].to(r)
        if self._inside is None or self._mean is None:
            return e
        return torch.where(self._inside.to(r.device), e, r / self._mean.to(r))

    def __matmul__(self, r: np.ndarray) -> np.ndarray:
        """Apply the cycle to a flat vector r, shape (n,); returns float64, shape (n,)."""
        if r.shape != (self.shape[0],):
            raise ValueError(
                f"expected a vector of shape ({self.shape[0]},) for the grid {self.grid_shape}, got {r.shape}; apply M to one "
                "right-hand side at a time, or use directions"
            )
        norm = float(np.linalg.norm(r))
        if norm == 0 or not np.isfinite(norm):
            return np.full(r.shape, norm * 0.0)  # NaN stays: the solver says "nonfinite"
        field = torch.from_numpy(np.asarray(r, dtype=np.float64) / norm).reshape(1, *self.grid_shape)
        return norm * self.directions(field).flatten().numpy()
