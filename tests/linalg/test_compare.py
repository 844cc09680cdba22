"""A comparison is fair: same stopping rule, verified rows, and no merit borrowed from a fallback."""

from dataclasses import replace

import numpy as np
import pyamg
import pytest
import scipy.sparse as sp

from pdeflow.linalg import LinearSystem, Reason, linear_system
from pdeflow.linalg.compare import Entry, compare, default_entries, fastest
from pdeflow.models import LearnedVCycle

from .conftest import darcy_system


def test_every_default_method_reaches_the_tolerance_and_they_agree(darcy):
    seen = []
    rows = compare(darcy, rtol=1e-10, on_row=seen.append)
    assert [row.name for row in rows] == [row.name for row in seen]
    exact = next(row.solution.x for row in rows if row.name == "direct")
    for row in rows:
        assert row.solution.converged, row.name
        assert np.linalg.norm(darcy.b - darcy.A @ row.solution.x) <= 1e-10 * np.linalg.norm(darcy.b)
        np.testing.assert_allclose(row.solution.x, exact, atol=1e-7 * np.abs(exact).max())
    counts = {row.name: row.solution.iterations for row in rows}
    assert counts["CG + AMG (Ruge-Stüben)"] < counts["CG"] / 5
    best = fastest(rows)
    assert all(best.seconds <= row.seconds for row in rows)


@pytest.mark.parametrize(
    ("name", "methods"),
    [
        ("recirc_flow", {"fgmres", "gcro_dr", "bicgstab", "direct"}),
        ("helmholtz_2D", {"fgmres", "gcro_dr", "bicgstab", "direct"}),
        ("airfoil", {"cg", "direct"}),
    ],
)
def test_the_defaults_suit_the_structure(name, methods):
    system = linear_system(pyamg.gallery.load_example(name)["A"])
    assert {entry.method for entry in default_entries(system)} == methods


def test_a_learned_cycle_is_compared_with_and_without_fitting_the_grid():
    entries = [Entry("learned", "auto", LearnedVCycle(), learned=True), Entry("CG", "cg")]
    learned, plain = compare(darcy_system(64), entries)
    assert (learned.solution.reason, learned.solution.preconditioner) == (Reason.converged, "learned_v_cycle")
    assert learned.solution.iterations < plain.solution.iterations / 10
    rows = compare(darcy_system(33), entries)
    assert rows[0].solution is None or rows[0].solution.reason is Reason.converged_fallback
    assert fastest(rows).name == "CG"


def test_a_row_that_another_method_rescued_does_not_win():
    class Useless:
        linear = symmetric = False
        positive, name = None, "useless"

        def setup(self, system):
            self.shape = system.A.shape
            return self

        def __matmul__(self, r):
            return np.roll(r, 7) + 1e-3 * r

    rows = compare(darcy_system(32), [Entry("network", "fcg", Useless(), learned=True)])
    assert rows[0].solution.reason is Reason.converged_fallback
    assert fastest(rows) is None


def test_rows_are_plain_values_and_skipped_ones_say_why():
    system = linear_system(sp.csr_array(pyamg.gallery.poisson((10, 10), format="csr")))
    good, refused = compare(system, [Entry("CG", "cg"), Entry("broken", "cg", "ilu")])
    assert good.as_dict()["reason"] == "converged"
    assert refused.solution is None
    assert "fcg" in refused.skipped
    assert refused.seconds == float("inf")
    plain = refused.as_dict()
    assert (plain["method"], plain["reason"], plain["skipped"]) == (None, None, refused.skipped)


def helmholtz(shift, n=32):
    """Five-point Laplacian on n² cells minus a shift: symmetric, indefinite, and not known to be."""
    laplacian = sp.csr_array(pyamg.gallery.poisson((n, n), format="csr"))
    return LinearSystem(sp.csr_array(laplacian - shift * sp.eye_array(n * n)), np.ones(n * n), symmetric=True)


def test_an_indefinite_system_that_is_found_to_be_one_has_no_row_that_must_fail():
    rows = compare(helmholtz(0.5))
    assert rows[0].name == "MINRES"
    assert all(row.solution.reason is not Reason.indefinite for row in rows)


def test_once_cg_has_met_a_negative_direction_the_methods_for_indefinite_systems_run():
    system = helmholtz(1.2 * 8 * np.sin(np.pi / 66) ** 2)  # one eigenvalue is negative, a thousandth of the largest: no short Lanczos run sees it
    rows = compare(system, also=[Entry("last", "minres")])
    assert rows[0].solution.reason is Reason.indefinite
    assert [row.name for row in rows[1:-1]] == [entry.name for entry in default_entries(replace(system, positive_definite=False))]
    assert rows[-1].name == "last"
    assert {"MINRES", "GMRES + ILU", "direct"} <= {row.name for row in rows if row.solution.converged}
    assert all(row.solution.reason is not Reason.indefinite for row in rows[1:])


def test_a_singular_system_is_factored_too():
    line = sp.diags_array([np.r_[1.0, np.full(18, 2.0), 1.0], -np.ones(19), -np.ones(19)], offsets=[0, 1, -1])
    rows = compare(linear_system(sp.kronsum(line, line).tocsr()))
    assert "direct" in [row.name for row in rows]
    assert all(row.solution.converged for row in rows)


def test_every_row_has_the_time_limit(darcy):
    rows = compare(darcy, [Entry("CG", "cg"), Entry("MINRES", "minres")], timeout=1e-9)
    assert [row.solution.reason for row in rows] == [Reason.timeout] * 2


def test_the_guard_of_an_entry_is_that_of_its_solve():
    broken = sp.linalg.LinearOperator((32**2, 32**2), matvec=lambda r: np.full_like(r, np.nan), dtype=float)
    (guarded, trusted) = compare(
        darcy_system(32), [Entry("a", "fgmres", broken, True), Entry("b", "fgmres", broken, True, guard="none")]
    )
    assert guarded.as_dict()["switched_at"] is not None
    assert not trusted.solution.converged


def test_the_running_method_is_named_before_it_has_ended(darcy):
    told = []
    compare(darcy, [Entry("CG", "cg"), Entry("direct", "direct")], watch=lambda *state: told.append(state))
    assert told == [(0, 2, "CG runs"), (1, 2, "direct runs")]
