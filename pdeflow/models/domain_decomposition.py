"""Multi-grid domain decomposition: a field cut into patches that carry coarser, wider views of their surroundings.

Kossaifi et al., Multi-Grid Tensorized Fourier Neural Operator, TMLR 2024 (arXiv 2310.00120), section 3. Along an axis of n
points, patch i of P = 2^L has s = n/P points and p more on either side; its view of level l = 0..L is

    idx_{l,i}(k) = i s + ⌊s/2⌋ + 2^l (k - ⌊s/2⌋ - p),    k = 0..m-1,    m = s + 2p,

so the views of all levels share the point in the middle. With p = 0 level L sees each residue of the axis once.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

Boundary = Literal["circular", "reflect", "symmetric", "mask"]
Padding = float | Sequence[float | Sequence[float]]


class PatchedAxis(NamedTuple):
    """One axis cut into patches.

    Attributes:
        n: Points of the axis.
        patches: Number of patches.
        before: Points added before a patch.
        after: Points added after it.
    """

    n: int
    patches: int
    before: int
    after: int

    @property
    def side(self) -> int:
        """Points of a patch without padding."""
        return self.n // self.patches

    @property
    def points(self) -> int:
        """Points of a patch with its padding."""
        return self.side + self.before + self.after

    def window(self, level: int, device: torch.device | None = None) -> Tensor:
        """Return the indices that the views of a level read, not yet folded into the axis, shape (patches, points)."""
        half = self.side // 2
        centres = torch.arange(self.patches, device=device) * self.side + half
        return centres[:, None] + 2**level * (torch.arange(self.points, device=device) - half - self.before)


@dataclass(frozen=True)
class MultiGridPatches:
    """How fields are cut into 2^levels patches per axis, each with its levels + 1 views as channels, and stitched again.

    Attributes:
        levels: L; 0 leaves the field whole (with its padding).
        padding: Points added to a patch, as shares of the whole axis in [0, 1]: one number; one per axis; or a pair (before,
            after) per axis.
        boundary: What a view sees beyond the domain: "circular", the field again; "reflect", its mirror image about the
            last point (data at nodes); "symmetric", about half a cell beyond it (data at cell centres); "mask", zeros, and
            one channel more per level, one where cells are real.
        antialias: Whether views of level l are freed of the waves that their stride 2^l cannot resolve (by a truncated
            Fourier series, of the mirrored field where the boundary is not circular) instead of merely subsampled.
        blend: Whether `stitch` lets overlapping patches pass into each other, by weights that fall linearly across the
            overlap and add up to one, so that no seam is left; otherwise the padding is cut off.

    Raises:
        ValueError: If an option is unknown or out of range.
    """

    levels: int = 1
    padding: Padding = 0.0625
    boundary: Boundary = "circular"
    antialias: bool = False
    blend: bool = False

    def __post_init__(self) -> None:
        if self.levels < 0:
            raise ValueError(f"levels must be 0 or more, got {self.levels}")
        if self.boundary not in get_args(Boundary):
            raise ValueError(f"boundary must be one of {', '.join(get_args(Boundary))}, got {self.boundary!r}")
        self._shares(None)

    @property
    def per_axis(self) -> int:
        """Patches per axis, 2^levels."""
        return 2**self.levels

    def channels(self, c: int) -> int:
        """Return the channels of a patch of fields with c channels: every level's views, and the masks."""
        return (self.levels + 1) * (c + (self.boundary == "mask"))

    def axes(self, grid: Sequence[int]) -> list[PatchedAxis]:
        """Lay the patches out on a grid.

        Args:
            grid: Points per axis.

        Raises:
            ValueError: If an axis is not divisible by 2^levels, or the padding is given for other axes.
        """
        for n in grid:
            if n % self.per_axis or n < self.per_axis:
                raise ValueError(f"grid {n} is not divisible by 2**levels={self.per_axis}; change the grid or lower levels")
        shares = self._shares(len(grid))
        return [PatchedAxis(n, self.per_axis, round(lo * n), round(hi * n)) for n, (lo, hi) in zip(grid, shares, strict=True)]

    def patch_shape(self, grid: Sequence[int]) -> tuple[int, ...]:
        """Return the points per axis of a padded patch; raises as `axes`."""
        return tuple(axis.points for axis in self.axes(grid))

    def split(self, x: Tensor, unfiltered: int = 0) -> Tensor:
        """Cut fields into patches.

        Args:
            x: Fields, shape (batch, c, *grid).
            unfiltered: So many of the last channels are never antialiased: coordinates, which jump where they wrap.

        Returns:
            Patches, the samples' one after the other, shape (batch * 2^(levels d), channels(c), *patch_shape(grid)): the c
            channels of level 0, of level 1, ..., then the masks of all levels.

        Raises:
            ValueError: If the grid does not fit.
        """
        axes = self.axes(x.shape[2:])
        views, masks = [], []
        for level in range(self.levels + 1):
            view = self._filtered(x, level, unfiltered)
            real = x.new_ones(1, 1, *(axis.patches * axis.points for axis in axes))
            for place, axis in enumerate(axes, start=2):
                index = axis.window(level, x.device).flatten()
                view = view.index_select(place, _fold(index, axis.n, self.boundary))
                inside = ((index >= 0) & (index < axis.n)).to(x.dtype)
                real = real * inside.reshape(-1, *[1] * (x.ndim - 1 - place))
            if self.boundary == "mask":
                view = view * real
                masks.append(cut(real, self.per_axis).expand(len(x), -1, *[-1] * (x.ndim - 1)))
            views.append(cut(view, self.per_axis))
        return torch.cat(views + masks, dim=2).flatten(0, 1)

    def crop(self, y: Tensor, grid: Sequence[int]) -> Tensor:
        """Take the padding off patches.

        Args:
            y: Patches, shape (patches, c, *patch_shape(grid)).
            grid: Points per axis of the fields.

        Returns:
            Patches that tile the domain, shape (patches, c, *sides).

        Raises:
            ValueError: If the patches have another shape.
        """
        axes = self.axes(grid)
        if tuple(y.shape[2:]) != self.patch_shape(grid):
            raise ValueError(
                f"expected patches (batch * {self.per_axis ** len(axes)}, c, {', '.join(str(a.points) for a in axes)}), got "
                f"{tuple(y.shape)}; the inner network must keep the grid"
            )
        for place, axis in enumerate(axes, start=2):
            y = y.narrow(place, axis.before, axis.side)
        return y

    def stitch(self, y: Tensor, grid: Sequence[int]) -> Tensor:
        """Put patches together, without their padding or blended: the inverse of `split` on its level 0.

        Args:
            y: All patches in the order of `split`, shape (batch * 2^(levels d), c, *patch_shape(grid)).
            grid: Points per axis of the fields.

        Returns:
            Fields, shape (batch, c, *grid).

        Raises:
            ValueError: If the patches do not fit the grid.
        """
        tiles = self.crop(y, grid)
        x = join((y if self.blend else tiles).unflatten(0, (-1, self.per_axis ** len(grid))), self.per_axis)
        for place, axis in enumerate(self.axes(grid) if self.blend else (), start=2):
            x = (x.movedim(place, -1) @ _blending(axis, self.boundary, x).T).movedim(-1, place)
        return x

    def _shares(self, dimension: int | None) -> list[tuple[float, float]]:
        """Return the padding (before, after) of each axis; without a dimension only check it."""
        given = self.padding
        rows = [given] * (dimension or 1) if isinstance(given, int | float) else list(given)
        pairs = [(row, row) if isinstance(row, int | float) else tuple(row) for row in rows]
        if any(len(pair) != 2 or min(pair) < 0 or max(pair) > 1 for pair in pairs):
            raise ValueError(f"padding holds shares of an axis in [0, 1], one or a pair (before, after) per axis, got {given}")
        if dimension is not None and len(pairs) != dimension:
            raise ValueError(f"padding={given} is for {len(pairs)} axes, the grid has {dimension}: give one share per axis")
        return [(float(low), float(high)) for low, high in pairs]

    def _filtered(self, x: Tensor, level: int, unfiltered: int) -> Tensor:
        """Drop the waves that a stride of 2^level cannot resolve, but for the last channels."""
        if level == 0 or not self.antialias:
            return x
        smooth, rest = x.split((x.shape[1] - unfiltered, unfiltered), dim=1)
        for axis in range(2, x.ndim):
            smooth = _truncate(smooth, axis, 2**level, self.boundary)
        return torch.cat((smooth, rest), dim=1)


