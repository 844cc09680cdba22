import csv

import numpy as np
import pytest

from pdeflow.report import plot_effectivity, plot_error_distribution


def read(path):
    with open(path.with_suffix(".csv"), newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("spread", [1.5, 1e4])
def test_effectivity_picture_keeps_every_pair_on_both_kinds_of_axes(spread, tmp_path, is_blank):
    true = np.geomspace(1e-3, 1e-3 * spread, 9)
    path = plot_effectivity(tmp_path / "e.png", true, 0.95 * true)
    rows = read(path)
    np.testing.assert_allclose([float(r["estimate"]) / float(r["true"]) for r in rows], 0.95, rtol=1e-8)
    assert not is_blank(path)


def test_effectivity_refuses_pairs_that_cannot_be_compared(tmp_path):
    with pytest.raises(ValueError, match="equal lengths"):
        plot_effectivity(tmp_path / "e.png", np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match="positive finite"):
        plot_effectivity(tmp_path / "e.png", np.zeros(3), np.ones(3))


def test_error_distribution_writes_the_sorted_finite_errors(tmp_path, is_blank):
    errors = np.array([0.3, np.nan, 0.1, 0.2])
    path = plot_error_distribution(tmp_path / "d.png", errors)
    assert [float(r["rel_l2"]) for r in read(path)] == [0.1, 0.2, 0.3]
    assert not is_blank(path)
    with pytest.raises(ValueError, match="finite"):
        plot_error_distribution(tmp_path / "d.png", np.array([np.nan]))
