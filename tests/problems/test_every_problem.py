"""What holds for every problem of the package, by one table."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from pdeflow import problems, seeds
from pdeflow.discretization.finite_element import space_on
from pdeflow.errors import DataError
from pdeflow.geometry import Mesh
from pdeflow.linalg import solve
from pdeflow.problems import Elliptic, walk_coefficients
from pdeflow.problems.differentiate import divergence, gradient
from pdeflow.problems.instance import At, points_of
from pdeflow.problems.problem import problem_from

from .cases import ELLIPTIC, JUMPING, Case, all_problems, slopes

PROBLEMS = all_problems()
FAST = {"SpongeHelmholtz": {"wave_number": 12.0}}


def names(problem):
    return getattr(problem, "name", type(problem).__name__)


def draw(problem, seed=0):
    return problem.sample(seeds.generator(seed, seeds.INPUTS, 0))


def direct(system):
    return solve(system, method="direct", rtol=1e-8)


def interior(problem, instance, count=30):
    domain = problem.shape(instance) if isinstance(problem, Elliptic) else problem.domain
    return domain.sample_interior(count, generator=seeds.generator(1, seeds.NOISE, 0))


def test_every_elliptic_problem_is_in_the_table():
    listed = {type(case.problem) for case in ELLIPTIC} | set(JUMPING)
    assert {type(p) for p in PROBLEMS if isinstance(p, Elliptic)} == listed


@pytest.mark.parametrize("case", ELLIPTIC, ids=names)
def test_the_manufactured_solution_has_zero_residual(case):
    problem, instance = case.manufactured, draw(case.problem)
    x = interior(problem, instance)
    residual = problem.residual(case.solution, x, instance)
    scale = float(problem.source(instance, At(instance, x)).abs().max())
    assert float(residual.detach().abs().max()) <= 1e-10 * max(scale, 1.0)


@pytest.mark.parametrize("case", ELLIPTIC, ids=names)
def test_the_discrete_solution_converges_to_it_at_its_order(case):
    problem, instance, errors = case.manufactured, draw(case.problem), []
    for resolution in case.resolutions:
        layout = problem.layout(instance, resolution)
        u = torch.from_numpy(direct(problem.system(instance, layout)).x)
        if isinstance(layout, Mesh):
            errors.append(float(space_on(layout, problem.element).error(u, case.solution, "L2")))
        else:
            errors.append(float((u - case.solution(points_of(layout))).abs().pow(2).mean().sqrt()))
    assert slopes(errors)[-1] == pytest.approx(case.order, abs=case.tolerance), errors


def self_adjoint(problem):
    instance = draw(problem)
    at = At(instance, problem.probe)
    c = problem.reaction(instance, at)
    return problem.velocity(instance, at) is None and (c is None or not c.is_complex())


ENERGETIC = {
    type(c.problem): (c.problem, 1 / 8 if isinstance(c.resolutions[0], tuple) else c.resolutions[0])
    for c in [*ELLIPTIC, Case(problems.Darcy(), (1 / 8,))] if self_adjoint(c.problem)
}  # fmt: skip


@pytest.mark.parametrize(("problem", "h"), ENERGETIC.values(), ids=[kind.__name__ for kind in ENERGETIC])
def test_the_gradient_of_the_energy_is_the_residual_of_the_system(problem, h):
    instance = draw(problem)
    mesh = problem.layout(instance, h)
    system = problem.system(instance, mesh)
    u = torch.from_numpy(direct(system).x) + 0.1 * torch.sin(torch.arange(system.n, dtype=torch.float64))
    fixed = fixed_unknowns(system)
    u[fixed] = torch.from_numpy(direct(system).x)[fixed]  # elimination moved the Dirichlet columns into b
    u = u.requires_grad_()
    (slope,) = torch.autograd.grad(problem.energy(u, instance, mesh), u)
    expected = torch.from_numpy(system.A @ u.detach().numpy() - system.b)
    scale = float(expected.abs().max())
    torch.testing.assert_close(slope[~fixed], expected[~fixed], atol=1e-10 * scale, rtol=0)


def fixed_unknowns(system):
    off = system.A.copy()
    off.setdiag(0.0)
    off.eliminate_zeros()
    return torch.from_numpy(np.diff(off.indptr) == 0)


@pytest.mark.parametrize("case", [c for c in ELLIPTIC if self_adjoint(c.problem)], ids=names)
def test_the_walk_sees_the_same_equation(case):
    problem, instance = case.manufactured, draw(case.problem)
    x = interior(problem, instance).requires_grad_()
    walk = walk_coefficients(problem, instance)
    U = walk.scale(x) * case.solution(x)
    left = divergence(gradient(U, x), x) - walk.screening(x) * U
    right = -walk.source(x)
    torch.testing.assert_close(left, right, atol=1e-9 * float(right.detach().abs().max()), rtol=0)


@pytest.mark.parametrize("case", ELLIPTIC[:1] + ELLIPTIC[6:7], ids=names)
def test_the_flux_is_minus_a_grad_u(case):
    instance = draw(case.problem)
    x = interior(case.problem, instance)
    h, flux = 1e-5, case.problem.flux(case.solution, x, instance)
    a = case.problem.coefficient(instance, At(instance, x)).expand(len(x))
    for k, step in enumerate(h * torch.eye(2, dtype=torch.float64)):
        slope = (case.solution(x + step) - case.solution(x - step)) / (2 * h)
        torch.testing.assert_close(flux[:, k], -a * slope, atol=1e-8, rtol=1e-8)


def coarse(problem):
    return dataclasses.replace(problem, **FAST.get(type(problem).__name__, {}))


def answer(problem):
    instance = draw(problem)
    layout = problem.layout(instance, problem.resolution)
    return problem.compute(instance, layout, direct)


@pytest.mark.parametrize("problem", [coarse(p) for p in PROBLEMS], ids=names)
def test_every_declared_parameter_changes_the_solution(problem):
    base = answer(problem).fields
    for field in dataclasses.fields(problem):
        value = getattr(problem, field.name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            continue
        changed = value + 1 if isinstance(value, int) else (value * 0.9 if value else 0.1)
        other = answer(dataclasses.replace(problem, **{field.name: changed})).fields
        same_shape = all(base[name].shape == other[name].shape for name in base)
        difference = max(np.abs(base[n] - other[n]).max() / np.abs(base[n]).max() for n in base) if same_shape else 1.0
        assert difference > 1e-6, f"{field.name}: {value} -> {changed} changes nothing"


@pytest.mark.parametrize("problem", [coarse(p) for p in PROBLEMS], ids=names)
def test_the_answer_fits_the_layout_and_meets_the_tolerance(problem):
    instance = draw(problem)
    layout = problem.layout(instance, problem.resolution)
    found = problem.compute(instance, layout, direct)
    shape = (len(layout.points),) if isinstance(layout, Mesh) else tuple(layout.shape)
    frames = (len(problem.times),) if len(problem.times) > 1 else ()
    assert set(found.fields) == set(problem.outputs)
    assert all(values.shape == (*frames, *shape) and np.isfinite(values).all() for values in found.fields.values())
    assert all(values.shape == shape for values in problem.input_values(instance, layout).values())
    assert found.residual <= problem.rtol


@pytest.mark.parametrize("problem", PROBLEMS, ids=names)
def test_settings_rebuild_the_problem_and_one_seed_gives_one_instance(problem):
    rebuilt = problem_from(json.loads(json.dumps(problem.settings())))
    assert rebuilt == problem
    one, two = draw(problem, 4), draw(rebuilt, 4)
    x = interior(problem, one, 5)
    assert one.scalars == two.scalars
    for name in one.fields:
        torch.testing.assert_close(one.fields[name].at(x), two.fields[name].at(x), atol=0, rtol=0)


@pytest.mark.parametrize("problem", PROBLEMS, ids=names)
def test_every_problem_states_its_equation_and_its_parameters(problem):
    kind = type(problem)
    assert problem.equation
    assert kind.__doc__
    fields = {field.name for field in dataclasses.fields(problem)}
    documented = "".join(base.__doc__ or "" for base in kind.__mro__)
    assert all(f"{name}:" in documented for name in fields)


def test_a_class_that_is_no_problem_is_refused():
    with pytest.raises(DataError, match="not a subclass"):
        problem_from({"class_path": "pdeflow.geometry.Grid"})
