import itertools
import math
import pickle
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import scipy.sparse.linalg as sla
import torch

from pdeflow import seeds
from pdeflow.discretization import space_on
from pdeflow.errors import UsageError
from pdeflow.geometry import Annulus, Box, Grid
from pdeflow.problems import Darcy, Elliptic, Instance, LogNormalDarcy, Manufactured, Poisson
from pdeflow.problems.instance import At, Function
from pdeflow.random_fields import field_amplitudes, gaussian_random_field


def solve(problem, instance, grid):
    system = problem.system(instance, grid)
    return torch.from_numpy(sla.spsolve(system.A.tocsc(), system.b)).reshape(grid.shape)


def test_finite_volumes_converge_at_second_order_to_the_exact_poisson_solution():
    problem = Poisson(modes=4)
    instance = problem.sample(seeds.generator(0, seeds.INPUTS, 0))
    errors = []
    for n in (16, 32, 64):
        grid = problem.grid((n, n))
        errors.append(float((solve(problem, instance, grid) - problem.exact(grid.coordinates(), instance)).abs().max()))
    rates = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert rates == pytest.approx([2.0, 2.0], abs=0.1)


def test_exact_poisson_solution_has_zero_strong_residual():
    problem = Poisson(modes=6)
    instance = problem.sample(seeds.generator(1, seeds.INPUTS, 0))
    x = problem.domain.sample_interior(40, generator=seeds.generator(1, seeds.NOISE, 0))
    residual = problem.residual(problem.solution(instance).at, x, instance)
    torch.testing.assert_close(residual, torch.zeros_like(residual), atol=1e-10, rtol=0)


@pytest.mark.parametrize("problem", [Darcy(), LogNormalDarcy(sigma=1.5), Poisson()])
def test_one_seed_gives_one_function_at_every_resolution(problem):
    instance = problem.sample(seeds.generator(3, seeds.INPUTS, 5))
    (field,) = instance.fields.values()
    coarse, fine = field.on(Grid.unit((64, 64))), field.on(Grid.unit((192, 192)))
    torch.testing.assert_close(fine[1::3, 1::3], coarse, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("kind", ["neumann", "dirichlet", "periodic"])
def test_field_variance_agrees_with_the_sum_over_modes(kind):
    box, grid = Box.unit(2), Grid.unit((16, 16))
    generator = seeds.generator(0, seeds.INPUTS, 0)
    draws = [
        gaussian_random_field(box, 2.0, 3.0, generator=generator, kind=kind, modes=16).on(grid) ** 2
        for _ in range(2000)
    ]
    measured = torch.stack(draws).mean()
    expected = (field_amplitudes(box, 2.0, 3.0, kind=kind, modes=16) ** 2).sum()
    assert float(measured) == pytest.approx(float(expected), rel=0.06)  # four standard errors


def test_darcy_is_two_phase_and_its_solution_obeys_the_maximum_principle():
    problem = Darcy(low=3.0, high=12.0)
    grid = problem.grid((32, 32))
    instance = problem.sample(seeds.generator(0, seeds.INPUTS, 7))
    assert set(instance.fields["a"].on(grid).unique().tolist()) == {3.0, 12.0}
    u = solve(problem, instance, grid)
    bound = float(solve(Poisson(), problem_with_unit_source(grid), grid).max())
    assert float(u.min()) > 0
    assert bound / 12.0 * 0.99 < float(u.max()) < bound / 3.0 * 1.01


def problem_with_unit_source(grid):
    return Poisson().stored_instance({"f": torch.ones(grid.shape)}, {}, grid)


@dataclass(frozen=True)
class Ring(Elliptic):
    """-∇·(a∇u) = 1 between two circles, a random: no layout of its own, and a field on a domain that is no box."""

    equation: ClassVar[str] = "-div(a grad u) = 1 in a ring"

    @property
    def domain(self):
        return Annulus((0.0, 0.0), 0.5, 1.0)

    def sample(self, generator):
        g = gaussian_random_field(self.domain, 3.0, 2.0, generator=generator, modes=4)
        return Instance({"a": replace(g, transform=torch.exp)})

    def source(self, instance, at):
        return 1.0


def test_a_class_on_a_ring_needs_no_layout_of_its_own_and_converges():
    problem = Manufactured(Ring(), lambda x: x[:, 0] ** 2 - 3 * x[:, 1])
    instance, errors = problem.sample(seeds.generator(0, seeds.INPUTS, 0)), []
    for h in (0.1, 0.05):
        mesh = problem.layout(instance, h)
        assert mesh is problem.layout(instance, h)
        u = torch.from_numpy(sla.spsolve((s := problem.system(instance, mesh)).A.tocsc(), s.b))
        errors.append(float(space_on(mesh, "P1").error(u, problem.solution, "L2")))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.4)


