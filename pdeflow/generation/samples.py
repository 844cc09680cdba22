"""Draw an instance, discretize it, solve it, and keep the answer with its verdict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdeflow import seeds
from pdeflow.errors import DataError
from pdeflow.generation.recipe import Recipe
from pdeflow.generation.solvers import FIXED, ChainSolver, Unsolved
from pdeflow.problems import Answer, Instance, Problem
from pdeflow.problems.instance import Layout


@dataclass(frozen=True)
class Sample:
    """One solved instance.

    Attributes:
        layout: Where it was discretized.
        inputs: Input fields by name.
        scalars: Parameters by name.
        outputs: Solution fields by name.
        residual: The number that the problem's verdict describes.
        iterations: Krylov, Newton or time steps; 1 for a direct solve.
        status: 0 solved by the chosen solver, 1 by the other one.
    """

    layout: Layout
    inputs: dict[str, np.ndarray]
    scalars: dict[str, float]
    outputs: dict[str, np.ndarray]
    residual: float
    iterations: int
    status: int


def draw(problem: Problem, recipe: Recipe, sample: int) -> tuple[Instance, Layout]:
    """Draw instance number `sample`.

    Args:
        problem: The problem.
        recipe: Seed and resolution.
        sample: Number of the sample.

    Returns:
        (instance, layout).
    """
    instance = problem.sample(seeds.generator(recipe.seed, seeds.INPUTS, sample))
    return instance, problem.layout(instance, recipe.resolution)


def attempt(problem: Problem, instance: Instance, layout: Layout, solver: ChainSolver) -> Answer:
    """Solve one instance by one solver.

    Args:
        problem: The problem.
        instance: A draw.
        layout: Where it is discretized.
        solver: Solver of its linear systems; its tolerance is the largest accepted verdict.

    Returns:
        The answer.

    Raises:
        Unsolved: If the solver fails or the verdict exceeds the tolerance.
    """
    try:
        answer = problem.compute(instance, layout, solver)
    except FloatingPointError as error:  # a Newton or time step blew up
        raise Unsolved(str(error)) from error
    if not answer.residual <= solver.rtol:
        raise Unsolved(f"{problem.verdict} is {answer.residual:.1e}")
    return answer


def solvers_of(problem: Problem, recipe: Recipe, word: str) -> list[ChainSolver]:
    """Return the solver of a chain, and behind it those that take over a system that it does not solve.

    Args:
        problem: The problem; one that is not linear has its own scheme and nothing to fall back on.
        recipe: Tolerance.
        word: The solver that was chosen.
    """
    others = [other for other in FIXED if other != word] if problem.linear else []
    return [ChainSolver(choice, recipe.rtol) for choice in [word, *others]]


def solve_sample(problem: Problem, recipe: Recipe, solvers: list[ChainSolver], sample: int) -> Sample:
    """Solve one instance to the recipe's tolerance; where the solver fails, try the others.

    Args:
        problem: The problem.
        recipe: Seed and resolution.
        solvers: What `solvers_of` returned for the chain.
        sample: Number of the sample.

    Returns:
        The verified sample.

    Raises:
        DataError: If no solver reaches the tolerance.
    """
    instance, layout = draw(problem, recipe, sample)
    failures = []
    for place, solver in enumerate(solvers):
        try:
            answer = attempt(problem, instance, layout, solver)
        except Unsolved as failure:
            failures.append(f"{solver.word}: {failure}" if problem.linear else str(failure))
            continue
        inputs = problem.input_values(instance, layout)
        status = int(answer.fallback or place > 0)
        return Sample(layout, inputs, dict(instance.scalars), answer.fields, answer.residual, answer.iterations, status)
    raise DataError(
        f"sample {sample} of {recipe.name} was not solved to rtol {recipe.rtol:.0e} ({'; '.join(failures)}); "
        "raise rtol, or use another seed"
    )
