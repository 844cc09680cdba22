"""Fine-tune a trained operator to another PDE by few numbers: low-rank updates of its weights, the rest frozen.

Hu et al., LoRA, ICLR 2022, eq. (3). A spectral weight gets one complex update per Fourier mode, each a matrix of its own.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRankUpdate(nn.Module):
    """Add s (A B)ᵀ to a frozen weight (out, in); B starts at zero, so that the network starts unchanged.

    Args:
        weight: Weight to update, shape (out, in); gives shape, dtype and device.
        rank: r, columns of A, shape (in, r), and rows of B, shape (r, out).
        scale: s.
        generator: Draws A, uniform with variance 1/(3 in).
    """

    matrix_views: ClassVar[dict[str, str]] = {"A": "matrix", "B": "matrix"}

    def __init__(self, weight: Tensor, rank: int, scale: float, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.scale, self.keeps_gradient, self.product_gradient = scale, False, torch.zeros(())  # AdaPreLoRA sums gradients of A B
        shape_a, shape_b, fan_in = self._shapes(weight, rank)
        uniform = 2 * torch.rand(shape_a, generator=generator, dtype=weight.dtype) - 1
        self.A = nn.Parameter(uniform.to(weight.device) / math.sqrt(fan_in))
        self.B = nn.Parameter(torch.zeros(shape_b, dtype=weight.dtype, device=weight.device))

    @staticmethod
    def _shapes(weight: Tensor, rank: int) -> tuple[tuple[int, ...], tuple[int, ...], int]:
        outputs, inputs = weight.shape
        return (inputs, rank), (rank, outputs), inputs

    def factors(self) -> tuple[Tensor, Tensor]:
        """Return A, shape (..., in, r), and B, shape (..., r, out), complex for spectral weights."""
        return self.A, self.B

    def forward(self, weight: Tensor) -> Tensor:
        """Return the updated weight, in the layout of the frozen one."""
        product = torch.matmul(*self.factors())
        if self.keeps_gradient and product.requires_grad:
            product.register_hook(self._keep)
        return weight + self.scale * self.as_weight(product)

    def _keep(self, gradient: Tensor) -> None:
        self.product_gradient = self.product_gradient + gradient.detach()

    def as_weight(self, product: Tensor) -> Tensor:
        """Bring a product A B, shape (..., in, out), to the layout of the weight."""
        return product.mT


class SpectralLowRankUpdate(LowRankUpdate):
    """Add s A_k B_k to the matrix of each Fourier mode k of a frozen weight (*kept, in, out, 2), complex in real storage."""

    matrix_views: ClassVar[dict[str, str]] = {"A": "spectral", "B": "spectral"}

    @staticmethod
    def _shapes(weight: Tensor, rank: int) -> tuple[tuple[int, ...], tuple[int, ...], int]:
        *kept, inputs, outputs, _ = weight.shape
        return (*kept, inputs, rank, 2), (*kept, rank, outputs, 2), inputs

    def factors(self) -> tuple[Tensor, Tensor]:
        """Return A, shape (*kept, in, r), and B, shape (*kept, r, out), complex."""
        return torch.view_as_complex(self.A), torch.view_as_complex(self.B)

    def as_weight(self, product: Tensor) -> Tensor:
        """Store complex products, shape (*kept, in, out), real."""
        return torch.view_as_real(product)


def attach_adapters(
    network: nn.Module, rank: int = 4, alpha: float | None = None, *, modules: Callable[[str], bool] | None = None,
    generator: torch.Generator | None = None,
) -> nn.Module:  # fmt: skip
    """Copy a trained network, freeze it, and give its matrices low-rank updates to train.

    Args:
        network: Trained network; it is not changed.
        rank: r, at most; a smaller matrix takes its own least side.
        alpha: Scale of the updates times their rank, s = alpha / rank; by default 2 rank, so s = 2.
        modules: Which modules to adapt, by qualified name; by default all Linear layers and dense spectral weights.
        generator: Source of the random factors.

    Returns:
        The adapted copy; only its updates require gradients.

    Raises:
        ValueError: If the rank is below one, or there is nothing to adapt.
    """
    if rank < 1:
        raise ValueError(f"an adapter needs a rank of at least 1, got {rank}")
    if list(adapters(network)):
        raise ValueError(f"{type(network).__name__} has adapters already; call merge_adapters first")
    adapted = copy.deepcopy(network).requires_grad_(False)
    kinds = {name: kind for name, m in adapted.named_modules() if (kind := _kind(m)) and (modules is None or modules(name))}
    if not kinds:
        raise ValueError(f"{type(network).__name__} has no Linear layer and no dense spectral weight among the modules asked for")
    for name, kind in kinds.items():
        weight = (module := adapted.get_submodule(name)).get_parameter("weight")
        r = min(rank, *(weight.shape if kind is LowRankUpdate else weight.shape[-3:-1]))
        parametrize.register_parametrization(module, "weight", kind(weight, r, 2.0 if alpha is None else alpha / r, generator))
    if hasattr(adapted, "fit_normalizers"):
        vars(adapted)["fit_normalizers"] = _keep_normalizers  # other statistics would change what the frozen weights do
    return adapted


def _keep_normalizers(a: Tensor, u: Tensor) -> None:
    """Leave the normalisers of an adapted network as they are."""


def _kind(module: nn.Module) -> type[LowRankUpdate] | None:
    if getattr(type(module), "matrix_views", {}).get("weight") == "spectral":
        return SpectralLowRankUpdate
    return LowRankUpdate if isinstance(module, nn.Linear) else None


def adapters(network: nn.Module) -> list[tuple[str, LowRankUpdate]]:
    """List the names of adapted modules and their updates."""
    found = [(name, m) for name, m in network.named_modules() if isinstance(m, LowRankUpdate)]
    return [(name.removesuffix("parametrizations.weight.0").removesuffix("."), update) for name, update in found]


def adapter_state(network: nn.Module) -> dict[str, Tensor]:
    """Return the factors alone, for a small file; `network.load_state_dict(state, strict=False)` puts them back."""
    return {name: p for name, p in network.state_dict().items() if name.endswith(("weight.0.A", "weight.0.B"))}


def merge_adapters(network: nn.Module) -> nn.Module:
    """Copy an adapted network as a plain one of the same values, all of it trainable; the network is not changed."""
    merged = copy.deepcopy(network)
    for name, _ in adapters(merged):
        module: Any = merged.get_submodule(name)
        weight = module.weight.detach().clone()
        del module.parametrizations
        module.__class__ = type(
            module
        ).__base__  # torch's remove_parametrizations would also strip the copy's original
        module.weight = nn.Parameter(weight)
    vars(merged).pop("fit_normalizers", None)
    return merged.requires_grad_(True)
