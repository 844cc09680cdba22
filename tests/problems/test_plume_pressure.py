"""The pressure of a plume around obstacles: what is conserved, what it is a projection of, and that it converges."""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pytest
import torch

from pdeflow import seeds
from pdeflow.discretization.obstacles import flow_around, obstacle_system, reachable
from pdeflow.errors import UsageError
from pdeflow.geometry import Annulus, Ball, Box, HalfSpace, SdfDomain, TriSurface
from pdeflow.linalg import solve
from pdeflow.linalg.obstacles import Obstacles, obstacle_faces
from pdeflow.models import LearnedVCycle, LinearMultigridNet
from pdeflow.problems import PlumePressure, Poisson
from pdeflow.problems.differentiate import divergence, gradient
from pdeflow.problems.problem import problem_from
from pdeflow.run_folder.family import check_family

from .cases import slopes

CASES = [
    PlumePressure(),
    PlumePressure(balls=3, radius=0.12, open_sides=("x0-", "x1+"), wall="dirichlet"),
    PlumePressure(open_sides=("x0-", "x0+"), balls=2),
    PlumePressure(dim=3, centre=(0.5, 0.4, 0.5)),
    PlumePressure(dim=3, balls=2, wall="dirichlet", open_sides=("x2-", "x1+")),
]
EVERY = pytest.mark.parametrize("problem", CASES, ids=lambda p: f"{p.dim}D-{p.balls}-{p.wall}-{'-'.join(p.open_sides)}")


def drawn(problem, n=None, seed=0):
    """Instance, grid of the problem's own resolution or n cells per axis, system."""
    instance = problem.sample(seeds.generator(seed, seeds.INPUTS, 0))
    grid = problem.grid((n,) * problem.dim if n else problem.cells)
    return instance, grid, problem.system(instance, grid)


def direct(system):
    return solve(system, method="direct", rtol=1e-10).x


def side_of(cell, axis, step, shape):
    """Name of the side of the box between a cell and its neighbour, or None inside."""
    place = cell[axis] + step
    return f"x{axis}{'-' if step < 0 else '+'}" if place in (-1, shape[axis]) else None


def slow_system(problem, instance, grid):
    """Matrix and right-hand side cell by cell, from what each face is."""
    mask, velocity = instance.fields["mask"].on(grid).numpy(), instance.fields["f"].plume.velocity
    number, h = np.arange(grid.size).reshape(grid.shape), grid.spacing()
    A, b = np.zeros((grid.size, grid.size)), np.zeros(grid.size)
    for cell in product(*map(range, grid.shape)):
        if not mask[cell]:
            continue
        centre = torch.tensor([(i + 0.5) * w for i, w in zip(cell, h, strict=True)], dtype=torch.float64)
        for axis, step in product(range(grid.ndim), (-1, 1)):
            area, away = grid.cell_measure / h[axis], torch.eye(grid.ndim, dtype=torch.float64)[axis] * step
            side, other = side_of(cell, axis, step, grid.shape), tuple(np.add(cell, away.numpy()).astype(int))
            solid = side is None and not mask[other]
            if side in problem.open_sides or (solid and problem.wall == "dirichlet"):
                A[number[cell], number[cell]] += 2 * area / h[axis]
            elif side is None and not solid:
                A[number[cell], number[cell]] += area / h[axis]
                A[number[cell], number[other]] -= area / h[axis]
            if side in problem.open_sides or (side is None and not solid):
                b[number[cell]] -= float(velocity((centre + away * h[axis] / 2)[None])[0] @ away) * area
    return A, b, mask.ravel() > 0


@EVERY
def test_the_system_is_that_of_its_faces_one_by_one(problem):
    instance, grid, system = drawn(problem, 8)
    A, b, inside = slow_system(problem, instance, grid)
    assert 0 < inside.sum() < grid.size
    np.testing.assert_allclose(system.A.toarray()[np.ix_(inside, inside)], A[np.ix_(inside, inside)], rtol=1e-13)
    np.testing.assert_allclose(system.b, b, atol=1e-14 * abs(b).max())


@EVERY
def test_it_is_symmetric_positive_definite_and_solid_cells_do_not_enter(problem):
    instance, grid, system = drawn(problem, 8)
    dense, inside = system.A.toarray(), instance.fields["mask"].on(grid).numpy().ravel() > 0
    assert np.array_equal(dense, dense.T)
    assert np.linalg.eigvalsh(dense).min() > 0
    assert not dense[np.ix_(inside, ~inside)].any()
    assert not system.b[~inside].any()
    assert not direct(system)[~inside].any()
    stored = {name: field.on(grid) for name, field in instance.fields.items()}
    stored["f"][stored["mask"] == 0] = 7.0  # what stands in obstacles is not used
    again = problem.stored_system(stored, instance.scalars, grid)
    assert np.array_equal(again.b, system.b)
    assert (again.A != system.A).nnz == 0


