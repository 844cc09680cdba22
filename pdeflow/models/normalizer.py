"""Per-channel standardisation whose statistics travel with the network's weights.

Kovachki et al., Neural Operator, JMLR 24 (2023), section 6: inputs and outputs are scaled to zero mean,
unit variance.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Normalizer(nn.Module):
    """Map each channel to zero mean and unit variance; the identity until it is fitted."""

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int) -> None:
        """Create the identity.

        Args:
            channels: Number of channels, axis 1 of the fields.
        """
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    def fit(self, x: Tensor) -> Normalizer:
        """Take mean and standard deviation over samples and points; a constant channel keeps deviation one.

        Args:
            x: Fields, shape (batch, channels, *grid).

        Returns:
            This module.

        Raises:
            ValueError: If the number of channels differs or a value is not finite.
        """
        self._check_channels(x)
        if not torch.isfinite(x).all():
            raise ValueError("cannot fit a Normalizer to NaN or infinite values; run `pdeflow data check`")
        columns = x.detach().double().transpose(0, 1).flatten(1)  # (channels, samples * points)
        std = columns.std(dim=1, correction=0)
        constant = std <= 1e-12 * columns.abs().amax(dim=1)
        self.mean.copy_(columns.mean(dim=1))
        self.std.copy_(torch.where(constant, torch.ones_like(std), std))
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Encode physical values.

        Args:
            x: Fields in physical units, shape (batch, channels, *grid).

        Returns:
            (x - mean) / std per channel, same shape.

        Raises:
            ValueError: If the number of channels differs.
        """
        return (x - self._column(self.mean, x)) / self._column(self.std, x)

    def inverse(self, x: Tensor) -> Tensor:
        """Decode to physical values.

        Args:
            x: Encoded fields, shape (batch, channels, *grid).

        Returns:
            mean + std x per channel, same shape.

        Raises:
            ValueError: If the number of channels differs.
        """
        return x * self._column(self.std, x) + self._column(self.mean, x)

    def _column(self, statistic: Tensor, x: Tensor) -> Tensor:
        self._check_channels(x)
        return statistic.reshape(-1, *[1] * (x.ndim - 2))

    def _check_channels(self, x: Tensor) -> None:
        if x.ndim < 2 or x.shape[1] != len(self.mean):
            raise ValueError(
                f"expected fields (batch, {len(self.mean)}, *grid), got shape {tuple(x.shape)}; "
                "pass as many channels as the network has, or set its in_channels or out_channels to those of the data"
            )
