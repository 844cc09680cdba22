"""A comparison is fair: same stopping rule, verified rows, and no merit borrowed from a fallback."""

import numpy as np
import pyamg
import pytest
import scipy.sparse as sp

from pdeflow.linalg import Reason, linear_system
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
        ("recirc_flow", {"fgmres", "direct"}),
        ("helmholtz_2D", {"fgmres", "direct"}),
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