@EVERY
def test_the_source_adds_up_to_the_inflow_through_the_open_sides(problem):
    instance, grid, system = drawn(problem)
    mask, plume = instance.fields["mask"].on(grid), instance.fields["f"].plume
    inflow = 0.0
    for side in problem.open_sides:
        k, end = int(side[1]), -1 if side[2] == "+" else 0
        x = grid.coordinates().select(k, end).reshape(-1, problem.dim).clone()
        x[:, k] = grid.bounds[k][end]
        through = plume.velocity(x)[:, k] * mask.select(k, end).reshape(-1) * grid.cell_measure / grid.spacing()[k]
        inflow += float(through.sum()) * (1 if end == 0 else -1)
    size = np.abs(system.b).sum()
    assert system.b.sum() == pytest.approx(inflow, abs=1e-13 * size)
    if not any(side[1] == "1" for side in problem.open_sides):  # w points up, so nothing passes the other sides
        assert abs(system.b.sum()) <= 1e-13 * size


@EVERY
def test_the_pressure_takes_the_divergence_out_of_the_flow_and_its_own_share_of_the_energy(problem):
    """Flow minus gradient is a projection: free of divergence, and orthogonal to the gradient it lost where walls let no flux pass."""
    instance, grid, system = drawn(problem)
    obstacles = problem.obstacles(instance, grid)
    faces = obstacle_faces(torch.ones(grid.shape, dtype=torch.float64), grid.spacing(), obstacles)
    p, flow = torch.from_numpy(direct(system)).reshape(grid.shape), flow_around(grid, instance.fields["f"].plume.velocity, obstacles)
    slope = []
    for k, face in enumerate(faces):
        zero = torch.zeros_like(p.narrow(k, 0, 1))
        slope.append(face * torch.diff(p, dim=k, prepend=zero, append=zero))
    left = [before - gone for before, gone in zip(flow, slope, strict=True)]
    outflow = sum(torch.diff(flux, dim=k) for k, flux in enumerate(left))
    assert float((outflow * obstacles.active).abs().max()) <= 1e-11 * float(max(flux.abs().max() for flux in flow))

    def energy(fluxes):
        return sum(float((flux**2 / face)[face > 0].sum()) for flux, face in zip(fluxes, faces, strict=True))

    assert energy(flow) == pytest.approx(energy(left) + energy(slope), rel=1e-10)


def potential(x):
    """Smooth, zero on the sides "x0-" and "x1+" and nowhere else."""
    return x[:, 0] * (1 - x[:, 1]) * torch.exp(torch.sin(2 * x).sum(1))


def slope_of(x):
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        return gradient(potential(x), x).detach()


@pytest.mark.parametrize(("dim", "sizes"), [(2, (16, 32, 64)), (3, (8, 16, 32))])
@pytest.mark.parametrize("balls", [0, 1, 3])
def test_the_pressure_of_a_gradient_is_its_potential_at_second_order(dim, sizes, balls):
    """With w = ∇φ and φ = 0 on the open sides p = φ whatever the obstacles; steps in their walls cost nothing here."""
    problem, errors = PlumePressure(dim=dim, balls=balls, open_sides=("x0-", "x1+")), []
    for n in sizes:
        instance, grid, _ = drawn(problem, n)
        obstacles = problem.obstacles(instance, grid)
        f = -sum(torch.diff(flux, dim=k) for k, flux in enumerate(flow_around(grid, slope_of, obstacles))) / grid.cell_measure
        system = obstacle_system(grid, torch.ones(grid.shape), f, obstacles)
        x = grid.coordinates().reshape(-1, dim)
        p = torch.from_numpy(solve(system, method="cg", preconditioner="amg:sa", rtol=1e-10).x)
        error = (p - potential(x))[obstacles.active.flatten()]
        errors.append(float(error.square().mean().sqrt()))
    assert slopes(errors)[-1] == pytest.approx(2.0, abs=0.15), errors


