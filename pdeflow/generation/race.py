"""Which of the two solvers is faster for this problem on this machine: measured on the first samples.

Specification datasets.md, section 3: the winner is part of the plan, so that a resumed generation uses it again.
"""

from __future__ import annotations

import time

from pdeflow.errors import DataError
from pdeflow.generation.chains import SOLVERS, attempt, draw
from pdeflow.generation.recipe import Recipe
from pdeflow.problems.problem import problem_from


def fastest_solver(recipe: Recipe, samples: int = 2) -> dict[str, float]:
    """Time both solvers on the first samples, after one solve to warm up.

    Args:
        recipe: What to generate.
        samples: How many.

    Returns:
        Mean seconds per sample by solver, fastest first; solvers that failed are left out.

    Raises:
        DataError: If neither reaches the tolerance.
    """
    problem = problem_from(recipe.problem)
    grid = problem.grid(recipe.grid)
    systems = [draw(problem, grid, recipe.seed, sample)[1] for sample in range(samples)]
    seconds, failures = {}, []
    for word in SOLVERS:
        found = [attempt(systems[0], word, recipe.rtol)]
        start = time.perf_counter()
        if not isinstance(found[0], str):
            found += [attempt(system, word, recipe.rtol) for system in systems]
        failed = [answer for answer in found if isinstance(answer, str)]
        failures += failed[:1]
        if not failed:
            seconds[word] = (time.perf_counter() - start) / samples
    if not seconds:
        raise DataError(f"no solver reaches rtol {recipe.rtol:.0e} ({'; '.join(failures)}); raise rtol")
    return dict(sorted(seconds.items(), key=lambda item: item[1]))
