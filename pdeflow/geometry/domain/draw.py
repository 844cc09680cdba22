"""Uniform and quasi-random points in the unit cube, on the unit sphere and in a domain by rejection.

Sobol points with Owen's scrambling: Owen, J. Complexity 14 (1998); torch.quasirandom.SobolEngine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.domain.arguments import check_generator

Method = Literal["random", "sobol"]
Bounds = tuple[tuple[float, float], ...]
LARGEST_SOBOL_DIMENSION = 21201


def cube_stream(dim: int, method: Method, generator: torch.Generator) -> Callable[[int], Tensor]:
    """Return a function that gives the next points in [0, 1)^dim, shape (count, dim), float64.

    Args:
        dim: Dimension.
        method: "random" or "sobol" (scrambled; the scrambling is drawn from the generator).
        generator: Source of randomness.

    Raises:
        UsageError: If the method is unknown, the generator is none, or Sobol points do not exist in this dimension.
    """
    check_generator(generator)
    if method == "random":
        return lambda count: torch.rand(count, dim, generator=generator, dtype=torch.float64)
    if method != "sobol":
        raise UsageError(f"sampling method must be 'random' or 'sobol', got {method!r}")
    if dim > LARGEST_SOBOL_DIMENSION:
        raise UsageError(
            f"Sobol points exist up to dimension {LARGEST_SOBOL_DIMENSION}, got {dim}; use 'random'"
        )
    seed = int(torch.randint(2**31, (1,), generator=generator))
    engine = torch.quasirandom.SobolEngine(dim, scramble=True, seed=seed)
    return lambda count: engine.draw(count, dtype=torch.float64)


def cube(count: int, dim: int, method: Method, generator: torch.Generator) -> Tensor:
    """Return points in [0, 1)^dim, shape (count, dim), float64.

    Args:
        count: Number of points.
        dim: Dimension.
        method: "random" or "sobol".
        generator: Source of randomness.

    Raises:
        UsageError: If the method is unknown.
    """
    return cube_stream(dim, method, generator)(count)


def in_bounds(u: Tensor, bounds: Bounds) -> Tensor:
    """Map the unit cube to a box.

    Args:
        u: Points in [0, 1]^d, shape (n, d).
        bounds: (lower, upper) per axis.

    Returns:
        Points, shape (n, d).

    Raises:
        UsageError: If the box is unbounded.
    """
    lower, upper = u.new_tensor(bounds).T
    if not bool((upper - lower).isfinite().all()):
        raise UsageError(
            "cannot draw points of an unbounded domain; intersect it with a bounded one, e.g. a Box"
        )
    return lower + (upper - lower) * u


def pieces(u: Tensor, measure: Tensor) -> tuple[Tensor, Tensor]:
    """Choose pieces of a set in proportion to their measures.

    Args:
        u: Numbers in [0, 1), shape (n,).
        measure: Measures of the pieces, shape (m,).

    Returns:
        Piece numbers, shape (n,), and which share of the piece lies before u, in [0, 1], shape (n,).
    """
    end = measure.cumsum(0)
    s = u * end[-1]
    k = torch.searchsorted(end, s, right=True).clamp(max=len(end) - 1)
    return k, ((s - end[k] + measure[k]) / measure[k]).clamp(0.0, 1.0)


def directions(u: Tensor) -> Tensor:
    """Map points of the unit cube to unit vectors, uniformly distributed if the points are.

    Args:
        u: Points in [0, 1]^d, shape (n, d).

    Returns:
        Normalized inverse normals, shape (n, d).
    """
    normal = torch.special.ndtri(u.clamp(1e-16, 1 - 1e-16))
    return normal / normal.norm(dim=-1, keepdim=True).clamp(min=1e-300)


def reject(
    count: int, propose: Callable[[int], Tensor], accept: Callable[[Tensor], Tensor], what: str
) -> Tensor:
    """Keep proposing points until enough of them are accepted.

    Args:
        count: Number of points wanted.
        propose: Gives that many candidates, shape (n, d).
        accept: Mask of candidates to keep.
        what: What is sampled, for the message.

    Returns:
        The first `count` accepted points, shape (count, d).

    Raises:
        UsageError: If fewer than one in ten thousand candidates is accepted.
    """
    kept: list[Tensor] = []
    found = tried = 0
    while found < count or not kept:
        ask = min(max(int(1.1 * (count - found) * max(tried, 1) / max(found, 1)) + 16, 256), 1 << 18)
        candidates = propose(ask)
        candidates = candidates[accept(candidates)]
        kept.append(candidates)
        found, tried = found + len(candidates), tried + ask
        if tried > 100_000 and found < 1e-4 * tried:
            raise UsageError(
                f"only {found} of {tried} points drawn lie in {what}; it is empty or very thin, so give tighter bounds"
            )
    return torch.cat(kept)[:count]
