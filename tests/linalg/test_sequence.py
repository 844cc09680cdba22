"""A sequence is solved in order, states handed on, and raced again when its times drift."""

from dataclasses import replace

import numpy as np

from pdeflow.linalg.sequence import Drift, solve_raced, solve_sequence
from pdeflow.linalg.solution import Reason
from tests.linalg.race_cases import RTOL, SYSTEMS, Clock, dense, variable


def test_drift_is_due_when_the_running_median_has_doubled():
    drift = Drift(baseline=1.0, window=5)
    for _ in range(20):
        drift = drift.after(1.9)
    assert not drift.due
    for _ in range(2):
        drift = drift.after(100.0)
    assert not drift.due  # two outliers do not move a median of five
    assert drift.after(2.1).due


def test_drift_without_a_baseline_takes_its_first_window():
    drift = Drift(window=3)
    for seconds in (1.0, 1.0, 2.0):
        assert not drift.due
        drift = drift.after(seconds)
    assert drift.baseline == 1.0
    for _ in range(2):
        drift = drift.after(3.0)
    assert drift.due


def test_a_sequence_is_solved_in_order_and_lazily():
    clock, log, taken = Clock(), [], []

    def systems():
        for index, system in enumerate(SYSTEMS):
            taken.append(index)
            yield system

    solutions = solve_sequence(systems(), dense("one", clock, 1.0, log=log), RTOL, recycle=7)
    next(solutions)
    assert taken == [0]
    assert log == [("one", 7)]
    assert len(list(solutions)) == len(SYSTEMS) - 1
    assert [state for _, state in log] == [7, 8, 9, 10, 11, 12]


def test_raced_solutions_come_in_order_once_each_and_races_repeat():
    many, races = [variable(index, 5) for index in range(23)], []
    solutions = list(solve_raced(many, RTOL, every=10, on_race=races.append))
    assert len(solutions) == 23
    assert len(races) == 3
    for system, solution in zip(many, solutions, strict=True):
        assert np.linalg.norm(system.b - system.A @ solution.x) <= RTOL * np.linalg.norm(system.b)


def test_a_drift_starts_another_race():
    clock, races = Clock(), []
    seconds = iter([1.0] * 24 + [5.0] * 1000)

    def solve(system, rtol, recycle=None):
        clock.now += next(seconds)
        return plain.solve(system, rtol, recycle)

    plain = dense("one", clock, 0.0)
    many = [SYSTEMS[k % 6] for k in range(60)]
    assert (
        len(list(solve_raced(many, RTOL, [replace(plain, solve=solve)], clock=clock, on_race=races.append)))
        == 60
    )
    assert len(races) == 2  # the times grow once, and are the new baseline after that


def test_a_system_that_the_winner_fails_is_solved_by_another_and_says_so():
    clock = Clock()
    count = iter(range(100))
    plain = dense("fails later", clock, 1.0)

    def solve(system, rtol, recycle=None):
        number = next(count)
        if number == 6:
            raise ArithmeticError("a pivot is zero")
        found = plain.solve(system, rtol, recycle)
        return replace(found, converged=False) if number == 7 else found

    solutions = list(solve_raced(SYSTEMS, RTOL, [replace(plain, solve=solve)], clock=clock))
    assert all(solution.converged for solution in solutions)
    fallen = [solution for solution in solutions if solution.reason is Reason.converged_fallback]
    assert len(fallen) == 2
    assert "a pivot is zero" in fallen[0].detail
