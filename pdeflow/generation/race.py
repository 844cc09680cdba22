"""Which solver is fastest for this problem on this machine: the first samples are given to all that suit.

The winner is part of the plan, so that a resumed generation uses it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pdeflow.generation.recipe import Recipe
from pdeflow.generation.samples import draw
from pdeflow.generation.solvers import title, word_of
from pdeflow.linalg.heat import RACED, RUN_OFF
from pdeflow.linalg.race import race
from pdeflow.problems.problem import problem_from


def fastest_solver(recipe: Recipe, samples: Sequence[int]) -> dict[str, Any]:
    """Race the solvers on the first samples of a chain.

    Args:
        recipe: What to generate.
        samples: Numbers of the samples, in the order in which they will be solved; the first few are used.

    Returns:
        {"solver": word of the winner, "seconds_per_sample": {word: seconds}, fastest first, "slower": {word: seconds} of
        those that were left behind, "reasons": {name: why not}}.
        A problem that is not linear has its own scheme, whose linear systems are solved directly; nothing is timed.

    Raises:
        DataError: If no solver reaches the tolerance.
    """
    problem = problem_from(recipe.problem)
    if not problem.linear:
        return {"solver": "direct", "seconds_per_sample": {}, "slower": {}, "reasons": {}}
    systems = [problem.system(*draw(problem, recipe, sample)) for sample in samples[: RACED + RUN_OFF]]
    found = race(systems, recipe.rtol)
    return {
        "solver": word_of(found.winner.name),
        "seconds_per_sample": {word_of(name): seconds for name, seconds in found.seconds.items()},
        "slower": {word_of(name): seconds for name, seconds in found.slower.items()},
        "reasons": found.reasons,
    }


def told(plan: dict[str, Any], count: int = 4) -> str:
    """Return the winner and the runners-up with their times, for people.

    Args:
        plan: What `fastest_solver` returned, as kept in plan.json.
        count: Solvers to name at most.
    """
    seconds = list(plan["seconds_per_sample"].items())
    times = ", ".join(f"{title(word)} {1e3 * s:.2g} ms" for word, s in seconds[:count])
    return title(plan["solver"]) + (f" (measured per sample: {times})" if seconds else "")