def cut(x: Tensor, per_axis: int) -> Tensor:
    """Cut fields (batch, c, *grid) into tiles, shape (batch, per_axis^d, c, *tile), the last axis running fastest."""
    d = x.ndim - 2
    for axis in reversed(range(2, x.ndim)):
        x = x.unflatten(axis, (per_axis, -1))
    order = [0, *range(2, 2 + 2 * d, 2), 1, *range(3, 3 + 2 * d, 2)]
    return x.permute(order).flatten(1, d)


def join(tiles: Tensor, per_axis: int) -> Tensor:
    """Put tiles (batch, per_axis^d, c, *tile) together, shape (batch, c, *grid): the inverse of `cut`."""
    d = tiles.ndim - 3
    x = tiles.unflatten(1, [per_axis] * d)  # (batch, P.., c, tile..)
    order = [0, d + 1, *itertools.chain.from_iterable((1 + k, d + 2 + k) for k in range(d))]
    x = x.permute(order)
    return x.reshape(*x.shape[:2], *(per_axis * side for side in tiles.shape[3:]))


def seam_ratio(y: Tensor, levels: int) -> Tensor:
    """Compare the jumps across the edges of patches with the differences of neighbours inside them.

    Args:
        y: Stitched fields, shape (batch, c, *grid).
        levels: Of the patches.

    Returns:
        Mean |difference| across edges over mean |difference| inside, dimensionless, shape (batch,): about 1 where no seam can
        be seen, and 1 for constant fields. The outer boundary counts as neither.

    Raises:
        ValueError: If levels is 0, or the grid is not divisible by 2^levels into patches of 2 points or more.
    """
    patches = 2**levels
    if levels < 1 or any(n % patches or n < 2 * patches for n in y.shape[2:]):
        raise ValueError(f"levels={levels} on grid {tuple(y.shape[2:])} has no seams: patches need 2 points, levels 1 or more")
    seams, inside = [], []
    for axis in range(2, y.ndim):
        jumps = y.diff(dim=axis).abs().transpose(1, axis).flatten(2).mean(2)  # (batch, n - 1)
        at_seam = torch.arange(1, y.shape[axis], device=y.device) % (y.shape[axis] // patches) == 0
        seams.append(jumps[:, at_seam])
        inside.append(jumps[:, ~at_seam])
    across, within = torch.cat(seams, 1).mean(1), torch.cat(inside, 1).mean(1)
    return torch.where((across == 0) & (within == 0), torch.ones_like(across), across / within)


def _blending(axis: PatchedAxis, boundary: Boundary, like: Tensor) -> Tensor:
    """Return the weights of the patches' points in the points of an axis, shape (n, patches * points); rows sum to one."""
    place, overlap = torch.arange(axis.points), axis.before + axis.after + 1
    weight = torch.minimum(place + 1, axis.points - place).clamp(max=overlap) / overlap
    index = axis.window(0).flatten()
    inside = (index >= 0) & (index < axis.n) | (boundary == "circular")
    matrix = torch.zeros(axis.n, len(index), dtype=torch.float64)
    matrix[index % axis.n, torch.arange(len(index))] = weight.repeat(axis.patches).double() * inside
    return (matrix / matrix.sum(1, keepdim=True)).to(like)


def _fold(index: Tensor, n: int, boundary: Boundary) -> Tensor:
    """Fold indices beyond an axis of n points back into it."""
    if boundary == "circular":
        return index % n
    if boundary == "mask":
        return index.clamp(0, n - 1)
    period = 2 * n if boundary == "symmetric" else max(2 * n - 2, 1)
    index = index % period
    return torch.minimum(index, 2 * n - 1 - index if boundary == "symmetric" else (period - index) % period)


def _truncate(x: Tensor, axis: int, stride: int, boundary: Boundary) -> Tensor:
    """Drop the waves of an axis that have fewer than two samples a period at a stride; mirrored fields are periodic."""
    n = x.shape[axis]
    if boundary != "circular":
        mirror = x.flip(axis)
        x = torch.cat((x, mirror.narrow(axis, 1, max(n - 2, 0)) if boundary == "reflect" else mirror), dim=axis)
    spectrum = torch.fft.rfft(x, dim=axis)
    length = x.shape[axis]
    kept = (length - 1) // (2 * stride) + 1  # wavenumbers k with 2 k stride < length
    return torch.fft.irfft(spectrum.narrow(axis, 0, kept), n=length, dim=axis).narrow(axis, 0, n)  # pads with zeros
