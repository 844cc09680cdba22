"""Odd polynomials that push [lower, 1] towards one as fast as their degree allows, with bounds that are certified.

Amsel, Persson, Musco, Gower, The Polar Express, arXiv 2505.16932, theorem 3.1 (greedy composition is optimal) and section 3.3
(Remez exchange for degree five).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

Triple = tuple[float, float, float]
_ROUNDING = 16 * float(np.finfo(float).eps)  # of a few products and sums of size one to ten


@dataclass(frozen=True)
class MinimaxPolynomials:
    """A composition p_T ∘ … ∘ p_1 of odd polynomials a x + b x³ + c x⁵.

    Args:
        triples: Coefficients (a, b, c) of p_1, p_2, ….
        lower: Smallest singular value that the bound covers; the largest is one.
        error: Bound of |1 - p_T ∘ … ∘ p_1| on [lower, 1].
        peak: Bound of |p_k ∘ … ∘ p_1| on [0, 1] for every k, so that nothing can blow up below `lower` either.
    """

    triples: tuple[Triple, ...]
    lower: float
    error: float
    peak: float


def minimax_polynomials(lower: float, steps: int, cushion: float = 0.0) -> MinimaxPolynomials:
    """Build the composition that minimises max |1 - p_T ∘ … ∘ p_1| on [lower, 1], with its certificate.

    Args:
        lower: Smallest singular value of interest over the largest, in (0, 1).
        steps: Number T of polynomials, at least one.
        cushion: No polynomial is fitted below `cushion` times the upper end; more of it tames the steep first steps.

    Returns:
        Coefficients and bounds; the bounds come from the extrema of each polynomial, in closed form, not from samples.

    Raises:
        ValueError: If a value is out of range.

    Reference: arXiv 2505.16932, theorem 3.1.
    """
    if not (0 < lower < 1 and steps >= 1 and 0 <= cushion < 1):
        raise ValueError(
            f"minimax needs lower in (0, 1), steps >= 1 and cushion in [0, 1), got {lower}, {steps} and {cushion}"
        )
    low, high, triples = lower, 1.0, []
    for _ in range(steps):
        triple = minimax_quintic(max(low, cushion * high), high)
        if low < cushion * high:  # centre the image of [low, high] on one again
            factor = 2 / sum(image(triple, low, high))
            triple = (factor * triple[0], factor * triple[1], factor * triple[2])
        triples.append(triple)
        low, high = image(triple, low, high)
    return certify(triples, lower)


def minimax_quintic(low: float, high: float) -> Triple:
    """Find the odd polynomial of degree five that is nearest to one on [low, high] (Remez exchange).

    Args:
        low: Lower end, positive.
        high: Upper end.

    Returns:
        (a, b, c); the error takes its largest size at four points with alternating sign.

    Reference: arXiv 2505.16932, algorithm 2.
    """
    if high - low < 1e-4 * high:  # the system turns singular; osculation is within (1 - low/high)³ of the optimum
        x = 2 / (low + high)
        return 15 / 8 * x, -10 / 8 * x**3, 3 / 8 * x**5
    x = low + (high - low) * np.array([0.0, 0.25, 0.75, 1.0])
    triple = (15 / 8, -10 / 8, 3 / 8)
    for _ in range(100):
        system = np.column_stack([x, x**3, x**5, [1.0, -1.0, 1.0, -1.0]])
        a, b, c, level = np.linalg.solve(system, np.ones(4))
        triple = (float(a), float(b), float(c))
        inner = [float(r) for r in extrema(triple) if low < r < high]
        if len(inner) != 2:
            break
        x = np.array([low, *inner, high])
        reached = max(abs(1 - evaluate(triple, float(point))) for point in x)
        if reached <= abs(level) * (1 + 1e-12) + _ROUNDING:
            break
    return triple


def certify(triples: list[Triple] | tuple[Triple, ...], lower: float) -> MinimaxPolynomials:
    """Bound a composition on [lower, 1] and on [0, 1].

    Args:
        triples: Coefficients (a, b, c).
        lower: Lower end of the interval for the error.

    Returns:
        The bounds: the image of an interval under one polynomial is exact (ends and extrema), so the composition's lies
        inside the images' composition; each is widened by the rounding of its evaluation.
    """
    low, high, below, top, peak = lower, 1.0, 0.0, 1.0, 1.0
    for triple in triples:
        low, high = image(triple, low, high)
        below, top = image(triple, below, top)
        peak = max(peak, top, -below)
    return MinimaxPolynomials(tuple(triples), lower, max(1 - low, high - 1), peak)


def image(triple: Triple, low: float, high: float) -> tuple[float, float]:
    """Return the range of a x + b x³ + c x⁵ over [low, high], widened by rounding."""
    points = [low, high, *(r for s in extrema(triple) for r in (s, -s) if low < r < high)]
    values = [evaluate(triple, x) for x in points]
    a, b, c = triple
    size = max(abs(low), abs(high))
    margin = _ROUNDING * (abs(a) * size + abs(b) * size**3 + abs(c) * size**5)
    return min(values) - margin, max(values) + margin


def extrema(triple: Triple) -> list[float]:
    """Return the positive roots of the derivative a + 3 b x² + 5 c x⁴, in rising order."""
    a, b, c = triple
    if c == 0:
        squares = [-a / (3 * b)] if b else []
    else:
        root = 9 * b * b - 20 * a * c
        if root < 0:
            return []
        q = -0.5 * (3 * b + math.copysign(math.sqrt(root), b))  # no cancellation
        squares = [q / (5 * c), a / q] if q else [0.0]
    return sorted(math.sqrt(y) for y in squares if y > 0)


def evaluate(triple: Triple, x: float) -> float:
    """Return a x + b x³ + c x⁵."""
    a, b, c = triple
    return x * (a + x * x * (b + x * x * c))
