import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from pdeflow.data.manifest import build_manifest
from pdeflow.generation import Recipe
from pdeflow.generation.chains import write_chain
from pdeflow.problems import Heat, LogNormalDarcy, SlottedPlate, SpongeHelmholtz

SCRIPT = Path(__file__).resolve().parents[2] / "datasets" / "grid_error.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("grid_error", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def dataset(folder, problem, resolution, order=(0, 1, 2, 3)):
    cells, h = (list(resolution), None) if isinstance(resolution, tuple) else (None, resolution)
    recipe = Recipe.of(
        problem,
        None,
        {"train": 3, "test": 1},
        cells,
        h=h,
        seed=1,
        method="direct",
        rtol=1e-10,
        chain_length=4,
    )
    for chain in recipe.chains():
        ids = [order[place] for place in chain.places]
        write_chain(folder, recipe, chain, "direct", lambda iterations: None, ids)
    build_manifest(folder, {})
    (folder / "plan.json").write_text(json.dumps({"recipe": recipe.as_dict()}))
    return str(folder)


@pytest.mark.parametrize("resolutions", [((16, 16), (32, 32)), (1 / 8, 1 / 16)], ids=["grid", "mesh"])
def test_the_error_of_a_smooth_coefficient_falls_with_the_square_of_the_spacing(
    script, tmp_path, resolutions
):
    problem = LogNormalDarcy(alpha=4.0, modes=8)
    errors = [
        script.grid_errors(dataset(tmp_path / str(i), problem, n), 2) for i, n in enumerate(resolutions)
    ]
    assert len(errors[0]) == 2  # samples 0 and 2
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.15)


def test_samples_are_drawn_again_by_their_numbers_where_a_chain_is_sorted(script, tmp_path):
    problem = LogNormalDarcy(alpha=4.0, modes=8)
    plain = script.grid_errors(dataset(tmp_path / "plain", problem, (16, 16)), 4)
    mixed = script.grid_errors(dataset(tmp_path / "mixed", problem, (16, 16), order=(2, 0, 1, 3)), 4)
    np.testing.assert_allclose(mixed, plain[[2, 0, 1, 3]], rtol=1e-9)


def test_a_reentrant_corner_costs_order(script, tmp_path):
    errors = [script.grid_errors(dataset(tmp_path / str(h), SlottedPlate(), h), 1)[0] for h in (0.05, 0.025)]
    order = np.log2(errors[0] / errors[1])
    assert order == pytest.approx(4 / 3, abs=0.2)  # angle 3π/2: u ~ r^(2/3), of order 4/3 in L2


def test_frames_and_complex_values_count_as_one_field(script, tmp_path):
    heat = script.grid_errors(dataset(tmp_path / "heat", Heat(modes=4), (16, 16)), 4)
    assert heat.max() < 1e-12  # Fourier modes of the initial field are exact on both grids
    waves = SpongeHelmholtz(wave_number=6.0, modes=4)
    errors = [script.grid_errors(dataset(tmp_path / str(n), waves, (n, n)), 1)[0] for n in (16, 32)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.3)
