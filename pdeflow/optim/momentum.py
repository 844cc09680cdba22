"""Momentum stages: what a chain starts with, and the whole of AdamW for elementwise parameters.

Sutskever et al., On the importance of initialization and momentum, ICML 2013, eqs. (1) to (4); Kingma and Ba, Adam, ICLR 2015,
algorithm 1; Topollai and Choromanska, Adaptive memory momentum, arXiv 2510.04988.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pdeflow.optim.chain import MatrixBatch


def ema(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Average: B ← β B + (1 - β) X; with Nesterov's look-ahead return β B + (1 - β) X, else B. Options momentum, nesterov."""
    beta = batch.group["momentum"]
    average = mix(batch.get("momentum", lambda: torch.zeros_like(x)), x, 1 - beta)
    batch.put("momentum", average)
    return mix(x, average, beta) if batch.group.get("nesterov") else average


def mix(x: Tensor, y: Tensor, weight: float) -> Tensor:
    """Return (1 - weight) X + weight Y, in real arithmetic: torch's complex lerp takes seven times as long."""
    if not x.is_complex():
        return x.lerp(y, weight)
    return torch.view_as_complex(torch.view_as_real(x).lerp(torch.view_as_real(y), weight))


def heavy_ball(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Sum: B ← μ B + X; with Nesterov's look-ahead return X + μ B, else B. Options momentum, nesterov."""
    mu = batch.group["momentum"]
    velocity = mu * batch.get("momentum", lambda: torch.zeros_like(x)) + x
    batch.put("momentum", velocity)
    return x + mu * velocity if batch.group.get("nesterov") else velocity


def adaptive_memory(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Average with a memory that minimises the length of the new d ← ((β + ℓ) d + (1 - β) g) / (1 + ℓ). Option memory, ℓ.

    β = clip(⟨g - d, g + ℓ d⟩ / ‖g - d‖², 0, 1) per matrix; the dual of a proximal model of two planes with equal intercepts.

    The direction never grows: ‖d‖ can only fall, so a rate that suits the first gradients may stall later.

    Reference: arXiv 2510.04988 for the direction; β is our derivation, and the paper's may differ.
    """
    memory = batch.group["memory"]
    d = batch.get("momentum", lambda: x)
    gap = x - d
    square = gap.abs().square().sum((-2, -1), keepdim=True)
    product = (gap.conj() * (x + memory * d)).real.sum((-2, -1), keepdim=True)
    beta = (product / torch.where(square == 0, 1.0, square)).clamp(0, 1)
    d = ((beta + memory) * d + (1 - beta) * x) / (1 + memory)
    batch.put("momentum", d)
    return d


def adamw(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Adam's direction, entry by entry. Options adamw_betas, adamw_eps."""
    beta, beta2 = batch.group["adamw_betas"]
    mean = batch.get("mean", lambda: torch.zeros_like(x)).lerp(x, 1 - beta)
    square = batch.get("square", lambda: torch.zeros_like(x)).lerp(x * x, 1 - beta2)
    batch.put("mean", mean)
    batch.put("square", square)
    t = batch.step + 1
    root = (square / (1 - beta2**t)).sqrt_().add_(batch.group["adamw_eps"])
    return mean / root / (1 - beta**t)


def entry_second_moment(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Divide entries by the bias-corrected root mean square of their gradients. Options beta2, eps."""
    beta2 = batch.group["beta2"]
    size = batch.gradient.abs().square()
    square = batch.get("square", lambda: torch.zeros_like(size)).lerp(size, 1 - beta2)
    batch.put("square", square)
    return x / ((square / (1 - beta2 ** (batch.step + 1))).sqrt() + batch.group["eps"])
