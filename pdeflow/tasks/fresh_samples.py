"""Solve a handful of instances of a problem at once, as inputs and targets of a network.

A plain diffusion problem on a grid goes through linalg.batched_multigrid in one call, on any device; everything else through
linalg.solve, one by one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pdeflow import seeds
from pdeflow.discretization.boundary import Dirichlet
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid
from pdeflow.linalg import solve
from pdeflow.linalg.batched_multigrid import solve_batch
from pdeflow.problems import Elliptic, Instance, Problem
from pdeflow.problems.instance import At


def draw(problem: Problem, seed: int, numbers: Sequence[int]) -> list[Instance]:
    """Draw training instances; each depends on (seed, its number) only.

    Args:
        problem: The problem.
        seed: Root seed.
        numbers: Numbers of the samples.
    """
    # a stream of its own: samples of a dataset come from seeds.INPUTS, so none is in both
    return [problem.sample(seeds.generator(seed, seeds.FRESH, number)) for number in numbers]


def common_grid(problem: Problem, instances: Sequence[Instance], shape: tuple[int, ...]) -> Grid:
    """Return the grid on which instances are discretized.

    Args:
        problem: The problem.
        instances: At least one draw.
        shape: Values per axis.

    Raises:
        UsageError: If they are discretized on meshes or curvilinear grids, or not all on one grid.
    """
    layouts = [problem.layout(instance, shape) for instance in instances]
    first = layouts[0]
    if not isinstance(first, Grid) or any(layout != first for layout in layouts):
        raise UsageError(
            f"fresh data need one uniform grid for all instances, {type(problem).__name__} has a {type(first).__name__} for "
            "each; generate a dataset and take pdeflow.data.PDEDataModule"
        )
    return first


def diffusion(problem: Problem, instance: Instance, grid: Grid) -> tuple[Tensor, Tensor] | None:
    """Return a and f where an instance is plain diffusion, -∇·(a∇u) = f with u = 0 on the boundary; None where it is not.

    Args:
        problem: The problem.
        instance: A draw.
        grid: Where the values are taken.

    Returns:
        Cell values of a and f, shape (*grid.shape,), float64, or None.
    """
    if not isinstance(problem, Elliptic) or grid.location != "cell" or any(grid.periodic):
        return None
    kind, own = type(problem), ("system", "compute", "unpack")
    if any(getattr(kind, name) is not getattr(Elliptic, name) for name in own):
        return None
    at = At(instance, grid)
    walls = problem.boundary(instance)
    absent = problem.velocity(instance, at) is None and problem.reaction(instance, at) is None
    if not absent or any(condition != Dirichlet(0.0) for condition in walls.values()):
        return None
    a, f = problem.coefficient(instance, at), problem.source(instance, at)
    if a.is_complex() or f.is_complex():
        return None
    return a.double().expand(grid.shape), f.double().expand(grid.shape)


def solve_instances(
    problem: Problem, instances: Sequence[Instance], grid: Grid, *, rtol: float, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Solve instances to a tolerance that is verified for each.

    Args:
        problem: The problem.
        instances: Draws.
        grid: Where they are discretized.
        rtol: Largest accepted verdict, for linear problems the relative residual in float64.
        device: Where batches are solved, and where the result is.

    Returns:
        Inputs (samples, C_in, *grid) and outputs (samples, C_out, *grid), float64; the frames of an evolution are channels.

    Raises:
        UsageError: If an instance is not solved to the tolerance; names the first.
    """
    values = [problem.input_values(instance, grid) for instance in instances]
    a = np.stack([np.stack([fields[name] for name in problem.inputs]) for fields in values])
    parts = [diffusion(problem, instance, grid) for instance in instances]
    plain = [part for part in parts if part is not None]
    inputs = torch.from_numpy(a).to(device)
    if len(plain) < len(instances):
        return inputs, torch.stack([one_by_one(problem, item, grid, rtol) for item in instances]).to(device)
    coefficients, sources = (torch.stack(fields).to(device) for fields in zip(*plain, strict=True))
    found = solve_batch(coefficients, sources, grid.spacing(), rtol=rtol)
    u = found.x.unsqueeze(1)
    for i in torch.nonzero(~found.converged).flatten().tolist():
        u[i] = one_by_one(problem, instances[i], grid, rtol).to(device)
    return inputs, u


def one_by_one(problem: Problem, instance: Instance, grid: Grid, rtol: float) -> Tensor:
    """Solve one instance by its own scheme and linalg.solve.

    Args:
        problem: The problem.
        instance: A draw.
        grid: Where it is discretized.
        rtol: Largest accepted verdict.

    Returns:
        Outputs, shape (C_out, *grid), float64.

    Raises:
        UsageError: If the verdict exceeds the tolerance.
    """
    answer = problem.compute(instance, grid, lambda system: solve(system, rtol=rtol))
    if not answer.residual <= rtol:
        raise UsageError(
            f"an instance of {type(problem).__name__} was not solved: {problem.verdict} is {answer.residual:.1e}, expected at "
            f"most rtol = {rtol:.0e}; raise data.rtol"
        )
    fields = [torch.from_numpy(np.asarray(answer.fields[name])).double() for name in problem.outputs]
    single = len(problem.times) == 1
    return torch.cat([field.unsqueeze(0) if single else field for field in fields])
