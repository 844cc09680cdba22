"""Verify a finished dataset: files, numbers of the samples, and a few samples solved again from the seed.

`--verify` recomputes the SHA-256 of every shard and solves a random 0.1 % of the samples again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pdeflow.data import check
from pdeflow.data.manifest import read_manifest
from pdeflow.data.mesh_store import MeshShard
from pdeflow.data.reading import read_shard
from pdeflow.data.store import Shard
from pdeflow.errors import DataError
from pdeflow.generation.plan import read_plan, solver_of
from pdeflow.generation.recipe import Chain, Recipe
from pdeflow.generation.samples import Sample, solve_sample, solvers_of
from pdeflow.generation.script import script_of
from pdeflow.generation.workers import workers
from pdeflow.geometry import MappedGrid, Mesh
from pdeflow.problems.problem import problem_from

FRACTION = 1e-3
AMPLIFICATION = 1e4
"""How much larger than the relative residual the error of a solution may be: a condition number of ordinary systems."""
LARGEST, SMALLEST = 1e-2, 1e-10
"""Bounds of the tolerance on solutions; inputs, which need no solver, must agree to SMALLEST."""


def verify(
    root: str | Path, *, generator: torch.Generator | None = None, fraction: float = FRACTION
) -> list[str]:
    """Read every shard, compare checksums and numbers, and solve a few random samples again.

    Args:
        root: Folder of a finished dataset.
        generator: Chooses the samples; by default others in every call.
        fraction: Share of the samples that are solved again, at least one.

    Returns:
        One line for each violated rule: file, what was expected, what was found. Empty for a good dataset.

    Raises:
        UsageError: If there is no finished dataset.
    """
    root = Path(root)
    found = check(root)
    try:
        manifest, plan = read_manifest(root), read_plan(root)
    except DataError as error:
        return [*found, *([] if str(error) in found else [str(error)])]
    if plan is None:
        return [*found, f"{root / 'plan.json'}: missing, expected the recipe; samples cannot be solved again"]
    recipe = recipe_from(plan["recipe"])
    found += _check_plan(root, manifest, plan) + _check_numbers(root, recipe)
    return found + _check_samples(root, recipe, plan, chosen(recipe, fraction, generator))


def recipe_from(settings: Mapping[str, Any]) -> Recipe:
    """Return the recipe of a plan.

    Args:
        settings: What `Recipe.as_dict` returned, perhaps read from JSON.
    """
    grid = settings["grid"]
    return Recipe(**{**settings, "grid": None if grid is None else tuple(grid)})


def chosen(recipe: Recipe, fraction: float, generator: torch.Generator | None) -> list[tuple[Chain, int]]:
    """Choose samples at random.

    Args:
        recipe: What was generated.
        fraction: Share of all samples, at least one is chosen.
        generator: Source of randomness; None takes a new seed.

    Returns:
        (chain, row in its shard), in order.
    """
    if generator is None:
        generator = torch.Generator()
        generator.seed()
    rows = [(chain, row) for chain in recipe.chains() for row in range(chain.count)]
    number = max(1, round(fraction * len(rows)))
    return [rows[place] for place in sorted(torch.randperm(len(rows), generator=generator)[:number].tolist())]


def _check_plan(root: Path, manifest: Mapping[str, Any], plan: Mapping[str, Any]) -> list[str]:
    """Compare the manifest with the recipe."""
    recipe = plan["recipe"]
    counts = {name: split["count"] for name, split in manifest["splits"].items()}
    pairs = [
        ("name", manifest["name"], recipe["name"]), ("problem", manifest["problem"], dict(recipe["problem"])),
        ("seed", manifest.get("seed"), recipe["seed"]), ("count", counts, dict(recipe["count"])),
    ]  # fmt: skip
    return [
        f"{root / 'manifest.json'}: {what} is {now}, plan.json has {then}"
        for what, now, then in pairs
        if now != then
    ]


def _check_numbers(root: Path, recipe: Recipe) -> list[str]:
    """Look for samples that are missing, or there twice."""
    lines, first = [], 0
    for split, count in recipe.count.items():
        seen: Counter[int] = Counter()
        for chain in recipe.chains():
            if chain.split == split and (shard := _shard(root, chain)) is not None:
                seen.update(int(i) for i in shard.samples["sample_id"])
        if seen:
            missing = sorted(set(range(first, first + count)) - seen.keys())
            twice = sorted(i for i, times in seen.items() if times > 1)
            lines += [f"{root / 'data' / split}: sample {i} is missing, expected once" for i in missing]
            lines += [
                f"{root / 'data' / split}: sample {i} is there {seen[i]} times, expected once" for i in twice
            ]
        first += count
    return lines


def _shard(root: Path, chain: Chain) -> Shard | MeshShard | None:
    """Read a shard; None where it is damaged, which `check` has told."""
    try:
        return read_shard(root / chain.file)
    except DataError:
        return None


def _check_samples(
    root: Path, recipe: Recipe, plan: Mapping[str, Any], samples: Sequence[tuple[Chain, int]]
) -> list[str]:
    """Solve samples again in a worker, since there it has one thread, and compare them."""
    lines = []
    with workers(1, script_of(recipe.problem)) as pool:
        for chain, row in samples:
            shard = _shard(root, chain)
            if shard is None:
                continue
            number = int(shard.samples["sample_id"][row])
            try:
                again = pool.call(solved_again, recipe, number, solver_of(plan, chain))
            except DataError as error:
                lines.append(f"{root / chain.file}: row {row}: {error}")
                continue
            lines += [
                f"{root / chain.file}: row {row}, sample {number}: {line}"
                for line in differences(shard, row, again, recipe.rtol)
            ]
    return lines


def solved_again(recipe: Recipe, number: int, solver: str) -> Sample:
    """Solve one sample, without what a chain has learned before it.

    Args:
        recipe: Seed, resolution and tolerance.
        number: The sample.
        solver: Word of the solver.
    """
    problem = problem_from(recipe.problem)
    return solve_sample(problem, recipe, solvers_of(problem, recipe, solver), number)


def differences(shard: Shard | MeshShard, row: int, again: Sample, rtol: float) -> Iterator[str]:
    """Compare a stored sample with the same one solved again.

    Args:
        shard: Stored samples.
        row: Which of them.
        again: The same sample, solved again.
        rtol: Tolerance of both solves: their solutions may differ by AMPLIFICATION times as much.

    Yields:
        One line for each field or parameter that differs by more than the tolerance.
    """
    for name, value in again.scalars.items():
        stored = float(shard.scalars[name][row])
        if not np.isclose(stored, value, rtol=SMALLEST, atol=0.0):
            yield f"parameter {name!r} is {stored:.6g}, solved again {value:.6g}"
    tolerance = min(max(AMPLIFICATION * rtol, SMALLEST), LARGEST)
    expected = [(name, values, SMALLEST) for name, values in {**places(again), **again.inputs}.items()]
    expected += [(name, values, tolerance) for name, values in again.outputs.items()]
    for name, values, allowed in expected:
        stored = stored_values(shard, name, row)
        if stored.shape != values.shape:
            yield f"{name!r} has shape {stored.shape}, solved again {values.shape}"
            continue
        size = float(np.linalg.norm(values)) or 1.0
        error = float(np.linalg.norm(stored - values)) / size
        allowed = max(allowed, 4 * float(np.finfo(stored.dtype).eps))
        if not error <= allowed:
            yield f"{name!r} differs by {error:.1e} from the sample solved again, expected at most {allowed:.0e}"


def places(again: Sample) -> dict[str, np.ndarray]:
    """Return where the values of a sample live, where a shard says so: points of a mesh or of a mapped grid."""
    layout = again.layout
    if isinstance(layout, Mesh):
        return {"points": layout.points.numpy()}
    if isinstance(layout, MappedGrid):
        points = layout.coordinates().numpy()
        return {name: points[..., k] for k, name in enumerate("xyz"[: points.shape[-1]])}
    return {}


def stored_values(shard: Shard | MeshShard, name: str, row: int) -> np.ndarray:
    """Return the values of one sample.

    Args:
        shard: Stored samples.
        name: Field, or "points" of a mesh.
        row: Which sample.
    """
    if isinstance(shard, MeshShard) and name == "points":
        return shard.mesh(row).points.numpy()
    fields: dict[str, Any] = {**shard.inputs, **shard.outputs}
    return np.asarray(fields[name][row])
