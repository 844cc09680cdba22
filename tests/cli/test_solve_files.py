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


def singular(kind, rng, n=40):
    """A singular matrix, a vector that it maps to zero, and one that its conjugate transpose does."""
    if kind == "symmetric":
        A = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(n, n)).toarray()
        A[0, 0] = A[-1, -1] = 1
        return A, np.ones(n), np.ones(n)
    B = rng.standard_normal((n, n)) + 1j * rng.standard_normal((n, n)) * (kind == "Hermitian") + 8 * np.eye(n)
    q, left = (rng.standard_normal(n) + 1j * rng.standard_normal(n) * (kind == "Hermitian") for _ in range(2))
    left = q if kind == "Hermitian" else left
    B = B @ B.conj().T if kind == "Hermitian" else B
    P, Q = (np.eye(n) - np.outer(v, v.conj()) / (v.conj() @ v).real for v in (left, q))
    A = P @ B @ Q
    return (A + A.conj().T) / 2 if kind == "Hermitian" else A.real, q if kind == "Hermitian" else q.real, left


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("kind", ["symmetric", "nonsymmetric", "Hermitian"])
def test_project_gives_the_least_squares_solutions_of_every_column(kind, columns, tmp_path, capsys):
    """b - A x is orthogonal to the range of A; what was dropped lies in the left null space, which need not be the right one."""
    rng = np.random.default_rng(0)
    A, q, left = singular(kind, rng)
    B = rng.standard_normal((len(A), columns)) + (1j * rng.standard_normal((len(A), columns)) if np.iscomplexobj(A) else 0)
    B = B + 5 * left[:, None] * (np.arange(columns) > 0)  # most of all but the first
    with inside(tmp_path):
        sp.save_npz("A.npz", sp.csr_array(A))
        np.save("B.npy", B[:, 0] if columns == 1 else B)
        np.save("q.npy", q)
        command = ["solve", "A.npz", "--rhs", "B.npy", "--nullspace", "q.npy", "--out", "x.npy"]
        assert main(command) == 3
        said = capsys.readouterr().out
        assert said.count("the same command with --project") == 1
        if columns > 1:
            assert all(line.count("null space") <= 1 for line in said.splitlines())
        assert main([*command, "--project"]) == 0
        said = capsys.readouterr().out
        x = np.load("x.npy").reshape(len(A), columns)
    dropped = np.abs(left.conj() @ B) / np.linalg.norm(left) / np.linalg.norm(B, axis=0)
    assert f"{'up to ' if columns > 1 else ''}{dropped.max():.2g} was dropped" in said
    assert np.all(np.linalg.norm(A.conj().T @ (B - A @ x), axis=0) <= 1e-7 * np.linalg.norm(A, 2) * np.linalg.norm(B, axis=0))


def test_project_without_a_left_null_space_is_refused(tmp_path, capsys):
    A = np.triu(np.ones((5, 5))) + np.eye(5)
    with inside(tmp_path):
        sp.save_npz("A.npz", sp.csr_array(A))
        assert main(["solve", "A.npz", "--nullspace", "constant", "--project"]) == 2
    assert "found no left null space" in capsys.readouterr().err


def test_the_clock_of_a_solve_does_not_run_while_torch_is_imported(tmp_path):
    """With the import in the solve's own seconds, its set-up and solve would begin without torch."""
    code = (
        "import sys; import importlib; from pdeflow.cli.main import main;"
        "solver = importlib.import_module('pdeflow.linalg.solve'); build = solver.build;"
        "solver.build = lambda *a: (print('torch first:', 'torch' in sys.modules), build(*a))[1];"
        "sys.exit(main(['solve', 'A.npz', '--method', 'dcdm', '--preconditioner', 'jacobi']))"
    )
    with inside(tmp_path):
        sp.save_npz("A.npz", sp.csr_array(pyamg.gallery.poisson((12, 12))))
        ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "torch first: True" in ran.stdout


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


def test_project_drops_what_b_asks_of_rows_of_zeros(tmp_path, capsys):
    Z = sp.lil_array(pyamg.gallery.poisson((12, 12), format="csr"))
    Z[5, :] = 0
    Z[:, 5] = 0
    Z = sp.csr_array(Z)
    with inside(tmp_path):
        sp.save_npz("A.npz", Z)
        for b in (np.ones(144), np.ones((144, 2))):
            np.save("b.npy", b)
            assert main(["solve", "A.npz", "--rhs", "b.npy"]) == 3
            assert "--project" in capsys.readouterr().out
            assert main(["solve", "A.npz", "--rhs", "b.npy", "--project", "--out", "x.npy"]) == 0
            assert "relative size" in capsys.readouterr().out
            left = b - Z @ np.load("x.npy")
            assert np.allclose(left[5], 1)
            assert np.abs(np.delete(left, 5, axis=0)).max() < 1e-6
