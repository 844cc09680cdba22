"""A network on fields as preconditioner of one linear system: flat vectors in and out, residuals scaled to length one.

The scaling is that of Kaneda et al., arXiv 2205.10763 (a network with biases
answers small residuals with noise, and 16 bits underflow on them).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

SLOW_FIELD = 1280
"""Cells of a layer up to which torch convolves one field of 16 channels in space by a path eight times slower than for two."""


class NetworkPreconditioner:
    """M @ r = ‖r‖ f(r / ‖r‖) on the grid of a system.

    Args:
        network: f, from (batch, 1, *grid) to the same shape.
        grid_shape: Points per axis.
        linear: Whether f is linear, so that a short window of directions suffices.
        dtype: Precision inside; None keeps that of the parameters.

    Attributes:
        symmetric: False: nothing makes f its own transpose, so plain conjugate gradients refuse it.
        positive: None, unknown.
        name: What a table of solvers calls it.
    """

    symmetric = False
    positive = None

    def __init__(
        self, network: nn.Module, grid_shape: tuple[int, ...], linear: bool, dtype: torch.dtype | None = None
    ) -> None:
        own = next(network.parameters()).dtype
        self.network = network if dtype in (None, own) else copy.deepcopy(network).to(dtype)
        self.precision = dtype or own
        self.device = next(network.parameters()).device
        self.grid_shape, self.linear, self.name = grid_shape, linear, type(network).__name__
        small = len(grid_shape) == 3 and int(np.prod(grid_shape[:2])) <= SLOW_FIELD and self.device.type == "cpu"
        self._copies = 2 if small else 1
        n = int(np.prod(grid_shape))
        self.wide = torch.complex128 if self.precision.is_complex else torch.float64
        self.shape, self.dtype = (n, n), np.dtype(np.complex128 if self.precision.is_complex else np.float64)

    @torch.no_grad()
    def __matmul__(self, r: np.ndarray) -> np.ndarray:
        """Apply the network to a flat vector r, shape (n,); returns double precision, shape (n,), real for a real r."""
        norm = float(np.linalg.norm(r))
        if norm == 0 or not np.isfinite(norm):
            return np.full(r.shape, norm * 0.0, dtype=r.dtype)  # NaN stays: the solver says "nonfinite"
        field = torch.from_numpy(np.asarray(r, dtype=self.dtype) / norm).reshape(1, 1, *self.grid_shape)
        field = field.to(self.device, self.precision).expand(self._copies, -1, *self.grid_shape)
        z = norm * self.network(field)[0].to("cpu", self.wide).flatten().numpy()
        return z if np.iscomplexobj(r) else z.real


def normalized(network: nn.Module, r: Tensor) -> Tensor:
    """Return ‖r‖ f(r / ‖r‖) for each residual of a batch, in the type of r; the network computes in its own.

    Args:
        network: f, from (batch, 1, *grid) to the same shape.
        r: Residuals, shape (batch, 1, *grid).
    """
    norm = r.flatten(1).norm(dim=1).reshape(-1, *[1] * (r.ndim - 1))
    out = network((r / torch.where(norm > 0, norm, 1.0)).to(next(network.parameters()).dtype))
    return norm * out.to(r.dtype)


def check_sides(shape: Sequence[int], dim: int, divisor: int) -> None:
    """Refuse a grid that does not fit a network.

    Args:
        shape: Points per axis.
        dim: Axes that the network was made for.
        divisor: What each side must be divisible by.

    Raises:
        ValueError: With the shape.
    """
    if len(shape) != dim or any(side % divisor for side in shape):
        expected = f"the network was made for a {dim}-D grid with sides divisible by {divisor}, got"
        if not shape:
            raise ValueError(f"{expected} a system without a grid; give it one by pdeflow.linalg.LinearSystem(A, b, grid=…), or use AMG")
        raise ValueError(f"{expected} {tuple(shape)}; use AMG, or a network made for it")


def on_grid(network: nn.Module, system: Any, dim: int, divisor: int, linear: bool, dtype: torch.dtype | None) -> NetworkPreconditioner:  # fmt: skip
    """Make the preconditioner of a system, if the network fits its grid.

    Args:
        network: The network.
        system: Anything with `grid`; unknowns are ordered as `field.reshape(-1)`.
        dim: Axes that the network was made for.
        divisor: What each side must be divisible by.
        linear: Whether the network is linear.
        dtype: Precision inside, or None.

    Raises:
        ValueError: If the system has no grid, or one of another dimension or with another side.
    """
    shape = tuple(getattr(getattr(system, "grid", None), "shape", ()))
    check_sides(shape, dim, divisor)
    return NetworkPreconditioner(network, shape, linear, dtype)
