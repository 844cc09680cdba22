"""Tensorised Fourier neural operator: an FNO whose spectral weights live in Tucker form.

Kossaifi et al., Multi-Grid Tensorized Fourier Neural Operator, TMLR 2024 (arXiv 2310.00120), section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

from pdeflow.models.fno import FNO


class TFNO(FNO):
    """FNO with Tucker-factorised spectral weights, about `rank` times as many; better with few samples.

    Args:
        n_modes: Kept Fourier modes per axis, both signs counted.
        in_channels: Channels of the input fields.
        out_channels: Channels of the output fields.
        hidden_channels: Width.
        n_layers: Number of Fourier blocks.
        rank: Share of the dense spectral entries to store, in (0, 1], or Tucker ranks (in, out, one per
            axis).
        coordinates: Whether cell-centre coordinates in [0, 1] are appended to the input.
        domain_padding: Share of zero cells appended to each axis inside the network, in [0, 1].
        channel_mlp_expansion: Hidden width of a block's MLP over hidden_channels.
        lifting_ratio: Hidden width of the lifting MLP over hidden_channels.
        projection_ratio: Hidden width of the projection MLP over hidden_channels.
        norm: Block normalisation of neuraloperator: None, "group_norm" or "instance_norm".

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
        rank: float | Sequence[int] = 0.1,
        coordinates: bool = True,
        domain_padding: float = 0.0,
        channel_mlp_expansion: float = 0.5,
        lifting_ratio: float = 2.0,
        projection_ratio: float = 2.0,
        norm: str | None = None,
    ) -> None:
        super().__init__(
            n_modes, in_channels, out_channels, hidden_channels, n_layers, rank=rank, coordinates=coordinates,
            domain_padding=domain_padding, channel_mlp_expansion=channel_mlp_expansion,
            lifting_ratio=lifting_ratio, projection_ratio=projection_ratio, norm=norm,
        )  # fmt: skip
