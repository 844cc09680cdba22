"""Vectors as .npy files, read with clear errors and written aside first."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from pdeflow.errors import UsageError


def read_array(path: str | None, what: str) -> np.ndarray | None:
    """Read an array from .npy, or return None."""
    if path is None:
        return None
    try:
        return np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise UsageError(f"--{what}: file {path} not found") from error
    except ValueError as error:
        raise UsageError(f"--{what}: {path} is not a .npy array ({error})") from error


def check_place(path: str | None, what: str, folder: bool = False) -> None:
    """Refuse a place that cannot be written to before the work whose result belongs there.

    Args:
        path: File or folder to come, or None.
        what: Name of the option.
        folder: A folder is to come.

    Raises:
        UsageError: If a file stands where a folder is needed or a folder where a file is, or nothing may be written there.
    """
    if path is None:
        return
    place = Path(path)
    if place.is_dir() and not folder:
        raise UsageError(f"--{what} {path} is a folder; name a file (.npy) in it")
    needed = place if folder else place.parent
    nearest = next(p for p in (needed, *needed.absolute().parents) if os.path.exists(p))  # false, too, where one may not look
    reason = "" if os.access(nearest, os.W_OK | os.X_OK) else "Permission denied"
    reason = reason if nearest.is_dir() else "Not a directory"
    if reason:
        verb = "written to" if nearest == needed and nearest.is_dir() else "created"
        raise UsageError(f"folder {needed} cannot be {verb} ({reason}); name another, in a folder that exists and can be written to, with --{what}")


def write_array(path: Path, x: np.ndarray) -> None:
    """Write an array as .npy, aside first."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.npy")
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(aside, x)
    os.replace(aside, path)
