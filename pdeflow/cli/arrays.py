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


def write_array(path: Path, x: np.ndarray) -> None:
    """Write an array as .npy, aside first."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.npy")
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(aside, x)
    os.replace(aside, path)
