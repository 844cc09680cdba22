"""Ranges and choices of the options of matrix-aware optimizers, so that a bad one is refused before the first step.

Bernstein and Newhouse, Old optimizer, new norm, arXiv 2409.20325, name most of them; each preset says which it has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal, get_args

from pdeflow.optim.polar import PolarDtype, PolarMethod

Scale = Literal["rms", "kj", "spectral", "none"]
RotationBase = Literal["sinkhorn", "sign", "row_norm"]
Ball = Literal["spectral", "sign", "column", "row"]
Symmetry = Literal["orthogonal", "rows", "rows_after_polar", "one_sided", "columns", "shift"]

_NOT_NEGATIVE = ("lr", "weight_decay", "adamw_lr_ratio", "adamw_eps", "eps", "damping", "memory", "radius", "elementwise_radius")
_BELOW_ONE = ("momentum", "beta2", "adamw_betas", "betas", "preconditioner_decay")
_SHARES = ("fraction", "quantile", "statistics_decay")
_COUNTS = ("polar_steps", "refresh", "rank", "alternations")
_CHOICES: dict[str, Any] = {
    "polar": PolarMethod, "polar_dtype": PolarDtype, "scale": Scale, "base": RotationBase, "symmetry": Symmetry,
    "ball": Ball,
}  # fmt: skip


def check_settings(group: dict[str, Any]) -> None:
    """Refuse settings that would run and do nothing sensible.

    Args:
        group: Parameter group with options filled in.

    Raises:
        ValueError: If a known option is not a number in its range or not one of its choices.
    """
    for key, kind in _CHOICES.items():
        if key in group and group[key] not in get_args(kind):
            raise ValueError(f"{key} must be one of {', '.join(get_args(kind))}, got {group[key]!r}")
    for key in _NOT_NEGATIVE:
        if not all(0 <= value < math.inf for value in _numbers(group, key)):
            raise ValueError(f"{key} must be a finite number >= 0, got {group[key]}")
    for key in _BELOW_ONE:
        if not all(0 <= value < 1 for value in _numbers(group, key)):
            raise ValueError(f"{key} must lie in [0, 1), got {group[key]}")
    for key in _SHARES:
        if not all(0 < value <= 1 for value in _numbers(group, key)):
            raise ValueError(f"{key} must lie in (0, 1], got {group[key]}")
    for key in _COUNTS:
        if not all(value == int(value) and value >= 1 for value in _numbers(group, key)):
            raise ValueError(f"{key} must be a whole number of at least 1, got {group[key]}")


def options(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the options among the local variables at the start of a preset's constructor.

    Args:
        arguments: What locals() returns there.
    """
    return {key: value for key, value in arguments.items() if key not in ("self", "params", "__class__")}


def _numbers(group: dict[str, Any], key: str) -> Iterable[float]:
    if key not in group:
        return ()
    value = group[key]
    return value if isinstance(value, tuple | list) else (value,)
