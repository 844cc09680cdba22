"""Every candidate solves what it suits, says why it does not suit the rest, and never trusts an old state."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla
import torch

from pdeflow.discretization.boundary import Dirichlet
from pdeflow.discretization.finite_volume import diffusion_system, elliptic_system
from pdeflow.geometry import Grid
from pdeflow.linalg.candidates import default_candidates
from pdeflow.linalg.cg import cg
from pdeflow.linalg.direct_candidates import FACTOR_ONCE, FAST_TRANSFORM, SUPERPOSITION
from pdeflow.linalg.frozen import Frozen, grown, solve_frozen
from pdeflow.linalg.iteration import Limits, Outcome
from pdeflow.linalg.krylov_candidates import factor
from pdeflow.linalg.preconditioners import build
from pdeflow.linalg.probe import detect, known
from pdeflow.linalg.solution import Reason
from pdeflow.linalg.system import LinearSystem

pytest.importorskip("kvxopt")
pytest.importorskip("ilupp")
RTOL = 1e-9
WALLS = {f"x{k}{side}": Dirichlet(0.0) for k in range(2) for side in "-+"}
CANDIDATES = {candidate.name: candidate for candidate in default_candidates()}


def random(index, *shape):
    return torch.from_numpy(np.random.default_rng(index).standard_normal(shape))


def smooth_field(n, index, contrast):
    x = (np.arange(n) + 0.5) / n
    a, b = np.random.default_rng(index).uniform(2, 6, 2)
    return torch.from_numpy(contrast ** (0.5 * np.outer(np.sin(a * x), np.cos(b * x))))


def variable(index, n=14, contrast=20.0):
    return diffusion_system(Grid.unit((n, n)), smooth_field(n, index, contrast), torch.ones(n, n).double())


def one_matrix(index, n=14):
    return replace(variable(0, n), b=random(index % 2, n * n).numpy() + (index == 3))


def constant(index, n=14):
    return elliptic_system(Grid.unit((n, n)), 1.0, random(index, n, n), WALLS)


def convection(index, n=14):
    velocity = smooth_field(n, index, 9.0)[..., None] * torch.tensor([20.0, -10.0]).double()
    return elliptic_system(Grid.unit((n, n)), smooth_field(n, 7, 3.0), 1.0, WALLS, velocity=velocity)


def helmholtz(index, n=14):
    k2 = 90.0 * (1 + 0.05 * smooth_field(n, index, 2.0)) * (1 - 0.2j)
    return elliptic_system(Grid.unit((n, n)), 1.0, random(index, n, n), WALLS, reaction=-k2)


FAMILIES = {f.__name__: f for f in (variable, one_matrix, constant, convection, helmholtz)}


def sequence(family, count=4):
    return [known(FAMILIES[family](index)) for index in range(count)]


def refusal(candidate, systems):
    return candidate.fits(detect(systems)) or candidate.suits(systems[0])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", CANDIDATES)
def test_agrees_with_a_direct_solve_or_says_why_it_does_not_suit(name, family):
    candidate, systems, recycle = CANDIDATES[name], sequence(family), None
    reason = refusal(candidate, systems)
    if reason is not None:
        assert len(reason.split()) > 2
        return
    for system in systems:
        solution = candidate.solve(system, RTOL, recycle)
        recycle = solution.recycle
        dense = system.A.toarray()
        bound = (
            np.linalg.norm(np.linalg.inv(dense), 2) * RTOL * np.linalg.norm(system.b)
        )  # ||e|| <= ||A⁻¹|| ||r||
        exact = np.linalg.solve(dense, system.b)
        assert solution.converged
        assert np.linalg.norm(solution.x - exact) <= 1.01 * bound + 1e-12 * np.linalg.norm(exact)


@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_suits_one_family_and_refuses_another(name):
    reasons = {family: refusal(CANDIDATES[name], sequence(family, 3)) for family in FAMILIES}
    few = name in ("KLU, reused analysis", "SuperLU, reused analysis")
    assert any(reason is None for reason in reasons.values())
    assert few or name.startswith("GCRO-DR") or any(reason is not None for reason in reasons.values())
    operator = LinearSystem(sla.aslinearoperator(sp.csr_array(sp.eye_array(4))), np.ones(4), True, True)
    assert "operator" in CANDIDATES[name].suits(operator)


@pytest.mark.parametrize("name", CANDIDATES)
def test_a_state_of_another_candidate_or_size_is_ignored(name):
    candidate = CANDIDATES[name]
    family = next(f for f in FAMILIES if refusal(candidate, sequence(f, 3)) is None)
    systems = sequence(family)
    other = known(FAMILIES[family](0, n=9))
    for foreign in ("nonsense", candidate.solve(other, RTOL).recycle, *(  # what others would hand over
        CANDIDATES[n].solve(systems[0], RTOL).recycle for n in CANDIDATES if refusal(CANDIDATES[n], systems) is None
    )):  # fmt: skip
        assert candidate.solve(systems[1], RTOL, foreign).converged


@pytest.mark.parametrize("name", CANDIDATES)
def test_a_zero_right_hand_side_gives_zero_and_keeps_the_state(name):
    system = known(variable(0))
    solution = CANDIDATES[name].solve(replace(system, b=np.zeros(system.n)), RTOL, "kept")
    assert solution.reason is Reason.zero_rhs
    assert solution.recycle == "kept"


@pytest.mark.parametrize("candidate", [FACTOR_ONCE, SUPERPOSITION, FAST_TRANSFORM], ids=lambda c: c.name)
def test_a_matrix_overwritten_in_place_is_not_taken_for_the_old_one(candidate):
    system = known(constant(0))
    kept = candidate.solve(system, RTOL).recycle
    system.A.data *= 3.0
    assert candidate.solve(system, RTOL, kept).converged


@pytest.mark.parametrize(
    "convert", [sp.csc_array, sp.coo_array, lambda A: sp.csr_array(A).astype(np.float32)]
)
def test_other_formats_and_single_precision_are_solved(convert):
    system = known(constant(0))
    other = LinearSystem(convert(system.A), system.b, True, True, layout=system.layout)
    for name in ("CHOLMOD, reused analysis", "factor once", "CG + fast transform", "fast transform"):
        assert CANDIDATES[name].solve(other, 1e-8).converged, name


def test_factor_once_factors_once():
    systems, recycle, factors = sequence("one_matrix"), None, []
    for system in systems:
        recycle = FACTOR_ONCE.solve(system, RTOL, recycle).recycle
        factors.append(recycle.back)
    assert all(back is factors[0] for back in factors)


def test_superposition_solves_only_for_new_directions():
    base, recycle, solves = known(variable(0)), None, []
    B = np.random.default_rng(0).standard_normal((base.n, 2))
    for weights in np.random.default_rng(1).standard_normal((6, 2)):
        solution = SUPERPOSITION.solve(replace(base, b=B @ weights), RTOL, recycle)
        recycle = solution.recycle
        solves.append(solution.matvecs - 1)
        assert solution.converged
    assert solves == [1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("package", ["kvxopt", "ilupp"])
def test_a_missing_package_is_a_reason(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    reasons = [candidate.suits(known(variable(0))) for candidate in CANDIDATES.values()]
    assert any(reason is not None and package in reason and "pip install" in reason for reason in reasons)


def test_an_indefinite_matrix_is_a_breakdown_not_an_exception():
    system = replace(known(variable(0)), A=-variable(0).A)
    for name in ("CG + incomplete Cholesky", "CG + Jacobi", "CG + frozen factor", "def-CG + Jacobi"):
        solution = CANDIDATES[name].solve(system, RTOL)
        assert not solution.converged, name
        assert solution.residual > RTOL


FROZEN = {"CG + frozen factor": factor, "CG + frozen AMG": lambda system: build("amg", system)}


@pytest.mark.parametrize("name", FROZEN)
def test_a_jump_in_contrast_rebuilds_a_frozen_preconditioner(name):
    systems = [known(variable(index, 32, contrast)) for index, contrast in enumerate([1.1, 1.1, 1.1, 5e4])]
    recycle, iterations, builds = None, [], []
    for system in systems:
        solution = CANDIDATES[name].solve(system, RTOL, recycle)
        recycle = solution.recycle
        assert solution.converged
        iterations.append(solution.iterations)
        builds.append(recycle.builds)
    assert builds == [1, 1, 1, 2]  # at once, within the solve that met the jump
    last = systems[-1]
    size = np.linalg.norm(last.b)
    never = cg(last.A, last.b, np.zeros(last.n), FROZEN[name](systems[0]), Limits(RTOL * size, size, 10_000))
    assert never.iterations > 20 * iterations[-1]  # the catastrophe that is avoided


@pytest.mark.parametrize("shift", [0.0, 1.0, 8.0])
def test_incomplete_cholesky_that_breaks_down_is_never_applied(shift):
    # ilupp keeps no factor, or a part of one, and applying that ends the process
    A = variable(0).A
    system = LinearSystem(
        sp.csr_matrix(A - shift * sp.eye_array(A.shape[0])), np.ones(A.shape[0]), True, None
    )
    solution = CANDIDATES["CG + incomplete Cholesky"].solve(system, RTOL)
    assert solution.converged == (shift == 0.0)
    assert solution.converged or solution.reason in (Reason.breakdown, Reason.indefinite)


def test_growth_counts_from_the_first_other_matrix_for_exact_factors():
    steps = iter([1, 10, 15, 21, 1])

    def iterate(M, most):
        k = next(steps)
        return Outcome(np.zeros(1), Reason.converged, [1.0] * (k + 1), k)

    state, seen = None, []
    for _ in range(5):
        _, state = solve_frozen(state, (1, "d"), object, iterate, exact=True)
        seen.append((state.base, state.due, state.builds))
    assert seen == [(None, False, 1), (10, False, 1), (10, False, 1), (10, True, 1), (None, False, 2)]


def test_a_failed_try_is_capped_and_its_products_are_counted():
    calls = []

    def iterate(M, most):
        calls.append(most)
        k = 3 if most is None else most
        return Outcome(np.zeros(1), Reason.converged if most is None else Reason.maxiter, [1.0] * (k + 1), k)

    outcome, state = solve_frozen(Frozen(None, (1, "d"), base=6), (1, "d"), object, iterate, exact=False)
    assert calls == [24, None]
    assert outcome.matvecs == outcome.iterations == 27
    assert (state.base, state.builds, state.due) == (3, 2, False)


def test_few_iterations_never_count_as_growth():
    assert not grown(8, 1)
    assert grown(9, 1)
    assert grown(21, 10)
    assert not grown(20, 10)
