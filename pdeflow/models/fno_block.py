"""One layer of a Fourier neural operator: spectral convolution, skips, normalisation and an MLP over the channels.

Kossaifi et al., Multi-Grid Tensorized Fourier Neural Operator, TMLR 2024, section 3 (blocks after and before the
activation, gated skips, normalisation over functions); the order of operations is neuraloperator's, so that its weights
can be taken over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdeflow.models.channel_map import ChannelMap
from pdeflow.models.spectral_conv import Path, SpectralConv
from pdeflow.models.spectral_weight import Factorization, Kernel

Skip = Literal["linear", "soft-gating", "identity"]
Norm = Literal["group_norm", "instance_norm"]


class ChannelMLP(nn.Module):
    """Two linear maps over the channels with a GELU between them, the same at every point.

    Args:
        in_channels: Channels of the input, its last axis.
        hidden_channels: Channels between.
        out_channels: Channels of the output.
    """

    def __init__(self, in_channels: int, hidden_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = ChannelMap(in_channels, hidden_channels)
        self.second = ChannelMap(hidden_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map features, shape (..., in_channels), to (..., out_channels)."""
        return self.second(functional.gelu(self.first(x)))


class Gate(nn.Module):
    """A learned factor per channel; starts as the identity.

    Args:
        channels: Channels, the last axis.
    """

    matrix_views: ClassVar[dict[str, str]] = {"weight": "elementwise"}

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Multiply features, shape (..., channels)."""
        return x * self.weight


class FunctionNorm(nn.Module):
    """Normalise each sample by statistics over its grid, which do not depend on the resolution.

    Args:
        channels: Channels, the last axis.
        kind: "group_norm", mean and variance over all channels, with a learned factor and shift per channel; or
            "instance_norm", per channel, without.
        eps: Added to the variance.
    """

    matrix_views: ClassVar[dict[str, str]] = {"weight": "elementwise", "bias": "elementwise"}

    def __init__(self, channels: int, kind: Norm, eps: float = 1e-5) -> None:
        super().__init__()
        if kind not in ("group_norm", "instance_norm"):
            raise ValueError(
                f"norm must be 'group_norm', 'instance_norm' or None, got {kind!r}; statistics over a batch depend on the grid"
            )
        self.kind, self.eps = kind, eps
        whole = kind == "group_norm"
        self.weight = nn.Parameter(torch.ones(channels)) if whole else None
        self.bias = nn.Parameter(torch.zeros(channels)) if whole else None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise features, shape (batch, *grid, channels)."""
        axes = list(range(1, x.ndim if self.kind == "group_norm" else x.ndim - 1))
        variance, mean = torch.var_mean(x, dim=axes, correction=0, keepdim=True)
        factor = torch.rsqrt(variance + self.eps)
        if self.weight is None or self.bias is None:
            return (x - mean) * factor
        return torch.addcmul(self.bias, x - mean, factor * self.weight)


class FNOBlock(nn.Module):
    """Map features to features on the same grid, or on another one.

    After the activation: h = σ(Norm(K x) + S x), then σ(Norm(MLP(h) + g ⊙ x)), without σ in the last block. Before it
    (`preactivation`): x ← Norm(σ(x)), h = σ(K x + S x), then MLP(Norm(h)) + g ⊙ x.

    Args:
        channels: Width.
        n_modes: Kept Fourier modes per axis.
        last: Whether this is the last block.
        factorization: As in SpectralConv; None where layers share a tensor.
        rank: As in SpectralConv.
        expansion: Hidden width of the MLP over channels.
        norm: "group_norm", "instance_norm" or None.
        skip: S: "linear", "soft-gating", "identity" or None.
        mlp_skip: g: the same choices.
        preactivation: Whether the activation comes first.
        path: As in SpectralConv.

    Raises:
        ValueError: If an option is unknown.
    """

    def __init__(
        self, channels: int, n_modes: Sequence[int], *, last: bool = False, factorization: Factorization | None = "dense",
        rank: float | Sequence[int] = 0.1, expansion: float = 0.5, norm: Norm | None = None, skip: Skip | None = "linear",
        mlp_skip: Skip | None = "soft-gating", preactivation: bool = False, path: Path = "auto",
    ) -> None:  # fmt: skip
        super().__init__()
        self.last, self.preactivation = last, preactivation
        self.conv = SpectralConv(channels, channels, n_modes, factorization=factorization, rank=rank, path=path)
        self.skip, self.mlp_skip = _skip(channels, skip), _skip(channels, mlp_skip)
        self.mlp = ChannelMLP(channels, max(1, round(expansion * channels)), channels)
        self.norm = None if norm is None else FunctionNorm(channels, norm)
        self.mlp_norm = None if norm is None else FunctionNorm(channels, norm)

    def forward(self, x: Tensor, kernel: Kernel | None = None) -> Tensor:
        """Apply the block.

        Args:
            x: Features, shape (batch, *grid, channels).
            kernel: Of the tensor that layers share, or None.

        Returns:
            Features, shape (batch, *grid, channels).
        """
        if self.preactivation:
            x = functional.gelu(x)
            x = x if self.norm is None else self.norm(x)
        if self.norm is None or self.preactivation:
            h = self.conv(x, kernel=kernel, add=None if self.skip is None else self.skip(x))
        else:
            h = self.norm(self.conv(x, kernel=kernel))
            h = h if self.skip is None else h + self.skip(x)
        h = h if self.last else functional.gelu(h)
        if self.preactivation:
            return self._mlp(h if self.mlp_norm is None else self.mlp_norm(h), x)
        h = self._mlp(h, x)
        h = h if self.mlp_norm is None else self.mlp_norm(h)
        return h if self.last else functional.gelu(h)

    def _mlp(self, h: Tensor, x: Tensor) -> Tensor:
        h = self.mlp(h)
        if isinstance(self.mlp_skip, Gate):
            return torch.addcmul(h, x, self.mlp_skip.weight)
        return h if self.mlp_skip is None else h + self.mlp_skip(x)


def _skip(channels: int, kind: Skip | None) -> nn.Module | None:
    if kind == "linear":
        return ChannelMap(channels, channels, bias=False)
    if kind == "soft-gating":
        return Gate(channels)
    if kind == "identity":
        return nn.Identity()
    if kind is None:
        return None
    raise ValueError(f"a skip is 'linear', 'soft-gating', 'identity' or None, got {kind!r}")
