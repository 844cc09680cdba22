"""A step that satisfies the strong Wolfe conditions, by safeguarded cubic and quadratic interpolation.

Moré and Thuente, Line search algorithms with guaranteed sufficient decrease, ACM Trans. Math. Softw. 20 (1994) 286, sections 2-4.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

MIN_STEP, MAX_STEP = 1e-100, 1e100
LOWER, UPPER = 1.1, 4.0
"""While no minimiser is enclosed, the next step lies so far beyond the best one."""
SHRINK = 0.66
"""Share of the interval that two steps must remove, and of the way to its far end that one may go."""
EVALUATIONS = 100
WIDTH = 1e-14
"""Relative width at which an interval is not divided further."""


@dataclass(frozen=True)
class Trial:
    """A step α with the value φ(α) and the slope φ'(α) of the function along the line."""

    alpha: float
    value: float
    slope: float


def strong_wolfe(
    function: Callable[[float], tuple[float, float]], start: Trial, alpha: float, c1: float = 1e-4, c2: float = 0.9
) -> Trial | None:
    """Find α with φ(α) ≤ φ(0) + c₁αφ'(0) and |φ'(α)| ≤ c₂|φ'(0)|.

    Args:
        function: Returns φ(α) and φ'(α); the last call is at the returned step.
        start: φ at 0, with a negative slope.
        alpha: First trial.
        c1: Sufficient decrease.
        c2: Curvature.

    Returns:
        The trial; where rounding or EVALUATIONS ends the search, the best one if it lowers φ; None if none does.
    """
    best, other, enclosed, modified = start, start, False, True
    widths = [math.inf, math.inf]
    low, high = 0.0, (1 + UPPER) * alpha
    for _ in range(EVALUATIONS):
        trial = _finite(function, best, alpha)
        test = start.value + c1 * trial.alpha * start.slope
        if trial.value <= test and abs(trial.slope) <= -c2 * start.slope:
            return trial
        if (enclosed and (not low < trial.alpha < high or high - low <= WIDTH * high)) or trial.alpha >= MAX_STEP:
            break
        modified = modified and not (trial.value <= test and trial.slope >= 0)
        tilt = c1 * start.slope if modified and trial.value <= best.value and trial.value > test else 0.0
        best, other, enclosed, alpha = _tilted_step(best, other, trial, enclosed, low, high, tilt)
        if enclosed:
            if abs(other.alpha - best.alpha) >= SHRINK * widths[0]:
                alpha = (best.alpha + other.alpha) / 2
            widths = [widths[1], abs(other.alpha - best.alpha)]
            low, high = sorted((best.alpha, other.alpha))
        else:
            low, high = (alpha + factor * (alpha - best.alpha) for factor in (LOWER, UPPER))
        alpha = min(max(alpha, MIN_STEP), MAX_STEP)
        if enclosed and (not low < alpha < high or high - low <= WIDTH * high):
            alpha = best.alpha
    return _finite(function, start, best.alpha) if best.alpha > 0 and best.value < start.value else None


def _finite(function: Callable[[float], tuple[float, float]], best: Trial, alpha: float) -> Trial:
    """Evaluate at α, or nearer to the best step, by powers of ten, where the function is not finite."""
    for _ in range(EVALUATIONS):
        value, slope = function(alpha)
        if math.isfinite(value) and math.isfinite(slope):
            break
        alpha = best.alpha + (alpha - best.alpha) / 10
    return Trial(alpha, value, slope)


def _tilted_step(
    best: Trial, other: Trial, trial: Trial, enclosed: bool, low: float, high: float, tilt: float
) -> tuple[Trial, Trial, bool, float]:
    """Update the interval with φ(α) - tilt · α in place of φ; Moré and Thuente, section 3."""
    best, other, trial = (
        replace(t, value=t.value - tilt * t.alpha, slope=t.slope - tilt) for t in (best, other, trial)
    )
    alpha, encloses = _next_step(best, other, trial, enclosed, low, high)
    if trial.value > best.value:
        other = trial
    else:
        other, best = (best if trial.slope * best.slope < 0 else other), trial
    best, other = (replace(t, value=t.value + tilt * t.alpha, slope=t.slope + tilt) for t in (best, other))
    return best, other, encloses, alpha


def _next_step(
    best: Trial, other: Trial, trial: Trial, enclosed: bool, low: float, high: float
) -> tuple[float, bool]:
    """Return the next α and whether a minimiser is enclosed: cases 1 to 4 of Moré and Thuente, section 4."""
    a, step = trial.alpha, best.alpha - trial.alpha
    if trial.value > best.value:
        cubic = best.alpha - step * _cubic(best, trial)
        drop = (best.value - trial.value) / (a - best.alpha)
        quadratic = best.alpha - step * best.slope / (2 * (drop + best.slope))
        near = abs(cubic - best.alpha) <= abs(quadratic - best.alpha)
        return (cubic if near else (cubic + quadratic) / 2), True
    secant = a + step * trial.slope / (trial.slope - best.slope) if trial.slope != best.slope else high
    if trial.slope * best.slope < 0:
        cubic = a + step * _cubic(trial, best)
        return (cubic if abs(cubic - a) > abs(secant - a) else secant), True
    if abs(trial.slope) < abs(best.slope):
        return _beyond(best, other, trial, secant, enclosed, low, high), enclosed
    if enclosed:
        return a + (other.alpha - a) * _cubic(trial, other), True
    return (high if step < 0 else low), False


def _beyond(
    best: Trial, other: Trial, trial: Trial, secant: float, enclosed: bool, low: float, high: float
) -> float:
    """Return the next α where the slope has kept its sign and become flatter."""
    a, step = trial.alpha, best.alpha - trial.alpha
    ratio = _cubic(trial, best)
    cubic = a + step * ratio if ratio < 0 else (high if step < 0 else low)
    nearer = abs(cubic - a) < abs(secant - a)
    if not enclosed:
        return min(max(secant if nearer else cubic, low), high)
    alpha, far = (cubic if nearer else secant), a + SHRINK * (other.alpha - a)
    return min(alpha, far) if step < 0 else max(alpha, far)


def _cubic(p: Trial, q: Trial) -> float:
    """Return where between p (0) and q (1) the cubic through both values and slopes has its minimum."""
    theta = 3 * (p.value - q.value) / (q.alpha - p.alpha) + p.slope + q.slope
    size = max(abs(theta), abs(p.slope), abs(q.slope))
    root = size * math.sqrt(max(0.0, (theta / size) ** 2 - (p.slope / size) * (q.slope / size)))
    gamma = math.copysign(root, q.alpha - p.alpha)
    bottom = 2 * gamma - p.slope + q.slope
    return (gamma - p.slope + theta) / bottom if bottom else 0.5
