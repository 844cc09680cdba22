"""plan.json: what a folder is being filled with, and by which solver; written before the first shard.

Design.md, section 3, "Same bytes".
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pdeflow.errors import DataError, UsageError
from pdeflow.generation.recipe import Recipe

PACKAGES = ("pdeflow", "numpy", "scipy", "torch", "pyamg", "h5py", "kvxopt")
"""What the bytes may depend on; kvxopt is None where it is not installed."""


def open_folder(root: Path, recipe: Recipe, resume: bool) -> dict[str, Any] | None:
    """Check that a folder is free, or holds the beginning of the same dataset.

    Args:
        root: Folder of the dataset.
        recipe: What to generate.
        resume: Whether an earlier start may be continued.

    Returns:
        The plan of the earlier start, or None.

    Raises:
        UsageError: If the folder holds another dataset, or this one and resume is not set.
        DataError: If plan.json is damaged.
    """
    plan = read_plan(root)
    if plan is None:
        if (root / "manifest.json").exists() or any(root.glob("data/*/*.hdf5")):
            raise UsageError(f"{root} holds a dataset without plan.json; choose another --out")
        return None
    if not resume:
        raise UsageError(
            f"{root} holds a dataset already; continue it with --resume, or choose another --out"
        )
    refuse_difference(root, plan["recipe"], json.loads(json.dumps(recipe.as_dict())))
    refuse_difference(root, plan["versions"], versions())
    return plan


def refuse_difference(root: Path, before: Mapping[str, Any], now: Mapping[str, Any], under: str = "") -> None:
    """Compare the settings of two starts, nested mappings key by key.

    Args:
        root: Folder of the dataset.
        before: Settings of the first start.
        now: Settings of this one.
        under: Name of the mapping that the two belong to, with a dot.

    Raises:
        UsageError: Naming the first key that differs.
    """
    for key in [*before, *(key for key in now if key not in before)]:
        one, two = before.get(key), now.get(key)
        if isinstance(one, Mapping) and isinstance(two, Mapping):
            refuse_difference(root, one, two, f"{under}{key}.")
        elif one != two:
            raise UsageError(
                f"{root} was started with {under}{key} = {one}, now it is {two}; "
                "resume with the same settings and versions, or choose another --out"
            )


def read_plan(root: Path) -> dict[str, Any] | None:
    """Read plan.json.

    Args:
        root: Folder of the dataset.

    Returns:
        Its content, or None where there is none.

    Raises:
        DataError: If it is damaged.
    """
    path = root / "plan.json"
    if not path.is_file():
        return None
    try:
        plan = dict(json.loads(path.read_text(encoding="utf-8")))
        return {key: plan[key] for key in ("recipe", "solver", "seconds_per_sample", "versions")}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}); remove {root} and generate it again") from error


def make_plan(root: Path, recipe: Recipe, race: Callable[[], dict[str, float]]) -> dict[str, Any]:
    """Choose the solver and write plan.json; where another process was faster, its plan holds.

    Args:
        root: Folder of the dataset, which is made.
        recipe: What to generate.
        race: Gives the seconds per sample of every solver that works, fastest first; asked for method "auto" only.

    Returns:
        The plan.
    """
    seconds = race() if recipe.method == "auto" else {}
    plan = {
        "format": 1,
        "recipe": recipe.as_dict(),
        "solver": next(iter(seconds), recipe.method),
        "seconds_per_sample": seconds,
        "versions": versions(),
    }
    root.mkdir(parents=True, exist_ok=True)
    path, aside = root / "plan.json", root / f".plan.json.{os.getpid()}.tmp"
    aside.write_text(json.dumps(plan, indent=2) + "\n", encoding="utf-8")
    try:
        os.link(aside, path)  # unlike a rename, this fails where the file exists
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        os.replace(aside, path)
    aside.unlink(missing_ok=True)
    written = open_folder(root, recipe, resume=True)
    return plan if written is None else written


def versions() -> dict[str, str | None]:
    """Return the versions of PACKAGES."""
    found: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
