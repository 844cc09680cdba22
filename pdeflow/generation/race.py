"""Which of the two solvers is faster for this problem on this machine: measured on the first samples.

Specification datasets.md, section 3: the winner is part of the plan, so that a resumed generation uses it again.
"""

from __future__ import annotations

import time

from pdeflow.errors import DataError
from pdeflow.generation.recipe import Recipe
from pdeflow.generation.samples import SOLVERS, Unsolved, attempt, draw
from pdeflow.problems.problem import problem_from


def fastest_solver(recipe: Recipe, samples: int = 2) -> dict[str, float]:
    """Time both solvers on the first samples, after one solve to warm up.

    Args:
        recipe: What to generate.
        samples: How many.

    Returns:
        Mean seconds per sample by solver, fastest first; solvers that failed are left out. A problem that is not
        linear has its own scheme, whose linear systems are solved directly; it is not timed.

    Raises:
        DataError: If neither reaches the tolerance.
    """
    problem = problem_from(recipe.problem)
    if not problem.linear:
        return {"direct": 0.0}
    draws = [draw(problem, recipe, sample) for sample in range(samples)]
    seconds, failures = {}, []
    for word in SOLVERS:
        try:
            attempt(problem, *draws[0], word, recipe.rtol)
            start = time.perf_counter()
            for instance, layout in draws:
                attempt(problem, instance, layout, word, recipe.rtol)
            seconds[word] = (time.perf_counter() - start) / samples
        except Unsolved as failure:
            failures.append(f"{word}: {failure}")
    if not seconds:
        raise DataError(f"no solver reaches rtol {recipe.rtol:.0e} ({'; '.join(failures)}); raise rtol")
    return dict(sorted(seconds.items(), key=lambda item: item[1]))
