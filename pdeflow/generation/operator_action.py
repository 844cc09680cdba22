"""Data without solves: u is mixed from a few solutions, and the source is what the discrete operator makes of it, f = A u.

Dong et al., DiffOAS ("Accelerating PDE data generation via differential operator action in solution space", ICML 2024,
arXiv 2402.05957). The residual is rounding error, but the sources are not the problem's: f is a
mixture of the basis' sources plus a smooth perturbation. Networks trained on such data are less accurate at equal count
(published: 2.2e-2 against 4.6e-3 with 1000 samples), all splits share the basis, and only a problem whose source is an
input can be changed in this way. A dataset made so is marked in every file and in its manifest.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pdeflow import seeds
from pdeflow.data.manifest import build_manifest
from pdeflow.data.store import write_shard
from pdeflow.errors import DataError, UsageError
from pdeflow.generation.chains import as_shard
from pdeflow.generation.plan import versions
from pdeflow.generation.recipe import Recipe
from pdeflow.generation.samples import Sample
from pdeflow.geometry import Box, Grid
from pdeflow.linalg import LinearSystem, solve
from pdeflow.problems import Instance, Problem
from pdeflow.problems.instance import StoredField
from pdeflow.random_fields import gaussian_random_field

NAME = "operator_action"
NOISE = 0.05
"""Root mean square of the perturbation, relative to that of the mixture."""

RTOL = 1e-12
"""Largest accepted residual of an augmented sample; it is rounding error, about 1e-16."""

CORRELATION = 7.0
"""Inverse correlation length of the perturbation times the longest side of the box, that of the problems' own fields."""


