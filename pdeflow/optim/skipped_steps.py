"""What is said of gradients that are not finite: a warning at the first in a row, an error at the tenth."""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor

MAX_SKIPPED = 10
"""Steps in a row that may be left out for a gradient that is not finite."""


def report_skipped(what: str, skipped: int) -> None:
    """Warn of the first step in a row that is left out, and give up at the last.

    Args:
        what: Whose gradient it is.
        skipped: Steps in a row that have been left out, this one among them.

    Raises:
        ValueError: If there are MAX_SKIPPED.
    """
    if skipped >= MAX_SKIPPED:
        raise ValueError(f"the gradient of {what} is not finite for {MAX_SKIPPED} steps; lower lr or clip gradients")
    if skipped == 1:
        warnings.warn(f"the gradient of {what} is not finite; it is left out of such steps", stacklevel=4)


def describe(parameter: Tensor, group: dict[str, Any]) -> str:
    """Return the name and the shape of a parameter.

    Args:
        parameter: The parameter.
        group: Its group, with the key `names` that pdeflow.tasks.parameter_groups gives, or without.
    """
    names = dict(zip((id(p) for p in group["params"]), group.get("names", ()), strict=False))
    return f"{names.get(id(parameter), 'a parameter')}, shape {tuple(parameter.shape)},"
