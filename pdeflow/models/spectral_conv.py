"""Truncated Fourier convolution on 1-, 2- or 3-D grids, dense or Tucker-factorised, in real arithmetic.

Li et al., Fourier Neural Operator, ICLR 2021, eq. (4); Kossaifi et al., Multi-Grid Tensorized FNO, TMLR
2024, section 3. The transforms are products with truncated Fourier matrices: exact on even and odd grids,
cheaper than a full FFT while few modes are kept, and free of complex tensors, which optimizers, checkpoints
and compilers handle badly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from pdeflow.models.truncated_fourier import (
    apply_along,
    kept_wavenumbers,
    truncated_inverse,
    truncated_transform,
)

_NEUTRAL_BLOCK_OPTIONS: dict[str, tuple[object, ...]] = {
    "resolution_scaling_factor": (None,),
    "max_n_modes": (None,),
    "fixed_rank_modes": (False, None),
    "implementation": ("factorized", "reconstructed"),
    "separable": (False,),
    "fno_block_precision": ("full",),
    "decomposition_kwargs": (None, {}),
    "complex_data": (False,),
}


def tucker_ranks(shape: Sequence[int], fraction: float) -> tuple[int, ...]:
    """Choose Tucker ranks, all modes shrunk alike, that store about a fraction of the dense entries.

    Args:
        shape: Shape of the dense tensor, N modes.
        fraction: Wanted share of stored entries, in (0, 1].

    Returns:
        N ranks between 1 and the mode size.

    Raises:
        ValueError: If fraction is outside (0, 1].

    Reference: root s of s^N prod(n_j) + s sum(n_j^2) = fraction prod(n_j), ranks round(s n_j); tensorly's
    rule.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"rank as a fraction must lie in (0, 1], got {fraction}; None keeps dense weights")
    dense, squares = math.prod(shape), sum(n * n for n in shape)
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        stored = middle ** len(shape) * dense + middle * squares
        low, high = (middle, high) if stored < fraction * dense else (low, middle)
    return tuple(max(1, round(low * n)) for n in shape)


