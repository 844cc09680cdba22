"""`pdeflow solve --unseen`: its grids have the dimension of the problem, and wrong ones are refused before anything is solved."""

from pathlib import Path

import pytest

from pdeflow.cli import experiment
from pdeflow.cli.main import main
from pdeflow.run_folder import read_json

from .conftest import inside


@pytest.fixture(scope="module")
def cycle_in_space(tmp_path_factory):
    """Run folder of a cycle in space after one step of training, and the options that name it."""
    folder = tmp_path_factory.mktemp("plume")
    with inside(folder):
        settings = str(experiment.configs() / "fit" / "plume_pressure.yaml")
        small = ["--model.init_args.grids=[[16,16,16]]", "--model.init_args.batch_size=1", "--trainer.max_steps=1"]
        assert main(["fit", "-c", settings, *small, "--out", "trained", "-q"]) == 0
    problem = ["--problem=pdeflow.problems.PlumePressure", "--problem.dim=3", "--grid", "8,8,8"]
    return ["solve", *problem, f"--preconditioner={folder / 'trained'}", "--unseen", "1", "--run", "run", "-q"]


def test_without_a_choice_the_unseen_grids_have_the_dimension_of_the_problem(cycle_in_space, tmp_path):
    with inside(tmp_path):
        assert main(cycle_in_space) == 0
        counts = read_json(Path("run/solve/summary.json"))["unseen"]["grids"]
    assert [count["grid"] for count in counts] == [[16, 16, 16], [32, 32, 32]]


@pytest.mark.parametrize(
    ("grids", "message"),
    [
        (
            "[[16,16,16],[64,64]]",
            "names [64, 64] of 2 axes, and the system has 3; write, e.g., --unseen_grids=[[16,16,16],[32,32,32]]\n",
        ),
        ("[[17,17,17]]", "names [17, 17, 17]: expected sides that halve"),
    ],
    ids=["another dimension", "not coarsened by the cycle"],
)
def test_unseen_grids_that_cannot_be_counted_are_refused_before_the_solve(cycle_in_space, tmp_path, capsys, grids, message):
    with inside(tmp_path):
        assert main([*cycle_in_space, f"--unseen_grids={grids}"]) == 2
        assert not list(Path().iterdir())
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"solve: --unseen_grids {message}")
