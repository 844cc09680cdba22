"""The race: structure is detected, only true residuals count, failures are reasons, equal times give equal results."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.discretization.finite_volume import diffusion_system
from pdeflow.errors import DataError, UsageError
from pdeflow.geometry import Grid
from pdeflow.linalg.candidates import default_candidates
from pdeflow.linalg.race import race
from tests.linalg.race_cases import RTOL, SYSTEMS, Clock, dense, one_matrix, raising, variable


@pytest.mark.parametrize("wrong", [1e-6, 1.0, np.nan])
def test_a_wrong_answer_never_wins_whatever_it_claims(wrong):
    clock = Clock()
    result = race(
        SYSTEMS, RTOL, [dense("liar", clock, 1e-3, wrong=wrong), dense("honest", clock, 1.0)], clock=clock
    )
    assert result.winner.name == "honest"
    assert "true residual" in result.reasons["liar"]
    assert result.residuals["honest"] <= RTOL


def test_an_answer_that_turns_wrong_during_the_race_is_out():
    clock = Clock()
    good = dense("turns", clock, 0.1)
    count = iter(range(10))

    def solve(system, rtol, recycle=None):
        found = good.solve(system, rtol, recycle)
        return found if next(count) < 3 else replace(found, x=2 * found.x)

    result = race(SYSTEMS, RTOL, [replace(good, solve=solve), dense("honest", clock, 0.2)], clock=clock)
    assert result.winner.name == "honest"


@pytest.mark.parametrize(
    "error", [RuntimeError("broke\ndown"), MemoryError("no room"), ValueError("no"), ZeroDivisionError()]
)
def test_a_candidate_that_raises_is_a_reason_in_one_line(error):
    clock = Clock()
    result = race(SYSTEMS, RTOL, [raising("bad", error), dense("good", clock, 1.0)], clock=clock)
    assert result.winner.name == "good"
    assert type(error).__name__ in result.reasons["bad"]
    assert "\n" not in result.reasons["bad"]


def test_a_test_of_fitness_that_raises_and_an_answer_of_another_shape_are_reasons():
    clock = Clock()
    good = dense("good", clock, 1.0)
    asks = replace(good, name="asks", suits=lambda system: 1 / 0)
    short = replace(
        good, name="short", solve=lambda s, r, recycle=None: replace(good.solve(s, r), x=np.ones(3))
    )
    result = race(SYSTEMS, RTOL, [asks, short, good], clock=clock)
    assert "ZeroDivisionError" in result.reasons["asks"]
    assert "short" in result.reasons


def test_nobody_left_is_an_error_with_all_reasons():
    with pytest.raises(DataError, match=r"bad: RuntimeError: broke.*worse: ValueError"):
        race(SYSTEMS, RTOL, [raising("bad", RuntimeError("broke")), raising("worse", ValueError("x"))])
    with pytest.raises(UsageError, match="no systems"):
        race([], RTOL)


def test_the_median_of_systems_two_to_four_decides_and_the_warm_up_does_not():
    clock = Clock()
    slow_start = dense("slow start", clock, [5.0, 1.0, 9.0, 1.0], carries=True)
    result = race(SYSTEMS[:4], RTOL, [dense("steady", clock, 1.1), slow_start], limit=100.0, clock=clock)
    assert result.winner.name == "slow start"
    assert result.seconds == {"slow start": pytest.approx(1.0), "steady": pytest.approx(1.1)}


@settings(max_examples=40, deadline=None)
@given(times=st.lists(st.integers(1, 50), min_size=1, max_size=6))
def test_equal_times_give_equal_results_and_the_fastest_wins(times):
    def once():
        clock = Clock()
        entries = [dense(str(k), clock, float(seconds)) for k, seconds in enumerate(times)]
        return race(SYSTEMS, RTOL, entries, clock=clock)

    one, two = once(), once()
    assert one.winner.name == two.winner.name == str(times.index(min(times)))
    assert (one.seconds, one.reasons) == (two.seconds, two.reasons)
    assert set(one.seconds) | set(one.reasons) == {str(k) for k in range(len(times))}


def test_the_slow_stop_early_and_stoppable_ones_are_told_when():
    clock, log, limits = Clock(), [], []
    stoppable = dense("stoppable", clock, 2.5)

    def solve(system, rtol, recycle=None, seconds=None):
        limits.append(seconds)
        return stoppable.solve(system, rtol, recycle)

    entries = [
        dense("fast", clock, 1.0),
        dense("slow", clock, 7.0, log=log),
        replace(stoppable, solve=solve, stoppable=True),
    ]
    result = race(SYSTEMS, RTOL, entries, clock=clock)
    assert len(log) == 1  # 7 > 3 x 1 x 2, the doubt about a warm-up
    assert result.reasons["slow"].startswith("slower")
    assert limits[0] == pytest.approx(3.0)


def test_states_are_handed_on_and_the_winner_keeps_its_last():
    clock, log = Clock(), []
    result = race(SYSTEMS, RTOL, [dense("one", clock, 1.0, log=log)], clock=clock)
    assert log == [("one", None), ("one", 1), ("one", 2), ("one", 3)]
    assert result.recycle == 4


def test_one_system_is_enough():
    clock = Clock()
    result = race(SYSTEMS[:1], RTOL, [dense("one", clock, 2.0)], clock=clock)
    assert result.seconds == {"one": 2.0}


def test_the_memory_guard_drops_factorizations_with_a_reason():
    result = race(SYSTEMS, RTOL, memory=1e4)
    dropped = [c.name for c in default_candidates() if c.factors and c.name in result.reasons]
    guarded = [name for name in dropped if result.reasons[name].startswith("memory: ")]
    assert guarded
    assert not result.winner.factors
    assert all(not c.factors for c in default_candidates() if c.name in result.seconds)
    assert "GB" in result.reasons[guarded[0]]


def test_a_known_least_time_spares_the_try():
    clock, log = Clock(), []
    hopeless = dense("hopeless", clock, 9.0, log=log, least=lambda n: 4.0)
    result = race(SYSTEMS, RTOL, [dense("fast", clock, 1.0), hopeless], clock=clock)
    assert not log
    assert result.reasons["hopeless"].startswith("estimated")


def test_structure_is_tried_first_and_the_rest_only_where_it_fails():
    clock, log = Clock(), []
    special, plain = dense("special", clock, 1.0, structural=True), dense("plain", clock, 0.1, log=log)
    result = race(SYSTEMS, RTOL, [plain, special], clock=clock)
    assert (result.winner.name, log) == ("special", [])
    assert result.reasons["plain"] == "not tried: special exploits the structure"
    lying = dense("special", clock, 1.0, wrong=1.0, structural=True)
    assert race(SYSTEMS, RTOL, [plain, lying], clock=clock).winner.name == "plain"


def test_real_races_pick_what_the_structure_asks_for():
    one = race([one_matrix(index) for index in range(4)], RTOL)
    assert one.winner.name in ("factor once", "superposition")
    flat = diffusion_system(Grid.unit((8, 8)), torch.ones(8, 8).double(), torch.ones(8, 8).double())
    shifted = [replace(flat, A=sp.csr_array(flat.A + s * sp.eye_array(64))) for s in (0.0, 0.1, 0.2, 0.3)]
    assert race(shifted, RTOL).winner.name == "fast transform"
    every = race(SYSTEMS, RTOL)
    assert set(every.seconds) | set(every.reasons) == {candidate.name for candidate in default_candidates()}
    assert "GMRES" not in every.winner.name  # never a GMRES-type method for a small SPD system
    assert "GCRO" not in every.winner.name


def run_off(first, second, more=6):
    clock, log = Clock(), []
    many = [variable(index, 4) for index in range(4 + more)]
    entries = [dense("first", clock, first, log=log), dense("second", clock, second, log=log)]
    return race(many, RTOL, entries, clock=clock), log


def test_a_close_race_is_decided_on_fresh_systems_solved_several_in_a_row():
    # the first is ahead by luck in the race, and behind in the long run
    result, log = run_off([1.0] * 4 + [1.2] * 6, [1.1] * 10)
    assert result.winner.name == "second"
    assert result.seconds == {"second": pytest.approx(1.1), "first": pytest.approx(1.2)}
    assert [name for name, _ in log[8:]] == ["first"] * 3 + ["second"] * 6 + ["first"] * 3
    assert result.recycle == 10


@pytest.mark.parametrize(("second", "more"), [(1.3, 6), (1.1, 0)])
def test_no_run_off_where_the_race_is_clear_or_nothing_is_left_to_solve(second, more):
    result, log = run_off(1.0, second, more)
    assert result.winner.name == "first"
    assert len(log) == 8


def test_who_fails_in_the_run_off_is_out():
    result, _ = run_off([1.0] * 5, 1.1)  # its times end: it raises at the second further system
    assert result.winner.name == "second"
    assert "first" in result.reasons


def test_who_was_left_behind_is_listed_with_its_time_and_who_failed_is_not():
    clock = Clock()
    entries = [dense("good", clock, 1.0), dense("slow", clock, 10.0), dense("liar", clock, 1.0, wrong=1.0)]
    result = race(SYSTEMS, RTOL, entries, clock=clock)
    assert list(result.seconds) == ["good"]
    assert result.slower == {"slow": pytest.approx(10.0)}
    assert set(result.reasons) == {"slow", "liar"}
