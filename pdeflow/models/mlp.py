"""Fully connected network from points to values: the trial function of physics-informed training.

Hornik, Stinchcombe and White, Neural Networks 2 (1989) 359; initial weights: Glorot and Bengio, AISTATS 2010, eq. (16).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from pdeflow.errors import UsageError

Activation = Literal["tanh", "sin", "gelu", "silu"]
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh, "sin": torch.sin, "gelu": nn.functional.gelu, "silu": nn.functional.silu,
}  # fmt: skip


class MLP(nn.Module):
    """u(x) = scale · W_L σ(… σ(W_1 x + b_1) …) + b_L, smooth in x and made of one sample at a time.

    Args:
        in_features: Coordinates of a point.
        hidden: Widths of the hidden layers.
        out_features: Values per point.
        activation: σ, smooth, since residuals need second derivatives: "tanh", "sin", "gelu" or "silu".
        dtype: "float64" or "float32"; second-order optimizers stall near 1e-4 relative error in float32.

    Attributes:
        scale: Factor of the output, a buffer; physics-informed training sets it to the size of the solution.

    Raises:
        UsageError: If a width is not positive, or activation or dtype are none of the above.
    """

    scale: Tensor

    def __init__(
        self,
        in_features: int = 2,
        hidden: Sequence[int] = (32,),
        out_features: int = 1,
        activation: Activation = "tanh",
        dtype: Literal["float64", "float32"] = "float64",
    ) -> None:
        super().__init__()
        widths = [in_features, *hidden, out_features]
        if min(widths) < 1:
            raise UsageError(f"the widths of an MLP must be at least 1, got {widths}")
        if activation not in get_args(Activation):
            raise UsageError(f"activation must be one of {', '.join(get_args(Activation))}, got {activation!r}")
        if dtype not in ("float64", "float32"):
            raise UsageError(f"dtype must be float64 or float32, got {dtype!r}")
        kind = getattr(torch, dtype)
        self.in_features, self.out_features, self.activation = in_features, out_features, activation
        layers = [nn.Linear(n, m, dtype=kind) for n, m in itertools.pairwise(widths)]
        for layer in layers:
            nn.init.xavier_uniform_(layer.weight)
        self.layers = nn.ModuleList(layers)
        self.register_buffer("scale", torch.ones((), dtype=kind))

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate at points.

        Args:
            x: Points, shape (..., in_features).

        Returns:
            Values, shape (..., out_features).
        """
        sigma = FUNCTIONS[self.activation]
        *inner, last = self.layers
        for layer in inner:
            x = sigma(layer(x))
        return self.scale * last(x)
