"""What `evaluate` says of an evolution: the error of every frame beside that of all of them."""

import json

import pytest
import torch
from torch import nn

from pdeflow.cli.evaluate import errors_by_frame, evaluate, frame_line
from pdeflow.data import PDEDataset
from pdeflow.data.manifest import build_manifest
from pdeflow.generation import Recipe
from pdeflow.generation.chains import write_chain
from pdeflow.problems import Burgers
from pdeflow.run_folder import Trained


class Still(nn.Module):
    """Nothing moves: every frame is predicted to be the initial field."""

    def forward(self, a):
        return a.expand(-1, 11, -1)


def test_evaluate_tells_the_error_of_every_frame(tmp_path, monkeypatch):
    recipe = Recipe.of(Burgers(), "small", {"test": 2}, (32,), seed=1, method="direct", rtol=1e-8, chain_length=2)
    for chain in recipe.chains():
        write_chain(tmp_path / "data", recipe, chain, "direct", lambda iterations: None)
    build_manifest(tmp_path / "data", {"rtol": recipe.rtol, "solver": "x", "seconds": 1.0, "versions": {}})
    trained = Trained(Still(), {"grid": [32]}, Burgers(), tmp_path / "run" / "fit")
    monkeypatch.setattr("pdeflow.run_folder.load", lambda *_, **__: trained)
    printed = evaluate(tmp_path / "run", str(tmp_path / "data"))
    summary = json.loads((tmp_path / "run" / "evaluate.data.test" / "summary.json").read_text())
    dataset = PDEDataset(tmp_path / "data", "test", dtype=torch.float64)
    a, u = dataset.tensors()
    expected = [((a[:, 0] - u[:, k]).norm(dim=1) / u[:, k].norm(dim=1)).mean().item() for k in range(11)]
    assert summary["times"] == pytest.approx(dataset.times)
    assert summary["rel_l2_by_frame"] == pytest.approx(expected, rel=1e-5, abs=1e-7)  # the prediction is float32
    assert f"t = 0.6: {expected[6]:.2g}, t = 0.8: {expected[8]:.2g}, t = 1: {expected[10]:.2g}\n" in printed


def test_a_steady_problem_has_no_errors_by_frame():
    u = torch.ones(2, 3, 4)
    assert errors_by_frame(u, u, [0.0]) == {}
    assert frame_line((), ()) == ""


def test_a_frame_whose_solution_is_zero_has_no_relative_error():
    u = torch.ones(2, 2, 4)
    u[1, 0] = 0
    found = errors_by_frame(2 * u, u, [0.0, 0.5])
    assert found == {"times": [0.0, 0.5], "rel_l2_by_frame": [None, 1.0]}
    assert frame_line(found["times"], found["rel_l2_by_frame"]).endswith(": t = 0: undefined, t = 0.5: 1")


@pytest.mark.parametrize("count", [2, 3, 6, 7, 11, 101])
def test_the_line_of_frames_names_first_and_last_and_is_short(count):
    times = [k / 3 for k in range(count)]
    line = frame_line(times, [1.234e-05 * (k + 1) for k in range(count)])
    assert line.count("t = ") == min(count, 6)
    assert line.startswith("\n  rel_l2 by frame: t = 0: 1.2e-05, ")
    assert f"t = {times[-1]:.3g}: {1.234e-05 * count:.2g}" in line
    assert len(line) <= 135