def operator_action(
    problem: Problem, out: str | Path, *, count: Mapping[str, int], grid: Sequence[int] | None = None, basis: int = 40,
    seed: int = 0, name: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Write a dataset of its own of augmented samples; parameters of the instances are left out, they described the old f.

    Args:
        problem: A linear steady problem on a grid with the source "f" among its inputs and zero boundary data.
        out: Folder of the dataset.
        count: Samples by split: train, valid, test.
        grid: Cells per axis; by default the problem's own.
        basis: Number of instances that are solved, 30 to 50 as published; instance i is that of `generate`.
        seed: Root seed; sample i depends on (seed, i) and the basis only.
        name: Name of the dataset; by default the problem's class and "_operator_action".

    Returns:
        The manifest; "augmented" is "operator_action", "augmentation" says how.

    Raises:
        UsageError: If the problem does not fit, a setting is wrong, or the folder holds a dataset.
        DataError: If an instance of the basis is not solved.
    """
    root, start = Path(out), time.perf_counter()
    _refuse(problem)
    if basis < 1:
        raise UsageError(f"the basis must have at least one instance, got {basis}")
    if (root / "manifest.json").exists() or any(root.glob("data/*/*.hdf5")):
        raise UsageError(
            f"{root} holds a dataset already; augmented samples are never mixed with others, choose another --out"
        )
    title = name or f"{type(problem).__name__.lower()}_{NAME}"
    recipe = Recipe.of(problem, title, count, grid, seed=seed, method="direct", rtol=RTOL, chain_length=128)
    mixer = Mixer(problem, recipe, basis)
    for chain in recipe.chains():
        samples = [mixer.sample(i) for i in chain.places]
        shard: Any = as_shard(
            problem, recipe, chain, chain.places, samples
        )  # a Shard: all samples are on one grid
        write_shard(root / chain.file, replace(shard, seed=None, augmented=NAME))
    how = {"method": NAME, "basis": basis, "noise": NOISE, "seed": seed, "note": "all splits share the basis"}
    return build_manifest(root, {
        "rtol": RTOL, "verdict": problem.verdict, "augmentation": how, "order": "none",
        "solver": f"augmented by operator action (f = A u on {basis} solved instances), not drawn from the problem",
        "seconds": time.perf_counter() - start, "versions": versions(),
    })  # fmt: skip


def _refuse(problem: Problem) -> None:
    """Refuse a problem whose source cannot be chosen freely."""
    kind = type(problem).__name__
    if "f" not in problem.inputs:
        inputs = ", ".join(problem.inputs) or "none"
        raise UsageError(
            f"operator_action chooses the source f, which is no input of {kind} (inputs: {inputs}); use generate"
        )
    if not problem.linear or len(problem.times) > 1:
        raise UsageError(f"operator_action needs a linear steady problem, {kind} is not; use generate")
    if len(problem.outputs) > 1:
        raise UsageError(
            f"operator_action needs one real solution, {kind} has {', '.join(problem.outputs)}; use generate"
        )


@dataclass(frozen=True)
class Mixer:
    """Draws augmented samples.

    Attributes:
        problem: The problem.
        recipe: Seed and resolution.
        basis: Number of solved instances.
    """

    problem: Problem
    recipe: Recipe
    basis: int

    @cached_property
    def grid(self) -> Grid:
        """The grid of all samples.

        Raises:
            UsageError: If the problem is discretized on anything else.
        """
        layout = self.problem.layout(self._draw(0), self.recipe.resolution)
        if not isinstance(layout, Grid):
            kind = type(self.problem).__name__
            raise UsageError(
                f"operator_action needs a grid, {kind} is discretized on a {type(layout).__name__}; give grid, or use generate"
            )
        return layout

    @cached_property
    def solutions(self) -> np.ndarray:
        """Solutions of the basis, shape (basis, n).

        Raises:
            DataError: If one is not solved.
        """
        found = []
        for i in range(self.basis):
            solution = solve(self.problem.system(self._draw(i), self.grid), method="direct", rtol=1e-8)
            if not solution.converged:
                raise DataError(
                    f"instance {i} of the basis was not solved ({solution.reason.name}); use another seed"
                )
            found.append(solution.x)
        return np.stack(found)

    @cached_property
    def load(self) -> np.ndarray:
        """Right-hand side of f = 1, shape (n,): the measures of the cells.

        Raises:
            UsageError: If the problem is complex, has boundary data, or other unknowns than its cells.
        """
        kind, size = type(self.problem).__name__, self.grid.size
        instance = self._draw(0)
        empty = self._with_source(instance, torch.zeros(self.grid.shape, dtype=torch.float64))
        full = self._with_source(instance, torch.ones(self.grid.shape, dtype=torch.float64))
        if empty.n != size or np.iscomplexobj(empty.A) or np.iscomplexobj(full.b):
            raise UsageError(
                f"operator_action needs one real unknown per cell, {kind} has {empty.n} of {empty.dtype} on {size} cells"
            )
        if np.abs(empty.b).max() > RTOL * np.abs(full.b).max():
            raise UsageError(
                f"operator_action needs zero boundary data, those of {kind} drive the solution; use generate"
            )
        if not (full.b != 0).all():
            raise UsageError(
                f"operator_action needs a source in every cell, f does not reach all cells of {kind}; use generate"
            )
        return full.b

    def sample(self, index: int) -> Sample:
        """Return one augmented sample with the residual of its stored source.

        Args:
            index: Number of the sample; its other inputs are those of instance basis + index.

        Raises:
            DataError: If f does not enter the equations as a source: the residual is not rounding error.
        """
        instance = self._draw(self.basis + index)
        u = self.mixture(index)
        A = self._with_source(instance, torch.zeros(self.grid.shape, dtype=torch.float64)).A
        f = torch.from_numpy(A @ u / self.load).reshape(self.grid.shape)
        made = self._with_source(instance, f)
        residual = float(np.linalg.norm(made.b - made.A @ u) / np.linalg.norm(made.b))
        if not residual <= RTOL:
            raise DataError(
                f"augmented sample {index} has the residual {residual:.1e}: f does not enter the equations as a source"
            )
        inputs = self.problem.input_values(instance, self.grid) | {"f": f.numpy()}
        return Sample(self.grid, inputs, {}, self.problem.unpack(u, self.grid), residual, 0, 0)

    def mixture(self, index: int) -> np.ndarray:
        """Return Σ α_i u_i with Gaussian α of length one, plus the perturbation, shape (n,)."""
        generator = seeds.generator(self.recipe.seed, seeds.NOISE, index)
        alpha = torch.randn(self.basis, generator=generator, dtype=torch.float64).numpy()
        u = alpha @ self.solutions / np.linalg.norm(alpha)
        bump = perturbation(self.grid, generator).reshape(-1).numpy()
        return u + NOISE * np.linalg.norm(u) / np.linalg.norm(bump) * bump

    def _draw(self, index: int) -> Instance:
        return self.problem.sample(seeds.generator(self.recipe.seed, seeds.INPUTS, index))

    def _with_source(self, instance: Instance, f: Tensor) -> LinearSystem:
        fields = {**instance.fields, "f": StoredField(f, self.grid)}
        return self.problem.system(Instance(fields, instance.scalars), self.grid)


def perturbation(grid: Grid, generator: torch.Generator) -> Tensor:
    """Draw a smooth random field times Π sin³(π t), whose value, slope and curvature vanish at the boundary.

    So A takes it to bounded sources in the cells at the boundary too, whatever the boundary condition is.

    Args:
        grid: Where it is evaluated; the same function at every resolution.
        generator: Source of randomness.

    Returns:
        Values, shape (*grid.shape,).
    """
    lower, upper = zip(*grid.bounds, strict=True)
    side = max(high - low for low, high in grid.bounds)
    box = Box(tuple(lower), tuple(upper))
    field = gaussian_random_field(box, 3.5 + grid.ndim / 2, CORRELATION / side, generator=generator, modes=32)
    t = (grid.coordinates() - torch.tensor(lower)) / (torch.tensor(upper) - torch.tensor(lower))
    return field.on(grid) * torch.sin(math.pi * t).pow(3).prod(-1)