def test_wrong_resolutions_and_fields_are_told_what_to_do():
    problem = Ring()
    instance = problem.sample(seeds.generator(0, seeds.INPUTS, 0))
    with pytest.raises(UsageError, match=r"Ring lives on a mesh; give a mesh size, e\.g\. h: 0\.1"):
        problem.layout(instance, (16, 16))
    instance = Instance({"a": Function(lambda x: x[:, 0])}, {"rate": 2.0})
    with pytest.raises(UsageError, match="no scalar 'speed'; it has rate"):
        instance.scalars["speed"]
    with pytest.raises(UsageError, match="no field 'b'; it has a"):
        instance.fields["b"]
    with pytest.raises(UsageError, match="no scalar 'x'; it has none"):
        pickle.loads(pickle.dumps(Instance({}))).scalars["x"]
    with pytest.raises(UsageError, match="no field 'b'; it has a"):
        At(instance, torch.zeros(1, 2, dtype=torch.float64))("b")


@dataclass(frozen=True)
class Bare(Elliptic):
    """A subclass that says as little as it can."""

    inputs: ClassVar[tuple[str, ...]] = ()
    a: float | tuple[int, ...] = 1.0

    def sample(self, generator):
        return Instance({})

    def coefficient(self, instance, at):
        return torch.ones(self.a) if isinstance(self.a, tuple) else torch.tensor(self.a)


@dataclass(frozen=True)
class Whirl(Bare):
    """-Δu + β·∇u = 1 with a velocity that has a divergence."""

    def source(self, instance, at):
        return torch.tensor(1.0)

    def velocity(self, instance, at):
        x, y = at.x[..., 0], at.x[..., 1]
        return 5 * torch.stack([x**2 + 1, x * y], dim=-1)


def test_a_class_without_an_equation_is_called_by_its_name():
    assert (Bare.equation, Whirl.equation) == ("Bare", "Whirl")
    assert Darcy.equation == Darcy().equation != "Darcy"


@pytest.mark.parametrize("resolution", [(8, 8), 0.25])
def test_a_missing_source_and_a_coefficient_of_the_wrong_shape_are_named(resolution):
    for problem, message in (
        (Bare(), r"Bare has no source: write `source\(instance, at\)`, or draw a field 'f' in `sample`"),
        (replace(Bare(), a=(8,)), r"coefficient\(instance, at\) must return a number or values of shape .*, got shape \(8,\)"),
    ):
        instance = problem.sample(None)
        with pytest.raises(UsageError, match=message):
            problem.system(instance, problem.layout(instance, resolution))


@pytest.mark.parametrize("resolutions", [((16, 16), (32, 32)), (1 / 16, 1 / 32)])
def test_a_velocity_with_a_divergence_converges_at_second_order(resolutions):
    def chosen(x):
        return torch.sin(3 * x[:, 0]) * torch.exp(x[:, 1])

    problem, errors = Manufactured(Whirl(), chosen), []
    for resolution in resolutions:
        layout = problem.layout(problem.sample(None), resolution)
        system = problem.system(problem.sample(None), layout)
        x = torch.from_numpy(sla.spsolve(system.A.tocsc(), system.b))
        points = layout.coordinates().reshape(-1, 2) if isinstance(layout, Grid) else layout.points
        errors.append(float((x - chosen(points)).abs().max()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.1)
