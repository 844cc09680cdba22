"""Make one operator of several that were fine-tuned to different PDEs from the same start, without their data.

DO-merging, arXiv 2505.15875: adapters are first nudged so that their subspaces do not overlap, then magnitudes and directions of
the columns of their products are averaged separately. Loss weights of the nudge are relative here, so they do not depend on units.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pdeflow.adapt.low_rank_adapters import LowRankUpdate, adapters, merge_adapters


def merge_operators(
    adapted: Sequence[nn.Module], *, decoupled: bool = False, orthogonal_steps: int = 0, stiffness: float = 1.0, scale: float = 1.0
) -> nn.Module:  # fmt: skip
    """Merge networks that carry adapters of one trained network.

    Args:
        adapted: Networks made by `attach_adapters` of the same network with the same modules and ranks; they are not changed.
        decoupled: Whether magnitudes and directions are averaged separately; otherwise the products are averaged (task arithmetic),
            which did better in our measurements (benchmarks/adapt.py). DO-merging is true with 50 steps.
        orthogonal_steps: Steps of the nudge towards orthogonal subspaces; zero leaves it out.
        stiffness: Price γ of moving factors, as in `separate`.
        scale: Factor of the merged update; the number of networks makes a sum of the mean.

    Returns:
        A plain network.

    Raises:
        ValueError: If there is no network, one has no adapter, or they do not fit together.
    """
    if not adapted:
        raise ValueError("merge_operators needs at least one network")
    lists = [adapters(network) for network in adapted]
    _check(lists, adapted)
    merged = copy.deepcopy(adapted[0])
    for place, (_, target) in enumerate(adapters(merged)):
        updates = [found[place][1] for found in lists]
        with torch.no_grad():
            a = separate([u.factors()[0] for u in updates], orthogonal_steps, stiffness)
            b = [f.mH for f in separate([u.factors()[1].mH for u in updates], orthogonal_steps, stiffness)]
            products = torch.stack([u.scale * (left @ right) for u, left, right in zip(updates, a, b, strict=True)])
            mean = merge_columns(products) if decoupled else products.mean(0)
            _replace(merged, target, scale * mean)
    return merge_adapters(merged)


def separate(factors: Sequence[Tensor], steps: int, stiffness: float) -> list[Tensor]:
    """Turn factors of several tasks towards orthogonal column spaces by small changes.

    Descends ½ Σ_{i≠j} ‖(A_i + δ_i)ᴴ (A_j + δ_j)‖² + γ s Σ ‖δ_i‖² from δ = 0, with s the mean of ‖A_i‖₂², per matrix.

    Args:
        factors: A_i, shape (..., n, r) each, real or complex.
        steps: Steps of gradient descent.
        stiffness: γ, dimensionless.

    Returns:
        A_i + δ_i.

    Raises:
        ValueError: If steps or stiffness is negative.

    Reference: arXiv 2505.15875; a step is 1/L with L = 2 Σ ‖A_j‖₂² + 2 γ s, an upper bound of the curvature per task.
    """
    if steps < 0 or stiffness < 0:
        raise ValueError(f"steps and stiffness must not be negative, got {steps} and {stiffness}")
    start = torch.stack(list(factors))
    moved, size = start, torch.linalg.matrix_norm(start, ord=2, keepdim=True).square()
    price = 2 * stiffness * size.mean(0)
    rate = 1 / (2 * size.sum(0) + price).clamp_min(torch.finfo(size.dtype).tiny)
    for _ in range(steps):
        every = torch.einsum("t...nr,t...mr->...nm", moved, moved.conj())  # Σ_j A_j A_jᴴ
        pull = 2 * (every @ moved - moved @ (moved.mH @ moved))
        moved = moved - rate * (pull + price * (moved - start))
    return list(moved)


def merge_columns(products: Tensor) -> Tensor:
    """Average the lengths and the directions of the columns of weight updates.

    Args:
        products: Updates of the tasks, shape (tasks, ..., in, out); a column of a weight (out, in) belongs to one input channel.

    Returns:
        m̄ ⊙ D̄, shape (..., in, out), with m̄ the mean length and D̄ the mean unit vector of each column.

    Reference: arXiv 2505.15875; the mean of unit vectors is not scaled to unit length again, so columns that disagree shrink.
    """
    length = torch.linalg.vector_norm(products, dim=-1, keepdim=True)
    direction = products / torch.where(length == 0, 1.0, length)
    return length.mean(0) * direction.mean(0)


def _replace(network: nn.Module, update: LowRankUpdate, product: Tensor) -> None:
    """Let an update carry a product of any rank, by A = s⁻¹ product and B = 1."""
    eye = torch.eye(product.shape[-1], dtype=product.dtype, device=product.device).expand(*product.shape[:-2], -1, -1)
    for name, factor in (("A", product / update.scale), ("B", eye)):
        stored = torch.view_as_real(factor) if factor.is_complex() else factor
        setattr(update, name, nn.Parameter(stored.clone(memory_format=torch.contiguous_format)))


def _check(lists: Sequence[list[tuple[str, LowRankUpdate]]], adapted: Sequence[nn.Module]) -> None:
    first = [(name, update.A.shape, update.B.shape) for name, update in lists[0]]
    if not first:
        raise ValueError(f"{type(adapted[0]).__name__} has no adapter to merge; fine-tune copies made by attach_adapters")
    frozen = _frozen(adapted[0])
    for place, (found, network) in enumerate(zip(lists, adapted, strict=True)):
        if [(name, update.A.shape, update.B.shape) for name, update in found] != first:
            raise ValueError(f"network {place} has other adapters than network 0; use the same modules and rank for all")
        own = _frozen(network)
        changed = [name for name, p in frozen.items() if not torch.equal(p, own[name])]
        if changed:
            raise ValueError(f"network {place} did not start from the network of network 0: {changed[0]} differs")


def _frozen(network: nn.Module) -> dict[str, Tensor]:
    """Return what the networks must share: frozen parameters, and buffers such as the statistics of normalisers."""
    return {name: p for name, p in network.state_dict().items() if not name.endswith(("weight.0.A", "weight.0.B"))}
