"""Fourier neural operator on channels-last blocks, with real-stored weights and built-in normalisation.

Li et al., Fourier Neural Operator, ICLR 2021, section 4; blocks, factorizations and one tensor for all layers: Kossaifi et
al., Multi-Grid Tensorized Fourier Neural Operator, TMLR 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdeflow.models.fno_block import ChannelMLP, FNOBlock, Norm, Skip
from pdeflow.models.normalizer import Normalizer
from pdeflow.models.spectral_conv import Path, check_grid, check_modes
from pdeflow.models.spectral_weight import Factorization, spectral_weight
from pdeflow.models.truncated_fourier import fft_inverse, fft_transform


class FNO(nn.Module):
    """Map fields to fields on any uniform grid that resolves the kept modes.

    Lifting MLP, n_layers Fourier blocks, projection MLP. Normalisers of input and output are part of the network, so it takes
    and returns physical units.

    Args:
        n_modes: Kept Fourier modes per axis, both signs counted; its length is the dimension of the domain.
        in_channels: Channels of the input fields.
        out_channels: Channels of the output fields.
        hidden_channels: Width.
        n_layers: Number of Fourier blocks.
        coordinates: Whether coordinates in [0, 1] are appended to the input: true or "cell" for (i + 1/2)/n, "corner"
            for i/n; false where the data hold them, as patches do.
        domain_padding: Share of zero cells appended to each axis inside the network, in [0, 1]: for fields that are not
            periodic. Zero for periodic ones.
        channel_mlp_expansion: Hidden width of a block's MLP over hidden_channels.
        lifting_ratio: Hidden width of the lifting MLP over hidden_channels.
        projection_ratio: Hidden width of the projection MLP over hidden_channels.
        norm: Normalisation in the blocks: None, "group_norm" or "instance_norm".
        factorization: Form of the spectral weights: "dense", "depthwise", "tucker", "cp" or "tt".
        rank: Share of the dense entries that a factorized form stores, in (0, 1], or its ranks.
        joint: Whether one factorized tensor serves all layers.
        skip: Skip past the convolution: "linear", "soft-gating", "identity" or None.
        mlp_skip: Skip past the MLP: the same choices.
        preactivation: Whether blocks start with their activation.
        path: How Fourier coefficients are computed: "matmul", "fft" or "auto".

    Raises:
        ValueError: If an option or a rank is out of range.
    """

    def __init__(
        self,
        n_modes: Sequence[int],
        in_channels: int = 1,
        out_channels: int = 1,
        hidden_channels: int = 32,
        n_layers: int = 4,
        *,
        coordinates: bool | Literal["cell", "corner"] = True,
        domain_padding: float = 0.0,
        channel_mlp_expansion: float = 0.5,
        lifting_ratio: float = 2.0,
        projection_ratio: float = 2.0,
        norm: Norm | None = None,
        factorization: Factorization = "dense",
        rank: float | Sequence[int] = 0.1,
        joint: bool = False,
        skip: Skip | None = "linear",
        mlp_skip: Skip | None = "soft-gating",
        preactivation: bool = False,
        path: Path = "auto",
    ) -> None:
        super().__init__()
        for name, number in (("hidden_channels", hidden_channels), ("n_layers", n_layers), ("in_channels", in_channels)):
            if number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}")
        if not 0 <= domain_padding <= 1:
            raise ValueError(f"domain_padding is a share of the axis in [0, 1], got {domain_padding}")
        if coordinates not in (True, False, "cell", "corner"):
            raise ValueError(f"coordinates must be true, false, 'cell' or 'corner', got {coordinates!r}")
        self.n_modes, self.coordinates, self.domain_padding = check_modes(n_modes), coordinates, domain_padding
        self.input_normalizer, self.output_normalizer = Normalizer(in_channels), Normalizer(out_channels)
        dimension, width = len(self.n_modes), hidden_channels
        self.lifting = ChannelMLP(
            in_channels + dimension * bool(coordinates), round(lifting_ratio * width), width
        )
        self.joint_weight = (
            spectral_weight(factorization, width, width, self.n_modes, rank, layers=n_layers) if joint else None
        )
        self.blocks = nn.ModuleList(
            FNOBlock(
                width, self.n_modes, last=layer == n_layers - 1, factorization=None if joint else factorization, rank=rank,
                expansion=channel_mlp_expansion, norm=norm, skip=skip, mlp_skip=mlp_skip, preactivation=preactivation, path=path,
            )
            for layer in range(n_layers)
        )  # fmt: skip
        self.projection = ChannelMLP(width, round(projection_ratio * width), out_channels)

    def check_grid(self, shape: Sequence[int]) -> None:
        """Check before training that a grid fits the network.

        Args:
            shape: Points per axis of the data.

        Raises:
            ValueError: If the dimension differs or the (padded) grid has fewer points than kept modes.
        """
        if len(shape) != len(self.n_modes):
            raise ValueError(
                f"network is {len(self.n_modes)}-D (n_modes={self.n_modes}) but the grid is {tuple(shape)}; "
                "give one n_modes per axis"
            )
        check_grid([n + p for n, p in zip(shape, self._padding(shape), strict=True)], self.n_modes)

    def fit_normalizers(self, a: Tensor, u: Tensor) -> None:
        """Fit both normalisers to the training fields.

        Args:
            a: Inputs, shape (samples, in_channels, *grid).
            u: Outputs, shape (samples, out_channels, *grid).

        Raises:
            ValueError: If the channels differ or a value is not finite.
        """
        self.input_normalizer.fit(a)
        self.output_normalizer.fit(u)

    def forward(self, a: Tensor, output_shape: Sequence[int] | None = None) -> Tensor:
        """Predict.

        Args:
            a: Input fields in physical units, shape (batch, in_channels, *grid).
            output_shape: Points per axis of the output: the features of the last block are interpolated by their Fourier
                series, which is exact for periodic ones. By default the grid of a.

        Returns:
            Output fields in physical units, shape (batch, out_channels, *output_shape).

        Raises:
            ValueError: If channels, dimension or dtype differ, the grid has fewer points than kept modes, or another
                grid is asked for with domain padding.
        """
        if not isinstance(a, Tensor) or a.ndim != len(self.n_modes) + 2:
            raise ValueError(
                f"expected a tensor (batch, channels, *grid) on a {len(self.n_modes)}-D grid (one n_modes per axis), got "
                f"{tuple(a.shape)} {type(a).__name__}"
            )
        if a.dtype != self.input_normalizer.mean.dtype and not torch.is_autocast_enabled(a.device.type):
            raise ValueError(f"input {a.dtype}, weights {self.input_normalizer.mean.dtype}: call .to({a.dtype}) on the network")
        grid = tuple(a.shape[2:])
        self.check_grid(grid)
        h = self.input_normalizer(a)
        if self.coordinates:
            h = torch.cat((h, unit_coordinates(h, 0.0 if self.coordinates == "corner" else 0.5)), dim=1)
        h = self.lifting(h.movedim(1, -1).contiguous())
        padding = self._padding(grid)
        if any(padding):
            h = functional.pad(h, [0, 0, *(p for pad in reversed(padding) for p in (0, pad))])
        for layer, block in enumerate(self.blocks):
            h = block(h, None if self.joint_weight is None else self.joint_weight.kernel(layer))
        for axis, n in enumerate(grid, start=1):
            h = h.narrow(axis, 0, n)
        if output_shape is not None and tuple(output_shape) != grid:
            h = self._interpolated(h, tuple(output_shape), any(padding))
        return self.output_normalizer.inverse(self.projection(h).movedim(-1, 1).contiguous())

    def _interpolated(self, h: Tensor, grid: tuple[int, ...], padded: bool) -> Tensor:
        """Evaluate the Fourier series of features on another grid."""
        check_grid(grid, self.n_modes)
        if padded or len(grid) != len(self.n_modes):
            raise ValueError(
                f"output grid {grid} differs from {tuple(h.shape[1:-1])}: that needs a {len(self.n_modes)}-D grid and no "
                "domain_padding; interpolate the prediction instead"
            )
        both = [min(old, new) for old, new in zip(h.shape[1:-1], grid, strict=True)]
        modes = [n - (n % 2 == 0) for n in both]  # an odd number: the mode n/2 has no partner
        return fft_inverse(fft_transform(h, modes), modes, grid)

    def _padding(self, grid: Sequence[int]) -> list[int]:
        """Return the number of appended cells per axis: an even one, so that half of them can stand on each side."""
        return [2 * round(self.domain_padding * n / 2) for n in grid]


def unit_coordinates(x: Tensor, shift: float = 0.5) -> Tensor:
    """Return coordinates of the unit cube for each sample of a batch of fields.

    Args:
        x: Fields, shape (batch, channels, *grid); gives grid, dtype and device.
        shift: Place in a cell: 1/2 its centre, 0 its lower corner.

    Returns:
        Coordinates (i + shift) / n, shape (batch, d, *grid).
    """
    axes = [(torch.arange(n, device=x.device, dtype=x.dtype) + shift) / n for n in x.shape[2:]]
    mesh = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    return mesh.expand(x.shape[0], *mesh.shape)
