"""Networks that propose search directions from a residual alone: the two-level network of the paper, and a linear one.

Kaneda et al., A Deep Conjugate Direction Method, arXiv 2205.10763 (architecture as in its official code); the linear
network, which is ours, has the shape of a multigrid cycle and learns in a tenth of the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdeflow.models.network_preconditioner import NetworkPreconditioner, check_sides, normalized, on_grid

COARSEST_SIDE = 4
"""A linear network with tied levels halves its grid until a side is at most so long or odd."""


def convolution(dim: int, inputs: int, outputs: int, size: int, **options: Any) -> nn.Module:
    """Make a convolution layer in so many dimensions."""
    return {2: nn.Conv2d, 3: nn.Conv3d}[dim](inputs, outputs, size, **options)


def check_dim(dim: int) -> None:
    """Refuse other than two or three dimensions.

    Raises:
        ValueError: With the value.
    """
    if dim not in (2, 3):
        raise ValueError(f"expected dim 2 or 3, got {dim}")


class Rectified(nn.Module):
    """relu(conv(h)).

    Args:
        dim: Dimensions.
        channels: Channels in and out.
    """

    def __init__(self, dim: int, channels: int) -> None:
        super().__init__()
        self.conv = convolution(dim, channels, channels, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        """Return relu(conv(h)), shape of h."""
        return torch.relu(self.conv(h))


class ResidualPair(nn.Module):
    """h + relu(conv(relu(conv(h)))): the ReLU comes before the sum.

    Args:
        dim: Dimensions.
        channels: Channels in and out.
    """

    def __init__(self, dim: int, channels: int) -> None:
        super().__init__()
        self.first, self.second = Rectified(dim, channels), Rectified(dim, channels)

    def forward(self, h: Tensor) -> Tensor:
        """Return the sum, shape of h."""
        return h + self.second(self.first(h))


class DirectionNet(nn.Module):
    """The network of Kaneda et al.: two levels of 3^dim convolutions with biases and ReLU, residual in, direction out.

    Fully convolutional, so it applies to every grid of even sides. It sees neither coefficient nor geometry. The defaults are
    the paper's network for 64³ (97,457 parameters); before=2, coarse=5, after=3 is the one for 128³ (152,881).

    Args:
        dim: Dimensions, 2 or 3.
        channels: Feature channels.
        before: Residual pairs on the fine level before pooling, between two single layers.
        coarse: Residual pairs on the coarse level.
        after: Residual pairs on the fine level after it.

    Raises:
        ValueError: If dim is not 2 or 3 or a number is below one.

    Reference: Kaneda et al., arXiv 2205.10763, official code.
    """

    def __init__(self, dim: int = 3, channels: int = 16, before: int = 1, coarse: int = 3, after: int = 2) -> None:
        super().__init__()
        check_dim(dim)
        if min(channels, before, coarse, after) < 1:
            raise ValueError(f"expected positive numbers, got channels {channels}, pairs {before}, {coarse}, {after}")
        self.dim = dim
        self.lift = convolution(dim, 1, channels, 3, padding=1)
        pairs = [ResidualPair(dim, channels) for _ in range(before)]
        self.fine = nn.Sequential(Rectified(dim, channels), *pairs, Rectified(dim, channels))
        self.coarse = nn.Sequential(*(ResidualPair(dim, channels) for _ in range(coarse)))
        self.after = nn.Sequential(*(ResidualPair(dim, channels) for _ in range(after)))
        self.project = convolution(dim, channels, 1, 1)

    def forward(self, r: Tensor) -> Tensor:
        """Propose directions.

        Args:
            r: Residuals of length one, shape (batch, 1, *grid), even sides.

        Returns:
            Directions of no particular length, same shape.
        """
        fine = self.fine(self.lift(r))
        pool = functional.avg_pool2d if self.dim == 2 else functional.avg_pool3d
        wide = fine if fine.dtype == torch.float64 else fine.float()  # pooling in space has no 16 bits on a CPU
        coarse = self.coarse(pool(wide, 2).to(fine.dtype))
        return self.project(self.after(fine + functional.interpolate(coarse, scale_factor=2, mode="nearest")))

    def on(self, coefficient: Tensor, spacing: Sequence[float]) -> Callable[[Tensor], Tensor]:
        """Return the map from residuals (batch, 1, *grid) to directions for some coefficients, which this network does not read."""
        return lambda r: normalized(self, r)

    def check_grid(self, shape: Sequence[int], spacing: Sequence[float]) -> None:
        """Refuse a grid that cannot be trained on.

        Raises:
            ValueError: If it has another dimension, or a side that is odd.
        """
        check_sides(shape, self.dim, 2)

    def setup(self, system: Any, dtype: torch.dtype | None = None) -> NetworkPreconditioner:
        """Build M @ r of one system (protocol of pdeflow.linalg); for flexible methods with a window of ten.

        Args:
            system: Anything with `grid`.
            dtype: Precision inside; None is that of the parameters.

        Raises:
            ValueError: If its grid has another dimension or an odd side.
        """
        return on_grid(self, system, self.dim, 2, False, dtype)


class LinearMultigridNet(nn.Module):
    """A linear network in the shape of a multigrid V-cycle, without biases: residual in, direction out.

    Each level smooths, h + conv(h), restricts by a convolution of stride 2, and adds what the coarser level returns through a
    transposed one. A linear f needs a window of two, and is not symmetric: use method dcdm or fcg.

    Args:
        dim: Dimensions, 2 or 3.
        channels: Feature channels.
        levels: Grids, each half as fine as the one before; the coarsest should have about 4 points a side. With tied weights
            their number follows from the grid instead.
        tied: Whether all levels share their weights, which then also serve finer grids than those of the training.

    Attributes:
        divisor: What each side of a grid must be divisible by.

    Raises:
        ValueError: If dim is not 2 or 3, or a number is below one.

    Reference: ours; compare the linear network of Lan et al., ICML 2024 (arXiv 2310.00177).
    """

    def __init__(self, dim: int = 2, channels: int = 8, levels: int = 5, tied: bool = False) -> None:
        super().__init__()
        check_dim(dim)
        if channels < 1 or levels < 1:
            raise ValueError(f"expected positive channels and levels, got {channels} and {levels}")
        self.dim, self.levels, self.tied = dim, levels, tied
        self.divisor = 2 if tied else 2 ** (levels - 1)
        transposed = nn.ConvTranspose2d if dim == 2 else nn.ConvTranspose3d
        own = 1 if tied else levels - 1

        def smoothers(count: int) -> nn.ModuleList:
            return nn.ModuleList(convolution(dim, channels, channels, 3, padding=1, bias=False) for _ in range(count))

        self.lift = convolution(dim, 1, channels, 3, padding=1, bias=False)
        self.before, self.coarsest, self.after = smoothers(own), smoothers(1), smoothers(own)
        self.down = nn.ModuleList(convolution(dim, channels, channels, 2, stride=2, bias=False) for _ in range(own))
        self.up = nn.ModuleList(transposed(channels, channels, 4, stride=2, padding=1, bias=False) for _ in range(own))
        self.project = convolution(dim, channels, 1, 3, padding=1, bias=False)

    def forward(self, r: Tensor) -> Tensor:
        """Propose directions.

        Args:
            r: Residuals, shape (batch, 1, *grid), sides divisible by `divisor`.

        Returns:
            Directions, same shape; linear in r.
        """
        return self.project(self._level(self.lift(r), 0))

    def _level(self, h: Tensor, level: int) -> Tensor:
        if self._is_coarsest(tuple(h.shape[2:]), level):
            return h + self.coarsest[0](h)
        k = 0 if self.tied else level
        h = h + self.before[k](h)
        h = h + self.up[k](self._level(self.down[k](h), level + 1))
        return h + self.after[k](h)

    def _is_coarsest(self, shape: tuple[int, ...], level: int) -> bool:
        if not self.tied:
            return level == self.levels - 1
        return min(shape) <= COARSEST_SIDE or any(side % 2 for side in shape)

    def on(self, coefficient: Tensor, spacing: Sequence[float]) -> Callable[[Tensor], Tensor]:
        """Return the map from residuals (batch, 1, *grid) to directions for some coefficients, which this network does not read."""
        return lambda r: normalized(self, r)

    def check_grid(self, shape: Sequence[int], spacing: Sequence[float]) -> None:
        """Refuse a grid that cannot be trained on.

        Raises:
            ValueError: If it has another dimension, or a side that the levels cannot halve.
        """
        check_sides(shape, self.dim, self.divisor)

    def setup(self, system: Any, dtype: torch.dtype | None = None) -> NetworkPreconditioner:
        """Build M @ r of one system (protocol of pdeflow.linalg); linear, not symmetric.

        Args:
            system: Anything with `grid`.
            dtype: Precision inside; None is that of the parameters.

        Raises:
            ValueError: If its grid has another dimension, or a side that the levels cannot halve.
        """
        return on_grid(self, system, self.dim, self.divisor, True, dtype)
