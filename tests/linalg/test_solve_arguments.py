"""What users pass to `solve`: refused with words where it cannot be meant, taken where it can."""

import warnings

import numpy as np
import pyamg
import pytest
import scipy.sparse as sp
import torch

import pdeflow
from pdeflow.errors import UsageError
from pdeflow.linalg import LinearSystem, Reason, Solver, linear_system, solve
from pdeflow.linalg.direct import superlu_options
from pdeflow.linalg.solve_arguments import METHODS

P = sp.csr_array(pyamg.gallery.poisson((12, 12), format="csr"))
B = np.random.default_rng(0).standard_normal(144)


@pytest.mark.parametrize(
    ("A", "words"),
    [
        (None, "A is a NoneType"), ("A.mtx", "A is a str"), (len, "A is a builtin"), (3.0, r"shape \(\)"), (np.zeros((2, 2, 2)), "shape"),
        (np.array([["1"]]), "matrix of numbers"), (np.array([[1, None]], dtype=object), "matrix of numbers"), ([[1, 2], [3]], "no array"),
        (torch.eye(3).to_sparse(), "no array"), (torch.eye(3, requires_grad=True), "no array"),
    ],
)  # fmt: skip
def test_what_is_no_matrix_is_refused_with_its_kind(A, words):
    with pytest.raises(UsageError, match=words):
        solve(A, np.ones(3))


@pytest.mark.parametrize("dtype", [np.float16, ">f8", np.int8, bool, np.longdouble, np.float32])
def test_numbers_of_any_type_are_solved_in_double_precision(dtype):
    A, b = np.eye(5, dtype=dtype), np.arange(5).astype(dtype)
    assert solve(A, np.arange(5.0)).x == pytest.approx(np.arange(5))
    assert solve(np.eye(5), b).x == pytest.approx(b.astype(float))


def test_a_matrix_in_single_precision_meets_the_default_tolerance_and_is_found_definite():
    s = solve(P.astype(np.float32), B)
    assert s.converged
    assert np.linalg.norm(B - P @ s.x) <= 1e-8 * np.linalg.norm(B)
    assert linear_system(P.astype(np.float32), B).positive_definite is True


