"""Where a problem is solved: the cells per axis or the mesh size that a command was given."""

from __future__ import annotations

from typing import Any

from pdeflow.errors import UsageError


def resolution(settings: Any, problem: Any) -> Any:
    """Return the cells per axis or the mesh size that were asked for, else the problem's kind of them.

    Args:
        settings: Settings of the command.
        problem: The problem.

    Raises:
        UsageError: If both were given.
    """
    if settings.grid is not None and settings.h is not None:
        raise UsageError(f"give either grid (cells per axis) or h (mesh size), got {settings.grid} and {settings.h}")
    if settings.h is not None:
        return settings.h
    if settings.grid is not None:
        return tuple(settings.grid)
    return (64, 64) if problem.resolution == (32, 32) else problem.resolution
