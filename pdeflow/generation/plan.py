"""plan.json: what a folder is being filled with, and by which solver; written before the first shard.

A later change of the solver is written before the first chain that it concerns, so a resumed generation makes the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pdeflow.errors import DataError, UsageError
from pdeflow.generation.chains import write_json
from pdeflow.generation.lock import create_once
from pdeflow.generation.recipe import Chain, Recipe

FORMAT = 3
"""Of plan.json; 2 had no changes of the solver."""

PACKAGES = ("pdeflow", "numpy", "scipy", "torch", "pyamg", "h5py", "kvxopt")
"""What the bytes may depend on; kvxopt is None where it is not installed."""
KEYS = ("recipe", "solver", "seconds_per_sample", "reasons", "changes", "order", "versions")


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


@contextmanager
def free_when_refused(root: Path, new: bool) -> Iterator[None]:
    """Take the plan back where a setting turns out wrong before anything is written, so that the folder is free for a better one.

    Args:
        root: Folder of the dataset.
        new: Whether this call starts the dataset, alone.

    Yields:
        Nothing.
    """
    try:
        yield
    except UsageError:
        if new and not any(root.glob("data/*/*.hdf5")):
            (root / "plan.json").unlink(missing_ok=True)
        raise


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
        plan: dict[str, Any] = {"changes": []} | dict(json.loads(path.read_text(encoding="utf-8")))
        return {key: plan[key] for key in KEYS} | {"slower": plan.get("slower", {})}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}); remove {root} and generate it again") from error


def ids_of(plan: Mapping[str, Any], chain: Chain) -> list[int]:
    """Return the numbers of the samples of a chain, in the order of the plan.

    Args:
        plan: The plan; its "order" lists all samples, or is None.
        chain: The chain.
    """
    return list(chain.places) if plan["order"] is None else [plan["order"][place] for place in chain.places]


def solver_of(plan: Mapping[str, Any], chain: Chain) -> str:
    """Return the word of the solver of a chain: the last change that came before it, or the first choice.

    Args:
        plan: The plan; its "changes" are {"from_chain", "solver", "seconds_per_sample"}, in the order of the chains.
        chain: The chain.
    """
    words = [change["solver"] for change in plan["changes"] if change["from_chain"] <= chain.index]
    return str(words[-1] if words else plan["solver"])


def with_change(root: Path, plan: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Add a change of the solver to plan.json; no chain that it concerns may have begun.

    Args:
        root: Folder of the dataset.
        plan: The plan.
        change: {"from_chain", "solver", "seconds_per_sample"}.

    Returns:
        The new plan.
    """
    changed = {**plan, "changes": [*plan["changes"], dict(change)]}
    write_json(root / "plan.json", {"format": FORMAT, **changed})
    return changed


def make_plan(
    root: Path, recipe: Recipe, sort: Callable[[], list[int]], race: Callable[[Sequence[int]], dict[str, Any]]
) -> dict[str, Any]:
    """Order the samples, choose the solver and write plan.json; where another process was faster, its plan holds.

    Args:
        root: Folder of the dataset.
        recipe: What to generate.
        sort: Gives the order of all samples; asked for order "similar" only.
        race: Gives the winner on the first samples of a chain with times and reasons; asked for method "auto" only.

    Returns:
        The plan.
    """
    order = sort() if recipe.order == "similar" else None
    first = ids_of({"order": order}, recipe.chains()[0])
    choice = {"solver": recipe.method, "seconds_per_sample": {}, "reasons": {}}
    choice = race(first) if recipe.method == "auto" else choice
    plan = {"recipe": recipe.as_dict(), **choice, "changes": [], "order": order, "versions": versions()}
    create_once(root / "plan.json", json.dumps({"format": FORMAT, **plan}, indent=2) + "\n")
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
