"""Absorbing layer for -Δu - k²u = f: the wave number becomes k²(1 + iσ), σ growing from zero into a layer along the walls.

Israeli and Orszag, Approximation of radiation boundary conditions, J. Comput. Phys. 41 (1981); time factor
exp(-iωt), so that outgoing waves are exp(ikr) and the impedance condition is ∂u/∂n - iku = 0, `Robin(-1j * k, 0.0)`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pdeflow.errors import UsageError


def sponge(
    x: Tensor,
    bounds: Sequence[tuple[float, float]],
    width: float,
    strength: float,
    *,
    degree: int = 2,
    tags: Sequence[str] | None = None,
) -> Tensor:
    """Damping σ: zero in the interior, strength (depth / width)^degree at a depth inside the layer.

    Args:
        x: Points, shape (..., d), in length units.
        bounds: (lower, upper) per axis of the box, layer included.
        width: Thickness of the layer, length units.
        strength: Damping at the wall, dimensionless; see `sponge_strength`.
        degree: Degree p of the polynomial; 2 starts smoothly enough not to reflect.
        tags: Sides with a layer, "x0-", "x0+", …; by default all.

    Returns:
        σ, shape (...,), dimensionless; where layers cross, the larger depth counts.

    Raises:
        UsageError: If the layer is wider than the box, a tag is unknown, or width, strength or degree is not positive.
    """
    sides = {f"x{k}{sign}": (k, sign) for k in range(len(bounds)) for sign in "-+"}
    unknown = sorted(set(tags or ()) - set(sides))
    if unknown or x.shape[-1] != len(bounds):
        raise UsageError(
            f"points {tuple(x.shape)} and tags {unknown} do not fit {len(bounds)} axes with the sides {list(sides)}"
        )
    if not 0 < width < min(high - low for low, high in bounds) or strength < 0 or degree < 1:
        raise UsageError(
            f"a layer needs 0 < width < the box {list(bounds)}, strength >= 0, degree >= 1, got {width}, {strength}, {degree}"
        )
    depth = torch.zeros_like(x[..., 0])
    for k, sign in sides.values() if tags is None else (sides[tag] for tag in tags):
        low, high = bounds[k]
        depth = torch.maximum(depth, low + width - x[..., k] if sign == "-" else x[..., k] - (high - width))
    return strength * (depth / width) ** degree


def sponge_strength(wavenumber: float, width: float, *, reflection: float = 1e-3, degree: int = 2) -> float:
    """Damping at the wall that weakens a wave to `reflection` on its way through the layer and back.

    For small σ the wave decays like exp(-k∫σ/2), so twice the layer gives exp(-k σ_max width / (degree + 1)). With the
    defaults a layer of one wave length 2π/k reflects 2.7 %, as it damps too abruptly, and one of two wave lengths 0.1 %.

    Args:
        wavenumber: k, one over length; the smallest one where it varies.
        width: Thickness of the layer, length units; two wave lengths for the default reflection to be reached.
        reflection: Wanted amplitude, between 0 and 1.
        degree: Degree of the polynomial.

    Returns:
        σ_max, dimensionless.

    Raises:
        UsageError: If an argument is out of range.

    Reference: Israeli and Orszag (1981), with the WKB approximation of the damped wave.
    """
    if wavenumber <= 0 or width <= 0 or not 0 < reflection < 1 or degree < 1:
        raise UsageError(
            f"need wavenumber, width > 0, 0 < reflection < 1, degree >= 1, got {wavenumber}, {width}, {reflection}, {degree}"
        )
    return (degree + 1) * math.log(1 / reflection) / (wavenumber * width)


def damped_reaction(wavenumber: Tensor | float, damping: Tensor) -> Tensor:
    """Return the reaction c = -k²(1 + iσ) of -∇·(a∇u) + c u = f, complex.

    Args:
        wavenumber: k, a number or shape (...,), one over length.
        damping: σ of `sponge`, shape (...,).
    """
    return -(wavenumber**2) * torch.complex(torch.ones_like(damping), damping)
