"""Factorize the weights of a trained FNO, and tell what its spectral weights cost.

Higher-order singular value decomposition: De Lathauwer, De Moor and Vandewalle, SIAM J. Matrix Anal. Appl. 21 (2000) 1253,
section 4; tensor trains: Oseledets, SIAM J. Sci. Comput. 33 (2011) 2295, algorithm 1. Channel factors are real, so real and
imaginary parts are columns of their unfoldings.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pdeflow.models.fno import FNO
from pdeflow.models.spectral_weight import DenseWeight, SpectralWeight, TensorTrainWeight, TuckerWeight
from pdeflow.models.truncated_fourier import kept_shape


def compress(
    model: FNO, kind: Literal["tucker", "tt"] = "tucker", *, energy: float = 0.99, rank: Sequence[int] | None = None
) -> FNO:  # fmt: skip
    """Replace the dense spectral weights of a network by factorized ones that are close to them.

    Args:
        model: Network with dense spectral weights; it is not changed.
        kind: "tucker" or "tt".
        energy: Least share of the squared norm of each weight to keep, in (0, 1]; decides the ranks.
        rank: The ranks instead, the same for all layers: Tucker (in, out, axis 0, …), tensor train those between the cores.

    Returns:
        A copy of the network; training may go on from it. Weights whose factors at this energy would be larger stay dense.

    Raises:
        ValueError: If there is no dense spectral weight, a setting is out of range, or given ranks make a weight larger.
    """
    if kind not in ("tucker", "tt") or not 0 < energy <= 1:
        raise ValueError(f"compress needs kind 'tucker' or 'tt' and energy in (0, 1], got {kind!r}, {energy}")
    smaller = copy.deepcopy(model)
    blocks: Any = smaller.blocks
    convs = [block.conv for block in blocks if isinstance(block.conv.weight, DenseWeight)]
    if not convs:
        raise ValueError(f"{type(model).__name__} has no dense spectral weight to compress; build it with factorization 'dense'")
    for conv in convs:
        factorized = (_tucker if kind == "tucker" else _train)(conv.weight, energy, rank)
        sizes = [sum(p.numel() for p in weight.parameters()) for weight in (factorized, conv.weight)]
        if sizes[0] < sizes[1]:
            conv.weight = factorized
        elif rank is not None:
            raise ValueError(f"ranks {tuple(rank)} store {sizes[0]} numbers instead of {sizes[1]}; lower them")
    return smaller


@torch.no_grad()
def _tucker(dense: DenseWeight, energy: float, rank: Sequence[int] | None) -> SpectralWeight:
    core = torch.view_as_complex(dense.weight.detach().double().contiguous())  # (*kept, i, o)
    axes = len(dense.kept)
    order = (axes, axes + 1, *range(axes))  # in, out, axis 0, …: the order of ranks
    shape = [core.shape[axis] for axis in order]
    limits = [None] * len(order) if rank is None else list(_checked(rank, shape))
    lost, factors = (1 - energy) / len(order), {}
    for axis, limit in zip(order, limits, strict=True):
        rows = core.movedim(axis, 0).flatten(1)
        u, s, _ = torch.linalg.svd(torch.cat((rows.real, rows.imag), 1) if axis >= axes else rows, full_matrices=False)
        factors[axis] = u[:, : _rank(s, lost, limit)]
    for axis, u in factors.items():
        core = torch.tensordot(core, u.conj().to(core.dtype), dims=([axis], [0])).movedim(-1, axis)
    weight = TuckerWeight(dense.in_channels, dense.out_channels, dense.n_modes, tuple(factors[axis].shape[1] for axis in order))
    _set(weight.core, torch.view_as_real(core))
    _set(weight.in_factor, factors[axes])
    _set(weight.out_factor, factors[axes + 1].T)
    for axis in range(axes):
        _set(weight.get_parameter(f"mode_factor_{axis}"), torch.view_as_real(factors[axis]))
    return weight.to(dense.weight)


@torch.no_grad()
def _train(dense: DenseWeight, energy: float, rank: Sequence[int] | None) -> SpectralWeight:
    full = torch.view_as_complex(dense.weight.detach().double().contiguous()).movedim((-2, -1), (0, 1))
    shape, cores = full.shape, []
    limits = [None] * (len(shape) - 1) if rank is None else list(_checked(rank, [math.inf] * (len(shape) - 1)))
    lost, left = (1 - energy) / (len(shape) - 1), 1
    rest = full.reshape(shape[0], -1)
    for j in range(len(shape) - 1):
        columns = torch.cat((rest.real, rest.imag), 1) if j < 2 else rest  # the channel cores are real
        u, s, _ = torch.linalg.svd(columns, full_matrices=False)
        u = u[:, : _rank(s, lost, limits[j])]
        cores.append(u.reshape(left, shape[j], -1))
        left = u.shape[1]
        rest = (u.conj().T.to(rest.dtype) @ rest).reshape(left * shape[j + 1], -1)
    cores.append(rest.reshape(left, shape[-1], 1))
    ranks = tuple(core.shape[2] for core in cores[:-1])
    weight = TensorTrainWeight(dense.in_channels, dense.out_channels, dense.n_modes, ranks)
    _set(weight.in_factor, cores[0][0])
    _set(weight.out_core, cores[1])
    for axis, core in enumerate(cores[2:]):
        _set(weight.get_parameter(f"mode_core_{axis}"), torch.view_as_real(core.to(full.dtype)))
    return weight.to(dense.weight)


def _rank(s: Tensor, lost: float, limit: int | None) -> int:
    """The fewest singular values that lose at most a share of the energy, or the given number of them."""
    if limit is not None:
        return min(limit, len(s))
    tail = s.square().flip(0).cumsum(0).flip(0)
    return max(1, int((tail > lost * tail[0] + 1e-30).sum()))


def _checked(rank: Sequence[int], limits: Sequence[float]) -> tuple[int, ...]:
    ranks = tuple(int(r) for r in rank)
    if len(ranks) != len(limits) or not all(1 <= r <= n for r, n in zip(ranks, limits, strict=True)):
        raise ValueError(f"expected {len(limits)} ranks of at least 1 and at most {tuple(limits)}, got {ranks}")
    return ranks


def _set(parameter: nn.Parameter, value: Tensor) -> None:
    parameter.data = value.contiguous().clone()


@dataclass(frozen=True)
class WeightReport:
    """What one spectral weight stores and costs.

    Attributes:
        name: Qualified name of the module.
        form: "DenseWeight", "TuckerWeight", …
        stored: Real numbers that are stored.
        dense: Real numbers of dense weights for the same layers.
        flops: Real operations of the products with it, per sample and layer, the transforms left out.
        path: The products in the order in which they are done.
    """

    name: str
    form: str
    stored: int
    dense: int
    flops: int
    path: str

    @property
    def compression(self) -> float:
        """How many times fewer numbers than dense weights, dimensionless."""
        return self.dense / self.stored


def parameter_report(network: nn.Module) -> list[WeightReport]:
    """List the spectral weights of a network with their true counts.

    Args:
        network: Any module with spectral weights of this package.

    Returns:
        One entry per weight, in the order of the modules; complex numbers count as two real ones.
    """
    return [_report(name, m) for name, m in network.named_modules() if isinstance(m, SpectralWeight)]


@torch.no_grad()
def _report(name: str, weight: SpectralWeight) -> WeightReport:
    kernel, modes = weight.kernel(0), math.prod(kept_shape(weight.n_modes))
    i, o = weight.in_channels, weight.out_channels
    r_in = i if kernel.into is None else kernel.into.shape[1]
    r_out = o if kernel.out is None else kernel.out.shape[0]
    maps = 4 * modes * ((i * r_in if kernel.into is not None else 0) + (r_out * o if kernel.out is not None else 0))
    middle = 6 * modes * r_in if kernel.depthwise else 8 * modes * r_in * r_out
    steps = [f"{i} -> {r_in} channels"] if kernel.into is not None else []
    steps += [f"{r_in} factors per mode" if kernel.depthwise else f"{r_in} x {r_out} per mode"]
    steps += [f"{r_out} -> {o} channels"] if kernel.out is not None else []
    return WeightReport(
        name, type(weight).__name__, sum(p.numel() for p in weight.parameters()), 2 * math.prod(weight.shape), maps + middle,
        ", ".join(steps),
    )  # fmt: skip
