"""Solve the samples of one chain and write its shard."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pdeflow.data.hdf5 import SAMPLE_COLUMNS, sha256
from pdeflow.data.mesh_store import MeshShard, write_mesh_shard
from pdeflow.data.store import Shard, write_shard
from pdeflow.generation.recipe import Chain, Recipe
from pdeflow.generation.samples import Sample, solve_sample, solvers_of
from pdeflow.geometry import Grid, MappedGrid, Mesh
from pdeflow.problems import Problem
from pdeflow.problems.problem import problem_from


def write_chain(
    root: Path, recipe: Recipe, chain: Chain, solver: str, step: Callable[[int], None], ids: Sequence[int] | None = None
) -> dict[str, Any]:
    """Solve a chain, write its shard, and then its sidecar, which says that the shard is whole.

    Args:
        root: Folder of the dataset.
        recipe: What to generate.
        chain: Which part of it.
        solver: Word of the solver.
        step: Called with the iterations of every finished sample.
        ids: Numbers of its samples, in the order in which they are solved; by default its places.

    Returns:
        The sidecar: sha256, count, first id, and what is not in the shard: seconds, machine, date.

    Raises:
        DataError: If a sample cannot be solved.
    """
    problem, start = problem_from(recipe.problem), time.perf_counter()
    ids = chain.places if ids is None else ids
    samples = []
    solvers = solvers_of(problem, recipe, solver)
    for sample in ids:
        samples.append(solve_sample(problem, recipe, solvers, sample))
        step(samples[-1].iterations)
    shard = as_shard(problem, recipe, chain, ids, samples)
    path = root / chain.file
    digest = write_mesh_shard(path, shard) if isinstance(shard, MeshShard) else write_shard(path, shard)
    facts = {
        "sha256": digest, "count": chain.count, "first_id": min(ids), "solver": solver, "seconds": time.perf_counter() - start,
        "iterations": sum(sample.iterations for sample in samples), "machine": platform.machine(),
        "written": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }  # fmt: skip
    write_json(root / chain.sidecar, facts)
    return facts


def as_shard(
    problem: Problem, recipe: Recipe, chain: Chain, ids: Sequence[int], samples: Sequence[Sample]
) -> Shard | MeshShard:
    """Put the samples of a chain together.

    Args:
        problem: The problem.
        recipe: What is generated.
        chain: Which part of it.
        ids: Numbers of its samples.
        samples: The samples.

    Returns:
        What is written to one file: values on a grid, or on meshes.
    """
    layouts = [sample.layout for sample in samples]
    first = layouts[0]
    columns = {
        "sample_id": list(ids),
        "chain_id": np.full(chain.count, chain.index),
        "chain_pos": np.arange(chain.count),
        "iterations": [sample.iterations for sample in samples],
        "residual_rel": [sample.residual for sample in samples],
        "status": [sample.status for sample in samples],
    }
    common: dict[str, Any] = {
        "name": recipe.name, "problem": recipe.problem, "equation": problem.equation, "seed": recipe.seed,
        "samples": {name: np.asarray(values, SAMPLE_COLUMNS[name]) for name, values in columns.items()},
        "scalars": {name: np.array([sample.scalars[name] for sample in samples]) for name in samples[0].scalars},
    }  # fmt: skip
    inputs = {name: [sample.inputs[name] for sample in samples] for name in samples[0].inputs}
    outputs = {name: [sample.outputs[name] for sample in samples] for name in samples[0].outputs}
    if isinstance(first, Mesh):
        meshes = [layout for layout in layouts if isinstance(layout, Mesh)]
        shared = all(mesh is first for mesh in meshes)
        return MeshShard(meshes=meshes[:1] if shared else meshes, inputs=inputs, outputs=outputs, **common)
    mapped = isinstance(first, MappedGrid)
    grid = _index_grid(first) if isinstance(first, MappedGrid) else first
    return Shard(
        grid=grid, mapped=mapped, times=problem.times,
        inputs={name: np.stack(values) for name, values in (_coordinates(layouts) | inputs if mapped else inputs).items()},
        outputs={name: np.stack(values) for name, values in outputs.items()}, **common,
    )  # fmt: skip


def _index_grid(layout: MappedGrid) -> Grid:
    """Return the grid of the indices of a mapped one, scaled to the unit cube."""
    return Grid(layout.shape, ((0.0, 1.0),) * layout.ndim, layout.periodic, "node")


def _coordinates(layouts: Sequence[Any]) -> dict[str, list[np.ndarray]]:
    """Return the points of mapped grids as fields x, y (and z)."""
    points = [layout.coordinates().numpy() for layout in layouts]
    return {name: [x[..., k] for x in points] for k, name in enumerate("xyz"[: points[0].shape[-1]])}


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
