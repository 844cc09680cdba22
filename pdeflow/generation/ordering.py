"""Order samples so that neighbours have similar systems: features, greedy nearest neighbours, Hilbert curve for many.

Wang et al., Accelerating data generation for neural operators via Krylov subspace recycling, ICLR 2024, section 3.2
(greedy sorting of truncated spectra); Skilling, Programming the Hilbert curve, AIP Conf. Proc. 707 (2004) 381.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import dctn

from pdeflow import seeds
from pdeflow.data.manifest import SPLITS
from pdeflow.generation.recipe import Recipe
from pdeflow.geometry import Grid
from pdeflow.problems import Instance, Problem
from pdeflow.problems.instance import values_on
from pdeflow.problems.problem import problem_from

MODES, CELLS = 12, 32
"""Modes per axis that are kept, and cells per axis of the grid on which fields are looked at."""
GROUP = 4096
"""Most samples that are sorted greedily at once: the distances of a group take 128 MB."""
BITS, AXES = 16, 7
"""Resolution of the Hilbert curve per axis, and its axes: the leading principal components."""


def features(problem: Problem, instance: Instance) -> np.ndarray:
    """Describe an instance by few numbers whose distances tell how much systems differ.

    Args:
        problem: The problem.
        instance: A draw.

    Returns:
        The lowest cosine modes of every input field (of its logarithm where it is positive) on the bounding box of the
        domain, then the scalars; shape (F,).

    Reference: Wang et al. (2024), section 3.2.
    """
    bounds = [(float(low), float(high)) for low, high in problem.domain.bounds]
    grid = Grid.uniform((CELLS,) * len(bounds), bounds)
    parts = [_modes(values_on(instance.fields[name], grid).numpy()) for name in instance.fields]
    return np.concatenate([*parts, np.array(list(instance.scalars.values()), dtype=float)])


def _modes(values: np.ndarray) -> np.ndarray:
    if (values > 0).all():
        values = np.log(values)
    return dctn(values, norm="ortho")[(slice(MODES),) * values.ndim].reshape(-1) / CELLS ** (values.ndim / 2)


def sorted_samples(recipe: Recipe) -> list[int]:
    """Order all samples of a recipe, split by split.

    Args:
        recipe: What to generate.

    Returns:
        Sample ids; those of a split stay in the places of that split.
    """
    problem, first = problem_from(recipe.problem), 0
    order: list[int] = []
    for split in (name for name in SPLITS if name in recipe.count):
        ids = range(first, first + recipe.count[split])
        drawn = [problem.sample(seeds.generator(recipe.seed, seeds.INPUTS, i)) for i in ids]
        points = standardized([features(problem, instance) for instance in drawn], len(drawn[0].scalars))
        order += [first + int(k) for k in similar_order(points)]
        first += recipe.count[split]
    return order


def standardized(rows: list[np.ndarray], scalars: int) -> np.ndarray:
    """Stack features, the scalars at their end scaled to mean 0 and deviation 1.

    Args:
        rows: Features of instances, shape (F,) each.
        scalars: Number of scalars.

    Returns:
        Shape (N, F).
    """
    points = np.stack(rows)
    numbers = points[:, points.shape[1] - scalars :]
    spread = numbers.std(0)
    numbers[:] = (numbers - numbers.mean(0)) / np.where(spread > 0, spread, 1.0)
    return points


def similar_order(points: np.ndarray, group: int = GROUP) -> np.ndarray:
    """Return a permutation in which neighbours are close: greedy, in groups along a Hilbert curve where there are many.

    Args:
        points: Features, shape (N, F).
        group: Most samples that are sorted greedily at once.

    Returns:
        The order, shape (N,); the same for the same points.

    Raises:
        ValueError: If a feature is not finite.
    """
    points = np.asarray(points, dtype=float)
    if points.ndim != 2 or not np.isfinite(points).all():
        raise ValueError(f"features must be finite numbers (N, F), got shape {points.shape}")
    if len(points) <= group:
        return greedy_order(points)
    curve = np.argsort(hilbert_keys(_principal(points)), kind="stable")
    found: list[np.ndarray] = []
    for start in range(0, len(points), group):
        part = curve[start : start + group]
        before = points[found[-1][-1]] if found else None
        found.append(part[greedy_order(points[part], before)])
    return np.concatenate(found)


def greedy_order(points: np.ndarray, before: np.ndarray | None = None) -> np.ndarray:
    """Go from each point to the nearest that is left.

    Args:
        points: Features, shape (N, F).
        before: Where the walk comes from; by default it starts at the point closest to the mean.

    Returns:
        The order, shape (N,).
    """
    squares = (points**2).sum(1)
    gram = points @ points.T
    here = int(np.argmin(((points - (points.mean(0) if before is None else before)) ** 2).sum(1)))
    order, left = np.empty(len(points), dtype=np.int64), np.zeros(len(points))
    for k in range(len(points)):
        order[k], left[here] = here, np.inf
        here = int(np.argmin(squares - 2 * gram[here] + left))
    return order


def _principal(points: np.ndarray) -> np.ndarray:
    """Return the leading principal components, scaled to whole numbers of BITS bits, shape (N, up to AXES)."""
    centred = points - points.mean(0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    parts = centred @ vectors[:, ::-1][:, :AXES]
    low, high = parts.min(0), parts.max(0)
    return ((parts - low) / np.where(high > low, high - low, 1.0) * (2**BITS - 1)).astype(np.uint64)


def hilbert_keys(cells: np.ndarray, bits: int = BITS) -> list[int]:
    """Return the position of integer points on the Hilbert curve through their box.

    Args:
        cells: Coordinates below 2^bits, shape (N, d), unsigned.
        bits: Bits per axis.

    Returns:
        Keys of bits · d bits; points that follow each other on the curve have keys that do.

    Reference: Skilling (2004), AxestoTranspose.
    """
    x = cells.astype(np.uint64).T.copy()
    one = np.uint64(1)
    for shift in range(bits - 1, 0, -1):
        q = np.uint64(1 << shift)
        mask = q - one
        x[0] = np.where((x[0] & q) != 0, x[0] ^ mask, x[0])
        for axis in x[1:]:
            flip = (axis & q) != 0
            swapped = (x[0] ^ axis) & mask
            x[0] = np.where(flip, x[0] ^ mask, x[0] ^ swapped)
            axis[:] = np.where(flip, axis, axis ^ swapped)
    for k in range(1, len(x)):
        x[k] ^= x[k - 1]
    turn = np.zeros_like(x[0])
    for shift in range(bits - 1, 0, -1):
        q = np.uint64(1 << shift)
        turn = np.where((x[-1] & q) != 0, turn ^ (q - one), turn)
    x ^= turn
    keys = [0] * x.shape[1]
    for shift in range(bits - 1, -1, -1):
        for axis in x:
            bit = (axis >> np.uint64(shift)) & one
            keys = [key << 1 | int(b) for key, b in zip(keys, bit, strict=True)]
    return keys


def subspace_distance(Q: np.ndarray, C: np.ndarray) -> float:
    """Return δ(Q, C) = ||(I - Π_C) Π_Q||: the sine of the largest angle from range Q to range C.

    Args:
        Q: Basis of the first space, shape (n, k), full rank.
        C: Basis of the second one, shape (n, m).

    Returns:
        A number in [0, 1].

    Reference: Parks et al., SIAM J. Sci. Comput. 28 (2006) 1651, section 3.
    """
    q, c = np.linalg.qr(Q)[0], np.linalg.qr(C)[0]
    rest = q - c @ (c.conj().T @ q)
    return float(min(np.linalg.svd(rest, compute_uv=False)[0], 1.0))