class SpectralConv(nn.Module):
    """Convolution by one learned complex matrix per kept Fourier mode.

    ŷ_k = W_kᵀ x̂_k for the kept k, y = Re Σ_k ŷ_k e^{2πi k·x/n} + bias, where x̂ is divided by the number
    of grid points (norm="forward"), so the weights mean the same on every grid. Fits `conv_module=` of
    neuraloperator's FNOBlocks.

    The weights start with root mean square sqrt(2 / (in_channels + out_channels)) per complex entry.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        n_modes: Kept modes per axis, both signs counted (an even number is usual); the last axis stores
            M//2 + 1.
        rank: None for a dense weight; a fraction in (0, 1] of its entries, or explicit ranks
            (in, out, axis 0, ...), for a Tucker form whose channel factors are real.
        bias: Whether to add a constant per output channel (starts at zero).
        factorization: "tucker", or None to ignore rank, as FNOBlocks passes it for dense weights.
        **block_options: What else FNOBlocks passes; anything but its neutral value is refused.

    Raises:
        ValueError: If an option, the number of axes or a rank is out of range.
    """

    matrix_views: ClassVar[dict[str, str]] = {
        "weight": "spectral",
        "core": "tucker_core",
        "in_factor": "matrix",
        "out_factor": "matrix",
        "mode_factor_0": "complex_matrix",
        "mode_factor_1": "complex_matrix",
        "mode_factor_2": "complex_matrix",
        "bias": "elementwise",
    }

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        n_modes: int | Sequence[int],
        *,
        rank: float | Sequence[int] | None = None,
        bias: bool = True,
        factorization: str | None = "tucker",
        **block_options: object,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.n_modes = (n_modes,) if isinstance(n_modes, int) else tuple(int(m) for m in n_modes)
        if not 1 <= len(self.n_modes) <= 3 or min(self.n_modes) < 1:
            raise ValueError(f"n_modes must hold 1 to 3 positive numbers, got {self.n_modes}")
        if factorization not in (None, "tucker", "Tucker"):
            raise ValueError(f"factorization must be 'tucker' or None, got {factorization!r}")
        for name, value in block_options.items():
            if value not in _NEUTRAL_BLOCK_OPTIONS.get(name, ()):
                raise ValueError(f"SpectralConv does not support {name}={value!r}; leave it at its default")
        std = math.sqrt(2 / (in_channels + out_channels))
        shape = (in_channels, out_channels, *(len(k) for k in kept_wavenumbers(self.n_modes)))
        self.ranks = None if rank is None or factorization is None else _check_ranks(shape, rank)
        if self.ranks is None:
            self.weight = nn.Parameter(std / math.sqrt(2) * torch.randn(*shape, 2))
        else:
            self._create_factors(shape, self.ranks, std)
        self.bias = nn.Parameter(torch.zeros(out_channels, *[1] * len(self.n_modes))) if bias else None

    def _create_factors(self, shape: Sequence[int], ranks: Sequence[int], std: float) -> None:
        """Draw core and factors with one common deviation, so that the dense entries have deviation std."""
        s = (std / math.sqrt(math.prod(ranks))) ** (1 / (len(shape) + 1))
        self.core = nn.Parameter(s / math.sqrt(2) * torch.randn(*ranks, 2))
        self.in_factor = nn.Parameter(s * torch.randn(ranks[0], shape[0]))
        self.out_factor = nn.Parameter(s * torch.randn(shape[1], ranks[1]))
        for axis, (size, r) in enumerate(zip(shape[2:], ranks[2:], strict=True)):
            self.register_parameter(
                f"mode_factor_{axis}", nn.Parameter(s / math.sqrt(2) * torch.randn(size, r, 2))
            )

    def check_grid(self, shape: Sequence[int]) -> None:
        """Check that a grid resolves the kept modes.

        Args:
            shape: Points per axis.

        Raises:
            ValueError: If the number of axes differs or an axis has fewer points than kept modes.
        """
        if len(shape) != len(self.n_modes):
            raise ValueError(
                f"n_modes={self.n_modes} needs a {len(self.n_modes)}-D grid, got shape {tuple(shape)}"
            )
        for axis, (m, n) in enumerate(zip(self.n_modes, shape, strict=True)):
            if m > n:
                raise ValueError(
                    f"n_modes={m} exceeds grid {n} along axis {axis}; at most {n} modes exist: lower n_modes"
                )

    def kernel(self) -> Tensor:
        """Return the matrix per mode in real storage, without the channel factors.

        Returns:
            Shape (r_in, r_out, *kept, 2); r_in and r_out are the channel counts when the weight is dense.
        """
        if self.ranks is None:
            return self.weight
        kernel = self.core
        for axis in range(len(self.n_modes)):
            factor = self.get_parameter(f"mode_factor_{axis}")
            kernel = apply_along(kernel, factor.transpose(0, 1), axis + 2)
        return kernel

    def dense_weight(self) -> Tensor:
        """Assemble the complex weight, in neuraloperator's layout.

        Returns:
            Complex tensor (in_channels, out_channels, *kept).
        """
        kernel = torch.view_as_complex(self.kernel().contiguous())
        if self.ranks is None:
            return kernel
        into, out = self.in_factor.to(kernel.dtype), self.out_factor.to(kernel.dtype)
        return torch.einsum("rs...,ri,os->io...", kernel, into, out)

    def transform(self, x: Tensor, output_shape: Sequence[int] | None = None) -> Tensor:
        """Return the skip path's input unchanged: FNOBlocks asks for a resampling that we do not offer.

        Args:
            x: Features, shape (batch, channels, *grid).
            output_shape: None or the grid of x.

        Returns:
            x itself.

        Raises:
            ValueError: If output_shape differs from the grid of x.
        """
        if output_shape is not None and tuple(output_shape) != tuple(x.shape[2:]):
            raise ValueError(
                f"output grid {tuple(output_shape)} differs from {tuple(x.shape[2:])}: resample outside"
            )
        return x

    def forward(self, x: Tensor, output_shape: Sequence[int] | None = None) -> Tensor:
        """Convolve.

        Args:
            x: Features, shape (batch, in_channels, *grid), of the weights' dtype.
            output_shape: None or the grid of x.

        Returns:
            Features, shape (batch, out_channels, *grid).

        Raises:
            ValueError: If the grid does not resolve the modes, the dtype differs or another output grid is
                asked for.
        """
        self.transform(x, output_shape)
        grid = tuple(x.shape[2:])
        self.check_grid(grid)
        kernel = self.kernel()
        if x.dtype != kernel.dtype and not torch.is_autocast_enabled(x.device.type):
            raise ValueError(f"input {x.dtype}, weights {kernel.dtype}: call .to({x.dtype}) on the network")
        coefficients = truncated_transform(x, self.n_modes)
        if self.ranks is not None:
            coefficients = torch.einsum("bi...,ri->br...", coefficients, self.in_factor)
        coefficients = _contract(coefficients, kernel)
        if self.ranks is not None:
            coefficients = torch.einsum("bs...,os->bo...", coefficients, self.out_factor)
        y = truncated_inverse(coefficients, self.n_modes, grid)
        return y if self.bias is None else y + self.bias


def _contract(z: Tensor, kernel: Tensor) -> Tensor:
    """Apply one matrix per mode: (batch, i, *kept, 2) by (i, o, *kept, 2) gives (batch, o, *kept, 2)."""
    batch, kept = z.shape[0], z.shape[2:-1]
    rows = z.flatten(2, -2).permute(2, 3, 0, 1).flatten(1, 2)  # (modes, 2 batch, i): real, imaginary
    re, im = kernel.flatten(2, -2).permute(3, 2, 0, 1).contiguous()  # (modes, i, o) each
    by_re, by_im = rows @ re, rows @ im
    out = torch.stack((by_re[:, :batch] - by_im[:, batch:], by_re[:, batch:] + by_im[:, :batch]), dim=-1)
    return out.permute(1, 2, 0, 3).unflatten(2, kept)


def _check_ranks(shape: Sequence[int], rank: float | Sequence[int]) -> tuple[int, ...]:
    """Return one rank per mode of shape; refuse what neuraloperator clips in silence."""
    if isinstance(rank, (int, float)):
        return tucker_ranks(shape, float(rank))
    ranks = tuple(int(r) for r in rank)
    if len(ranks) != len(shape):
        raise ValueError(f"expected {len(shape)} Tucker ranks (in, out, one per axis), got {ranks}")
    for index, (r, n) in enumerate(zip(ranks, shape, strict=True)):
        if not 1 <= r <= n:
            raise ValueError(f"Tucker rank {r} exceeds mode size {n} or is below 1: entry {index} of {ranks}")
    return ranks
