"""The learned matrices of a Fourier convolution, one per kept mode: dense, depthwise, Tucker, CP or tensor train.

Kossaifi et al., Multi-Grid Tensorized Fourier Neural Operator, TMLR 2024, section 3 (factorizations, one tensor for all
layers); rules for ranks as in tensorly. Complex numbers are stored real with a last axis of two. Channel factors are
real, so that they may be applied in physical space; a complex factor of rank r is a real one of rank 2 r.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from pdeflow.models.rank import cp_rank, train_ranks, tucker_ranks
from pdeflow.models.truncated_fourier import kept_shape

Factorization = Literal["dense", "depthwise", "tucker", "cp", "tt"]


@dataclass(frozen=True)
class Kernel:
    """What one layer multiplies the coefficients with.

    Attributes:
        modes: Matrices per mode, shape (*kept, r_in, r_out, 2), or with `depthwise` factors, shape (*kept, r, 2).
        into: Map of the input channels, shape (in_channels, r_in), or None.
        out: Map to the output channels, shape (r_out, out_channels), or None.
        depthwise: Whether channels are not mixed per mode.
    """

    modes: Tensor
    into: Tensor | None = None
    out: Tensor | None = None
    depthwise: bool = False


class SpectralWeight(nn.Module, ABC):
    """Base of all forms; every complex entry starts with mean square 2 / (in_channels + out_channels).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        n_modes: Kept modes per axis.
        layers: Number of layers that share the tensor, or None for one layer alone.
    """

    def __init__(self, in_channels: int, out_channels: int, n_modes: Sequence[int], layers: int | None = None) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.n_modes, self.layers = in_channels, out_channels, tuple(n_modes), layers
        self.kept = kept_shape(n_modes)
        self.std = math.sqrt(2 / (in_channels + out_channels))
        self.shape = (*(() if layers is None else (layers,)), in_channels, out_channels, *self.kept)

    @abstractmethod
    def kernel(self, layer: int = 0) -> Kernel:
        """Return the matrices of one layer.

        Args:
            layer: Which one, where layers share the tensor.
        """

    def dense_weight(self, layer: int = 0) -> Tensor:
        """Assemble the complex weight of one layer, in neuraloperator's layout.

        Args:
            layer: Which one, where layers share the tensor.

        Returns:
            Complex tensor (in_channels, out_channels, *kept); (channels, *kept) where channels are not mixed.
        """
        kernel = self.kernel(layer)
        modes = torch.view_as_complex(kernel.modes.contiguous())
        into, out = (None if f is None else f.to(modes.dtype) for f in (kernel.into, kernel.out))
        if kernel.depthwise and into is not None and out is not None:
            return torch.einsum("...r,ir,ro->io...", modes, into, out)
        if kernel.depthwise:
            return modes.movedim(-1, 0)
        modes = modes if into is None else into @ modes
        modes = modes if out is None else modes @ out
        return modes.movedim((-2, -1), (0, 1))

    def _complex(self, *shape: int, std: float) -> nn.Parameter:
        return nn.Parameter(std / math.sqrt(2) * torch.randn(*shape, 2))

    def _real(self, *shape: int, std: float) -> nn.Parameter:
        return nn.Parameter(std * torch.randn(*shape))


class DenseWeight(SpectralWeight):
    """One matrix per mode: shape (*kept, in, out, 2)."""

    matrix_views: ClassVar[dict[str, str]] = {"weight": "spectral"}

    def __init__(self, in_channels: int, out_channels: int, n_modes: Sequence[int]) -> None:
        super().__init__(in_channels, out_channels, n_modes)
        self.weight = self._complex(*self.kept, in_channels, out_channels, std=self.std)

    def kernel(self, layer: int = 0) -> Kernel:
        """Return the weight itself."""
        return Kernel(self.weight)


class DepthwiseWeight(SpectralWeight):
    """One factor per mode and channel, shape (*kept, channels, 2); nothing mixes channels. Also called separable."""

    matrix_views: ClassVar[dict[str, str]] = {"weight": "elementwise"}

    def __init__(self, in_channels: int, out_channels: int, n_modes: Sequence[int]) -> None:
        super().__init__(in_channels, out_channels, n_modes)
        if in_channels != out_channels:
            raise ValueError(f"depthwise weights need equal channels, got {in_channels} in and {out_channels} out")
        self.weight = self._complex(*self.kept, in_channels, std=self.std)

    def kernel(self, layer: int = 0) -> Kernel:
        """Return the weight itself."""
        return Kernel(self.weight, depthwise=True)


class TuckerWeight(SpectralWeight):
    """W = G ×₁ U_in ×₂ U_out ×₃ U₁ …, with an extra factor over the layers that share it.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        n_modes: Kept modes per axis.
        rank: Share of the dense entries to store, in (0, 1], or ranks ([layers,] in, out, axis 0, …).
        layers: Number of layers that share the tensor, or None.
    """

    matrix_views: ClassVar[dict[str, str]] = {
        "core": "tucker_core", "in_factor": "matrix", "out_factor": "matrix", "layer_factor": "matrix",
        **{f"mode_factor_{axis}": "complex_matrix" for axis in range(3)},
    }  # fmt: skip

    def __init__(
        self, in_channels: int, out_channels: int, n_modes: Sequence[int], rank: float | Sequence[int], layers: int | None = None
    ) -> None:  # fmt: skip
        super().__init__(in_channels, out_channels, n_modes, layers)
        self.ranks = tucker_ranks(self.shape, rank)
        *front, r_in, r_out = self.ranks[: len(self.shape) - len(self.kept)]
        modes = self.ranks[len(self.shape) - len(self.kept) :]
        s = (self.std / math.sqrt(math.prod(self.ranks))) ** (1 / (len(self.shape) + 1))
        self.core = self._complex(*front, *modes, r_in, r_out, std=s)
        self.in_factor = self._real(in_channels, r_in, std=s)
        self.out_factor = self._real(r_out, out_channels, std=s)
        self.layer_factor = None if layers is None else self._real(layers, front[0], std=s)
        for axis, (size, r) in enumerate(zip(self.kept, modes, strict=True)):
            self.register_parameter(f"mode_factor_{axis}", self._complex(size, r, std=s))

    def kernel(self, layer: int = 0) -> Kernel:
        """Return the core with its mode factors applied, and the channel factors."""
        core = self.core if self.layer_factor is None else torch.tensordot(self.layer_factor[layer], self.core, dims=1)
        for axis in range(len(self.kept)):
            core = _apply(self.get_parameter(f"mode_factor_{axis}"), core, axis)
        return Kernel(core, self.in_factor, self.out_factor)


class CPWeight(SpectralWeight):
    """W = Σ_r λ_r a_r ∘ b_r ∘ u¹_r ∘ …: channels go to r components that never mix, and back.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        n_modes: Kept modes per axis.
        rank: Share of the dense entries to store, in (0, 1], or the number of components.
        layers: Number of layers that share the tensor, or None.
    """

    matrix_views: ClassVar[dict[str, str]] = {  # a component is a column, in out_factor a row
        "scale": "elementwise", "in_factor": "columns", "out_factor": "rows", "layer_factor": "columns",
        **{f"mode_factor_{axis}": "complex_columns" for axis in range(3)},
    }  # fmt: skip

    def __init__(
        self, in_channels: int, out_channels: int, n_modes: Sequence[int], rank: float | int, layers: int | None = None
    ) -> None:
        super().__init__(in_channels, out_channels, n_modes, layers)
        self.rank = cp_rank(self.shape, rank)
        s = (self.std / math.sqrt(self.rank)) ** (1 / len(self.shape))
        self.scale = nn.Parameter(torch.ones(self.rank))
        self.in_factor = self._real(in_channels, self.rank, std=s)
        self.out_factor = self._real(self.rank, out_channels, std=s)
        self.layer_factor = None if layers is None else self._real(layers, self.rank, std=s)
        for axis, size in enumerate(self.kept):
            self.register_parameter(f"mode_factor_{axis}", self._complex(size, self.rank, std=s))

    def kernel(self, layer: int = 0) -> Kernel:
        """Return the product of the mode factors per component, and the channel factors; W is never assembled."""
        scale = self.scale if self.layer_factor is None else self.scale * self.layer_factor[layer]
        modes = self.get_parameter("mode_factor_0") * scale[:, None]
        for axis in range(1, len(self.kept)):
            modes = _times(modes.unsqueeze(-3), self.get_parameter(f"mode_factor_{axis}"))
        return Kernel(modes, self.in_factor, self.out_factor, depthwise=True)


class TensorTrainWeight(SpectralWeight):
    """W = A_in[i, r₁] A_out[r₁, o, r₂] A₁[r₂, k₁, r₃] …, with an extra first core over the layers that share it.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        n_modes: Kept modes per axis.
        rank: Share of the dense entries to store, in (0, 1], or the ranks between the cores.
        layers: Number of layers that share the tensor, or None.
    """

    matrix_views: ClassVar[dict[str, str]] = {
        "in_factor": "train_core", "out_core": "train_core", "layer_factor": "train_core",
        **{f"mode_core_{axis}": "complex_train_core" for axis in range(3)},
    }  # fmt: skip

    def __init__(
        self, in_channels: int, out_channels: int, n_modes: Sequence[int], rank: float | Sequence[int], layers: int | None = None
    ) -> None:  # fmt: skip
        super().__init__(in_channels, out_channels, n_modes, layers)
        self.ranks = train_ranks(self.shape, rank)
        r = [*self.ranks, 1]
        s = (self.std / math.sqrt(math.prod(self.ranks))) ** (1 / len(self.shape))
        first = 0 if layers is None else 1
        self.layer_factor = None if layers is None else self._real(layers, r[0], std=s)
        self.in_factor = self._real(*r[:first], in_channels, r[first], std=s)
        self.out_core = self._real(r[first], out_channels, r[first + 1], std=s)
        for axis, size in enumerate(self.kept):
            self.register_parameter(f"mode_core_{axis}", self._complex(r[first + 1 + axis], size, r[first + 2 + axis], std=s))

    def kernel(self, layer: int = 0) -> Kernel:
        """Return the matrices (r₁, o) of the modes, and the map of the input channels."""
        into = self.in_factor
        if self.layer_factor is not None:
            into = torch.tensordot(self.layer_factor[layer], into, dims=1)
        *cores, last = (self.get_parameter(f"mode_core_{axis}") for axis in range(len(self.kept)))
        modes = last.squeeze(2).transpose(0, 1)  # (k, r, 2)
        for core in reversed(cores):
            modes = _contract_train(core, modes)
        re, im = (torch.tensordot(part, self.out_core, dims=([-1], [2])) for part in modes.unbind(-1))
        return Kernel(torch.stack((re, im), dim=-1).reshape(*self.kept, *re.shape[-2:], 2), into)


def spectral_weight(
    kind: Factorization, in_channels: int, out_channels: int, n_modes: Sequence[int],
    rank: float | Sequence[int] = 0.1, layers: int | None = None,
) -> SpectralWeight:  # fmt: skip
    """Create the weight of a form.

    Args:
        kind: "dense", "depthwise", "tucker", "cp" or "tt".
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        n_modes: Kept modes per axis.
        rank: As in the class of the form; unused by "dense" and "depthwise".
        layers: Number of layers that share one tensor, or None; not for "dense" and "depthwise", which it would not shrink.

    Returns:
        The weight.

    Raises:
        ValueError: If a rank is out of range or the form is unknown.
    """
    plain: dict[str, type[DenseWeight] | type[DepthwiseWeight]] = {"dense": DenseWeight, "depthwise": DepthwiseWeight}
    if kind in plain:
        if layers is not None:
            raise ValueError(f"{kind} weights have nothing that layers could share; choose tucker, cp or tt")
        return plain[kind](in_channels, out_channels, n_modes)
    forms: dict[str, Any] = {"tucker": TuckerWeight, "cp": CPWeight, "tt": TensorTrainWeight}
    if kind not in forms:
        raise ValueError(f"factorization must be one of {', '.join([*plain, *forms])}, got {kind!r}")
    weight: SpectralWeight = forms[kind](in_channels, out_channels, n_modes, rank, layers)
    return weight


def _times(a: Tensor, b: Tensor) -> Tensor:
    """Multiply complex numbers in real storage."""
    (ar, ai), (br, bi) = a.unbind(-1), b.unbind(-1)
    return torch.stack((ar * br - ai * bi, ar * bi + ai * br), dim=-1)


def _apply(factor: Tensor, core: Tensor, axis: int) -> Tensor:
    """Multiply one axis of a complex array by a complex factor (m, r, 2), in one real product."""
    rows = core.movedim(axis, 0)
    m, r = factor.shape[:2]
    both = factor.permute(2, 0, 1).reshape(2 * m, r) @ rows.reshape(r, -1)
    re, im = both.reshape(2, m, -1, 2).unbind(0)
    product = torch.stack((re[..., 0] - im[..., 1], re[..., 1] + im[..., 0]), dim=-1)
    return product.reshape(m, *rows.shape[1:]).movedim(0, axis)


def _contract_train(core: Tensor, right: Tensor) -> Tensor:
    """Sum a core (p, k, r, 2) with what is to its right (..., r, 2): shape (k, ..., p, 2)."""
    p, k, r = core.shape[:3]
    rows = right.reshape(-1, r, 2)
    (cr, ci), (rr, ri) = core.unbind(-1), rows.unbind(-1)
    re = torch.einsum("pkr,nr->knp", cr, rr) - torch.einsum("pkr,nr->knp", ci, ri)
    im = torch.einsum("pkr,nr->knp", cr, ri) + torch.einsum("pkr,nr->knp", ci, rr)
    return torch.stack((re, im), dim=-1).reshape(k, *right.shape[:-2], p, 2)
