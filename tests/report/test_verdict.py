import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdeflow.problems import Burgers, Darcy, ForcedVorticity
from pdeflow.report.verdict import (
    Finding,
    accuracy_findings,
    data_finding,
    fastest,
    fewest_iterations,
    is_learned,
    is_verified,
    overall,
    solve_findings,
    trust_finding,
)


@given(st.lists(st.sampled_from(["green", "amber", "red"]), min_size=1))
def test_the_worst_colour_decides(colours):
    found = overall([Finding(c, "") for c in colours])
    assert found == next(c for c in ("red", "amber", "green") if c in colours)


def test_a_reason_is_not_believed_when_the_residual_says_otherwise():
    row = {"name": "CG", "reason": "converged", "residual": 2e-8, "seconds_solve": 1.0}
    assert not is_verified(row, 1e-8)
    assert is_verified(row, None)
    assert not is_verified({**row, "residual": float("nan")}, 1e-8)


def test_the_winner_is_verified_and_counts_its_set_up(solver_table):
    assert fastest(solver_table, 1e-8)["name"] == "CG + AMG"
    dear = [{**row, "seconds_setup": 10.0} if row["name"] == "CG + AMG" else row for row in solver_table]
    assert fastest(dear, 1e-8)["name"] == "cycle, trained"
    assert [row["name"] for row in fewest_iterations(solver_table, 1e-8)] == ["cycle, trained"]
    cheat = [
        *solver_table,
        {"name": "liar", "residual": 1.0, "seconds_solve": 0.0, "iterations": 1, "reason": "converged"},
    ]
    assert fastest(cheat, 1e-8)["name"] == "CG + AMG"
    assert [row["name"] for row in fewest_iterations(cheat, 1e-8)] == ["cycle, trained"]


def test_a_learned_method_that_loses_is_shown_losing(solver_table):
    texts = [f.text for f in solve_findings({"rows": solver_table, "rtol": 1e-8, "winner": "CG + AMG"})]
    assert any(
        "learned method lost in seconds" in t and "2.9 times" in t for t in texts
    )  # 0.29 s against 0.10 s


def test_a_learned_method_that_wins_is_shown_winning(solver_table):
    rows = [row for row in solver_table if row["learned"] or row["name"] == "CG"]
    findings = solve_findings({"rows": rows, "rtol": 1e-8})
    assert overall(findings) == "green"
    assert any("won in seconds" in f.text for f in findings)


def test_a_learned_method_is_missed_only_where_one_was_asked_for(solver_table):
    classical = [row for row in solver_table if not row["learned"] and row["reason"] == "converged"]
    assert overall(solve_findings({"rows": classical, "rtol": 1e-8})) == "green"
    skipped = {"name": "net, trained", "learned": True, "skipped": "needs a symmetric matrix"}
    (finding,) = [f for f in solve_findings({"rows": [*classical, skipped], "rtol": 1e-8}) if f.colour == "amber"]
    assert "net, trained was skipped" in finding.text


def test_a_winner_that_the_table_contradicts_is_pointed_out(solver_table):
    findings = solve_findings({"rows": solver_table, "rtol": 1e-8, "winner": "CG"})
    assert any(f.colour == "amber" and "names CG as winner" in f.text for f in findings)


def test_a_run_that_solved_without_comparing_is_judged_by_its_one_solve():
    single = {
        "method": "cg",
        "preconditioner": "amg",
        "residual": 1e-9,
        "reason": "converged",
        "iterations": 9,
    }
    assert overall(solve_findings({"rows": [], "solution": single, "rtol": 1e-8})) == "green"
    assert (
        overall(solve_findings({"rows": [], "solution": {**single, "residual": 1e-3}, "rtol": 1e-8})) == "red"
    )


@pytest.mark.parametrize(
    ("share", "colour"), [(1.0, "green"), (0.9, "green"), (0.89, "amber"), (0.49, "red"), (None, "amber")]
)
def test_trust_needs_nine_samples_in_ten_within_the_band(share, colour):
    assert trust_finding({"effectivity": {"within_0.9_1.1": share}}).colour == colour


@pytest.mark.parametrize(
    ("mean", "worst", "colour"),
    [(0.02, 0.1, "green"), (0.5, 1.2, "amber"), (0.3, 0.9, "amber"), (0.7, 0.9, "red"), (1.0, 2.0, "red"), (float("nan"), float("nan"), "red")],
)
def test_accuracy_is_measured_against_predicting_zero(mean, worst, colour):
    assert accuracy_findings({"metrics": {"rel_l2": {"mean": mean, "worst": worst}}})[0].colour == colour


@pytest.mark.parametrize(
    ("largest", "colour"), [(9e-9, "green"), (2e-8, "red"), (float("nan"), "red"), (None, "amber")]
)
def test_data_is_good_when_its_largest_true_residual_is_within_the_tolerance(largest, colour):
    assert data_finding({"rtol": 1e-8, "residual": {"max": largest}}).colour == colour


@pytest.mark.parametrize("problem", [Burgers, Darcy, ForcedVorticity])
def test_the_number_stored_with_the_data_has_the_name_that_the_problem_gives_it(problem):
    found = data_finding({"rtol": 1e-8, "residual": {"max": 9e-9}, "verdict": problem.verdict})
    assert found.text == f"Data: the {problem.verdict} is at most 9.00e-09 over all samples, within the tolerance 1e-08."
    assert "true relative residual" in data_finding({"rtol": 1e-8, "residual": {"max": 9e-9}}).text


def test_what_has_not_run_is_amber():
    findings = [data_finding(None), trust_finding(None), *accuracy_findings(None), *solve_findings(None)]
    assert {f.colour for f in findings} == {"amber"}


def test_the_own_key_decides_what_is_learned_before_the_name():
    assert not is_learned({"name": "learned", "learned": False})
    assert is_learned({"name": "fit.preconditioner"})
