"""The settings files that ship with the package, under the names by which the help and the guides call them."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path


def located(name: str | Path, say: bool = False) -> Path:
    """Return a settings file: where there is none at the path, the one of that name that ships with the package, configs/fit/darcy.yaml.

    Args:
        name: Path.
        say: Whether to say on standard error that the shipped file is read.

    Returns:
        The path, which may not exist.
    """
    path = Path(name)
    shipped = configs() / Path(*path.parts[1:])
    if path.exists() or path.parts[:1] != ("configs",) or not shipped.is_file():
        return path
    if say:
        print(f"there is no {path} here; taking the one that ships with the package, {shipped}", file=sys.stderr)
    return shipped


def configs() -> Path:
    """Return the folder of settings files: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def shipped_hint(path: Path) -> str:
    """Return what to write instead of a settings file that does not exist: the nearest of the package, or where they are.

    Args:
        path: What was written.
    """
    shipped = [Path("configs", file.relative_to(configs())).as_posix() for file in configs().glob("*/*.yaml")]
    near = difflib.get_close_matches(path.as_posix(), shipped, n=1)
    return f"did you mean {near[0]}?" if near else f"those that ship with the package, such as configs/fit/darcy.yaml, are in {configs()}"
