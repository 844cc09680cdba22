"""What sorting brought: how much closer neighbours are, and the iterations of the same solver without it.

The measure of distance is that of `ordering`. The comparison goes into the manifest and the report, whatever it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pdeflow import seeds
from pdeflow.generation.ordering import features, standardized
from pdeflow.generation.plan import ids_of, solver_of
from pdeflow.generation.recipe import Recipe
from pdeflow.generation.samples import attempt, draw
from pdeflow.generation.solvers import ChainSolver, Unsolved
from pdeflow.problems.problem import problem_from

LOOKED_AT, SOLVED = 512, 32
"""Samples whose distances are measured, and those that are solved once more in the order of their numbers."""


def sorting_gain(recipe: Recipe, plan: dict[str, Any]) -> dict[str, Any]:
    """Compare the order of the plan with that of the numbers of the samples.

    Args:
        recipe: What was generated.
        plan: Its plan, with an order.

    Returns:
        {"neighbour_distance": mean distance of neighbours in the order, as a share of that of successive numbers; None where
        no two samples differ, "unsorted_iterations": of the first chain's solver on the first samples in the order of their
        numbers; empty where the order cannot matter, because that solver carries nothing along a chain}.
    """
    first = recipe.chains()[0]
    ids = plan["order"][: min(recipe.count[first.split], LOOKED_AT)]
    return {
        "neighbour_distance": _share_of_distance(recipe, ids),
        "unsorted_iterations": _unsorted_iterations(
            recipe, solver_of(plan, first), sorted(ids_of(plan | {"order": None}, first))[:SOLVED]
        ),
    }


def _share_of_distance(recipe: Recipe, ids: list[int]) -> float | None:
    problem = problem_from(recipe.problem)
    drawn = [problem.sample(seeds.generator(recipe.seed, seeds.INPUTS, i)) for i in ids]
    points = standardized([features(problem, instance) for instance in drawn], len(drawn[0].scalars))
    steps = [np.linalg.norm(np.diff(points[order], axis=0), axis=1) for order in (slice(None), np.argsort(ids))]
    ordered, numbered = (float(step.mean()) if step.size else 0.0 for step in steps)
    return ordered / numbered if numbered > 0 else None


def _unsorted_iterations(recipe: Recipe, word: str, ids: list[int]) -> list[int]:
    problem, solver = problem_from(recipe.problem), ChainSolver(word, recipe.rtol)
    if not problem.linear:
        return []
    found: list[int] = []
    for sample in ids:
        try:
            found.append(attempt(problem, *draw(problem, recipe, sample), solver).iterations)
        except Unsolved:
            return []
        if solver.state is None:
            return []
    return found if len(set(found)) > 1 else []
