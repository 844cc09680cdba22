"""`pdeflow solve` on matrix files: the eight systems that PyAMG ships, singular and compatible, without importing torch."""

import subprocess
import sys

import numpy as np
import pyamg
import pytest
import scipy.io
import scipy.sparse as sp

from pdeflow.cli.experiment import configs
from pdeflow.cli.main import main

from .conftest import inside

NAMES = (
    "airfoil", "bar", "helmholtz_2D", "knot", "local_disc_galerkin_diffusion", "recirc_flow", "unit_cube", "unit_square",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_pyamgs_systems_reach_the_tolerance_from_a_file(name, tmp_path, capsys):
    A = sp.csr_array(pyamg.gallery.load_example(name)["A"])
    b = A @ np.random.default_rng(0).standard_normal(A.shape[0])  # in the range, also of a singular A
    with inside(tmp_path):
        scipy.io.mmwrite("A.mtx", A)
        np.save("b.npy", b)
        assert main(["solve", "A.mtx", "--rhs", "b.npy", "--rtol", "1e-8", "--out", "x.npy"]) == 0
        x = np.load("x.npy")
    assert np.linalg.norm(b - A @ x) <= 1e-8 * np.linalg.norm(b)
    assert "converged" in capsys.readouterr().out


@pytest.mark.parametrize("preconditioner", ["auto", "amg", "jacobi"])
def test_every_column_of_a_right_hand_side_is_solved(preconditioner, tmp_path, capsys):
    A = sp.csr_array(pyamg.gallery.poisson((12, 12)))
    B = np.random.default_rng(0).standard_normal((144, 3))
    with inside(tmp_path):
        scipy.io.mmwrite("A.mtx", A)
        np.save("B.npy", B)
        command = ["solve", "A.mtx", "--rhs", "B.npy", "--preconditioner", preconditioner]
        assert main([*command, "--out", "x.npy"]) == 0
        x = np.load("x.npy")
        assert "3 of 3 right-hand sides converged" in capsys.readouterr().out
        assert np.all(np.linalg.norm(B - A @ x, axis=0) <= 1e-8 * np.linalg.norm(B, axis=0))
        assert main([*command, "--maxiter", "1", "--preconditioner", "none", "--method", "cg", "--guard", "none", "--out", "y.npy"]) == 3
        assert "0 of 3 right-hand sides converged" in capsys.readouterr().out
        assert not (tmp_path / "y.npy").exists()
        assert main([*command, "--compare", "all"]) == 2
        assert "takes one right-hand side" in capsys.readouterr().err
        np.save("B.npy", B[:100])
        assert main(command) == 2
        assert "144" in capsys.readouterr().err


def test_an_incompatible_right_hand_side_is_refused_with_the_next_command(tmp_path, capsys):
    A = sp.csr_array(pyamg.gallery.load_example("unit_square")["A"])
    b = np.random.default_rng(0).standard_normal(A.shape[0])
    with inside(tmp_path):
        sp.save_npz("A.npz", A)
        np.save("b.npy", b)
        command = ["solve", "A.npz", "--rhs", "b.npy", "--out", "x.npy"]
        assert main(command) == 3
        assert "--project" in capsys.readouterr().out
        assert main([*command, "--project"]) == 0
        x = np.load("x.npy")
    expected = np.linalg.lstsq(A.toarray(), b, rcond=None)[0]
    np.testing.assert_allclose(A @ x, A @ expected, atol=1e-7 * np.linalg.norm(b))


def test_a_comparison_skips_what_needs_too_much(tmp_path, capsys, monkeypatch):
    from pdeflow.linalg import choice

    monkeypatch.setattr(choice, "free_gigabytes", lambda: 1e-6)
    with inside(tmp_path):
        sp.save_npz("A.npz", sp.csr_array(pyamg.gallery.poisson((12, 12), format="csr")))
        assert main(["solve", "A.npz", "--compare", "all", "--method", "cg"]) == 0
    assert "skipped: needs about" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--grid", "12,12"], "--grid belongs to a problem"),
        (["--grid=12,12"], "--grid belongs to a problem"),
        (["--h", "0.1"], "--h belongs to a problem"),
        (["--instance", "3"], "--instance belongs to a problem"),
        (["--problem=pdeflow.problems.Poisson"], "give the matrix file or the problem"),
        (["-c", str(configs() / "solve" / "darcy.yaml")], "give the matrix file or the problem"),
    ],
)
def test_a_matrix_file_takes_no_options_of_a_problem(options, words, tmp_path, capsys):
    with inside(tmp_path):
        sp.save_npz("A.npz", sp.csr_array(pyamg.gallery.poisson((12, 12), format="csr")))
        assert main(["solve", "A.npz", *options]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert words in printed.err
    assert len(printed.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--out", "A.npz/x.npy"], "folder A.npz cannot be created (Not a directory)"),
        (["--out", "."], "--out . is a folder; name a file"),
        (["--run", "A.npz"], "folder A.npz cannot be created (Not a directory)"),
        (["--run", "A.npz/run"], "folder A.npz/run cannot be created (Not a directory)"),
    ],
)
def test_a_place_for_the_result_that_cannot_be_is_refused_before_the_solve(option, words, tmp_path, capsys):
    with inside(tmp_path):
        sp.save_npz("A.npz", sp.csr_array(pyamg.gallery.poisson((12, 12), format="csr")))
        assert main(["solve", "A.npz", *option]) == 2
        assert [path.name for path in tmp_path.iterdir()] == ["A.npz"]
    printed = capsys.readouterr()
    assert printed.out == ""
    assert words in printed.err


def test_a_matrix_file_is_solved_without_importing_torch(tmp_path):
    sp.save_npz(tmp_path / "A.npz", sp.csr_array(pyamg.gallery.poisson((12, 12), format="csr")))
    code = "import sys; from pdeflow.cli.main import main; main(['solve', 'A.npz', '-q']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
