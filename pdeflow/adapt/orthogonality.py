"""Keep layers of a surrogate from stretching errors, for stable roll-outs and fine-tuning: penalties on W Wᴴ - I as extra losses.

Convolutions: Wang et al., Orthogonal convolutional neural networks, CVPR 2020; Achour, Malgouyres and Mamalet, arXiv
2108.05623. Relaxed: λ-orthogonality (2025), whose soft switch is our choice: (‖WᴴW - I‖_F - λ)₊².
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


def convolution_penalty(kernel: Tensor, stride: int = 1) -> Tensor:
    """Measure how far a convolution is from an orthogonal one.

    For circular padding it is ‖W Wᵀ - I‖²_F per output point, W the matrix of the convolution on a grid of at least
    2 k - 1 points per axis; with more outputs than inputs ‖Wᵀ W - I‖²_F. Zero padding cannot be orthogonal.

    Args:
        kernel: Weights, shape (out, in, *k) of one to three equal axes k, real.
        stride: Of the convolution.

    Returns:
        A scalar, zero for orthogonal convolutions.

    Raises:
        ValueError: If the shape is not that of a kernel, or stride is below one.

    Reference: arXiv 2108.05623, L_orth = ‖Conv(K, K, padding P, stride S) - I‖² with P = ⌊(k-1)/S⌋ S, less out - in S^d
        where that is positive.
    """
    out, channels, *sides = kernel.shape if kernel.ndim >= 2 else (0, 0)
    if len(sides) not in _CONVOLUTIONS or len(set(sides)) != 1 or stride < 1:
        raise ValueError(f"expected a kernel (out, in, *k) of one to three equal axes and a stride of at least 1, "
                         f"got {tuple(kernel.shape)} and {stride}")  # fmt: skip
    reach = (sides[0] - 1) // stride
    products = _CONVOLUTIONS[len(sides)](kernel, kernel, padding=reach * stride, stride=stride)  # (out, out, 2 reach + 1, ...)
    target = torch.zeros_like(products)
    centre: Any = (..., *[reach] * len(sides))
    target[centre] = torch.eye(out, dtype=kernel.dtype, device=kernel.device)
    return (products - target).square().sum() - max(0, out - channels * stride ** len(sides))


def matrix_penalty(matrix: Tensor, threshold: float = 0.0) -> Tensor:
    """Measure how far matrices are from orthonormal columns, or rows where these are fewer, beyond a free distance.

    Args:
        matrix: Real or complex, shape (..., m, n).
        threshold: λ, the distance ‖WᴴW - I‖_F that costs nothing.

    Returns:
        The sum of (‖WᴴW - I‖_F - λ)₊² over the matrices, a scalar.

    Raises:
        ValueError: If it is no matrix, or the threshold is negative.
    """
    if matrix.ndim < 2 or threshold < 0:
        raise ValueError(f"expected matrices (..., m, n) and a threshold >= 0, got shape {tuple(matrix.shape)} and {threshold}")
    gram = matrix.mH @ matrix if matrix.shape[-2] >= matrix.shape[-1] else matrix @ matrix.mH
    square = (gram - torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)).abs().square().sum((-2, -1))
    if threshold == 0:
        return square.sum()
    far = square > threshold**2  # inside, the root is not formed: its slope at zero is infinite
    return torch.where(far, torch.where(far, square, 1.0).sqrt() - threshold, 0.0).square().sum()


class OrthogonalityPenalty(nn.Module):
    """Sum the penalties of the layers of a network; a term to add to its loss, penalty() times a weight.

    Linear layers, spectral weights (one matrix per Fourier mode) and convolutions are seen; single rows, which have a length
    and no angles, are left out.

    Args:
        network: The network; its parameters stay its own.
        threshold: λ of matrices; convolutions of more than one point have none.
        modules: Which of these layers to take, by qualified name; by default all.

    Raises:
        ValueError: If there is no such layer.
    """

    def __init__(
        self, network: nn.Module, threshold: float = 0.0, modules: Callable[[str], bool] | None = None
    ) -> None:
        super().__init__()
        taken = [m for name, m in network.named_modules() if (modules is None or modules(name)) and _is_layer(m)]
        if not taken:
            raise ValueError(f"{type(network).__name__} has no Linear layer, convolution or dense spectral weight to penalise")
        self.layers, self.threshold = tuple(taken), threshold  # a tuple hides them from parameters()

    def forward(self) -> Tensor:
        """Return the sum of the penalties, a scalar."""
        return torch.stack([self._penalty(layer) for layer in self.layers]).sum()

    def _penalty(self, layer: Any) -> Tensor:
        weight: Tensor = layer.weight
        if _is_convolution(layer) and weight[0, 0].numel() > 1:
            return convolution_penalty(weight, layer.stride[0])
        if _is_spectral(layer):
            return matrix_penalty(torch.view_as_complex(weight), self.threshold)
        return matrix_penalty(weight.flatten(1), self.threshold)


def _is_spectral(module: nn.Module) -> bool:
    return getattr(type(module), "matrix_views", {}).get("weight") == "spectral"


def _is_convolution(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) and module.groups == 1


def _is_layer(module: Any) -> bool:
    matrix = isinstance(module, nn.Linear) or _is_convolution(module)
    return _is_spectral(module) or (matrix and len(module.weight) > 1)
