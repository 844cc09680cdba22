"""The driver never says converged wrongly, and serves or refuses every kind of matrix."""

import numpy as np
import pyamg
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.errors import UsageError
from pdeflow.linalg import LinearSystem, Reason, solve
from pdeflow.linalg.preconditioners import Preconditioner

from .conftest import neumann_laplacian

KINDS = ("spd", "indefinite", "nonsymmetric", "complex", "hermitian", "singular")


def random_matrix(kind, n, seed):
    rng = np.random.default_rng(seed)
    B = rng.standard_normal((n, n)) * (rng.random((n, n)) < 0.5)
    if kind in ("complex", "hermitian"):
        B = B + 1j * rng.standard_normal((n, n))
    if kind == "spd":
        return B @ B.T + 0.1 * np.eye(n)
    if kind == "indefinite":
        return B + B.T
    if kind == "hermitian":
        return B @ B.conj().T + 0.1 * np.eye(n)
    if kind == "singular":
        return B @ np.diag(np.r_[0.0, np.ones(n - 1)]) @ B.T
    return B + n**0.5 * np.eye(n)


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.integers(2, 40),
    st.integers(0, 10**6),
    st.sampled_from(["auto", "cg", "fcg", "fgmres", "direct"]),
)
def test_converged_is_never_said_wrongly(kind, n, seed, method):
    A = random_matrix(kind, n, seed)
    b = np.random.default_rng(seed + 1).standard_normal(n)
    try:
        solution = solve(
            A, b, method=method, preconditioner="none" if method != "auto" else "auto", rtol=1e-8
        )
    except UsageError:
        return  # refused at the door
    norm = np.linalg.norm(b - A @ solution.x)
    assert solution.converged == bool(norm <= 1e-8 * np.linalg.norm(b))
    assert solution.converged == (solution.reason in (Reason.converged, Reason.converged_fallback))
    if kind == "spd" and method == "auto":
        assert solution.converged
        error = np.linalg.norm(solution.x - np.linalg.solve(A, b))
        assert error <= 10 * np.linalg.cond(A) * 1e-8 * np.linalg.norm(solution.x)


EXAMPLES = {  # pyamg's eight systems: (method that solves it with method="auto", reason)
    "airfoil": "converged", "bar": "converged", "helmholtz_2D": "converged", "knot": "converged",
    "local_disc_galerkin_diffusion": "converged", "recirc_flow": "converged", "unit_cube": "converged",
    "unit_square": "incompatible_nullspace",
}  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_pyamgs_examples_are_solved_or_refused_with_the_reason(name):
    A = pyamg.gallery.load_example(name)["A"]
    b = np.random.default_rng(0).standard_normal(A.shape[0])
    solution = solve(A, b)
    assert solution.reason.name == EXAMPLES[name], solution.detail
    if solution.converged:
        assert np.linalg.norm(b - A @ solution.x) <= 1e-8 * np.linalg.norm(b)
    else:
        assert "subtract it" in solution.detail
        compatible = solve(A, b - b.mean())
        assert compatible.converged
        assert np.linalg.norm(b - b.mean() - A @ compatible.x) <= 1e-8 * np.linalg.norm(b - b.mean())


def assembled(form, mesh, element):
    import skfem
    from skfem.helpers import dot, grad

    basis = skfem.Basis(mesh, element)

    @skfem.BilinearForm
    def diffusion(u, v, w):
        return form(w.x) * dot(grad(u), grad(v))

    @skfem.LinearForm
    def load(v, w):
        return 1.0 * v

    A, b = diffusion.assemble(basis), load.assemble(basis)
    return skfem.condense(A, b, D=basis.get_dofs())[:2]


def high_contrast():
    import skfem

    return assembled(
        lambda x: np.where(x[0] > x[1], 1e6, 1.0), skfem.MeshTri().refined(5), skfem.ElementTriP2()
    )


def l_shape():
    import skfem

    return assembled(lambda x: 1.0 + 0 * x[0], skfem.MeshTri.init_lshaped().refined(8), skfem.ElementTriP1())


def elasticity():
    import skfem
    from skfem.models.elasticity import lame_parameters, linear_elasticity

    basis = skfem.Basis(skfem.MeshTri().refined(5), skfem.ElementVector(skfem.ElementTriP2()))
    A = linear_elasticity(*lame_parameters(1.0, 0.3)).assemble(basis)

    @skfem.LinearForm
    def load(v, w):
        return -v[1]

    return skfem.condense(A, load.assemble(basis), D=basis.get_dofs(lambda x: x[0] == 0))[:2]


@pytest.mark.parametrize("make", [high_contrast, l_shape, elasticity])
def test_finite_element_systems_reach_the_tolerance(make):
    A, b = make()
    solution = solve(A, b, rtol=1e-8)
    assert solution.converged, solution.detail
    assert np.linalg.norm(b - A @ solution.x) <= 1e-8 * np.linalg.norm(b)


def test_three_dimensional_poisson_takes_multigrid_instead_of_a_factorization():
    A = sp.csr_array(pyamg.gallery.poisson((64, 64, 64), format="csr"))
    solution = solve(A)
    assert solution.converged
    assert solution.preconditioner.startswith("amg")
    assert solution.iterations <= 12