@pytest.mark.parametrize(("wall", "insulated"), [("neumann", ("x0-", "x0+", "x1-")), ("dirichlet", ())])
def test_around_a_block_of_cells_the_solution_converges_at_second_order(wall, insulated):
    """u has slope zero (or vanishes) on the block [1/4, 1/2]² and on the sides."""
    wave, errors = 4 * torch.pi, []
    for n in (16, 32, 64):
        grid = Poisson().grid((n, n))
        x, y = grid.coordinates().unbind(-1)
        active = Box((0.25, 0.25), (0.5, 0.5)).sdf(grid.coordinates().reshape(-1, 2)).reshape(n, n) > 0
        if wall == "neumann":
            u = (2 + torch.cos(wave * x)) * (torch.cos(wave * y) - 1)
            f = wave**2 * (torch.cos(wave * x) * (torch.cos(wave * y) - 1) + (2 + torch.cos(wave * x)) * torch.cos(wave * y))
        else:
            u = torch.sin(wave * x) * torch.sin(wave * y)
            f = 2 * wave**2 * u
        found = direct(obstacle_system(grid, torch.ones(n, n), f, Obstacles(active, wall, insulated)))
        errors.append(float((torch.from_numpy(found).reshape(n, n) - u)[active].square().mean().sqrt()))
    assert slopes(errors)[-1] == pytest.approx(2.0, abs=0.1), errors


def test_the_divergence_of_the_plume_is_that_of_its_velocity_and_cells_approach_it_at_second_order():
    problem, errors = PlumePressure(dim=2), []
    instance, _, _ = drawn(problem)
    f, plume = instance.fields["f"], instance.fields["f"].plume
    x = problem.domain.sample_interior(50, generator=seeds.generator(1, seeds.NOISE, 0)).requires_grad_()
    torch.testing.assert_close(plume.divergence(x), divergence(plume.velocity(x), x), atol=1e-12, rtol=0)
    away = lambda x: (problem.obstacle(instance).sdf(x) > 0.1) & (problem.domain.sdf(x) < -0.1)  # noqa: E731
    for n in (32, 64, 128):
        grid = problem.grid((n, n))
        points = grid.coordinates().reshape(-1, 2)
        errors.append(float((f.on(grid).flatten() - f.at(points))[away(points)].abs().max()))
    assert slopes(errors)[-1] == pytest.approx(2.0, abs=0.1), errors


def test_the_strong_residual_is_zero_for_a_solution_and_in_obstacles():
    problem = PlumePressure()
    instance, _, _ = drawn(problem)
    x = problem.domain.sample_interior(200, generator=seeds.generator(1, seeds.NOISE, 0))
    fluid, f = instance.fields["mask"].at(x), instance.fields["f"].at(x)
    expected = (-2.0 - f) * fluid  # of p = x0²
    torch.testing.assert_close(problem.residual(lambda x: x[:, 0] ** 2, x, instance).detach(), expected, atol=1e-12, rtol=0)
    assert 0 < int(fluid.sum()) < 200


@dataclass(frozen=True)
class Other(PlumePressure):
    """A bowl cut from a shell, with an ellipsoid beside it: regions of the geometry layer, combined."""

    def obstacle(self, instance):
        """Return the two."""
        middle = (0.4,) + (0.5,) * (self.dim - 1)
        bowl = Annulus(middle, 0.12, 0.2) & HalfSpace(middle, (0.0, 1.0, 0.0)[: self.dim])
        axes = torch.tensor([0.08, 0.2, 0.1][: self.dim], dtype=torch.float64)
        return bowl | SdfDomain(lambda x: ((x - 0.75) / axes).norm(dim=1) - 1, ((0.5, 1.0),) * self.dim)


@pytest.mark.parametrize(("dim", "n"), [(2, 64), (3, 32)])
def test_any_region_of_the_geometry_layer_is_an_obstacle(dim, n):
    instance, grid, system = drawn(Other(dim=dim), n)
    solid = float(1 - instance.fields["mask"].on(grid).mean())
    bowl, ellipsoid = (0.2**dim - 0.12**dim) / 2, 0.08 * 0.2 * (0.1 if dim == 3 else 1.0)
    assert solid == pytest.approx((torch.pi if dim == 2 else 4 / 3 * torch.pi) * (bowl + ellipsoid), rel=0.03)
    assert solve(system, rtol=1e-8).converged


