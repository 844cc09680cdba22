"""Stages that work on part of a matrix per step, chosen by size; what is left out is remembered.

Dion2: Ahn, Amsel, Langford, arXiv 2512.16928; Trion and DCT-AdamW: Modoranu et al., arXiv 2505.17967.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from pdeflow.optim.chain import MatrixBatch
from pdeflow.optim.matrix_maps import orthogonalize


def polar_of_largest_rows(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Orthogonalize the rows of largest ℓ¹ norm of a sum of gradients, and shrink them there. Options fraction, momentum.

    Rows are taken along the shorter side, so that their number bounds the rank.

    Reference: arXiv 2512.16928.
    """
    tall = x.shape[-2] > x.shape[-1]
    total = batch.get("momentum", lambda: torch.zeros_like(x)) + x
    work = total.mT if tall else total
    count = math.ceil(batch.group["fraction"] * work.shape[-2])
    rows = work.abs().sum(-1).topk(count).indices.unsqueeze(-1).expand(-1, -1, work.shape[-1])
    chosen = work.gather(1, rows)
    update = torch.zeros_like(work).scatter(1, rows, orthogonalize(chosen, batch))
    kept = work.scatter(1, rows, batch.group["momentum"] * chosen)
    batch.put("momentum", kept.mT if tall else kept)
    return update.mT if tall else update


def polar_of_cosine_modes(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Orthogonalize a sum of gradients on its largest cosine modes along fan-in, and shrink it there. Options rank, momentum.

    Reference: arXiv 2505.17967, Trion.
    """
    cosines = cosine_modes(x.shape[-1], x.dtype, x.device)
    modes = (batch.get("momentum", lambda: torch.zeros_like(x)) + x) @ cosines
    index = _largest_modes(modes, batch.group["rank"])
    chosen = modes.gather(-1, index)
    update = torch.zeros_like(modes).scatter(-1, index, orthogonalize(chosen, batch)) @ cosines.mT
    batch.put("momentum", modes.scatter(-1, index, batch.group["momentum"] * chosen) @ cosines.mT)
    return update


def adam_on_cosine_modes(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Take Adam's step on the largest cosine modes along fan-in. Options betas, eps, rank, error_feedback.

    Moments follow the modes that stay chosen; modes that enter start from zero.

    Reference: arXiv 2505.17967, DCT-AdamW.
    """
    group, (beta, beta2), t = batch.group, batch.group["betas"], batch.step + 1
    cosines = cosine_modes(x.shape[-1], x.dtype, x.device)
    modes = (x + batch.get("error", lambda: torch.zeros_like(x)) if group["error_feedback"] else x) @ cosines
    index = _largest_modes(modes, group["rank"])
    chosen, places = modes.gather(-1, index), index[:, 0]
    before = batch.get("modes", lambda: places)
    same = (before.unsqueeze(-1) == places.unsqueeze(-2)).to(chosen.abs().dtype)  # (B, r, r) of zeros and ones
    mean = (batch.get("mean", lambda: torch.zeros_like(chosen)) @ same.to(x.dtype)).lerp(chosen, 1 - beta)
    size = chosen.abs().square()
    square = (batch.get("square", lambda: torch.zeros_like(size)) @ same).lerp(size, 1 - beta2)
    for key, value in (("modes", places), ("mean", mean), ("square", square)):
        batch.put(key, value)
    if group["error_feedback"]:
        batch.put("error", modes.scatter(-1, index, 0) @ cosines.mT)
    step = mean / (1 - beta**t) / ((square / (1 - beta2**t)).sqrt() + group["eps"])
    return torch.zeros_like(modes).scatter(-1, index, step) @ cosines.mT


@cache
def cosine_modes(n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the orthonormal discrete cosine transform of type two.

    Args:
        n: Length.
        dtype: Type of the result; its entries are real.
        device: Place of the result.

    Returns:
        Shape (n, n), column k is mode k.

    Reference: Ahmed, Natarajan, Rao, IEEE Trans. Computers C-23 (1974), eq. (1).
    """
    j = torch.arange(n, dtype=torch.float64, device=device)
    modes = math.sqrt(2 / n) * torch.cos(torch.pi / n * (j[:, None] + 0.5) * j)
    modes[:, 0] /= math.sqrt(2)
    return modes.to(dtype)


def _largest_modes(modes: Tensor, rank: int) -> Tensor:
    """Return the places of the columns of largest ℓ¹ norm in rising order, repeated over the rows: (B, m, r)."""
    size = modes.abs().sum(-2)
    index = size.topk(min(rank, size.shape[-1])).indices.sort(-1).values
    return index.unsqueeze(1).expand(-1, modes.shape[-2], -1)
