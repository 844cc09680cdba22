"""Every example runs as a script and ends in a number that is right."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
EXPECTED = {
    "01_poisson_convergence.py": ("rate", 1.95, 2.05),  # cell-centred finite volumes are of second order
    "02_learned_preconditioner.py": ("ratio", 0.4, 0.8),  # training saves at least a fifth of the iterations
    "03_your_own_pde.py": ("order", 1.9, 2.1),  # linear elements are of second order
    "04_geometry.py": ("order", 1.7, 2.3),  # the same, on meshes that are not refinements of each other
}


def test_every_example_has_a_number():
    assert {path.name for path in EXAMPLES.glob("*.py")} == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_example(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    variable, low, high = EXPECTED[name]
    assert low <= runpy.run_path(str(EXAMPLES / name))[variable] <= high
    (picture,) = tmp_path.glob("*.png")
    assert picture.stat().st_size > 10_000
