"""Ranks of factorized tensors: from a share of the dense entries, or checked where they are given.

The rules are tensorly's: all modes of a Tucker form shrink by one factor, tensor trains take the mean of neighbouring modes;
out-of-range ranks, which tensorly clips in silence, are refused.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence


def tucker_ranks(shape: Sequence[int], rank: float | Sequence[int]) -> tuple[int, ...]:
    """Choose Tucker ranks, all modes shrunk alike, that store about a share of the dense entries.

    Args:
        shape: Shape of the dense tensor, N modes.
        rank: Wanted share of stored entries, in (0, 1], or N ranks.

    Returns:
        N ranks between 1 and the mode size.

    Raises:
        ValueError: If a share is outside (0, 1], or a rank outside [1, mode size].

    Reference: root s of s^N prod(n_j) + s sum(n_j^2) = share prod(n_j), ranks round(s n_j).
    """
    if not isinstance(rank, int | float):
        return _given("Tucker", rank, shape)
    share = _share(rank)
    dense, squares = math.prod(shape), sum(n * n for n in shape)
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        stored = middle ** len(shape) * dense + middle * squares
        low, high = (middle, high) if stored < share * dense else (low, middle)
    return tuple(max(1, round(low * n)) for n in shape)


def cp_rank(shape: Sequence[int], rank: float | int) -> int:
    """Choose the number of components of a CP form.

    Args:
        shape: Shape of the dense tensor.
        rank: Wanted share of stored entries (a float in (0, 1]), or the number of components (an integer).

    Returns:
        At least one component.

    Raises:
        ValueError: If the share or number is out of range.
    """
    if isinstance(rank, int) and not isinstance(rank, bool):
        if not 1 <= rank <= math.prod(shape) // max(shape):
            raise ValueError(f"CP rank {rank} must lie in [1, {math.prod(shape) // max(shape)}], the largest useful rank")
        return rank
    if not isinstance(rank, float):
        raise ValueError(f"a CP form has one rank, got {rank!r}")
    return max(1, round(_share(rank) * math.prod(shape) / sum(shape)))


def train_ranks(shape: Sequence[int], rank: float | Sequence[int]) -> tuple[int, ...]:
    """Choose the ranks between the cores of a tensor train.

    Args:
        shape: Shape of the dense tensor, N modes.
        rank: Wanted share of stored entries, in (0, 1], or N - 1 ranks.

    Returns:
        N - 1 ranks.

    Raises:
        ValueError: If a share is outside (0, 1], or a rank exceeds what the modes on one side of it can fill.

    Reference: with means m_j of neighbouring modes, ranks s m_j, where s stores the wanted number of entries.
    """
    sides = [min(math.prod(shape[:j]), 2 * math.prod(shape[j:])) for j in range(1, len(shape))]  # 2: cores may be real
    if not isinstance(rank, int | float):
        return _given("tensor train", rank, sides)
    share = _share(rank)
    means = [(a + b) / 2 for a, b in itertools.pairwise(shape)]
    a = sum(left * n * right for left, n, right in zip(means, shape[1:-1], means[1:], strict=False))
    b, c = shape[0] * means[0] + shape[-1] * means[-1], share * math.prod(shape)
    s = (-b + math.sqrt(b * b + 4 * a * c)) / (2 * a)
    return tuple(max(1, min(round(s * mean), side)) for mean, side in zip(means, sides, strict=True))


def _share(rank: float) -> float:
    if not 0 < rank <= 1:
        raise ValueError(f"rank as a fraction must lie in (0, 1], got {rank}; factorization 'dense' keeps all entries")
    return float(rank)


def _given(form: str, rank: Sequence[int], limits: Sequence[int]) -> tuple[int, ...]:
    ranks = tuple(int(r) for r in rank)
    if len(ranks) != len(limits):
        raise ValueError(f"expected {len(limits)} {form} ranks, got {ranks}")
    for index, (r, n) in enumerate(zip(ranks, limits, strict=True)):
        if not 1 <= r <= n:
            raise ValueError(f"{form} rank {r} exceeds mode size {n} or is below 1: entry {index} of {ranks}")
    return ranks
