"""Draw an instance, discretize it, solve it, and keep the answer with its verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pdeflow import seeds
from pdeflow.errors import DataError, UsageError
from pdeflow.generation.recipe import Recipe
from pdeflow.linalg import LinearSystem, Solution, solve
from pdeflow.problems import Answer, Instance, Problem
from pdeflow.problems.instance import Layout

SOLVERS = {"direct": ("direct", "none"), "cg": ("cg", "amg")}
"""Method and preconditioner by the recipe's word."""


class Unsolved(ValueError):
    """A solver did not reach the tolerance, or does not suit the system."""


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


def solver(word: str, rtol: float) -> Callable[[LinearSystem], Solution]:
    """Return the solver of linear systems behind the recipe's word.

    Args:
        word: "direct" or "cg".
        rtol: Relative tolerance.

    Returns:
        A function that returns a verified solution or raises Unsolved.
    """
    method, preconditioner = SOLVERS[word]

    def verified(system: LinearSystem) -> Solution:
        try:
            solution = solve(system, method=method, preconditioner=preconditioner, rtol=rtol)
        except UsageError as error:  # the method does not suit this matrix
            raise Unsolved(str(error)) from error
        if not solution.converged:
            raise Unsolved(f"{solution.reason.name}, residual {solution.residual:.1e}")
        return solution

    return verified


def attempt(problem: Problem, instance: Instance, layout: Layout, word: str, rtol: float) -> Answer:
    """Solve one instance by one solver.

    Args:
        problem: The problem.
        instance: A draw.
        layout: Where it is discretized.
        word: "direct" or "cg".
        rtol: Largest accepted verdict.

    Returns:
        The answer.

    Raises:
        Unsolved: If the solver fails or the verdict exceeds rtol.
    """
    try:
        answer = problem.compute(instance, layout, solver(word, rtol))
    except FloatingPointError as error:  # a Newton or time step blew up
        raise Unsolved(str(error)) from error
    if not answer.residual <= rtol:
        raise Unsolved(f"{problem.verdict} is {answer.residual:.1e}")
    return answer


def solve_sample(problem: Problem, recipe: Recipe, word: str, sample: int) -> Sample:
    """Solve one instance to the recipe's tolerance; where the solver fails, try the other one.

    Args:
        problem: The problem.
        recipe: Tolerance, seed and resolution.
        word: "direct" or "cg".
        sample: Number of the sample.

    Returns:
        The verified sample.

    Raises:
        DataError: If no solver reaches the tolerance.
    """
    instance, layout = draw(problem, recipe, sample)
    others = [other for other in SOLVERS if other != word] if problem.linear else []
    failures = []
    for status, candidate in enumerate([word, *others]):
        try:
            answer = attempt(problem, instance, layout, candidate, recipe.rtol)
        except Unsolved as failure:
            failures.append(f"{candidate}: {failure}" if problem.linear else str(failure))
            continue
        inputs = problem.input_values(instance, layout)
        status = int(answer.fallback or status > 0)
        return Sample(layout, inputs, dict(instance.scalars), answer.fields, answer.residual, answer.iterations, status)
    raise DataError(
        f"sample {sample} of {recipe.name} was not solved to rtol {recipe.rtol:.0e} ({'; '.join(failures)}); "
        "raise rtol, or use another seed"
    )
