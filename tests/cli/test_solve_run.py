"""What `pdeflow solve` prints: the reason once, and where pictures would be; what its run folder holds."""

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from pdeflow.cli.main import main
from pdeflow.linalg import Reason

from .conftest import inside

A = sp.diags_array([2.0, -1.0, -1.0], offsets=[0, 1, -1], shape=(40, 40), format="csr")
PLANE = ["--problem=pdeflow.problems.Poisson", "--grid", "8,8"]
HINT = "pictures and numbers: add --run DIR"


def test_the_reason_of_a_failed_solve_is_given_once(tmp_path, capsys):
    with inside(tmp_path):
        sp.save_npz("A.npz", A)
        assert main(["solve", "A.npz", "--method", "cg", "--preconditioner", "none", "--guard", "none", "--maxiter", "2"]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"  {Reason.maxiter.value}"


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (PLANE, True),
        ([*PLANE, "-q"], False),
        ([*PLANE, "--run", "run"], False),
        (["--problem=pdeflow.problems.Poisson", "--h", "0.3"], True),
        (["--problem=pdeflow.problems.PlumePressure", "--problem.dim=3", "--grid", "8,8,8"], False),
        (["A.npz"], False),
        (["A.npz", "--compare", "all"], True),
    ],
)
def test_the_run_folder_is_offered_where_it_would_hold_pictures(arguments, shown, tmp_path, capsys):
    with inside(tmp_path):
        sp.save_npz("A.npz", A)
        assert main(["solve", *arguments]) == 0
        printed = capsys.readouterr().out
        assert (HINT in printed) == shown
        if not shown:
            return
        assert printed.splitlines()[-1].strip() == HINT
        assert main(["solve", *arguments, "--run", "run"]) == 0
        assert list(Path("run/figures").glob("*.png"))


def test_a_run_folder_without_pictures_names_its_numbers(tmp_path, capsys):
    with inside(tmp_path):
        sp.save_npz("A.npz", A)
        assert main(["solve", "A.npz", "--run", "run", "-q"]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == f"  {Path('run', 'solve', 'summary.json')}"
        assert not Path("run/figures").exists()
        np.testing.assert_allclose(np.load("run/solve/x.npy"), 1.0, rtol=1e-7)  # b is A times ones
