"""Candidates that solve the same systems in turn; who fails or falls behind is left out from then on.

A close race is decided on further systems: after three, other work in the caches hides differences of 20 %.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pdeflow.linalg.candidate import Candidate
from pdeflow.linalg.direct import Cost, estimate_cost
from pdeflow.linalg.solution import Reason, Solution, true_residual
from pdeflow.linalg.system import LinearSystem

PATIENCE = 20
"""Solves of the best so far that a set-up which serves later systems may cost."""
DOUBT = 2
"""Factor by which an estimate of seconds must miss before its candidate is left out."""
NARROWING = 1.5
CLOSE = 1.5
"""After the second system the limit shrinks by the first factor, down to the second: a close race is run to its end."""
RACED = 4
"""Systems of a race: the first warms up and pays for what is set up once, the others count."""
RUN_OFF = 6
"""Further systems that the best two solve, half of them in a row, where they are close."""
TIE = 1.25
"""Ratio of median times up to which two candidates are close."""

Clock = Callable[[], float]


def cost_of(candidate: Candidate, system: LinearSystem) -> Cost:
    """Estimate the factorization of a candidate.

    Args:
        candidate: One that factors.
        system: What it factors.
    """
    return estimate_cost(
        system if candidate.factors == "cholesky" else replace(system, positive_definite=None)
    )


def in_one_line(error: Exception) -> str:
    """Describe a failure.

    Args:
        error: What was raised.
    """
    return " ".join(f"{type(error).__name__}: {error}".split())


@dataclass
class Runner:
    """A candidate during the race.

    Attributes:
        candidate: The candidate.
        state: What its last solve handed on.
        times: Seconds of the systems that count.
        residual: Largest true relative residual.
        fastest: Least seconds of any system.
    """

    candidate: Candidate
    state: Any = None
    times: list[float] = field(default_factory=list)
    residual: float = 0.0
    fastest: float = float("inf")

    @property
    def median(self) -> float:
        """Median seconds per system."""
        return statistics.median(self.times)


class Heat:
    """One race; reasons are noted in the dictionary that it is given."""

    def __init__(
        self, systems: list[LinearSystem], rtol: float, limit: float, clock: Clock, reasons: dict[str, str]
    ) -> None:
        self.systems, self.further = systems[:RACED], systems[RACED : RACED + RUN_OFF]
        self.rtol, self.limit, self.clock, self.reasons = rtol, limit, clock, reasons
        self.best = float("inf")
        self.behind: list[Candidate] = []
        self.slower: dict[str, float] = {}

    def run(self, candidates: list[Candidate]) -> list[Runner]:
        """Race them; where who was fast fails in the end, race those again that were left behind by it."""
        finished: list[Runner] = []
        while candidates and not finished:
            finished = self._once(candidates)
            candidates = [candidate for candidate in candidates if candidate in self.behind]
        for runner in finished:
            self.reasons.pop(runner.candidate.name, None)
            self.slower.pop(runner.candidate.name, None)
        return finished

    def _once(self, candidates: list[Candidate]) -> list[Runner]:
        """One race; those that are left have solved every system."""
        alive, close = [Runner(candidate) for candidate in candidates], self.limit
        self.best, self.behind = float("inf"), []
        for number, system in enumerate(self.systems):
            warm = number == 0 and len(self.systems) > 1
            close = close if number < 2 else max(close / NARROWING, CLOSE)
            alive = [runner for runner in alive if self._solves(runner, system, warm)]
            self.best = min((runner.fastest for runner in alive), default=float("inf"))
            alive = [runner for runner in alive if self._keeps_up(runner, warm, close)]
            alive.sort(
                key=lambda runner: runner.fastest
            )  # the fastest first: it sets the time for the others
        return self._run_off(sorted(alive, key=lambda runner: runner.median))

    def _run_off(self, ranked: list[Runner]) -> list[Runner]:
        """Let the best two solve further systems, several in a row as they will, where they are close."""
        close = [runner for runner in ranked[:2] if runner.median <= TIE * ranked[0].median]
        if len(close) < 2:
            return ranked
        half = RUN_OFF // 2
        for block, turn in ((self.further[:half], close), (self.further[half:], close[::-1])):
            for runner in turn:
                if not all(self._solves(runner, system, warm=False) for system in block):
                    ranked = [other for other in ranked if other is not runner]
        return sorted(ranked, key=lambda runner: runner.median)

    def _solves(self, runner: Runner, system: LinearSystem, warm: bool) -> bool:
        """Let a candidate solve one system; False, with the reason noted, where it does not."""
        candidate = runner.candidate
        if warm and (reason := self._hopeless(candidate, system)):
            return self._left_behind(candidate, reason)
        allowed = self.limit * self.best
        extra = {"seconds": allowed} if candidate.stoppable and np.isfinite(allowed) else {}
        began = self.clock()
        try:
            solution = candidate.solve(system, self.rtol, runner.state, **extra)
            seconds = self.clock() - began
            residual = _residual(system, solution.x)
        except Exception as error:  # a candidate's failure is a result
            return self._failed(candidate, in_one_line(error))
        if not residual <= self.rtol:
            if solution.reason in (Reason.timeout, Reason.stopped) and extra:
                times = f"stopped after {1e3 * allowed:.3g} ms, the fastest takes {1e3 * self.best:.3g} ms"
                return self._left_behind(candidate, f"slower: {times}")
            return self._failed(candidate, _failure(solution, residual))
        runner.state, runner.residual = solution.recycle, max(runner.residual, residual)
        runner.fastest = min(runner.fastest, seconds)  # other work on the machine only adds to a time
        self.slower[candidate.name] = runner.fastest
        self.best = min(self.best, runner.fastest)
        if not warm:
            runner.times.append(seconds)
        return True

    def _failed(self, candidate: Candidate, reason: str) -> bool:
        """Note that a candidate does not solve the systems; False."""
        self.slower.pop(candidate.name, None)
        self.reasons[candidate.name] = reason
        return False

    def _left_behind(self, candidate: Candidate, reason: str) -> bool:
        """Note that a candidate is only too slow; False."""
        self.behind.append(candidate)
        self.reasons[candidate.name] = reason
        return False

    def _hopeless(self, candidate: Candidate, system: LinearSystem) -> str | None:
        """Return why an estimate leaves no chance, or None."""
        if not np.isfinite(self.best):
            return None
        each = candidate.least(system.n) if candidate.least else 0.0
        once = cost_of(candidate, system).seconds / DOUBT if candidate.factors else 0.0
        if not candidate.carries:
            each, once = max(each, once), 0.0
        for seconds, share in ((each, self.limit), (once, PATIENCE)):
            if seconds > share * self.best:
                return f"estimated at {1e3 * seconds:.3g} ms, the fastest takes {1e3 * self.best:.3g} ms"
        return None

    def _keeps_up(self, runner: Runner, warm: bool, close: float) -> bool:
        """Leave out who was never fast; a set-up that serves later systems is not held against a candidate."""
        allowed = close * self.best * (DOUBT if warm else 1)
        if (warm and runner.candidate.carries) or runner.fastest <= allowed:
            return True
        times = f"{1e3 * runner.fastest:.3g} ms, the fastest takes {1e3 * self.best:.3g} ms"
        return self._left_behind(runner.candidate, f"slower: {times}")


def _failure(solution: Solution, residual: float) -> str:
    told = "" if solution.detail in ("", solution.reason.value) else f": {solution.detail}"
    return f"the true residual is {residual:.1e} after {solution.iterations} iterations ({solution.reason.name}{told})"


def _residual(system: LinearSystem, x: np.ndarray) -> float:
    """||b - A x|| / ||b|| in double precision; absolute where b = 0."""
    size = float(np.linalg.norm(system.b))
    return float(np.linalg.norm(true_residual(system, x))) / (size or 1.0)