def test_a_pure_neumann_system_is_solved_up_to_its_constants():
    A, x = neumann_laplacian(200), np.sin(np.linspace(0, 3, 200))
    solution = solve(A, A @ x)
    assert solution.converged
    difference = solution.x - x
    assert np.ptp(difference) <= 1e-4 * np.abs(x).max()  # equal up to a constant, within condition times rtol


def test_methods_agree_with_the_direct_solve(log_normal):
    exact = solve(log_normal, method="direct", rtol=1e-12).x
    for method, M in (
        ("cg", "jacobi"),
        ("cg", "amg:sa"),
        ("cg", "amg:rs"),
        ("fcg", "ilu"),
        ("fgmres", "ilu"),
        ("minres", "none"),
    ):
        found = solve(log_normal, method=method, preconditioner=M, rtol=1e-11)
        assert found.converged, (method, M, found.detail)
        np.testing.assert_allclose(found.x, exact, rtol=0, atol=1e-7 * np.abs(exact).max())


def test_a_failing_network_is_left_for_multigrid_and_the_result_says_so(darcy):
    def failing(r):
        return np.full_like(r, np.nan)

    def useless(r):  # nearly orthogonal to what helps
        return 1e-3 * r + np.roll(r, 7)

    for apply in (failing, useless):
        M = Preconditioner("network", apply, darcy.A.shape, None, None, None)
        solution = solve(darcy, method="fcg", preconditioner=M, rtol=1e-8)
        assert solution.converged
        assert solution.reason is Reason.converged_fallback
        assert solution.switched_at is not None
        assert "network" in solution.detail
        honest = solve(darcy, method="fcg", preconditioner=M, rtol=1e-8, guard="none", maxiter=30)
        assert not honest.converged


def test_cg_refuses_what_is_not_symmetric_positive_definite_and_names_the_flexible_method(darcy):
    with pytest.raises(UsageError, match="fcg"):
        solve(darcy, method="cg", preconditioner="ilu")
    assert solve(darcy, method="auto", preconditioner="ilu").method == "fcg"


def test_a_singular_matrix_that_was_declared_definite_is_found_out():
    A = sp.csr_array(sp.block_diag([np.ones((2, 2)), np.eye(8)]))
    solution = solve(LinearSystem(A, np.arange(10.0), True, True), method="direct")
    assert not solution.converged
    assert solution.reason in (Reason.breakdown, Reason.nonfinite)


def test_multigrid_is_the_same_each_time_and_leaves_the_global_generator_alone(log_normal):
    np.random.seed(7)  # noqa: NPY002
    first = solve(log_normal, method="cg", preconditioner="amg:sa")
    drawn = np.random.rand()  # noqa: NPY002
    again = solve(log_normal, method="cg", preconditioner="amg:sa")
    np.random.seed(7)  # noqa: NPY002
    assert drawn == np.random.rand()  # noqa: NPY002
    assert np.array_equal(first.x, again.x)


def test_zero_right_hand_side_and_initial_guess(darcy):
    zero = solve(LinearSystem(darcy.A, np.zeros(darcy.n), True, True))
    assert (zero.reason, zero.iterations, np.abs(zero.x).max()) == (Reason.zero_rhs, 0, 0)
    exact = solve(darcy, method="direct").x
    assert solve(darcy, method="cg", x0=exact).iterations == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rtol": -1.0}, "rtol must lie"),
        ({"rtol": float("nan")}, "rtol must lie"),
        ({"method": "sor"}, "method must be one of"),
        ({"preconditioner": "magic", "method": "cg"}, "magic"),
        ({"preconditioner": "ilux"}, "'ilux' is unknown"),
        ({"maxiter": 0}, "maxiter"),
        ({"x0": np.ones(3)}, "x0 has shape"),
        ({"guard": "maybe"}, "guard"),
    ],
)
def test_wrong_arguments_are_refused_with_the_value(darcy, arguments, message):
    with pytest.raises(UsageError, match=message):
        solve(darcy, **arguments)


def test_a_method_for_symmetric_matrices_refuses_another_one(darcy):
    A = darcy.A + sp.diags_array(np.ones(darcy.n - 1), offsets=1, shape=darcy.A.shape)
    for method in ("cg", "fcg", "minres"):
        with pytest.raises(UsageError, match="needs a symmetric matrix"):
            solve(A, darcy.b, method=method, preconditioner="none")


def test_without_a_guard_nothing_but_what_was_asked_for_is_tried(darcy):
    M = Preconditioner("failing", lambda r: np.full_like(r, np.nan), darcy.A.shape, None, None, None)
    alone = solve(darcy, preconditioner=M, guard="none")
    assert not alone.converged
    assert alone.switched_at is None
    assert solve(darcy, preconditioner=M).reason is Reason.converged_fallback


def test_products_in_float32_cannot_be_asked_for_more_than_they_have(darcy):
    A = sla.aslinearoperator(darcy.A.astype(np.float32))
    with pytest.raises(UsageError, match="float64"):
        solve(A, darcy.b.astype(np.float32), rtol=1e-12)
    assert solve(A, darcy.b.astype(np.float32), rtol=1e-5).converged
