"""Generate a dataset: chains in spawned processes, shards written atomically, a plan that makes it resumable.

Workers never change the bytes: a chain is the unit of work and of restart, its samples depend on the seed and their
numbers, and the solver is chosen once, before the first shard.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pdeflow.data.manifest import build_manifest, read_manifest
from pdeflow.errors import UsageError
from pdeflow.generation.chains import finished
from pdeflow.generation.plan import make_plan, open_folder
from pdeflow.generation.race import fastest_solver
from pdeflow.generation.recipe import Chain, Recipe, parse_share
from pdeflow.generation.workers import Progress
from pdeflow.generation.workers import workers as open_workers
from pdeflow.problems import Problem

SOLVER_NAMES = {"direct": "sparse direct", "cg": "CG with algebraic multigrid"}


def generate(
    problem: Problem, out: str | Path, *, count: Mapping[str, int], grid: Sequence[int] | None = None,
    h: float | None = None, seed: int = 0, method: str = "auto", rtol: float | None = None, chain_length: int = 128, workers: int = 1, resume: bool = False, shard: str | None = None,
    name: str | None = None, progress: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Generate a dataset.

    Args:
        problem: What to sample and solve.
        out: Folder of the dataset.
        count: Samples by split: train, valid, test.
        grid: Cells per axis; with neither grid nor h, the problem's own resolution.
        h: Mesh size in length units, for problems on meshes.
        seed: Root seed; sample i depends on (seed, i) only.
        method: "auto" (the faster one, measured), "direct", or "cg" with algebraic multigrid.
        rtol: Largest accepted verdict, for linear problems the relative residual verified in float64; by default the
            problem's own.
        chain_length: Samples of a chain, which is a shard.
        workers: Processes; they never change the bytes.
        resume: Continue an interrupted generation with the same settings.
        shard: "i/n": only this share of the chains.
        name: Name of the dataset; by default that of the problem's class.
        progress: Called about twice a second.

    Returns:
        The manifest; with a share of the chains missing, {"incomplete": number of missing chains, "chains", "name"}.

    Raises:
        UsageError: If a setting is wrong, or the folder holds another dataset, or this one and resume is not set.
        DataError: If a sample cannot be solved to rtol.
        RuntimeError: If a worker process dies.
    """
    tolerance = problem.rtol if rtol is None else rtol
    settings: dict[str, Any] = {"h": h, "seed": seed, "method": method, "rtol": tolerance, "chain_length": chain_length}
    recipe = Recipe.of(problem, name, count, grid, **settings)
    if workers < 1:
        raise UsageError(f"workers must be at least 1, got {workers}")
    root, start = Path(out), time.perf_counter()
    share, shares = parse_share(shard) if shard else (0, 1)
    plan = open_folder(root, recipe, resume or shard is not None)
    todo = unfinished(root, recipe, share, shares)
    if not todo and (root / "manifest.json").is_file():
        return read_manifest(root)
    with open_workers(min(workers, max(len(todo), 1))) as pool:
        plan = plan or make_plan(root, recipe, lambda: pool.call(fastest_solver, recipe))
        pool.write(root, recipe, todo, plan["solver"], progress)
    chains = recipe.chains()
    missing = sum(not (root / chain.sidecar).is_file() for chain in chains)
    if missing:
        return {"incomplete": missing, "chains": len(chains), "name": recipe.name}
    return build_manifest(root, facts(problem, root, recipe, plan, time.perf_counter() - start))


def unfinished(root: Path, recipe: Recipe, share: int, shares: int) -> list[Chain]:
    """Return the chains of a share that are still to be written, and remove what a killed worker left of them.

    Args:
        root: Folder of the dataset.
        recipe: What to generate.
        share: Number of the share, from 0.
        shares: How many there are.
    """
    mine = [chain for chain in recipe.chains() if chain.index % shares == share]
    todo = [chain for chain in mine if not finished(root, chain)]
    for chain in todo:
        for file in (root / chain.file, root / chain.sidecar):
            for leftover in file.parent.glob(f".{file.name}.*.tmp"):
                leftover.unlink(missing_ok=True)
        (root / chain.sidecar).unlink(missing_ok=True)
    return todo


def facts(problem: Problem, root: Path, recipe: Recipe, plan: Mapping[str, Any], wall: float) -> dict[str, Any]:
    """Collect for the manifest what is not in the shards.

    Args:
        problem: The problem.
        root: Folder of the dataset.
        recipe: What was generated.
        plan: Its plan.
        wall: Seconds of this call.
    """
    sidecars = [json.loads((root / chain.sidecar).read_text(encoding="utf-8")) for chain in recipe.chains()]
    race = plan["seconds_per_sample"] if problem.linear else {}
    times = ", ".join(f"{SOLVER_NAMES[word]} {1e3 * seconds:.2g} ms" for word, seconds in race.items())
    solver = SOLVER_NAMES[plan["solver"]] if problem.linear else problem.algorithm
    return {
        "rtol": recipe.rtol,
        "verdict": problem.verdict,
        "solver": solver + (f" (measured per sample: {times})" if race else ""),
        "seconds": wall,
        "seconds_of_workers": sum(sidecar["seconds"] for sidecar in sidecars),
        "versions": plan["versions"],
    }
