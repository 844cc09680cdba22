"""Generate a dataset: chains in spawned processes, shards written atomically, a plan that makes it resumable.

Workers never change the bytes: a chain is the unit of work and of restart, its samples depend on the seed and their
numbers, and the solver is chosen once, before the first shard.
"""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pdeflow.data.manifest import build_manifest, read_manifest
from pdeflow.errors import UsageError
from pdeflow.generation.chains import finished
from pdeflow.generation.drift import DriftWatch
from pdeflow.generation.lock import sole_writer
from pdeflow.generation.ordering import sorted_samples
from pdeflow.generation.plan import free_when_refused, make_plan, open_folder
from pdeflow.generation.race import fastest_solver, told
from pdeflow.generation.recipe import Chain, Recipe, parse_share
from pdeflow.generation.script import script_of, stop_loading
from pdeflow.generation.solvers import title
from pdeflow.generation.sorting_gain import sorting_gain
from pdeflow.generation.workers import Progress, Workers, remove_leftovers
from pdeflow.generation.workers import workers as open_workers
from pdeflow.problems import Problem

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS)
"""What a full disk, a quota and a folder without permission answer."""


def generate(
    problem: Problem, out: str | Path, *, count: Mapping[str, int] | int, grid: Sequence[int] | None = None,
    h: float | None = None, seed: int = 0, method: str = "auto", rtol: float | None = None, chain_length: int = 128,
    order: str = "none", workers: int = 1, resume: bool = False, shard: str | None = None, scheduler: str | None = None,
    name: str | None = None, progress: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Generate a dataset.

    Args:
        problem: What to sample and solve.
        out: Folder of the dataset.
        count: Samples by split: train, valid, test; or of all three, shared 80 : 10 : 10.
        grid: Cells per axis; with neither grid nor h, the problem's own resolution.
        h: Mesh size in length units, for problems on meshes.
        seed: Root seed; sample i depends on (seed, i) only.
        method: "auto" (the winner of a race on the first samples), "direct", "cg" with algebraic multigrid, or the word
            for another solver of the race.
        rtol: Largest accepted verdict, for linear problems the relative residual verified in float64; by default the
            problem's own.
        chain_length: Samples of a chain, which is a shard; solvers that recycle start anew with each.
        order: "none", or "similar": samples with similar systems follow each other, for solvers that recycle.
        workers: Processes; they never change the bytes.
        resume: Continue an interrupted generation with the same settings.
        shard: "i/n": only this share of the chains.
        scheduler: Address of a Dask scheduler, such as "tcp://10.0.0.1:8786", whose workers do the work instead.
        name: Name of the dataset; by default that of the problem's class.
        progress: Called about twice a second.

    Returns:
        The manifest; with a share of the chains missing, {"incomplete": number of missing chains, "chains", "name"}.

    Raises:
        UsageError: If a setting is wrong, the folder holds another dataset, or this one and resume is not set, somebody
            else is writing it, or it is full.
        DataError: If a sample cannot be solved to rtol.
        RuntimeError: If a worker process dies.
    """
    stop_loading()
    tolerance = problem.rtol if rtol is None else rtol
    settings: dict[str, Any] = {
        "h": h,
        "seed": seed,
        "method": method,
        "rtol": tolerance,
        "chain_length": chain_length,
        "order": order,
    }
    recipe, root = Recipe.of(problem, name, count, grid, **settings), Path(out)
    engine = engine_of(recipe, workers, shard, scheduler)
    try:
        with sole_writer(root, *engine.share):
            return fill(problem, root, recipe, resume or shard is not None, engine, progress)
    except KeyboardInterrupt:
        chains = recipe.chains()
        written = sum((root / chain.sidecar).is_file() for chain in chains)
        raise KeyboardInterrupt(
            f"interrupted; {written} of {len(chains)} chains are written; go on with pdeflow generate --resume --out {root}"
        ) from None
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise UsageError(
            f"cannot write {error.filename or root} ({error.strerror}); make room there, then go on with --resume"
        ) from error


@dataclass(frozen=True)
class Engine:
    """Who does the work.

    Attributes:
        workers: Processes on this machine.
        share: Number of the share of the chains, from 0, and how many shares there are.
        scheduler: Address of a Dask scheduler, or None.
        script: Path of the calling script where it defines the problem.
    """

    workers: int
    share: tuple[int, int]
    scheduler: str | None
    script: str | None

    @property
    def alone(self) -> bool:
        """Whether this call decides over all chains on one machine, so that it may change the solver."""
        return self.share[1] == 1 and self.scheduler is None

    def open(
        self, chains: Sequence[Chain], progress: Callable[[Progress], None] | None
    ) -> AbstractContextManager[Workers]:
        """Return a context with the workers.

        Args:
            chains: What is to be written.
            progress: Called while there is no worker.
        """
        if self.scheduler is None:
            return open_workers(min(self.workers, max(len(chains), 1)), self.script)
        from pdeflow.generation.scheduler import cluster

        total, start = sum(chain.count for chain in chains), time.perf_counter()
        tell = (
            None
            if progress is None
            else lambda: progress(Progress(0, total, time.perf_counter() - start, 0, 0))
        )
        return cluster(self.scheduler, tell)


def engine_of(recipe: Recipe, workers: int, shard: str | None, scheduler: str | None) -> Engine:
    """Check who is to do the work.

    Args:
        recipe: What to generate.
        workers: Processes.
        shard: "i/n", or None.
        scheduler: Address of a Dask scheduler, or None.

    Raises:
        UsageError: If the settings contradict each other, or workers would not find the problem.
    """
    if workers < 1:
        raise UsageError(f"workers must be at least 1, got {workers}")
    if scheduler and shard:
        raise UsageError("give either --scheduler, which divides the chains itself, or --shard i/n, not both")
    script = script_of(recipe.problem)
    if scheduler and script:
        kind = recipe.problem["class_path"].rpartition(".")[2]
        raise UsageError(
            f"{kind} is defined in {script}, which the workers of a cluster do not import; put it into a module of its own"
        )
    return Engine(workers, parse_share(shard) if shard else (0, 1), scheduler or None, script)


def fill(
    problem: Problem, root: Path, recipe: Recipe, resume: bool, engine: Engine, progress: Callable[[Progress], None] | None
) -> dict[str, Any]:  # fmt: skip
    """Write what is missing of a dataset whose folder is locked.

    Args:
        problem: The problem.
        root: Folder of the dataset.
        recipe: What to generate.
        resume: Whether an earlier start may be continued.
        engine: Who does the work.
        progress: Called about twice a second.

    Returns:
        As `generate`.
    """
    start, plan = time.perf_counter(), open_folder(root, recipe, resume)
    todo = unfinished(root, recipe, *engine.share)
    if not todo and (root / "manifest.json").is_file():
        return read_manifest(root)
    new = plan is None and engine.alone
    with free_when_refused(root, new), engine.open(todo, progress) as pool:
        race = partial(pool.call, fastest_solver, recipe)
        plan = plan or make_plan(root, recipe, partial(pool.call, sorted_samples, recipe), race)
        again = engine.alone and recipe.method == "auto" and problem.linear
        watch = DriftWatch(root, recipe, plan, race if again else None)
        pool.write(root, recipe, todo, watch.assign, watch.finished, progress)
        chains = recipe.chains()
        missing = sum(not (root / chain.sidecar).is_file() for chain in chains)
        if missing:
            return {"incomplete": missing, "chains": len(chains), "name": recipe.name}
        sorting = pool.call(sorting_gain, recipe, watch.plan) if recipe.order == "similar" else None
    return build_manifest(root, facts(problem, root, recipe, watch.plan, sorting, time.perf_counter() - start))


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
        remove_leftovers(root, chain)
    for leftover in root.glob(".*.tmp") if shares == 1 else ():
        leftover.unlink(missing_ok=True)
    return todo


def solvers_told(plan: dict[str, Any]) -> str:
    """Return the solver and its changes, for people.

    Args:
        plan: The plan.
    """
    changes = [f"{title(change['solver'])} from chain {change['from_chain']}" for change in plan["changes"]]
    return "; then ".join([told(plan), *changes])


def facts(
    problem: Problem, root: Path, recipe: Recipe, plan: dict[str, Any], sorting: dict[str, Any] | None, wall: float
) -> dict[str, Any]:  # fmt: skip
    """Collect for the manifest what is not in the shards.

    Args:
        problem: The problem.
        root: Folder of the dataset.
        recipe: What was generated.
        plan: Its plan.
        sorting: What `sorting_gain` returned, or None where the samples are in the order of their numbers.
        wall: Seconds of this call.
    """
    sidecars = [json.loads((root / chain.sidecar).read_text(encoding="utf-8")) for chain in recipe.chains()]
    return {
        "rtol": recipe.rtol,
        "verdict": problem.verdict,
        "counted": problem.counted,
        "solver": solvers_told(plan) if problem.linear else problem.algorithm,
        "race": {
            "seconds_per_sample": {title(word): seconds for word, seconds in plan["seconds_per_sample"].items()},
            "slower": {title(word): seconds for word, seconds in plan.get("slower", {}).items()},
            "reasons": plan["reasons"], "changes": plan["changes"],
        },
        "order": recipe.order,
        "sorting": sorting,
        "seconds": wall,
        "seconds_of_workers": sum(sidecar["seconds"] for sidecar in sidecars),
        "versions": plan["versions"],
    }