@dataclass(frozen=True)
class Octahedron(PlumePressure):
    """|x - c|₁ < 0.3 as a closed surface of triangles, as scanned shapes are."""

    def obstacle(self, instance):
        """Return it."""
        corners = 0.5 + 0.3 * torch.cat((torch.eye(3), -torch.eye(3))).double()
        faces = [(a, b, c) if (a + b + c) % 2 else (a, c, b) for a, b, c in product((0, 3), (1, 4), (2, 5))]  # seen from outside
        return TriSurface(corners, torch.tensor(faces))


def test_a_surface_of_triangles_is_an_obstacle():
    instance, grid, system = drawn(Octahedron(dim=3), 15)
    outside = (grid.coordinates() - 0.5).abs().sum(-1) > 0.3  # 4.5 cells, so no centre is on it
    assert torch.equal(instance.fields["mask"].on(grid) > 0, outside)
    assert solve(system, rtol=1e-8).converged


@dataclass(frozen=True)
class Shell(PlumePressure):
    """A closed shell: what is inside it has no way out."""

    def obstacle(self, instance):
        """Return it."""
        return Annulus((0.5,) * self.dim, 0.2, 0.35)


def test_a_pocket_without_a_way_out_counts_as_solid():
    shell, grid, system = drawn(Shell())
    inner = Ball((0.5, 0.5), 0.35).sdf(grid.coordinates().reshape(-1, 2)) < 0
    assert not shell.fields["mask"].on(grid).flatten()[inner].any()
    assert not direct(system)[inner.numpy()].any()
    two = torch.tensor([[1, 0, 1], [1, 0, 1]], dtype=torch.bool)
    assert torch.equal(reachable(two, ("x1+",)), torch.tensor([[0, 0, 1], [0, 0, 1]], dtype=torch.bool))
    assert torch.equal(reachable(two, ("x0-",)), two)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"open_sides": ()}, "open_sides must name at least one of x0-, x0\\+, x1-, x1\\+"),
        ({"open_sides": ("x2+",)}, "open_sides has no x2\\+; the sides are x0-"),
        ({"dim": 4}, "dim of PlumePressure must be 2 or 3, got 4"),
        ({"radius": 0.5}, "radius of PlumePressure must be between 0 and 0.45, got 0.5"),
        ({"centre": (0.5, 0.5, 0.5)}, "one ball by 2 coordinates"),
        ({"centre": (0.5, 0.5), "balls": 2}, "leave it out to draw them"),
        ({"wall": "sticky"}, "'neumann' or 'dirichlet', got 'sticky'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        PlumePressure(**settings)


def test_layouts_that_do_not_fit_are_refused():
    problem = PlumePressure()
    instance, grid, _ = drawn(problem)
    for layout in (grid.to_mesh(), PlumePressure(dim=3).grid((8, 8, 8)), problem.domain.grid((9, 9), location="node")):
        with pytest.raises(UsageError, match="needs a cell-centred 2-D grid"):
            problem.system(instance, layout)
    with pytest.raises(UsageError, match="cells per axis"):
        problem.layout(instance, 0.1)
    with pytest.raises(UsageError, match="between the cell centres"):
        drawn(problem, 4)
    covered = PlumePressure(radius=0.44, balls=1, centre=(0.5, 0.5))
    with pytest.raises(UsageError, match="leave no cell"):
        covered.system(covered.sample(seeds.generator(0, seeds.INPUTS, 0)), covered.grid((2, 2)))


def test_sides_and_centre_come_back_from_a_settings_file():
    problem = PlumePressure(dim=3, centre=(0.5, 0.4, 0.5), open_sides=("x2+",))
    settings = problem.settings()
    settings["init_args"] |= {name: list(settings["init_args"][name]) for name in ("centre", "open_sides")}  # as YAML gives them
    assert problem_from(settings) == problem


@EVERY
def test_a_cycle_reads_walls_and_sides_and_a_network_that_does_not_is_refused(problem):
    _, grid, system = drawn(problem, 64 if problem.dim == 2 else 16)
    check_family(LearnedVCycle(dim=problem.dim), None, system)
    found = solve(system, method="dcdm", preconditioner=LearnedVCycle(dim=problem.dim), rtol=1e-6, guard="none")
    assert found.converged
    empty = replace(problem, balls=0, centre=None, open_sides=problem.domain.tags)
    on_the_box = solve(drawn(empty, grid.shape[0])[2], method="dcdm", preconditioner=LearnedVCycle(dim=problem.dim), rtol=1e-6, guard="none")
    assert found.iterations <= 2 * on_the_box.iterations
    if problem.dim == 2:
        with pytest.raises(UsageError, match="does not see obstacles"):
            check_family(LinearMultigridNet(levels=3), Poisson(), system)
