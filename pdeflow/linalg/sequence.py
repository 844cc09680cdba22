"""Solve a sequence of similar systems, the state of one solve handed to the next; race again when the times drift."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

from pdeflow.linalg.candidate import Candidate
from pdeflow.linalg.heat import RACED, RUN_OFF, Clock
from pdeflow.linalg.probe import alike, known
from pdeflow.linalg.race import Race, race
from pdeflow.linalg.solution import Reason, Solution
from pdeflow.linalg.solve import solve
from pdeflow.linalg.system import LinearSystem

EVERY = 1000
"""Systems after which the race is run again."""


@dataclass(frozen=True)
class Drift:
    """Whether the seconds per system have doubled: a running median against the one when the solver was chosen.

    Attributes:
        baseline: Median seconds when the solver was chosen; None takes the first full window.
        window: Systems of the running median.
        factor: Growth at which to race again.
        recent: Seconds of the last systems, at most `window`.
    """

    baseline: float | None = None
    window: int = 20
    factor: float = 2.0
    recent: tuple[float, ...] = ()

    def after(self, seconds: float) -> Drift:
        """Return the state after one more system.

        Args:
            seconds: What it took.
        """
        recent = (*self.recent, seconds)[-self.window :]
        full = self.baseline is None and len(recent) == self.window
        return replace(self, recent=recent, baseline=statistics.median(recent) if full else self.baseline)

    @property
    def due(self) -> bool:
        """Whether the window is full and its median has grown by more than the factor."""
        if self.baseline is None or len(self.recent) < self.window:
            return False
        return statistics.median(self.recent) > self.factor * self.baseline


def solve_sequence(
    systems: Iterable[LinearSystem], candidate: Candidate, rtol: float, recycle: Any = None
) -> Iterator[Solution]:
    """Solve systems one after the other by one candidate.

    Args:
        systems: Systems, neighbours alike; taken one at a time.
        candidate: Who solves them.
        rtol: Tolerance on ||b - A x|| / ||b||.
        recycle: State of an earlier sequence, or None.

    Yields:
        One verified solution per system; the verdict may be that it did not converge.
    """
    for system in systems:
        solution = candidate.solve(system, rtol, recycle)
        recycle = solution.recycle
        yield solution


def solve_raced(
    systems: Iterable[LinearSystem], rtol: float, candidates: Sequence[Candidate] | None = None, *, every: int = EVERY,
    memory: float | None = None, on_race: Callable[[Race], None] | None = None, clock: Clock = time.thread_time,
) -> Iterator[Solution]:  # fmt: skip
    """Solve systems one after the other by whoever wins the race on the first of them, raced again where needed.

    A race is run at the start, after `every` systems, and when the running median of the seconds has doubled. A system
    that the winner does not solve is given to `solve`, which tries what else suits.

    Args:
        systems: Systems, neighbours alike; ten are looked at ahead of a race.
        rtol: Tolerance on ||b - A x|| / ||b||.
        candidates: Who races.
        every: Systems between races.
        memory: Bytes of RAM, as in `race`.
        on_race: Called with each result.
        clock: Time in seconds, as in `race`.

    Yields:
        One verified solution per system, in order.
    """
    rest = iter(systems)
    while ahead := list(islice(rest, RACED + RUN_OFF)):
        result = race(ahead, rtol, candidates, memory=memory, clock=clock)
        if on_race is not None:
            on_race(result)
        drift, recycle, first = Drift(result.seconds[result.winner.name]), result.recycle, known(ahead[0])
        for count, system in enumerate(chain(ahead, rest), start=1):
            began = clock()
            solution = _solved(alike(system, first), result.winner, rtol, recycle)
            drift, recycle = drift.after(clock() - began), solution.recycle
            yield solution
            if count >= every or (count >= len(ahead) and drift.due):
                break


def _solved(system: LinearSystem, candidate: Candidate, rtol: float, recycle: Any) -> Solution:
    """Solve by the candidate, or by whatever else suits where that fails; the state is dropped then."""
    try:
        solution = candidate.solve(system, rtol, recycle)
        if solution.converged:
            return solution
        why = f"{candidate.name}: {solution.reason.name}, residual {solution.residual:.1e}"
    except (
        ArithmeticError,
        ValueError,
    ) as error:  # a factorization that broke down, a preconditioner that does not fit
        why = f"{candidate.name}: {error}"
    other = solve(system, rtol=rtol)
    reason = Reason.converged_fallback if other.converged else other.reason
    return replace(other, reason=reason, recycle=None, detail=f"{why}; then {other.method}: {other.detail}")