@pytest.mark.parametrize(
    "options",
    [
        {"restart": 0}, {"restart": 2.5}, {"maxiter": 1.5}, {"maxiter": 0}, {"rtol": "1e-3"}, {"atol": None}, {"timeout": "3"},
        {"timeout": float("nan")}, {"M": "jacobi", "preconditioner": "amg"},
    ],
)  # fmt: skip
def test_an_option_that_cannot_be_meant_is_named(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        solve(P, B, **options)


def test_a_restart_beyond_the_number_of_unknowns_needs_no_more_memory_than_they_do():
    assert solve(P, B, method="fgmres", preconditioner="none", restart=10**8).iterations <= 144


def test_many_right_hand_sides_are_sent_to_the_solver_for_them():
    with pytest.raises(UsageError, match="Solver"):
        solve(P, np.ones((144, 3)))
    X = np.column_stack([Solver(P).solve(b).x for b in np.eye(144)[:3]])
    assert np.allclose(P @ X, np.eye(144)[:, :3])


def test_a_pair_is_refused_with_where_to_find_one():
    with pytest.raises(TypeError, match="scipy_style"):
        _x, _info = solve(P, B)


@pytest.mark.parametrize("M", [lambda r: r / 4, sp.eye_array(144) / 4, lambda r: torch.tensor(r / 4, dtype=torch.bfloat16)])
def test_scipys_name_takes_functions_matrices_and_tensors(M):
    s = pdeflow.solve(P, B, M=M, rtol=1e-9)
    assert s.converged
    assert s.method in ("cg", "fcg")
    assert s.reason is Reason.converged


def test_complex_numbers_for_a_real_vector_are_refused():
    with pytest.raises(UsageError, match="complex"):
        solve(P, B, M=lambda r: 1j * r, method="fcg")


def test_a_conjugating_preconditioner_is_no_linear_one():
    H = P + 0.1j * (sp.eye_array(144, k=1) - sp.eye_array(144, k=-1))
    s = solve(H, B + 1j * B[::-1], M=lambda r: r.conj(), guard="none")
    assert s.method == "fcg"  # the flexible method, as for every M that is not linear


def test_a_system_that_says_nothing_of_its_matrix_is_solved_as_the_matrix_is():
    plain, wrapped = solve(P, B), solve(LinearSystem(P, B))
    assert (plain.method, plain.preconditioner) == (wrapped.method, wrapped.preconditioner)
    assert np.array_equal(plain.x, wrapped.x)


def test_rows_of_zeros_that_b_asks_something_of_are_named():
    Z = P.tolil()
    Z[[3, 77], :] = 0
    s = solve(sp.csr_array(Z), B)
    assert s.reason is Reason.incompatible_nullspace
    assert "2 row(s)" in s.detail
    assert "3, 77" in s.detail
    b = B.copy()
    b[[3, 77]] = 0
    assert solve(sp.csr_array(Z), b, method="fgmres", preconditioner="none").converged


def test_a_singular_nonsymmetric_system_that_has_a_solution_is_solved():
    rng = np.random.default_rng(0)
    L = sp.diags_array([np.r_[1.0, 2 * np.ones(28), 1], -np.ones(29), -np.ones(29)], offsets=[0, 1, -1])
    rows = sp.csr_array(sp.diags_array(rng.uniform(1, 3, 30)) @ L)  # its null space are the constants
    column = P.tolil()
    column[:, 5] = 0
    for A in (rows, sp.csr_array(column)):
        assert solve(A, A @ rng.standard_normal(A.shape[0])).converged
    assert solve(rows, np.ones(30)).reason is Reason.incompatible_nullspace


def test_a_block_without_symmetry_is_not_hidden_by_a_large_one():
    block = sp.csr_array(np.random.default_rng(0).standard_normal((30, 30)))
    A = sp.csr_array(sp.block_diag([1e13 * sp.eye_array(30), block]))
    assert linear_system(A).symmetric is False
    with pytest.raises(UsageError, match="symmetric"):
        solve(A, np.ones(60), method="cg")


@pytest.mark.parametrize("scale", [1e-45, 1e-20, 1e16, 1e45])
def test_minres_takes_the_same_steps_at_every_scale(scale):
    plain, scaled = (solve(A, B, method="minres", preconditioner="jacobi") for A in (P, scale * P))
    assert scaled.converged
    assert abs(scaled.iterations - plain.iterations) <= 1


def test_an_error_of_the_callback_or_the_preconditioner_is_its_own():
    def fails(*_):
        raise ValueError("mine")

    for method in METHODS[1:-1]:
        with pytest.raises(ValueError, match="mine"):
            solve(P, B, method=method, preconditioner="none", callback=fails)
    with pytest.raises(ValueError, match="mine"):
        solve(P, B, method="minres", preconditioner=type("M", (), {"shape": P.shape, "linear": True, "symmetric": True, "positive": True, "__matmul__": fails})())


@pytest.mark.parametrize("method", [name for name in METHODS if name not in ("auto", "direct", "dcdm")])
def test_the_callback_sees_every_step_once(method):
    seen = []
    s = solve(P, B, method=method, preconditioner="none", restart=10, callback=lambda state: seen.append(state.iteration))
    assert s.converged
    assert seen == list(range(1, s.iterations + 1))


@pytest.mark.parametrize("name", ["amg", "amg:sa", "amg:rs"])
def test_multigrid_that_cannot_invert_its_coarsest_matrix_is_refused_at_set_up(name):
    K = sp.csr_array(sp.diags_array([np.ones(149), -np.ones(149)], offsets=[1, -1]))
    with pytest.raises(UsageError, match="amg: set-up failed"):
        solve(K, np.ones(150), method="fgmres", preconditioner=name)
    assert solve(K, np.ones(150), preconditioner=name).reason is Reason.converged_fallback


def test_a_diverging_iteration_ends():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        singular = P - sp.diags_array(P.sum(axis=1))
        start = 1e6 * np.ones(144)
        s = solve(singular, B - B.mean(), x0=start, method="cg", preconditioner="amg", rtol=1e-10, guard="none")
    assert s.reason is Reason.stagnated  # the part of the start in the null space, a million, leaves no digits for the rest
    assert s.residual < 1e7
    assert s.iterations < 700


def test_atol_alone_is_a_tolerance():
    s = solve(P, B, rtol=0, atol=1e-3, method="cg", preconditioner="none")
    assert s.reason is Reason.converged
    assert np.linalg.norm(B - P @ s.x) <= 1e-3


@pytest.mark.parametrize("method", ["cg", "fcg"])
def test_a_residual_that_grows_on_its_way_does_not_end_conjugate_gradients(method):
    """It may grow by the square root of the condition number while the error falls: penalties at the boundary do that."""
    s = solve(sp.csr_array(np.diag([1.0, 1e12])), np.array([1.0, 1e-6]), method=method, preconditioner="none")
    assert s.converged
    n = 33
    laplacian = sp.csr_array(pyamg.gallery.poisson((n, n), format="csr"))
    edge = np.ones((n, n), dtype=bool)
    edge[1:-1, 1:-1] = False
    penalized = sp.csr_array(laplacian + sp.diags_array(1e10 * edge.ravel()))
    sine = np.sin(np.pi * np.arange(n) / (n - 1))
    assert solve(penalized, np.outer(sine, sine).ravel(), method=method, preconditioner="none").converged


def test_zeros_on_the_diagonal_leave_superlus_symmetric_mode():
    """With it a structurally singular saddle point matrix ended the interpreter."""
    saddle = sp.csr_array(np.array([[1.0, 2.0], [2.0, 0.0]]))
    assert "options" not in superlu_options(saddle, True, 0.1)
    assert superlu_options(P, True, 0.1)["options"] == {"SymmetricMode": True}
    assert solve(saddle, np.ones(2), method="direct").converged


def test_a_solver_takes_a_null_space_for_a_system_too():
    singular = sp.csr_array(sp.diags_array([np.r_[1.0, 2 * np.ones(28), 1], -np.ones(29), -np.ones(29)], offsets=[0, 1, -1]))
    system = LinearSystem(singular, np.zeros(30), symmetric=True)
    b = np.random.default_rng(0).standard_normal(30)
    assert Solver(system, nullspace="constant").solve(b).reason is Reason.incompatible_nullspace
    assert Solver(system, nullspace="constant").solve(b - b.mean()).converged


def test_the_constants_of_every_unconnected_part_are_found():
    line = sp.diags_array([np.r_[1.0, 2 * np.ones(28), 1], -np.ones(29), -np.ones(29)], offsets=[0, 1, -1])
    A = sp.csr_array(sp.block_diag([line, 3 * line]))
    b = np.random.default_rng(0).standard_normal(60)
    assert linear_system(A).nullspace.shape == (60, 2)
    b -= b.mean()
    assert solve(A, b).reason is Reason.incompatible_nullspace  # in sum the parts are compatible, alone they are not
    b = np.concatenate([part - part.mean() for part in np.split(b, 2)])
    assert solve(A, b).converged
