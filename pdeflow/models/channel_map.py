"""A linear map over the channels of every point of a grid, the dearest product of a Fourier neural operator.

oneDNN multiplies tall thin matrices of float32 up to 2.4 times as fast as the library behind torch.mm on some processors
(measured: benchmarks/fno_step.py), so products with a weight go there; products of two fields do not gain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
_FEW_CHANNELS = 8
_SMALL = 2**20
"""Multiplications below which the start of a oneDNN product costs more than it saves."""


class ChannelMap(nn.Linear):
    """A linear layer on the last axis, made for many points and few channels."""

    def forward(self, x: Tensor) -> Tensor:
        """Map features, shape (..., in_features), to (..., out_features)."""
        rows, weight, bias = x.reshape(-1, self.in_features), self.weight, self.bias
        if self.in_features <= _FEW_CHANNELS:  # the weight's gradient then runs over rows that lie together
            weight = weight.T.contiguous().T
        if _by_onednn(rows, weight):
            y = (_compiled_product if torch.compiler.is_compiling() else _Product.apply)(rows, weight, bias)
        else:
            y = rows @ weight.T if bias is None else torch.addmm(bias, rows, weight.T)
        return y.view(*x.shape[:-1], self.out_features)


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Compute X Wᵀ + b."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])
    ctx.save_for_forward(*inputs[:2])


class _Product(torch.autograd.Function):
    """The product with any number of derivatives, backward and forward."""

    generate_vmap_rule = True
    setup_context = staticmethod(_keep)

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        return _gradients(ctx, g, _Product.apply)

    @staticmethod
    def jvp(ctx: Any, dx: Tensor, dweight: Tensor, dbias: Tensor | None) -> Tensor:
        x, weight = ctx.saved_tensors
        y = dx @ weight.T + x @ dweight.T
        return y if dbias is None else y + dbias


def _gradients(ctx: Any, g: Tensor, product: Callable[..., Tensor]) -> tuple[Tensor | None, ...]:
    (x, weight), needed = ctx.saved_tensors, ctx.needs_input_grad
    to_x = product(g, weight.T.contiguous(), None) if needed[0] else None
    return to_x, g.T @ x if needed[1] else None, g.sum(0) if needed[2] else None


_compiled_product = torch.library.custom_op("pdeflow::channel_map", _product, mutates_args=())
"""The product as an operator of our own, in which a compiler sees no graph break."""
_compiled_product.register_fake(lambda x, weight, bias: x.new_empty(len(x), len(weight)))
_compiled_product.register_autograd(lambda ctx, g: _gradients(ctx, g, _compiled_product), setup_context=_keep)


def _by_onednn(rows: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN is there, made for these numbers, and worth its start."""
    return (
        _ONEDNN and rows.device.type == "cpu" and rows.dtype == weight.dtype == torch.float32
        and weight.shape[1] > _FEW_CHANNELS and len(rows) * weight.numel() >= _SMALL
        and not torch.is_autocast_enabled("cpu") and not torch.compiler.is_exporting()
    )  # fmt: skip
