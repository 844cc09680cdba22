"""Draw, assemble, solve and verify the samples of one chain, and write its shard."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pdeflow import seeds
from pdeflow.data.store import SAMPLE_COLUMNS, Shard, sha256, write_shard
from pdeflow.errors import DataError, UsageError
from pdeflow.generation.recipe import Chain, Recipe
from pdeflow.geometry import Grid
from pdeflow.linalg import LinearSystem, Solution, solve
from pdeflow.problems import Instance, Problem
from pdeflow.problems.problem import problem_from

SOLVERS = {"direct": ("direct", "none"), "cg": ("cg", "amg")}
"""Method and preconditioner by the recipe's word."""


@dataclass(frozen=True)
class Sample:
    """One solved instance.

    Attributes:
        inputs: Input fields by name, shape (*grid.shape,).
        scalars: Parameters by name.
        u: Solution, shape (*grid.shape,).
        residual: True relative residual.
        iterations: Krylov steps; 1 for a direct solve.
        status: 0 solved by the chosen solver, 1 by the other one.
    """

    inputs: dict[str, np.ndarray]
    scalars: dict[str, float]
    u: np.ndarray
    residual: float
    iterations: int
    status: int


def draw(problem: Problem, grid: Grid, seed: int, sample: int) -> tuple[Instance, LinearSystem]:
    """Draw instance number `sample` and assemble its system.

    Args:
        problem: The problem.
        grid: Grid of the unknowns.
        seed: Root seed.
        sample: Number of the sample.

    Returns:
        (instance, system).
    """
    instance = problem.sample(seeds.generator(seed, seeds.INPUTS, sample))
    return instance, problem.system(instance, grid)


def attempt(system: LinearSystem, solver: str, rtol: float) -> Solution | str:
    """Solve by the recipe's word.

    Args:
        system: The system.
        solver: "direct" or "cg".
        rtol: Relative tolerance.

    Returns:
        The verified solution, or why there is none.
    """
    method, preconditioner = SOLVERS[solver]
    try:
        solution = solve(system, method=method, preconditioner=preconditioner, rtol=rtol)
    except UsageError as error:  # the method does not suit this matrix
        return f"{solver}: {error}"
    if solution.converged and np.isrealobj(solution.x):
        return solution
    return f"{solver}: {solution.reason.name}, residual {solution.residual:.1e}"


def solve_sample(problem: Problem, grid: Grid, recipe: Recipe, solver: str, sample: int) -> Sample:
    """Solve one instance to the recipe's tolerance; where the solver fails, try the other one.

    Args:
        problem: The problem.
        grid: Grid of the unknowns.
        recipe: Tolerance and seed.
        solver: "direct" or "cg".
        sample: Number of the sample.

    Returns:
        The verified sample.

    Raises:
        DataError: If no solver reaches the tolerance.
    """
    instance, system = draw(problem, grid, recipe.seed, sample)
    failures = []
    for status, word in enumerate([solver, *(other for other in SOLVERS if other != solver)]):
        found = attempt(system, word, recipe.rtol)
        if isinstance(found, Solution):
            inputs = {name: instance.fields[name].on(grid).numpy() for name in problem.inputs}
            u, scalars = found.x.reshape(grid.shape), dict(instance.scalars)
            return Sample(inputs, scalars, u, found.residual, found.iterations, status)
        failures.append(found)
    raise DataError(
        f"sample {sample} of {recipe.name} was not solved to rtol {recipe.rtol:.0e} ({'; '.join(failures)}); "
        "raise rtol, or use another seed"
    )


def write_chain(
    root: Path, recipe: Recipe, chain: Chain, solver: str, step: Callable[[int], None]
) -> dict[str, Any]:
    """Solve a chain, write its shard, and then its sidecar, which says that the shard is whole.

    Args:
        root: Folder of the dataset.
        recipe: What to generate.
        chain: Which part of it.
        solver: "direct" or "cg".
        step: Called with the iterations of every finished sample.

    Returns:
        The sidecar: sha256, count, first id, and what is not in the shard: seconds, machine, date.

    Raises:
        DataError: If a sample cannot be solved.
    """
    problem, start = problem_from(recipe.problem), time.perf_counter()
    grid = problem.grid(recipe.grid)
    samples = []
    for sample in range(chain.start, chain.start + chain.count):
        samples.append(solve_sample(problem, grid, recipe, solver, sample))
        step(samples[-1].iterations)
    digest = write_shard(root / chain.file, as_shard(problem, grid, recipe, chain, samples))
    facts = {
        "sha256": digest, "count": chain.count, "first_id": chain.start, "seconds": time.perf_counter() - start,
        "iterations": sum(sample.iterations for sample in samples), "machine": platform.machine(),
        "written": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }  # fmt: skip
    write_json(root / chain.sidecar, facts)
    return facts


def as_shard(problem: Problem, grid: Grid, recipe: Recipe, chain: Chain, samples: Sequence[Sample]) -> Shard:
    """Stack the samples of a chain."""
    columns = {
        "sample_id": np.arange(chain.start, chain.start + chain.count),
        "chain_id": np.full(chain.count, chain.index),
        "chain_pos": np.arange(chain.count),
        "iterations": [sample.iterations for sample in samples],
        "residual_rel": [sample.residual for sample in samples],
        "status": [sample.status for sample in samples],
    }
    return Shard(
        name=recipe.name,
        grid=grid,
        inputs={name: np.stack([sample.inputs[name] for sample in samples]) for name in problem.inputs},
        outputs={problem.outputs[0]: np.stack([sample.u for sample in samples])},
        samples={name: np.asarray(values, SAMPLE_COLUMNS[name]) for name, values in columns.items()},
        problem=recipe.problem,
        equation=problem.equation,
        seed=recipe.seed,
        scalars={name: np.array([sample.scalars[name] for sample in samples]) for name in samples[0].scalars},
    )


def finished(root: Path, chain: Chain) -> bool:
    """Whether a chain's shard is there and has the bytes that its sidecar says."""
    path, sidecar = root / chain.file, root / chain.sidecar
    if not path.is_file() or not sidecar.is_file():
        return False
    try:
        return bool(json.loads(sidecar.read_text(encoding="utf-8"))["sha256"] == sha256(path))
    except (ValueError, KeyError, TypeError):
        return False


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write aside, then rename."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    aside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(aside, path)
