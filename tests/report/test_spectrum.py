import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.report import plot_spectrum, radial_spectrum


@settings(max_examples=30)
@given(st.integers(2, 5), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_parseval_holds_for_fields_without_power_beyond_the_last_ring(kx, ky, seed):
    n, generator = 24, np.random.default_rng(seed)
    x = np.arange(n) / n
    waves = np.cos(2 * np.pi * (kx * x[:, None] + ky * x[None, :]) + generator.uniform(0, 6))
    fields = generator.standard_normal((3, 1, 1)) * waves + generator.standard_normal((3, 1, 1))
    assert radial_spectrum(fields).sum() == pytest.approx(np.mean(fields**2), rel=1e-12)


def test_parseval_bounds_the_rings_of_any_field():
    fields = np.random.default_rng(0).standard_normal((4, 16, 12))
    total, full = radial_spectrum(fields).sum(), np.mean(fields**2)
    assert 0.5 * full < total < full  # the corners of the square of wavenumbers lie beyond the last ring


@pytest.mark.parametrize("k", [1, 3, 7])
def test_one_wave_has_its_power_in_its_ring(k):
    wave = np.sqrt(2) * np.sin(2 * np.pi * k * np.arange(16) / 16)[:, None] * np.ones(16)
    power = radial_spectrum(wave[None])
    assert power[k] == pytest.approx(1.0)
    assert np.delete(power, k).max() < 1e-28


def test_spectrum_does_not_change_under_translation_and_transposition():
    fields = np.random.default_rng(1).standard_normal((2, 16, 16))
    moved = np.roll(fields, (3, 5), axis=(1, 2)).transpose(0, 2, 1)
    np.testing.assert_allclose(radial_spectrum(moved), radial_spectrum(fields), rtol=1e-12)


def test_csv_holds_the_spectra_that_are_drawn(fields, tmp_path, is_blank):
    _, u, guess = fields
    path = plot_spectrum(tmp_path / "s.png", u, guess)
    assert not is_blank(path)
    with open(path.with_suffix(".csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    for name, values in (("target", u), ("prediction", guess), ("error", guess - u)):
        np.testing.assert_allclose([float(r[name]) for r in rows], radial_spectrum(values), rtol=1e-9)


def test_wrong_shapes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected shape"):
        radial_spectrum(np.ones((4, 4)))
    with pytest.raises(ValueError, match="equal shapes"):
        plot_spectrum(tmp_path / "s.png", np.ones((1, 4, 4)), np.ones((1, 4, 5)))
