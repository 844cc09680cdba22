"""Tensorised Fourier neural operator: an FNO whose spectral weights live in a factorized form.

Kossaifi et al., Multi-Grid Tensorized Fourier Neural Operator, TMLR 2024 (arXiv 2310.00120), section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pdeflow.models.fno import FNO
from pdeflow.models.spectral_weight import Factorization


class TFNO(FNO):
    """FNO with factorized spectral weights, about `rank` times as many; better with few samples.

    Args:
        n_modes: Kept Fourier modes per axis, both signs counted.
        in_channels: Channels of the input fields.
        out_channels: Channels of the output fields.
        hidden_channels: Width.
        n_layers: Number of Fourier blocks.
        factorization: Form of the spectral weights: "tucker", "cp", "tt", or "depthwise".
        rank: Share of the dense spectral entries to store, in (0, 1], or ranks (Tucker: in, out, one per axis, and before
            them one for the layers where `joint`).
        joint: Whether one tensor serves all layers.
        **options: The remaining options of FNO.

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
        factorization: Factorization = "tucker",
        rank: float | Sequence[int] = 0.1,
        joint: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(
            n_modes, in_channels, out_channels, hidden_channels, n_layers,
            factorization=factorization, rank=rank, joint=joint, **options,
        )  # fmt: skip
