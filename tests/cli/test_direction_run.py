"""A network that proposes directions, from the settings file to the table of solvers."""

import contextlib
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
import scipy.io
import scipy.sparse
import torch
import yaml

from pdeflow.cli import experiment
from pdeflow.cli.main import main
from pdeflow.discretization import diffusion_system
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid
from pdeflow.models import LearnedVCycle
from pdeflow.problems import LogNormalDarcy, Poisson
from pdeflow.run_folder import iteration_lines, load, metric_text
from pdeflow.run_folder.family import check_family

from .conftest import inside


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run folder after three steps: hardly trained, which the guard must not mind."""
    folder = tmp_path_factory.mktemp("direction")
    settings = experiment.read(experiment.configs() / "fit" / "deep_conjugate_directions.yaml")
    settings["trainer"] = {"max_steps": 3}
    settings["model"]["init_args"] |= {"grids": [[32, 32]], "steps_per_epoch": 3, "instances": 1, "batch_size": 2}
    with inside(folder):
        Path("settings.yaml").write_text(yaml.safe_dump(settings))
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            assert main(["fit", "-c", "settings.yaml", "-q"]) == 0
        (run,) = Path("runs").glob("*/latest")
        (run / "printed.txt").write_text(printed.getvalue())
        return (folder / run).resolve()


def test_the_export_says_what_the_network_is_worth(trained):
    summary = load(trained, kind="preconditioner").summary()
    assert "LinearMultigridNet, 10,448 real parameters" in summary
    assert "iterations to 1e-08 on 32x32: more than 100, not converged (untrained more than 100, cg " in summary  # three steps are worth nothing, and it says so


def test_the_end_of_a_training_compares_its_iterations_with_those_of_classical_methods(trained):
    trained_network = load(trained, kind="preconditioner")
    (line,) = iteration_lines(trained_network.settings["iteration_card"])
    printed = (trained / "printed.txt").read_text()
    assert f"\n  {line}\n" in printed
    assert "\n  best val/iterations more than 100 (not converged) at epoch 1\n" in printed
    assert re.fullmatch(r"iterations to 1e-08 on 32x32: more than 100, not converged \(untrained more than 100, cg \d+, jacobi \d+, (ic \d+, )?amg \d+\)", line)


def test_what_was_not_counted_is_left_out_of_the_comparison():
    row = {"grid": [8, 8], "network": None, "cg": None, "jacobi": None, "ic": None, "amg": 5}
    rows = [row, row | {"network": 4.25, "amg": None}]
    lines = iteration_lines({"rtol": 1e-6, "grids": rows})
    assert lines == ["iterations to 1e-06 on 8x8: not counted (amg 5)", "iterations to 1e-06 on 8x8: 4.2"]
    assert iteration_lines(None) == []


def test_a_count_that_stands_for_no_convergence_is_said_to_be_one():
    grids = [{"grid": [8, 8], "network": 99.9, "untrained": 100.0, "amg": 5}]
    assert iteration_lines({"rtol": 1e-6, "most_iterations": 100, "grids": grids}) == [
        "iterations to 1e-06 on 8x8: 99.9 (untrained more than 100, amg 5)"
    ]
    assert metric_text("val/iterations", 200.0, 200) == "val/iterations more than 200 (not converged)"
    assert metric_text("val/iterations", 199.0, 200) == "val/iterations 199"
    assert metric_text("val/rel_l2", 300.0, 200) == "val/rel_l2 300"


def test_the_log_explains_its_counts_once(tmp_path, capsys):
    settings = experiment.read(experiment.configs() / "fit" / "learned_v_cycle.yaml")
    settings["trainer"] = {"max_steps": 2}
    settings["model"]["init_args"] |= {"grids": [[32, 32]], "steps_per_epoch": 1, "instances": 1, "batch_size": 1}
    with inside(tmp_path):
        Path("settings.yaml").write_text(yaml.safe_dump(settings))
        assert main(["fit", "-c", "settings.yaml", "--out", "run"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("val/iterations: the most iterations that flexible conjugate gradients need to the relative residual 1e-08") == 1
    assert printed.index("val/mean_iterations: their mean") < printed.index("  epoch ")


@pytest.mark.parametrize(("after", "worse"), [(13.2, True), (12.9, False)])
def test_a_training_that_made_it_worse_is_told(after, worse):
    (line, *remark) = iteration_lines({"rtol": 1e-8, "grids": [{"grid": [8, 8], "network": after, "untrained": 13.0, "amg": 5}]})
    assert line == f"iterations to 1e-08 on 8x8: {after} (untrained 13.0, amg 5)"
    assert len(remark) == worse


def test_the_table_has_the_network_and_the_answer_is_verified(trained, tmp_path, capsys):
    arguments = ["solve", "-c", str(experiment.configs() / "solve" / "poisson.yaml"), "--grid", "32,32", "-q"]
    learned = [f"--preconditioner={trained}", "--method", "dcdm"]
    with inside(tmp_path):
        assert main([*arguments, *learned]) == 0
        printed = capsys.readouterr().out
        _, said, why, *_ = printed.splitlines()
        assert ": converged_fallback in " in said
        assert why.startswith("  dcdm + LinearMultigridNet: ")
        assert printed.count(why.strip()) == 1, "the reason is given once"
        assert "LinearMultigridNet, trained" in printed
        assert main([*arguments, *learned, "--guard", "multi"]) == 0
        assert "dcdm + LinearMultigridNet: converged in" in capsys.readouterr().out
        assert main([*arguments, *learned, "--unseen", "1"]) == 2
        assert "has none that solves" in capsys.readouterr().err
        assert main([*arguments, f"--preconditioner={trained}", "--method", "cg"]) == 2
        assert "use method='fcg'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["A.mtx"], "this system is no such one"),
        (["--problem", "pdeflow.problems.LogNormalDarcy", "--grid", "32,32"], "varies by a factor of"),
        (["--problem", "pdeflow.problems.Poisson", "--grid", "32,64"], "proportions 1 : 1, these are 1 : 0.5"),
        (["--problem", "pdeflow.problems.Poisson", "--grid", "40,40"], "divisible by 16, got (40, 40)"),
        (["--problem", "pdeflow.problems.Helmholtz", "--grid", "32,32"], "this system is no such one"),
        (["--problem", "pdeflow.problems.ConvectionDiffusion", "--grid", "32,32"], "this system is no such one"),
        (["--problem", "pdeflow.problems.SpongeHelmholtz", "--grid", "48,48"], "this system is no such one"),
        (["--problem", "pdeflow.problems.Poisson", "--h", "0.1"], "this system is no such one"),
    ],
)
def test_a_system_that_the_network_was_not_trained_for_is_refused_in_one_line(trained, tmp_path, capsys, arguments, message):
    """Dimension, divisibility, proportions of the cells, coefficient, equation: each with its own remedy."""
    with inside(tmp_path):
        scipy.io.mmwrite("A.mtx", scipy.sparse.eye_array(64, format="coo"))
        assert main(["solve", *arguments, f"--preconditioner={trained}", "-q"]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert len(error.splitlines()) == 1


def test_a_grid_of_another_dimension_is_refused(trained):
    network, cube = load(trained, kind="preconditioner"), torch.ones(16, 16, 16, dtype=torch.float64)
    with pytest.raises(UsageError, match=r"trained on 2-D grids, this one is 3-D, \(16, 16, 16\)"):
        check_family(network.network, network.problem, diffusion_system(Grid.unit((16, 16, 16)), cube, cube))


def test_a_cycle_that_reads_the_coefficient_serves_another_family_of_coefficients():
    problem = LogNormalDarcy()
    system = problem.system(problem.sample(torch.Generator().manual_seed(0)), problem.grid((32, 16)))
    check_family(LearnedVCycle(), problem, system)
    check_family(LearnedVCycle(), problem, replace(system, A=3.0 * system.A))  # a multiple is the same family
    with pytest.warns(UserWarning, match="trained on Poisson, whose coefficient is constant, and the one given here varies by a factor of"):
        check_family(LearnedVCycle(), Poisson(), system)
    with pytest.raises(UsageError, match="no multiple of that one"):
        check_family(LearnedVCycle(), Poisson(), replace(system, A=system.A + scipy.sparse.eye_array(system.n)))


def test_a_learned_medium_serves_its_own_instance_from_the_command_line_and_no_other(tmp_path, capsys):
    """Three steps are worth nothing: what counts is that weights, matrix and guard find each other again."""
    settings = experiment.read(experiment.configs() / "fit" / "helmholtz_medium.yaml")
    settings["trainer"] = {"max_steps": 3}
    settings["model"]["init_args"] |= {"steps_per_epoch": 3, "batch_size": 2}
    with inside(tmp_path):
        Path("settings.yaml").write_text(yaml.safe_dump(settings))
        assert main(["fit", "-c", "settings.yaml", "-q"]) == 0
        (run,) = Path("runs").glob("*/latest")
        arguments = ["solve", "-c", str(experiment.configs() / "solve" / "helmholtz_medium.yaml"), f"--preconditioner={run}", "--method", "fgmres", "-q"]
        capsys.readouterr()
        assert main(arguments) == 0
        assert "residual" in capsys.readouterr().out
        assert main([*arguments, "--instance", "1"]) == 2
        assert "the one matrix it was trained on" in capsys.readouterr().err
