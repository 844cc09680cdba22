"""Fourier neural operator on neuraloperator's blocks, with real-stored weights and built-in normalisation.

Li et al., Fourier Neural Operator, ICLR 2021, section 4; block order as in neuraloperator 2.0 (Kossaifi et
al., TMLR 2024).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdeflow.models.normalizer import Normalizer
from pdeflow.models.spectral_conv import SpectralConv


class FNO(nn.Module):
    """Map fields to fields on any uniform grid that resolves the kept modes.

    Lifting MLP, n_layers Fourier blocks h ← MLP(σ(K h + S h)) + g ⊙ h, projection MLP. Normalisers of input
    and output are part of the network, so it takes and returns physical units.

    Args:
        n_modes: Kept Fourier modes per axis, both signs counted; its length is the dimension of the
            domain.
        in_channels: Channels of the input fields.
        out_channels: Channels of the output fields.
        hidden_channels: Width.
        n_layers: Number of Fourier blocks.
        coordinates: Whether cell-centre coordinates in [0, 1] are appended to the input.
        domain_padding: Share of zero cells appended to each axis inside the network, in [0, 1]: for
            fields that are not periodic. Zero for periodic ones.
        channel_mlp_expansion: Hidden width of a block's MLP over hidden_channels.
        lifting_ratio: Hidden width of the lifting MLP over hidden_channels.
        projection_ratio: Hidden width of the projection MLP over hidden_channels.
        norm: Block normalisation of neuraloperator: None, "group_norm" or "instance_norm".
        rank: Tucker rank of the spectral weights as in SpectralConv; None keeps them dense.

    Raises:
        ValueError: If domain_padding, n_modes or rank is out of range.
    """

    def __init__(
        self,
        n_modes: Sequence[int],
        in_channels: int = 1,
        out_channels: int = 1,
        hidden_channels: int = 32,
        n_layers: int = 4,
        *,
        coordinates: bool = True,
        domain_padding: float = 0.0,
        channel_mlp_expansion: float = 0.5,
        lifting_ratio: float = 2.0,
        projection_ratio: float = 2.0,
        norm: str | None = None,
        rank: float | Sequence[int] | None = None,
    ) -> None:
        from neuralop.layers.channel_mlp import ChannelMLP
        from neuralop.layers.fno_block import FNOBlocks

        super().__init__()
        if not 0 <= domain_padding <= 1:
            raise ValueError(f"domain_padding is a share of the axis in [0, 1], got {domain_padding}")
        self.n_modes, self.coordinates, self.domain_padding = tuple(n_modes), coordinates, domain_padding
        self.input_normalizer, self.output_normalizer = Normalizer(in_channels), Normalizer(out_channels)
        dimension, width = len(self.n_modes), hidden_channels
        self.lifting = ChannelMLP(
            in_channels + dimension * coordinates, width, round(lifting_ratio * width), n_dim=dimension
        )
        self.blocks = FNOBlocks(
            width, width, self.n_modes, n_layers=n_layers, norm=norm, rank=rank, conv_module=SpectralConv,
            factorization=None if rank is None else "tucker", channel_mlp_expansion=channel_mlp_expansion,
        )  # fmt: skip
        self.projection = ChannelMLP(width, out_channels, round(projection_ratio * width), n_dim=dimension)

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
        self.blocks.convs[0].check_grid([n + p for n, p in zip(shape, self._padding(shape), strict=True)])

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

    def forward(self, a: Tensor) -> Tensor:
        """Predict.

        Args:
            a: Input fields in physical units, shape (batch, in_channels, *grid).

        Returns:
            Output fields in physical units, shape (batch, out_channels, *grid).

        Raises:
            ValueError: If channels, dimension or dtype differ, or the grid has fewer points than kept modes.
        """
        grid = tuple(a.shape[2:])
        self.check_grid(grid)
        h = self.input_normalizer(a)
        if self.coordinates:
            h = torch.cat((h, unit_coordinates(h)), dim=1)
        h = self.lifting(h)
        padding = self._padding(grid)
        h = functional.pad(h, [p for pad in reversed(padding) for p in (0, pad)]) if any(padding) else h
        for layer in range(self.blocks.n_layers):
            h = self.blocks(h, layer)
        for axis, n in enumerate(grid, start=2):
            h = h.narrow(axis, 0, n)
        h = h.contiguous()
        return self.output_normalizer.inverse(self.projection(h))

    def _padding(self, grid: Sequence[int]) -> list[int]:
        """Return the number of appended cells per axis."""
        return [round(self.domain_padding * n) for n in grid]


def unit_coordinates(x: Tensor) -> Tensor:
    """Return cell-centre coordinates of the unit cube for each sample of a batch of fields.

    Args:
        x: Fields, shape (batch, channels, *grid); gives grid, dtype and device.

    Returns:
        Coordinates (i + 1/2) / n, shape (batch, d, *grid).
    """
    axes = [(torch.arange(n, device=x.device, dtype=x.dtype) + 0.5) / n for n in x.shape[2:]]
    mesh = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    return mesh.expand(x.shape[0], *mesh.shape)
