"""Take over the weights of neuraloperator's FNO and TFNO: the same function, in this package's storage.

Its complex channel factors become real ones of twice the rank, and its symmetric zero padding a one-sided one of twice the
share, which is a translation of it: both are exact. On odd grids neuraloperator 2.0.0 and earlier shift the wrong way,
and outputs differ.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pdeflow.models.fno import FNO
from pdeflow.models.spectral_conv import SpectralConv
from pdeflow.models.spectral_weight import (
    CPWeight,
    DenseWeight,
    DepthwiseWeight,
    SpectralWeight,
    TensorTrainWeight,
    TuckerWeight,
)


def from_neuralop(model: nn.Module) -> FNO:
    """Build an FNO that computes what a neuraloperator FNO or TFNO computes on even grids.

    Args:
        model: `neuralop.models.FNO` or `TFNO`, trained or not, with real data.

    Returns:
        An FNO with copies of its weights; normalisers are the identity.

    Raises:
        ValueError: If the model uses something that this package has not, named in the message.

    Reference: neuraloperator 2.0.0, `neuralop.models.FNO`.
    """
    theirs: Any = model
    blocks = getattr(theirs, "fno_blocks", None)
    if blocks is None:
        raise ValueError(f"expected neuralop.models.FNO or TFNO, got {type(model).__name__}")
    _refuse_options(theirs, blocks)
    kinds: dict[str, Any] = {"Flattened1dConv": "linear", "SoftGating": "soft-gating", "Identity": "identity"}
    skips = [
        None if group is None else kinds[type(group[0]).__name__]
        for group in (blocks.fno_skips, blocks.channel_mlp_skips)
    ]
    norms: dict[str, Any] = {"GroupNorm": "group_norm", "InstanceNorm": "instance_norm"}
    width = theirs.hidden_channels
    padding = 0.0 if theirs.domain_padding is None else theirs.domain_padding.domain_padding
    ours = FNO(
        list(theirs.n_modes), theirs.in_channels, theirs.out_channels, width, theirs.n_layers,
        coordinates=False if theirs.positional_embedding is None else "corner", domain_padding=2 * _one(padding),
        channel_mlp_expansion=blocks.channel_mlp[0].hidden_channels / width,
        lifting_ratio=theirs.lifting.hidden_channels / width,
        projection_ratio=theirs.projection.hidden_channels / width,
        norm=None if blocks.norm is None else norms[type(blocks.norm[0]).__name__],
        skip=skips[0], mlp_skip=skips[1], preactivation=theirs.preactivation,
    )  # fmt: skip
    with torch.no_grad():
        _copy(ours, theirs, blocks)
    return ours.to(next(model.parameters()).device)


def _refuse_options(theirs: Any, blocks: Any) -> None:
    """Name the first thing that cannot be taken over."""
    found = {
        "complex_data": theirs.complex_data,
        "resolution_scaling_factor": theirs.resolution_scaling_factor is not None,
        "use_channel_mlp=False": not blocks.use_channel_mlp,
        "stabilizer": blocks.stabilizer is not None,
        "fno_block_precision": theirs.fno_block_precision != "full",
        "n_modes below max_n_modes": any(list(c.n_modes) != list(c.max_n_modes) for c in blocks.convs),
        "a lifting of one layer": len(theirs.lifting.fcs) != 2,
        "norm batch_norm or ada_in": blocks.norm is not None
        and type(blocks.norm[0]).__name__ not in ("GroupNorm", "InstanceNorm"),
    }
    for option, used in found.items():
        if used:
            raise ValueError(f"this neuraloperator model uses {option}, which cannot be taken over")


def _one(padding: Any) -> float:
    shares = set(padding) if isinstance(padding, list | tuple) else {padding}
    if len(shares) != 1:
        raise ValueError(f"domain padding must be the same along every axis, got {padding}")
    return float(shares.pop())


def _copy(ours: FNO, theirs: Any, blocks: Any) -> None:
    _copy_mlp(ours.lifting, theirs.lifting)
    _copy_mlp(ours.projection, theirs.projection)
    block: Any
    for layer, block in enumerate(ours.blocks):
        _copy_mlp(block.mlp, blocks.channel_mlp[layer])
        for ours_skip, group in ((block.skip, blocks.fno_skips), (block.mlp_skip, blocks.channel_mlp_skips)):
            if group is not None and not isinstance(group[layer], nn.Identity):
                weight = group[layer].conv.weight if hasattr(group[layer], "conv") else group[layer].weight
                ours_skip.weight.copy_(weight.reshape(ours_skip.weight.shape))
        for place, name in enumerate(("norm", "mlp_norm")):
            norm = getattr(block, name)
            if norm is not None and norm.weight is not None:
                norm.weight.copy_(blocks.norm[2 * layer + place].weight)
                norm.bias.copy_(blocks.norm[2 * layer + place].bias)
        _copy_conv(block.conv, blocks.convs[layer])


def _copy_mlp(ours: Any, theirs: Any) -> None:
    for mine, its in ((ours.first, theirs.fcs[0]), (ours.second, theirs.fcs[1])):
        mine.weight.copy_(its.weight.flatten(1))
        mine.bias.copy_(its.bias)


def _copy_conv(ours: SpectralConv, theirs: Any) -> None:
    if theirs.bias is None:
        ours.bias = None
    elif ours.bias is not None:
        ours.bias.copy_(theirs.bias.flatten())
    tensor, (i, o) = theirs.weight, (theirs.in_channels, theirs.out_channels)
    kind = type(tensor).__name__ if hasattr(tensor, "to_tensor") else "Tensor"
    convert = {"TuckerTensor": _tucker, "CPTensor": _cp, "TTTensor": _train}.get(kind)
    if convert is not None and not theirs.separable:
        ours.weight = convert(tensor, i, o, ours.n_modes)
        return
    dense = tensor.to_tensor() if hasattr(tensor, "to_tensor") else tensor
    weight: SpectralWeight = (DepthwiseWeight if theirs.separable else DenseWeight)(i, o, ours.n_modes)
    channels = dense.ndim - len(ours.n_modes)
    weight.get_parameter("weight").copy_(_real(dense.movedim(tuple(range(channels)), tuple(range(-channels, 0)))))
    ours.weight = weight


def _real(z: Tensor) -> Tensor:
    return torch.view_as_real(z.resolve_conj().contiguous())


def _parts(z: Tensor, axis: int) -> Tensor:
    """Put real and imaginary parts side by side along an axis: a complex factor of rank r as a real one of rank 2 r."""
    return torch.cat((z.real, z.imag), dim=axis)


def _with_i(z: Tensor, axis: int) -> Tensor:
    """Put z and i z side by side: what a doubled factor is multiplied with."""
    return torch.cat((z, 1j * z), dim=axis)


def _free(weight: SpectralWeight, **tensors: Tensor) -> SpectralWeight:
    """Give a weight tensors of its own form with other ranks."""
    for name, value in tensors.items():
        weight.register_parameter(name, nn.Parameter(value.contiguous()))
    return weight


def _tucker(tensor: Any, i: int, o: int, n_modes: tuple[int, ...]) -> SpectralWeight:
    into, out, *modes = [f.data for f in tensor.factors]
    core = _with_i(_with_i(tensor.core.data, 0), 1)
    weight = TuckerWeight(i, o, n_modes, 1e-9)
    weight.ranks = tuple(core.shape)
    factors = {f"mode_factor_{axis}": _real(f) for axis, f in enumerate(modes)}
    core = core.movedim((0, 1), (-2, -1))
    return _free(weight, core=_real(core), in_factor=_parts(into, 1), out_factor=_parts(out, 1).T, **factors)


def _cp(tensor: Any, i: int, o: int, n_modes: tuple[int, ...]) -> SpectralWeight:
    into, out, first, *modes = [f.data for f in tensor.factors]
    first = first * tensor.weights.data
    first = torch.cat((first, 1j * first, 1j * first, -first), dim=1)  # (re, re), (im, re), (re, im), (im, im)
    weight = CPWeight(i, o, n_modes, 1e-9)
    weight.rank = first.shape[1]
    factors = {f"mode_factor_{axis}": _real(f) for axis, f in enumerate([first, *(f.repeat(1, 4) for f in modes)])}
    return _free(
        weight, scale=torch.ones(weight.rank), in_factor=_parts(into, 1).repeat(1, 2),
        out_factor=torch.cat((out.real, out.real, out.imag, out.imag), dim=1).T, **factors,
    )  # fmt: skip


def _train(tensor: Any, i: int, o: int, n_modes: tuple[int, ...]) -> SpectralWeight:
    into, out, first, *modes = [f.data for f in tensor.factors]
    weight = TensorTrainWeight(i, o, n_modes, 1e-9)
    out = _parts(_with_i(out, 0), 2)
    weight.ranks = (out.shape[0], out.shape[2], *(m.shape[0] for m in modes))
    factors = {f"mode_core_{axis}": _real(f) for axis, f in enumerate([_with_i(first, 0), *modes])}
    return _free(weight, in_factor=_parts(into[0], 1), out_core=out, **factors)
