"""Truncated Fourier convolution on 1-, 2- or 3-D grids, channels last, in real arithmetic.

Li et al., Fourier Neural Operator, ICLR 2021, eq. (4); Kossaifi et al., Multi-Grid Tensorized FNO, TMLR 2024, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdeflow.models.spectral_weight import Factorization, Kernel, spectral_weight
from pdeflow.models.truncated_fourier import (
    differentiate,
    fft_inverse,
    fft_transform,
    truncated_inverse,
    truncated_transform,
)

Path = Literal["auto", "matmul", "fft"]


class SpectralConv(nn.Module):
    """Convolution by one learned complex matrix per kept Fourier mode.

    ŷ_k = W_kᵀ x̂_k for the kept k, y = Re Σ_k ŷ_k e^{2πi k·x/n} + bias, where x̂ is divided by the number of grid points
    (norm="forward"), so the weights mean the same on every grid, even or odd.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        n_modes: Kept modes per axis, both signs counted (an even number is usual); the last axis stores M//2 + 1.
        factorization: "dense", "depthwise", "tucker", "cp" or "tt"; None where layers share a tensor and `forward` is
            given its kernel.
        rank: Share of the dense entries that a factorized weight stores, in (0, 1], or its ranks.
        bias: Whether to add a constant per output channel (starts at zero).
        path: "matmul", products with truncated Fourier matrices; "fft"; or "auto", which takes the cheaper one.

    Raises:
        ValueError: If an option, the number of axes or a rank is out of range.
    """

    matrix_views: ClassVar[dict[str, str]] = {"bias": "elementwise"}

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        n_modes: int | Sequence[int],
        *,
        factorization: Factorization | None = "dense",
        rank: float | Sequence[int] = 0.1,
        bias: bool = True,
        path: Path = "auto",
    ) -> None:
        super().__init__()
        self.n_modes = check_modes(n_modes)
        if path not in ("auto", "matmul", "fft"):
            raise ValueError(f"path must be 'auto', 'matmul' or 'fft', got {path!r}")
        self.path: Path = path
        self.weight = (
            None
            if factorization is None
            else spectral_weight(factorization, in_channels, out_channels, self.n_modes, rank)
        )
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def forward(
        self, x: Tensor, output_shape: Sequence[int] | None = None, *, add: Tensor | None = None, kernel: Kernel | None = None
    ) -> Tensor:  # fmt: skip
        """Convolve.

        Args:
            x: Features, shape (batch, *grid, in_channels), of the weights' dtype.
            output_shape: Points per axis of the output; by default those of x.
            add: Features to add, shape (batch, *output_shape, out_channels); cheaper than a sum afterwards.
            kernel: Of a tensor that layers share; by default that of the own weight.

        Returns:
            Features, shape (batch, *output_shape, out_channels).

        Raises:
            ValueError: If a grid does not resolve the modes, or the dtype differs.
        """
        grid = tuple(x.shape[1:-1]) if output_shape is None else tuple(output_shape)
        z, kernel = self._coefficients(x, kernel)
        check_grid(grid, self.n_modes)
        inverse = truncated_inverse if self._by_matmul(grid, x) else fft_inverse
        out = kernel.out
        if out is not None and _maps_in_space(out.shape[1], out.shape[0], self.n_modes):
            y = functional.linear(inverse(z, self.n_modes, grid), out.T, self.bias)
            return y if add is None else y + add
        z = z if out is None else z @ out
        if self.bias is not None:  # a constant is the mode 0, which is cheaper to add to than every point
            zero: list[Any] = [slice(None), 0, *(m // 2 for m in self.n_modes[:-1]), 0]
            z[tuple(zero)] += self.bias
        return inverse(z, self.n_modes, grid, add)

    def derivative(self, x: Tensor, axis: int, output_shape: Sequence[int] | None = None, kernel: Kernel | None = None) -> Tensor:
        """Return the exact derivative of the output along one axis of the unit cube.

        Args:
            x: Features, shape (batch, *grid, in_channels).
            axis: Axis of the grid, from 0.
            output_shape: Points per axis of the output; by default those of x.
            kernel: Of a tensor that layers share.

        Returns:
            Shape (batch, *output_shape, out_channels).

        Raises:
            ValueError: If a grid does not resolve the modes, or the dtype differs.
        """
        grid = tuple(x.shape[1:-1]) if output_shape is None else tuple(output_shape)
        check_grid(grid, self.n_modes)
        z, kernel = self._coefficients(x, kernel)
        z = differentiate(z if kernel.out is None else z @ kernel.out, self.n_modes, axis)
        return truncated_inverse(z, self.n_modes, grid)

    def _coefficients(self, x: Tensor, kernel: Kernel | None) -> tuple[Tensor, Kernel]:
        """Transform, multiply per mode; the output map of the kernel is still to be applied."""
        grid = tuple(x.shape[1:-1])
        check_grid(grid, self.n_modes)
        if kernel is None:
            if self.weight is None:
                raise ValueError("this layer has no weight of its own: give the kernel of the tensor that layers share")
            kernel = self.weight.kernel()
        if x.dtype != kernel.modes.dtype and not torch.is_autocast_enabled(x.device.type):
            raise ValueError(f"input {x.dtype}, weights {kernel.modes.dtype}: call .to({x.dtype}) on the network")
        into = kernel.into
        if into is not None and _maps_in_space(into.shape[0], into.shape[1], self.n_modes):
            x, into = x @ into, None
        z = truncated_transform(x, self.n_modes) if self._by_matmul(grid, x) else fft_transform(x, self.n_modes)
        z = z if into is None else z @ into
        return (scale_modes(z, kernel.modes) if kernel.depthwise else contract_modes(z, kernel.modes)), kernel

    def _by_matmul(self, grid: Sequence[int], x: Tensor) -> bool:
        """Whether truncated matrices are the cheaper way (measured: benchmarks/fno_step.py), or the only one."""
        if self.path != "auto":
            return self.path == "matmul"
        if x.dtype in (torch.bfloat16, torch.float16) or torch.is_autocast_enabled(x.device.type):
            return True
        return all(m <= n / (2 if n <= 128 else 3) for m, n in zip(self.n_modes, grid, strict=True))


def check_modes(n_modes: int | Sequence[int]) -> tuple[int, ...]:
    """Check the kept modes of a convolution.

    Args:
        n_modes: Kept modes per axis.

    Returns:
        One to three positive numbers.

    Raises:
        ValueError: If they are not.
    """
    modes = (n_modes,) if isinstance(n_modes, int) else tuple(int(m) for m in n_modes)
    if not 1 <= len(modes) <= 3 or min(modes) < 1:
        raise ValueError(f"n_modes must hold 1 to 3 positive numbers, got {modes}")
    return modes


def check_grid(shape: Sequence[int], n_modes: Sequence[int]) -> None:
    """Check that a grid resolves the kept modes.

    Args:
        shape: Points per axis.
        n_modes: Kept modes per axis.

    Raises:
        ValueError: If the number of axes differs or an axis has fewer points than kept modes.
    """
    if len(shape) != len(n_modes):
        raise ValueError(f"n_modes={tuple(n_modes)} needs a {len(n_modes)}-D grid, got shape {tuple(shape)}")
    for axis, (m, n) in enumerate(zip(n_modes, shape, strict=True)):
        if m > n:
            raise ValueError(f"n_modes={m} exceeds grid {n} along axis {axis}; at most {n} modes exist: lower n_modes")


def _maps_in_space(wide: int, narrow: int, n_modes: Sequence[int]) -> bool:
    """Whether a channel map from wide to narrow saves more in the transform of the last axis than it costs at every point."""
    rows = 2 * (n_modes[-1] // 2 + 1)
    return wide * narrow + rows * narrow < rows * wide


def contract_modes(z: Tensor, modes: Tensor) -> Tensor:
    """Apply one matrix per mode: (batch, 2, *kept, i) by (*kept, i, o, 2) gives (batch, 2, *kept, o).

    The weight is read as it lies, (i, 2 o) per mode, so that neither it nor its gradient is copied.
    """
    batch, kept, i, o = z.shape[0], z.shape[2:-1], *modes.shape[-3:-1]
    rows = z.flatten(2, -2).permute(2, 0, 1, 3).flatten(1, 2)  # (modes, batch 2, i)
    by = torch.bmm(rows, modes.reshape(-1, i, 2 * o)).view(-1, batch, 2, o, 2)
    re = by[:, :, 0, :, 0] - by[:, :, 1, :, 1]
    im = by[:, :, 0, :, 1] + by[:, :, 1, :, 0]
    return torch.stack((re, im), dim=2).permute(1, 2, 0, 3).unflatten(2, kept)


def scale_modes(z: Tensor, factors: Tensor) -> Tensor:
    """Multiply each channel of each mode: (batch, 2, *kept, r) by (*kept, r, 2)."""
    re, im = factors.unbind(-1)
    return torch.stack((z[:, 0] * re - z[:, 1] * im, z[:, 0] * im + z[:, 1] * re), dim=1)
