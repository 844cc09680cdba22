"""GCRO-DR is GMRES where nothing is carried, exact on what is carried, and pays on sequences."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg as la
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.errors import UsageError
from pdeflow.linalg import LinearSystem, Reason, solve
from pdeflow.linalg.augmented_arnoldi import AugmentedArnoldi
from pdeflow.linalg.gcro_dr import gcro_dr
from pdeflow.linalg.harmonic_ritz import ROWS, combine, harmonic_ritz, independent_columns
from pdeflow.linalg.iteration import Limits
from pdeflow.linalg.recycle_space import RecycleSpace
from pdeflow.problems import Darcy, LogNormalDarcy

from .conftest import darcy_system
from .test_solve import KINDS, random_matrix

SMOOTH = LogNormalDarcy(alpha=2.5, tau=7.0, sigma=0.19)


@pytest.fixture(scope="module")
def smooth():
    """Twelve Darcy systems of the published field, contrast about 2.5, 48 x 48 cells."""
    return [darcy_system(48, index, SMOOTH) for index in range(12)]


@pytest.fixture(scope="module")
def phases():
    """Twelve two-phase Darcy systems, 64 x 64 cells."""
    return [darcy_system(64, index, Darcy()) for index in range(12)]


def ilu(system):
    """Incomplete factors with at most twice the entries of A, as an object of others."""
    factor = sla.spilu(sp.csc_matrix(system.A), drop_tol=1e-4, fill_factor=2)
    return sla.LinearOperator(system.A.shape, matvec=factor.solve, dtype=float)


def run(systems, precondition, carry=True, **options):
    """Solve in order; (mean steps after the first, solutions)."""
    recycle, found = None, []
    for system in systems:
        found.append(gcro_dr(system, M=precondition(system), recycle=recycle, **options))
        recycle = found[-1].recycle if carry else None
    return np.mean([solution.iterations for solution in found[1:]]), found


def jacobi(system):
    return "jacobi"


# -- exactness ---------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(8, 60), st.integers(0, 10**6), st.integers(0, 4), st.booleans(), st.booleans())
def test_the_augmented_arnoldi_relation_holds_for_any_preconditioner(n, seed, k, cplx, wild):
    rng = np.random.default_rng(seed)
    A, b = rng.standard_normal((n, n)), rng.standard_normal(n)
    if cplx:
        A, b = A + 1j * rng.standard_normal((n, n)), b + 1j * rng.standard_normal(n)

    class Wild:
        def __matmul__(self, v):
            return v + 0.5 * np.abs(v) * np.roll(v, 1) * n**0.5  # nonlinear

    basis, M = AugmentedArnoldi(b, 7, 4, "x"), Wild() if wild else None
    if k:
        basis.carry_over(A, M, RecycleSpace(rng.standard_normal((n, k))), b)
    x, r = np.zeros_like(b), b.copy()
    for _ in range(2):
        basis.project(x, r)
    size, norms = float(np.linalg.norm(b)), [float(np.linalg.norm(r))]
    steps, _, stuck = basis.extend(A, M, r, Limits(0.0, size, 1000), norms)
    p = basis.size + steps
    W, S, G = basis.CV[:, : p + 1], basis.UZ[:, :p], basis.G[: p + 1, :p]
    np.testing.assert_allclose(A @ S, W @ G, atol=1e-11 * np.linalg.norm(A, 2) * np.linalg.norm(S, 2))
    assert not stuck
    np.testing.assert_allclose(W.conj().T @ W, np.eye(p + 1), atol=1e-13)
    basis.correct(x, r, steps)
    assert np.linalg.norm(b - A @ x) == pytest.approx(norms[-1], rel=1e-9)


def test_the_carried_space_is_orthonormal_and_the_image_of_u(smooth):
    """Item (a)."""
    for solution in run(smooth, ilu)[1] + run(smooth[:4], jacobi)[1]:
        C, U = solution.recycle.C, solution.recycle.U
        assert np.linalg.norm(C.T @ C - np.eye(C.shape[1]), 2) <= 1e-12
    for system, solution in zip(smooth, run(smooth, ilu)[1], strict=True):
        C, U = solution.recycle.C, solution.recycle.U
        assert np.linalg.norm(system.A @ U - C, 2) <= 1e-7


def test_without_a_carried_space_it_is_scipys_restarted_gmres(smooth):
    """Item (b): same counts, same history; restarts amplify rounding, by 1e9 for this system and by 1e12 for others."""
    for index, system in enumerate(smooth[:3]):
        theirs = []
        sla.gmres(system.A, system.b, rtol=1e-8, restart=40, callback=theirs.append, callback_type="pr_norm")
        ours = gcro_dr(system, k=0, rtol=1e-8)
        assert ours.iterations == len(theirs)
        history = np.array(theirs) * np.linalg.norm(system.b)
        np.testing.assert_allclose(ours.residual_norms[1:], history, rtol=1e-3 if index == 1 else 0.1)


def test_a_right_hand_side_in_the_carried_image_needs_no_step(smooth):
    """Item (c), for the matrix that made the space and for another one."""
    U = gcro_dr(smooth[0]).recycle.U
    for system in smooth[:2]:
        b = system.A @ (U @ np.random.default_rng(0).standard_normal(U.shape[1]))
        solution = gcro_dr(system.A, b, recycle=RecycleSpace(U))
        assert (solution.iterations, solution.converged) == (0, True)
        assert solution.residual <= 1e-12


def test_the_same_system_again_needs_fewer_steps_and_one_product_to_see_that_it_is_the_same(smooth):
    """Item (c)."""
    first = gcro_dr(smooth[0])
    again = gcro_dr(smooth[0], recycle=first.recycle)
    assert again.iterations <= 0.6 * first.iterations
    cycles = -(-again.iterations // 20)
    assert again.matvecs == again.iterations + 2 + cycles  # b - A x0, the test of C = A U, one a cycle


def test_real_matrices_give_real_vectors_though_harmonic_ritz_pairs_are_complex():
    """Item (d)."""
    A = sp.csr_array(
        sp.diags_array([np.full(199, 3.0), np.full(200, 1.0), np.full(199, -3.0)], offsets=[1, 0, -1])
    )
    A = A + sp.diags_array(np.linspace(0, 1, 200))
    solution = gcro_dr(A, np.ones(200), m=20, k=7)
    assert solution.converged
    assert solution.recycle.U.dtype == np.float64
    assert 6 <= solution.recycle.U.shape[1] <= 7
    assert np.any(np.linalg.eigvals(A.toarray()).imag != 0)


def test_complex_symmetric_sequences_reach_1e_10(smooth):
    """Item (d)."""
    recycle, counts = None, []
    for index, system in enumerate(smooth[:6]):
        shift = 1e-3 * (1j - 0.2) * (1 + 0.01 * index)
        A = sp.csr_array(system.A.astype(complex) + shift * sp.eye_array(system.n))
        solution = gcro_dr(A, system.b, rtol=1e-10, recycle=recycle)
        assert np.linalg.norm(system.b - A @ solution.x) <= 1e-10 * np.linalg.norm(system.b)
        recycle = solution.recycle
        counts.append(solution.iterations)
    assert np.mean(counts[1:]) < 0.75 * counts[0]


# -- what recycling is worth ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precondition", [jacobi, ilu], ids=["jacobi", "ilu"])
def test_carrying_over_saves_two_steps_in_five_and_every_residual_is_true(smooth, precondition):
    """Items (e) and (f)."""
    carried, solutions = run(smooth, precondition)
    fresh, _ = run(smooth, precondition, carry=False)
    assert carried <= 0.6 * fresh
    for system, solution in zip(smooth, solutions, strict=True):
        assert np.linalg.norm(system.b - system.A @ solution.x) <= 1e-8 * np.linalg.norm(system.b)


@pytest.mark.parametrize("family", ["smooth", "phases"])
def test_corrections_of_x_outlive_a_change_of_preconditioner(family, request):
    """Item (e): the convention of HPDDM keeps corrections of M x instead."""
    systems = request.getfixturevalue(family)
    assert run(systems, ilu)[0] <= 0.7 * run(systems, ilu, recycle_space="y")[0]


def test_it_needs_a_third_of_the_steps_of_restarted_gmres(smooth):
    """Item (e)."""
    carried, _ = run(smooth, jacobi)
    gmres = [gcro_dr(system, M="jacobi", k=0).iterations for system in smooth[1:]]
    assert carried <= 0.35 * np.mean(gmres)


# -- solutions of the systems before, beyond the paper -------------------------------------------------------------------


def plane_of_sides(smooth, cplx):
    """A matrix and ten right-hand sides from a plane."""
    rng = np.random.default_rng(3)
    A, sides = smooth[0].A, smooth[0].b[:, None] * rng.uniform(0, 1, (smooth[0].n, 2))
    if cplx:
        A, sides = sp.csr_array(A + 1e-3j * sp.eye_array(len(sides))), sides * (1 + 1j)
    return A, list((sides @ rng.uniform(0.5, 1.5, (2, 10))).T)


@pytest.mark.parametrize("cplx", [False, True])
def test_right_hand_sides_from_a_plane_need_hardly_a_step_once_two_are_solved(smooth, cplx):
    A, sides = plane_of_sides(smooth, cplx)
    recycle, counts = None, []
    for b in sides:
        solution = gcro_dr(A, b, M="jacobi", recycle=recycle)
        assert np.linalg.norm(b - A @ solution.x) <= 1e-8 * np.linalg.norm(b)
        recycle = solution.recycle
        counts.append(solution.iterations)
        C, (images, corrections) = recycle.C, recycle.past
        assert recycle.solutions <= 8
        assert np.linalg.norm(C.conj().T @ C - np.eye(C.shape[1]), 2) <= 1e-12
        np.testing.assert_allclose(A @ corrections, images, atol=1e-8)
        fixed = np.c_[C, images[:, : recycle.settled]]
        assert np.linalg.norm(fixed.conj().T @ fixed - np.eye(fixed.shape[1]), 2) <= 1e-11
    assert max(counts[2:]) <= 0.2 * counts[0]
    assert min(counts[2:]) == 0


def test_solutions_are_forgotten_when_the_matrix_changes(smooth):
    space = gcro_dr(smooth[0], M="jacobi").recycle
    assert space.solutions == 1
    with_them = gcro_dr(smooth[1], M="jacobi", recycle=space)
    without = gcro_dr(smooth[1], M="jacobi", recycle=replace(space, past=None))
    np.testing.assert_array_equal(with_them.x, without.x)


def test_solutions_that_do_not_help_are_not_used(smooth):
    """Right-hand sides without anything in common."""
    rng, recycle = np.random.default_rng(0), None
    for count in range(24):
        b = rng.standard_normal(smooth[0].n)
        solution = gcro_dr(smooth[0].A, b, recycle=recycle)
        if recycle is not None:
            assert recycle.solutions == min(count, 20)
            assert (
                solution.iterations == gcro_dr(smooth[0].A, b, recycle=replace(recycle, past=None)).iterations
            )
        recycle = solution.recycle


@settings(max_examples=40, deadline=None)
@given(st.integers(12, 60), st.integers(0, 10**6), st.integers(0, 3), st.booleans())
def test_the_images_of_solutions_are_spanned_by_their_own_columns(n, seed, past, cplx):
    """So that they outlive the harmonic Ritz vectors, which change."""
    rng = np.random.default_rng(seed)
    A, X = rng.standard_normal((n, n)), rng.standard_normal((n, 5 + past + 1))
    if cplx:
        A, X = A + 1j * rng.standard_normal((n, n)), X + 1j * rng.standard_normal(X.shape)
    images, R = np.linalg.qr(A @ X)
    X = X @ np.linalg.inv(R)
    newest = X @ rng.standard_normal(len(R))
    newest /= np.linalg.norm(A @ newest)
    space = RecycleSpace(X[:, :5], images[:, :5], settled=past)
    space = replace(space, past=(np.c_[images[:, 5:-1], A @ newest], np.c_[X[:, 5:-1], newest]))
    basis = AugmentedArnoldi(A[0], 9, 5, "x", past + 1)
    assert basis.carry_over(A, None, space, A @ newest) == 1
    assert (basis.size, basis.past) == (5 + past + 1, past + 1)
    C, U = basis.CV[:, : basis.size], basis.UZ[:, : basis.size]
    np.testing.assert_allclose(C.conj().T @ C, np.eye(basis.size), atol=1e-12)
    np.testing.assert_allclose(A @ U, C, atol=1e-9 * np.linalg.norm(A, 2) * np.linalg.norm(U, 2))
    own = C[:, 5:]
    np.testing.assert_allclose(own @ (own.conj().T @ space.past[0]), space.past[0], atol=1e-11)


# -- parts ---------------------------------------------------------------------------------------------------------------


def test_harmonic_ritz_vectors_solve_their_generalized_eigenproblem():
    rng = np.random.default_rng(0)
    G, gram = rng.standard_normal((9, 8)), rng.standard_normal((9, 8))
    P = harmonic_ritz(G, gram, 5)
    theta, Z = la.eig(G.T @ G, G.T @ gram)
    order = np.argsort(np.abs(theta))
    wanted = Z[:, order[: P.shape[1]]]
    assert P.shape[1] in (4, 5)
    basis = np.linalg.qr(P)[0]
    assert np.linalg.norm(wanted - basis @ (basis.T @ wanted)) <= 1e-10 * np.linalg.norm(wanted)
    assert harmonic_ritz(np.zeros((3, 2)), np.eye(3, 2), 1) is None


@pytest.mark.parametrize("cplx", [False, True])
def test_dependent_columns_are_dropped_and_the_rest_is_orthonormal(cplx):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((300, 5)) + (1j * rng.standard_normal((300, 5)) if cplx else 0)
    for columns, rank in ((X, 5), (np.c_[X, X[:, :2]], 5), (X * 10.0 ** -np.arange(5), 5), (0 * X, 0)):
        Q, R, order = independent_columns(np.asfortranarray(columns))
        kept = columns if order is None else columns[:, order]
        assert Q.shape[1] == rank
        np.testing.assert_allclose(Q.conj().T @ Q, np.eye(rank), atol=1e-14)
        np.testing.assert_allclose(Q @ R, kept, atol=1e-13)


def test_columns_are_combined_in_place():
    rng = np.random.default_rng(0)
    block, coordinates = (
        np.asfortranarray(rng.standard_normal((2 * ROWS + 7, 6))),
        rng.standard_normal((5, 3)),
    )
    expected = np.c_[block[:, :5] @ coordinates, block[:, 3:]]
    combine(block, coordinates)
    np.testing.assert_allclose(block, expected, atol=1e-14)


def test_dependent_carried_vectors_do_no_harm(smooth):
    U = gcro_dr(smooth[0], M="jacobi").recycle.U
    expected = gcro_dr(smooth[1], M="jacobi", recycle=RecycleSpace(U[:, :10]))
    doubled = gcro_dr(smooth[1], M="jacobi", recycle=RecycleSpace(np.c_[U[:, :10], 2 * U[:, :10]]))
    assert doubled.converged
    assert doubled.iterations == pytest.approx(expected.iterations, rel=0.05)


# -- the driver ----------------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(KINDS), st.integers(2, 40), st.integers(0, 10**6), st.integers(3, 12))
def test_it_agrees_with_a_direct_solve_or_says_that_it_failed(kind, n, seed, restart):
    A = random_matrix(kind, n, seed)
    b = A @ np.random.default_rng(seed + 1).standard_normal(n)
    if np.linalg.norm(b) < 1e-6:
        return
    recycle = None
    for factor in (1.0, 1.01):
        solution = solve(
            factor * A,
            b,
            method="gcro_dr",
            preconditioner="none",
            restart=restart,
            recycle=recycle,
            nullspace="none",
        )
        recycle = solution.recycle
        assert solution.converged == bool(
            np.linalg.norm(b - factor * A @ solution.x) <= 1e-8 * np.linalg.norm(b)
        )
        if solution.converged and np.linalg.cond(A) < 1e8:  # a random matrix may be singular too
            error = np.linalg.norm(solution.x - np.linalg.solve(factor * A, b))
            assert error <= 10 * np.linalg.cond(A) * 1e-8 * np.linalg.norm(solution.x)


def test_the_driver_gives_the_same_as_the_function_and_hands_the_space_on(smooth):
    alone = gcro_dr(smooth[0], M="ilu")
    driven = solve(smooth[0], method="gcro_dr")
    assert (driven.preconditioner, driven.iterations) == ("ilu", alone.iterations)
    np.testing.assert_array_equal(driven.recycle.U, alone.recycle.U)
    zero = solve(smooth[1], np.zeros(smooth[1].n), method="gcro_dr", recycle=driven.recycle)
    assert zero.reason is Reason.zero_rhs
    assert zero.recycle is driven.recycle
    stopped = solve(smooth[1], method="gcro_dr", preconditioner="none", callback=lambda s: s.iteration == 7)
    assert (stopped.reason, stopped.iterations) == (Reason.stopped, 7)
    assert gcro_dr(smooth[1], maxiter=9).reason is Reason.maxiter


def test_a_matrix_on_which_it_cannot_move_is_called_stagnating():
    shift = sp.csr_array(np.roll(np.eye(60), 1, axis=0))
    stuck = gcro_dr(shift, np.eye(60)[0], m=20, k=5)
    assert not stuck.converged
    assert stuck.reason in (Reason.stagnated, Reason.breakdown)
    assert gcro_dr(shift, np.eye(60)[0], m=60, k=5).converged
    singular = gcro_dr(np.diag([1.0, 0.0]), np.array([0.0, 1.0]), k=0, m=2)
    assert singular.reason is Reason.breakdown


def test_a_space_of_another_system_is_refused_with_the_reason(smooth):
    space = gcro_dr(smooth[0], M="jacobi").recycle
    other = LinearSystem(smooth[0].A, smooth[0].b, layout="nodes-49x49")
    with pytest.raises(UsageError, match=r"layouts .*nodes-49x49 and cell-48x48"):
        gcro_dr(other, recycle=space)
    with pytest.raises(UsageError, match="2304 unknowns, the system 3; pass recycle=None"):
        gcro_dr(np.eye(3), np.ones(3), recycle=space)
    with pytest.raises(UsageError, match="not 'y'"):
        gcro_dr(smooth[0], recycle=space, recycle_space="y")
    with pytest.raises(UsageError, match="recycle is for gcro_dr and def_cg"):
        solve(smooth[0], method="cg", recycle=space)
    with pytest.raises(UsageError, match="k 40, m 40"):
        gcro_dr(smooth[0], m=40, k=40)
