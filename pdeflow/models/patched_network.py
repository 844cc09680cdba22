"""A network that works on multi-grid patches of fields, on one device or with the patches dealt out to processes.

Kossaifi et al., Multi-Grid Tensorized Fourier Neural Operator, TMLR 2024 (arXiv 2310.00120), section 3. Coordinates are
those of the whole domain and are appended before patching; the authors' code appends them to each patch, so that no patch
knows where it lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pdeflow.models.coarse_view import block_means, from_blocks
from pdeflow.models.collectives import check_same_samples, gather_over_processes, this_process
from pdeflow.models.domain_decomposition import Boundary, MultiGridPatches, Padding, cut
from pdeflow.models.fno import unit_coordinates
from pdeflow.models.normalizer import Normalizer


class PatchedNetwork(nn.Module):
    """Cut the input into multi-grid patches, map each with the inner network, stitch the outputs.

    With a `coarse` network the patches need not find out by themselves what depends on the whole domain: it predicts from the
    means over blocks of 2^levels points per axis, its output interpolated to all points is a further field of each patch, and
    the inner network predicts what is missing. (Beyond the paper: a two-grid correction; a quarter of the points at level 1.)

    Normalisers of input and output live here, in physical units of the whole fields; those of the inner network stay the
    identity.

    Args:
        network: Maps patches (batch, (levels + 1) (in_channels + d), *patch) to (batch, out_channels, *patch), where d is the
            dimension (none without coordinates, and one mask more per level with boundary "mask"). It must not append
            coordinates itself.
        in_channels: Channels of the input fields.
        out_channels: Channels of the output fields.
        coarse: None, or maps the block means (batch, in_channels, *grid / 2^levels) to (batch, out_channels, ...); it may
            append coordinates. The inner network then takes (levels + 1) (in_channels + out_channels + d) channels.
        levels: L: 2^L patches per axis and L + 1 views of each.
        padding: Points added to a patch, as shares of the whole axis; see MultiGridPatches.
        boundary: What lies beyond the domain: "circular", "reflect", "symmetric" or "mask".
        antialias: Whether coarse views of the fields are filtered before they are subsampled.
        blend: Whether overlapping outputs pass into each other, so that no seam is left, instead of being cropped.
        coordinates: Whether coordinates are appended: true or "cell" for (i + 1/2)/n, "corner" for i/n.
        patches_per_call: So many patches, at most, go through the inner network at once, to bound memory; in training the
            activations of a call are then computed twice (gradient checkpointing). None is all.
        distributed: How processes share the work when torch.distributed runs; each takes its share of the patches of every
            sample, so all must be given the same samples. "gather": outputs are collected and any loss can be used; "tiles":
            in training each returns its own tiles, for pdeflow.losses.DistributedRelativeL2. None: not at all.

    Raises:
        ValueError: If an option is out of range, or the inner network appends coordinates or takes other channels.
    """

    def __init__(
        self, network: nn.Module, in_channels: int = 1, out_channels: int = 1, *, coarse: nn.Module | None = None,
        levels: int = 1, padding: Padding = 0.0625, boundary: Boundary = "circular", antialias: bool = False, blend: bool = False,
        coordinates: bool | Literal["cell", "corner"] = True, patches_per_call: int | None = None,
        distributed: Literal["gather", "tiles"] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.patches = MultiGridPatches(levels, padding, boundary, antialias, blend)
        if coordinates not in (True, False, "cell", "corner"):
            raise ValueError(f"coordinates must be true, false, 'cell' or 'corner', got {coordinates!r}")
        if patches_per_call is not None and patches_per_call < 1:
            raise ValueError(f"patches_per_call must be 1 or more, or None for all, got {patches_per_call}")
        if distributed not in (None, "gather", "tiles"):
            raise ValueError(f"distributed must be 'gather', 'tiles' or None, got {distributed!r}")
        if distributed == "tiles" and blend:
            raise ValueError("blended patches overlap, so processes cannot keep their own tiles; use distributed: gather")
        if getattr(network, "coordinates", False) or getattr(network, "positional_embedding", None) is not None:
            raise ValueError("the inner network appends coordinates to each patch; set its coordinates: false (neuralop: None)")
        self.network, self.coarse, self.coordinates, self.distributed = network, coarse, coordinates, distributed
        self.patches_per_call = patches_per_call
        self.input_normalizer, self.output_normalizer = Normalizer(in_channels), Normalizer(out_channels)
        if (modes := getattr(network, "n_modes", None)) is not None:
            self._check_channels(len(modes))

    def check_grid(self, shape: Sequence[int]) -> None:
        """Check before training that a grid can be cut into patches that fit the inner network.

        Args:
            shape: Points per axis of the data.

        Raises:
            ValueError: If an axis is not divisible by 2^levels, a network takes other channels, its own check fails on the
                patches or blocks, or the processes cannot share them.
        """
        blocks = tuple(n // self.patches.per_axis for n in shape)
        for name, network, points in (("inner", self.network, self.patches.patch_shape(shape)), ("coarse", self.coarse, blocks)):
            try:
                getattr(network, "check_grid", lambda shape: None)(points)
            except ValueError as error:
                inputs = "patches" if name == "inner" else "means"
                raise ValueError(f"the {name} network, whose {inputs} of {tuple(shape)} have {points} points: {error}") from error
        self._check_channels(len(shape))
        self._share(len(shape))

    def fit_normalizers(self, a: Tensor, u: Tensor) -> None:
        """Fit both normalisers to the training fields, not to patches.

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
            Output fields in physical units, shape (batch, out_channels, *grid); with distributed="tiles", in training and
            with several processes, the tiles of this process, shape (batch, share, out_channels, *side).

        Raises:
            ValueError: If the grid or the channels do not fit, or processes were given different samples.
        """
        grid = tuple(a.shape[2:])
        self.check_grid(grid)
        h = self._fields(self.input_normalizer(a))
        patches = self.patches.split(h, unfiltered=len(grid) * bool(self.coordinates)).unflatten(0, (len(a), -1))
        first, share, processes = self._share(len(grid))
        own = patches[:, first : first + share].flatten(0, 1)
        y = self._mapped(own)
        if self.coarse is not None:  # its prediction on level 0 stands before the inputs
            y = y + own[:, : y.shape[1]]
        y = self.output_normalizer.inverse(y)
        if processes > 1:
            check_same_samples(a)
            if self.distributed == "tiles" and self.training:
                return self.patches.crop(y, grid).unflatten(0, (len(a), -1))
            y = gather_over_processes(y.unflatten(0, (len(a), -1)), dim=1).flatten(0, 1)
        return self.patches.stitch(y, grid)

    def _fields(self, h: Tensor) -> Tensor:
        """Put the coarse network's prediction before normalised inputs, and coordinates behind them."""
        fields = [h]
        if self.coarse is not None:
            factor, periodic = self.patches.per_axis, self.patches.boundary == "circular"
            fields.insert(0, from_blocks(self._recomputed(self.coarse, block_means(h, factor)), factor, periodic))
        if self.coordinates:
            fields.append(unit_coordinates(h, 0.0 if self.coordinates == "corner" else 0.5))
        return torch.cat(fields, dim=1)

    def _mapped(self, patches: Tensor) -> Tensor:
        """Apply the inner network, to some patches at a time where memory is to be bounded."""
        parts = patches.split(self.patches_per_call or len(patches))
        return self.network(patches) if len(parts) == 1 else torch.cat([self._recomputed(self.network, part) for part in parts])

    def _recomputed(self, network: nn.Module, x: Tensor) -> Tensor:
        """Apply a network; in training its activations are computed anew for the backward pass, if memory is to be bounded."""
        if self.patches_per_call is None or not (self.training and torch.is_grad_enabled()):
            return network(x)
        return cast(Tensor, checkpoint(network, x, use_reentrant=False))

    def _share(self, dimension: int) -> tuple[int, int, int]:
        """Return the first patch of this process, the number of its patches, and the number of processes."""
        total = self.patches.per_axis**dimension
        rank, processes = this_process() if self.distributed else (0, 1)
        if total % processes:
            raise ValueError(f"{total} patches cannot be shared equally by {processes} processes; use a divisor of {total}")
        return rank * (total // processes), total // processes, processes

    def _check_channels(self, dimension: int) -> None:
        """Check the channels of the networks that tell them."""
        fields, outputs = len(self.input_normalizer.mean), len(self.output_normalizer.mean)
        predicted = outputs if self.coarse is not None else 0
        need = self.patches.channels(fields + predicted + dimension * bool(self.coordinates))
        expected = [("inner", self.network, "in_channels", need), ("inner", self.network, "out_channels", outputs)]
        if self.coarse is not None:
            expected += [("coarse", self.coarse, "in_channels", fields), ("coarse", self.coarse, "out_channels", outputs)]
        for which, network, name, right in expected:
            if (has := _told(network, name)) not in (None, right):
                account = self._account(dimension) if which == "inner" else f"{fields} fields and {outputs} outputs"
                raise ValueError(f"the {which} network has {name}={has}; with {account} set {name}: {right}")

    def _account(self, dimension: int) -> str:
        """Say where the channels of a patch come from."""
        outputs = len(self.output_normalizer.mean)
        views = f"{self.patches.levels + 1} views of {len(self.input_normalizer.mean)} fields"
        more = [f"{outputs} coarse predictions"] * (self.coarse is not None) + [f"{dimension} coordinates"] * bool(self.coordinates)
        return " + ".join([views, *more, *["a mask"] * (self.patches.boundary == "mask")]) + f" and {outputs} outputs"


def _told(network: nn.Module, name: str) -> int | None:
    """Return the in_channels or out_channels that a network takes in, if it tells them."""
    normalizer = getattr(network, "input_normalizer" if name == "in_channels" else "output_normalizer", None)
    has = len(normalizer.mean) if isinstance(normalizer, Normalizer) else getattr(network, name, None)
    return has if isinstance(has, int) else None


def own_tiles(u: Tensor, per_axis: int) -> Tensor:
    """Take this process's tiles of fields.

    Args:
        u: Fields, shape (batch, c, *grid).
        per_axis: Tiles per axis.

    Returns:
        Tiles, shape (batch, share, c, *side).
    """
    rank, processes = this_process()
    return cut(u, per_axis).chunk(processes, dim=1)[rank]
