"""Relative Sobolev errors of gridded fields: H1 by second-order differences or exact derivatives, H^s by Fourier series.

Kossaifi et al., Multi-Grid Tensorized FNO, TMLR 2024, section 4.1; Li et al., Markov neural operators, NeurIPS 2022,
eq. (8); Evans, Partial Differential Equations, 2nd ed., section 5.8.5 (H^s by Fourier transform).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from pdeflow.geometry import Grid
from pdeflow.losses.lp import check_pair, safe_ratio

Derivative = Literal["fd2", "spectral"]


def relative_h1(
    u: Tensor,
    v: Tensor,
    extent: Sequence[float] | None = None,
    *,
    periodic: bool = False,
    derivative: Derivative = "fd2",
    location: Literal["cell", "node"] = "cell",
) -> Tensor:
    """Compute sqrt(‖e‖² + ‖∇e‖²) / sqrt(‖v‖² + ‖∇v‖²), e = u - v, of each sample.

    Args:
        u: Prediction, shape (batch, channels, *grid).
        v: Target, same shape.
        extent: Side lengths of the box; None is the unit cube.
        periodic: Whether the fields are periodic on the box; then axes hold n points of spacing length / n.
        derivative: "fd2" (second-order differences: central, one-sided at ends that are not periodic) or
            "spectral" (exact up to the Nyquist mode; needs periodic).
        location: Where a field that is not periodic is sampled: n cell centres (spacing length / n) or n
            nodes with both ends (spacing length / (n - 1)).

    Returns:
        Ratios, shape (batch,); ∇ carries one over the length unit of extent.

    Raises:
        ValueError: If shapes or extent differ, the grid has fewer than 3 points, "spectral" is asked for
            fields that are not periodic, or the target of a sample is zero.
    """
    check_pair(u, v)
    lengths = _check_lengths(u, extent)
    if derivative not in ("fd2", "spectral") or (derivative == "spectral" and not periodic):
        raise ValueError(
            f"derivative={derivative!r} with periodic={periodic}: use 'fd2', "
            "or 'spectral' with periodic=True"
        )
    norms = [
        _h1_norm(w, lengths, periodic=periodic, spectral=derivative == "spectral", nodes=location == "node")
        for w in (u - v, v)
    ]
    return safe_ratio(norms[0], norms[1])


class RelativeH1(nn.Module):
    """Mean over the batch of the relative H1 errors of its samples.

    Args:
        extent: Side lengths of the box; None takes them from the training data, without data the unit cube.
        periodic: Whether the fields are periodic on the box; None asks the data, without data they are not.
        derivative: "fd2" or "spectral", as in relative_h1.
        location: "cell" or "node"; None asks the data, without data "cell".
    """

    def __init__(
        self,
        extent: Sequence[float] | None = None,
        *,
        periodic: bool | None = None,
        derivative: Derivative = "fd2",
        location: Literal["cell", "node"] | None = None,
    ) -> None:
        super().__init__()
        self.extent, self.periodic, self.derivative, self.location = extent, periodic, derivative, location

    def fit_grid(self, grid: Grid) -> None:
        """Take from the grid of the data what was not given.

        Args:
            grid: Gives side lengths, periodicity (of all axes) and location.

        Raises:
            ValueError: If derivatives are to be spectral but the grid is not periodic.
        """
        self.extent = side_lengths(grid) if self.extent is None else self.extent
        self.periodic = all(grid.periodic) if self.periodic is None else self.periodic
        self.location = grid.location if self.location is None else self.location
        if self.derivative == "spectral" and not self.periodic:
            raise ValueError(f"derivative 'spectral' needs periodic data, these are periodic {grid.periodic} by axis; use 'fd2'")

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            prediction: Fields, shape (batch, channels, *grid).
            target: Fields of the same shape.

        Returns:
            Scalar tensor.

        Raises:
            ValueError: As relative_h1.
        """
        return relative_h1(
            prediction, target, self.extent,
            periodic=bool(self.periodic), derivative=self.derivative, location=self.location or "cell",
        ).mean()  # fmt: skip


def side_lengths(grid: Grid) -> list[float]:
    """Return the lengths of a grid's axes, in its length unit."""
    return [high - low for low, high in grid.bounds]


def relative_hs(
    u: Tensor, v: Tensor, s: float, extent: Sequence[float] | None = None, *, homogeneous: bool = False
) -> Tensor:  # fmt: skip
    """Compute ‖u - v‖_s / ‖v‖_s of each sample of periodic fields, ‖w‖_s² = Σ_k (1 + |ξ_k|²)^s |ŵ_k|² with ξ_k = 2πk/extent.

    ‖·‖_0 is the L2 norm and ‖w‖_{s+1}² = ‖w‖_s² + ‖∇w‖_s²; negative s weigh large scales more.

    Args:
        u: Prediction, shape (batch, channels, *grid), periodic on the box.
        v: Target, same shape.
        s: Order, any real number.
        extent: Side lengths of the box; None is the unit cube.
        homogeneous: Whether the weight is |ξ|^(2s), which does not see the means of the fields.

    Returns:
        Ratios, shape (batch,), dimensionless where homogeneous; otherwise ξ is in one over the length unit of extent.

    Raises:
        ValueError: If shapes or extent differ, or the target of a sample (less its mean, where homogeneous) is zero.
    """
    check_pair(u, v)
    weight = _sobolev_weight(u, _check_lengths(u, extent, least=1), s, homogeneous=homogeneous)
    axes = list(range(2, u.ndim))
    norms = [(torch.fft.rfftn(w, dim=axes, norm="forward").abs() * weight).flatten(1).norm(dim=1) for w in (u - v, v)]
    return safe_ratio(norms[0], norms[1])


