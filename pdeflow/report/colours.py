"""Colour scales: a field of a few values gets a colour for each, a positive one over decades its logarithm, others a linear scale."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import AsinhNorm, BoundaryNorm, LogNorm, Normalize

MOST_PHASES = 5
"""Different values up to which a field counts as piecewise constant."""
DECADES = (2.0, 10.0)
"""A positive field is coloured by its logarithm when it spans so many powers of ten; a pulse spans more, and only its peak matters."""
MIDDLE, NARROW = 0.98, 0.2
"""A field of both signs is compressed where the middle 98 % of its values fill less than a fifth of the range."""

Span = tuple[float, float] | Normalize
"""Lowest and highest value of a linear colour scale, or any other scale."""


class PhaseScale(BoundaryNorm):
    """One colour for each value of a piecewise constant field.

    Args:
        values: The values, rising, at least one.
    """

    def __init__(self, values: np.ndarray) -> None:
        middles = (values[1:] + values[:-1]) / 2
        ends = (2 * values[0] - middles[0], 2 * values[-1] - middles[-1]) if len(values) > 1 else limits(values)
        super().__init__([ends[0], *middles, ends[1]], 256)
        self.values = values


def plain(field: np.ndarray) -> np.ndarray:
    """Return the values as float64 with NaN where they are masked.

    Args:
        field: Array of any shape, masked or not.
    """
    masked = np.ma.asarray(field)
    values = np.array(masked.data, dtype=float)
    values[np.ma.getmaskarray(masked)] = np.nan
    return values


def limits(*fields: np.ndarray) -> tuple[float, float]:
    """Common colour limits of several fields, ignoring what is masked or not finite.

    Args:
        *fields: Arrays of any shape.

    Returns:
        Lowest and highest finite value; (0, 1) where there is none, widened where they are equal.
    """
    values = _finite(*fields)
    if values.size == 0:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    if low == high:
        pad = 0.5 * abs(low) or 0.5
        return low - pad, high + pad
    return low, high


def symmetric_limits(*fields: np.ndarray) -> tuple[float, float]:
    """Common colour limits centred at zero, for signed errors.

    Args:
        *fields: Arrays of any shape.

    Returns:
        (-m, m) with m the largest finite absolute value, or 1 where all are zero.
    """
    largest = limits(*(np.abs(plain(field)) for field in fields), np.zeros(1))[1]
    return -largest, largest


def input_scale(*fields: np.ndarray) -> Normalize:
    """Choose the common colour scale of coefficients and sources, ignoring what is masked or not finite.

    Args:
        *fields: Arrays of any shape.

    Returns:
        A `PhaseScale` for one to five different values, a logarithmic scale for positive values that span two to ten powers of ten,
        one that compresses rare extremes of both signs, a linear one otherwise.
    """
    values = _finite(*fields)
    phases = np.unique(values) if len(np.unique(values[:1000])) <= MOST_PHASES else values
    if 1 <= len(phases) <= MOST_PHASES:
        return PhaseScale(phases)
    low, high = limits(*fields)
    if values.size and low > 0 and DECADES[0] < np.log10(high / low) < DECADES[1]:
        return LogNorm(low, high)
    if values.size and low < 0 < high:
        inner = float(np.ptp(np.quantile(values, [(1 - MIDDLE) / 2, (1 + MIDDLE) / 2])))
        if 0 < inner < NARROW * (high - low):
            return AsinhNorm(inner / 4, low, high)
    return Normalize(low, high)


def as_norm(span: Span) -> Normalize:
    """Return a colour scale from its two ends, or the scale itself.

    Args:
        span: Two ends, or a scale.
    """
    return span if isinstance(span, Normalize) else Normalize(*span)


def _finite(*fields: np.ndarray) -> np.ndarray:
    values = np.concatenate([plain(field).ravel() for field in fields])
    return values[np.isfinite(values)]
