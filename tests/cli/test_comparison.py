"""`pdeflow solve --compare all`: the rows are what the command would do, and its run folder holds nothing of an earlier solve."""

import re
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import yaml

from pdeflow.cli import experiment
from pdeflow.cli.main import main
from pdeflow.cli.solve_report import print_table
from pdeflow.report import write_report
from pdeflow.run_folder import read_json

from .conftest import inside

LINE = sp.diags_array([2.0, -1.0, -1.0], offsets=[0, 1, -1], shape=(40, 40), format="csr")
POISSON = ["solve", "--problem", "Poisson", "--grid", "32,32", "--compare", "all", "--run", "run", "-q"]


def rows():
    return {row["name"]: row for row in read_json(Path("run/solve/summary.json"))["rows"]}


def fitted(name, folder, **network):
    """Run folder of a network after three steps of training."""
    settings = experiment.read(experiment.configs() / "fit" / f"{name}.yaml")
    settings["trainer"] = {"max_steps": 3}
    settings["model"]["init_args"] |= {"steps_per_epoch": 3, "batch_size": 2, **network}
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
    assert main(["fit", "-c", str(folder / "settings.yaml"), "--out", str(folder / "trained"), "-q"]) == 0
    return str(folder / "trained")


def test_a_learned_medium_has_the_row_of_the_method_that_was_asked_for(tmp_path):
    arguments = ["solve", "-c", str(experiment.configs() / "solve" / "helmholtz_medium.yaml"), "--method", "fgmres", "--compare", "all", "-q"]
    with inside(tmp_path):
        trained = fitted("helmholtz_medium", tmp_path)
        assert main([*arguments, f"--preconditioner={trained}", "--guard", "none", "--run", "run"]) in (0, 3)
        row, single = rows()["MediumNet, trained"], read_json(Path("run/solve/summary.json"))["solution"]
        assert {key: row[key] for key in ("method", "preconditioner", "iterations", "reason")} == {
            key: single[key] for key in ("method", "preconditioner", "iterations", "reason")
        }
        assert "MediumNet, trained" in Path("run/figures/residuals.csv").read_text()
        assert "MediumNet, trained was skipped" not in write_report(Path("run")).read_text()


def test_a_network_that_multigrid_rescued_is_marked_in_the_table(tmp_path, capsys):
    with inside(tmp_path):
        trained = fitted("deep_conjugate_directions", tmp_path, grids=[[32, 32]], instances=1)
        assert main([*POISSON, f"--preconditioner={trained}", "--method", "dcdm"]) == 0
        row = rows()["LinearMultigridNet, trained"]
        assert row["reason"] == "converged_fallback"
        assert f"  cg + amg:rs from step {row['switched_at']}\n" in capsys.readouterr().out


def test_the_combination_asked_for_is_a_row_of_its_own_where_it_is_none_already(tmp_path):
    with inside(tmp_path):
        assert main([*POISSON, "--method", "dcdm", "--preconditioner", "amg"]) == 0
        assert rows()["dcdm + amg:rs, as asked"]["method"] == "dcdm"
        assert main([*POISSON, "--method", "cg", "--preconditioner", "jacobi"]) == 0
        assert not any("as asked" in name for name in rows())


def test_every_row_has_the_time_limit_of_the_command(tmp_path):
    with inside(tmp_path):
        main([*POISSON, "--timeout", "1e-9"])
        ends = {name: row["reason"] for name, row in rows().items()}
    assert ends["CG"] == ends["CG + AMG (Ruge-Stüben)"] == "timeout"


def test_a_table_that_is_not_for_a_terminal_is_not_cut(tmp_path, capsys):
    with inside(tmp_path):
        assert main([*POISSON[:-3], "-q", "--maxiter", "30"]) == 0
    printed = capsys.readouterr().out
    assert "…" not in printed
    assert "CG + AMG (aggregation)" in printed
    assert "  CG; CG + Jacobi: maxiter reached: raise maxiter" in printed


def test_a_narrow_terminal_loses_the_parts_of_the_seconds_and_no_name(capsys, monkeypatch):
    row = {"iterations": 8, "seconds_setup": 1.0, "seconds_solve": 2.0, "residual": 1e-9, "reason": "converged"}
    table = [{**row, "name": "CG + incomplete Cholesky"}, {**row, "name": "CG + AMG (aggregation)", "winner": True}]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    print_table(table)
    printed = capsys.readouterr().out
    assert all(row["name"] in printed for row in table)
    assert "converged, fastest" in printed
    assert "set-up s" not in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_pictures_of_an_earlier_solve_do_not_outlive_it(tmp_path):
    with inside(tmp_path):
        sp.save_npz("A.npz", LINE)
        assert main(["solve", "A.npz", "--run", "run", "-q", "--compare", "all"]) == 0
        assert {path.name for path in Path("run/figures").iterdir()} == {f"{name}.{end}" for name in ("residuals", "solver_times") for end in ("png", "csv")}
        assert main(["solve", "A.npz", "--run", "run", "-q"]) == 0
        assert not list(Path("run/figures").iterdir())


def test_a_right_hand_side_that_is_zero_is_compared_without_a_step(tmp_path):
    with inside(tmp_path):
        sp.save_npz("A.npz", LINE)
        np.save("b.npy", np.zeros(40))
        assert main(["solve", "A.npz", "--rhs", "b.npy", "--run", "run", "-q", "--compare", "all"]) == 0
        assert {row["reason"] for row in rows().values()} == {"zero_rhs"}
        assert not any("as asked" in name for name in rows())


def test_the_recipe_of_the_report_solves_again(tmp_path):
    with inside(tmp_path):
        assert main([*POISSON, "--seed_everything", "7", "--compare", "null"]) == 0
        x, page = np.load("run/solve/x.npy"), write_report(Path("run")).read_text()
        assert "No record" not in page
        (command,) = re.findall(r"pdeflow (solve -c \S+/config.yaml --run again)", page)
        assert main([*command.split(), "-q"]) == 0
        np.testing.assert_array_equal(np.load("again/solve/x.npy"), x)


def test_a_solve_that_replaces_another_says_so(tmp_path, capsys):
    with inside(tmp_path):
        sp.save_npz("A.npz", LINE)
        for words in (False, True):
            assert main(["solve", "A.npz", "--run", "run", "-q"]) == 0
            assert ("replaces the earlier solve in run" in capsys.readouterr().out) == words


def test_a_matrix_is_solved_again_by_the_command_itself(tmp_path):
    with inside(tmp_path):
        sp.save_npz("A.npz", LINE)
        assert main(["solve", "A.npz", "--run", "run", "-q"]) == 0
        assert yaml.safe_load(Path("run/solve/config.yaml").read_text())["matrix"] == "A.npz"
        assert f"The command above, in the folder {tmp_path}" in write_report(Path("run")).read_text()


@pytest.mark.parametrize(("cap", "shown"), [(5, True), (2000, False)])
def test_a_count_that_was_not_reached_is_said_to_exceed_the_cap(cap, shown, tmp_path, capsys):
    with inside(tmp_path):
        trained = fitted("learned_v_cycle", tmp_path, grids=[[32, 32]])
        solve = ["solve", "--problem", "Darcy", "--grid", "32,32", f"--preconditioner={trained}", "--run", "run", "-q"]
        main([*solve, "--unseen", "1", "--unseen_grids=[[32,32]]", "--maxiter", str(cap)])
    printed = capsys.readouterr().out
    assert (f"CG > {cap}" in printed) == shown
    assert (f"did not reach the tolerance within {cap} iterations" in printed) == shown
    assert "inf" not in printed