class RelativeHs(nn.Module):
    """Mean over the batch of the relative H^s errors of its samples, periodic fields.

    Args:
        s: Order, any real number; -1 is the norm of residuals of second-order equations.
        extent: Side lengths of the box; None takes them from the training data, without data the unit cube.
        homogeneous: Whether the means of the fields are left out, as relative_hs.
    """

    def __init__(self, s: float = 1.0, extent: Sequence[float] | None = None, *, homogeneous: bool = False) -> None:
        super().__init__()
        self.s, self.extent, self.homogeneous = s, extent, homogeneous

    def fit_grid(self, grid: Grid) -> None:
        """Take the side lengths from the grid of the data where they were not given.

        Args:
            grid: Of the data.

        Raises:
            ValueError: If it is not periodic: the Fourier series of such fields decays like that of a jump.
        """
        if not all(grid.periodic):
            raise ValueError(f"RelativeHs needs periodic data, these are periodic {grid.periodic} by axis; use RelativeH1 or RelativeL2")
        self.extent = side_lengths(grid) if self.extent is None else self.extent

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compute the loss, a scalar, of fields (batch, channels, *grid) of one shape; raises as relative_hs."""
        return relative_hs(prediction, target, self.s, self.extent, homogeneous=self.homogeneous).mean()


def _sobolev_weight(w: Tensor, lengths: Sequence[float], s: float, *, homogeneous: bool) -> Tensor:
    """Return the factors of the half spectrum's moduli; waves with a partner in the dropped half count twice."""
    grid, options = w.shape[2:], {"dtype": w.dtype, "device": w.device}
    k = [torch.fft.fftfreq(n, d=1 / n, **options) for n in grid[:-1]]
    k.append(torch.fft.rfftfreq(grid[-1], d=1 / grid[-1], **options))
    squares = [(2 * math.pi / length * wave) ** 2 for wave, length in zip(k, lengths, strict=True)]
    squared = torch.stack(torch.meshgrid(*squares, indexing="ij")).sum(0)
    pair = torch.where((k[-1] == 0) | (2 * k[-1] == grid[-1]), 1.0, math.sqrt(2)).to(w.dtype)
    if homogeneous:
        return torch.where(squared == 0, 0.0, squared.clamp_min(1e-30) ** (s / 2)) * pair
    return (1 + squared) ** (s / 2) * pair


def _h1_norm(w: Tensor, lengths: Sequence[float], *, periodic: bool, spectral: bool, nodes: bool) -> Tensor:
    """Return sqrt(‖w‖² + ‖∇w‖²) per sample, up to the common volume of a cell."""
    parts = [w.flatten(1)]
    for axis, length in enumerate(lengths, start=2):
        n = w.shape[axis]
        if spectral:
            slope = _spectral_derivative(w, length, axis)
        elif periodic:
            slope = (w.roll(-1, axis) - w.roll(1, axis)) * (n / (2 * length))
        else:
            spacing = length / (n - 1 if nodes else n)
            (slope,) = torch.gradient(w, spacing=spacing, dim=axis, edge_order=2)
        parts.append(slope.flatten(1))
    return torch.cat(parts, dim=1).norm(dim=1)  # one norm: its gradient at zero error is zero, not NaN


def _spectral_derivative(w: Tensor, length: float, axis: int) -> Tensor:
    """Differentiate a periodic field exactly; the Nyquist mode of an even grid has derivative zero
    at the points."""
    n = w.shape[axis]
    k = torch.fft.rfftfreq(n, d=1 / n, device=w.device, dtype=w.dtype)
    k = torch.where(2 * k == n, 0.0, k) * (2 * math.pi / length)
    shape = [-1 if a == axis else 1 for a in range(w.ndim)]
    return torch.fft.irfft(1j * k.reshape(shape) * torch.fft.rfft(w, dim=axis), n=n, dim=axis)


def _check_lengths(u: Tensor, extent: Sequence[float] | None, least: int = 3) -> list[float]:
    """Return the side lengths, one per grid axis."""
    grid = tuple(u.shape[2:])
    if not grid or min(grid) < least:
        raise ValueError(
            f"a Sobolev norm needs fields (batch, channels, *grid), {least} points or more per axis, got shape {tuple(u.shape)}"
        )
    lengths = [1.0] * len(grid) if extent is None else [float(x) for x in extent]
    if len(lengths) != len(grid) or min(lengths) <= 0:
        raise ValueError(f"extent must hold {len(grid)} positive side lengths, got {extent}")
    return lengths
