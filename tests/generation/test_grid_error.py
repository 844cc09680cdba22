import importlib.util
from pathlib import Path

import pytest

from pdeflow.data.manifest import build_manifest
from pdeflow.generation import Recipe
from pdeflow.generation.chains import write_chain
from pdeflow.problems import LogNormalDarcy

SCRIPT = Path(__file__).resolve().parents[2] / "datasets" / "darcy" / "grid_error.py"


def test_the_grid_error_of_a_smooth_coefficient_falls_with_the_square_of_the_spacing(tmp_path):
    spec = importlib.util.spec_from_file_location("grid_error", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    problem, errors = LogNormalDarcy(alpha=4.0, modes=8), []
    for n in (16, 32):
        recipe = Recipe.of(
            problem,
            None,
            {"train": 3, "test": 1},
            [n, n],
            seed=1,
            method="direct",
            rtol=1e-10,
            chain_length=4,
        )
        for chain in recipe.chains():
            write_chain(tmp_path / str(n), recipe, chain, "direct", lambda iterations: None)
        build_manifest(tmp_path / str(n), {})
        errors.append(script.grid_errors(tmp_path / str(n), every=2))
    assert len(errors[0]) == 2  # samples 0 and 2
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.15)
