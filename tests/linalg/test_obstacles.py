"""Obstacles in a box: what their walls do to the matrix, and a learned cycle that reads them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pdeflow.discretization import diffusion_system
from pdeflow.discretization.obstacles import obstacle_system
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid
from pdeflow.linalg import Reason, solve
from pdeflow.linalg.obstacles import Obstacles, obstacle_faces
from pdeflow.linalg.operators import apply
from pdeflow.models import LearnedVCycle, LinearMultigridNet
from pdeflow.problems import Poisson
from pdeflow.run_folder.family import check_family
from tests.trained_cycle import trained_cycle

ONE_DISC = (((0.5, 0.5), 0.15),)
THREE = (((0.3, 0.4), 0.1), ((0.7, 0.6), 0.17), ((0.2, 0.8), 0.08))
WALLS = ("neumann", "dirichlet")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def outside(shape, balls):
    """Cells whose centre lies in none of the balls."""
    axes = torch.meshgrid(*((torch.arange(n) + 0.5) / n for n in shape), indexing="ij")
    active = torch.ones(shape, dtype=torch.bool)
    for centre, radius in balls:
        active &= sum((x - c) ** 2 for x, c in zip(axes, centre, strict=True)) > radius**2
    return active


def system_with(shape, obstacles, seed=0):
    """Poisson around obstacles, white noise as right-hand side."""
    one = torch.ones(shape, dtype=torch.float64)
    system = obstacle_system(Grid.unit(shape), one, one, obstacles) if obstacles else diffusion_system(Grid.unit(shape), one, one)
    noise = torch.randn(shape, dtype=torch.float64, generator=seeded(seed))
    return replace(system, b=(noise * obstacles.active if obstacles else noise).flatten().numpy())


def iterations(system, M):
    found = solve(system, method="dcdm", preconditioner=M, rtol=1e-6, guard="none")
    assert found.reason is Reason.converged
    return found.iterations


@pytest.mark.parametrize("wall", WALLS)
@pytest.mark.parametrize("shape", [(12, 8), (6, 4, 8)])
def test_the_matrix_is_symmetric_and_that_of_the_conductances(wall, shape):
    a = torch.exp(torch.randn(shape, dtype=torch.float64, generator=seeded()))
    obstacles = Obstacles(torch.rand(shape, generator=seeded(1)) > 0.2, wall)
    grid = Grid.uniform(shape, tuple((0.0, 1.0 + k) for k in range(len(shape))))
    system = obstacle_system(grid, a, torch.ones(shape), obstacles)
    assert abs(system.A - system.A.T).max() == 0
    u = torch.where(obstacles.active, torch.randn(shape, dtype=torch.float64, generator=seeded(2)), 0.0)
    expected = torch.where(obstacles.active, apply(u, obstacle_faces(a, grid.spacing(), obstacles)), 0.0)
    np.testing.assert_allclose(system.A @ u.flatten().numpy(), expected.flatten().numpy(), atol=1e-12 * float(expected.abs().max()))
    found = solve(system, method="direct")
    assert not found.x[~obstacles.active.numpy().reshape(-1)].any()


@pytest.mark.parametrize("side", ["x0-", "x0+", "x1-", "x1+"])
def test_an_insulated_side_is_a_mirror(side):
    """Half of a box with an insulated side has the solution of the box that is mirrored there."""
    k, low = int(side[1]), side[2] == "-"
    a = torch.exp(torch.randn(8, 6, dtype=torch.float64, generator=seeded()))
    f, active = torch.randn(8, 6, dtype=torch.float64, generator=seeded(1)), torch.rand(8, 6, generator=seeded(2)) > 0.1

    def doubled(values):
        return torch.cat((values.flip(k), values) if low else (values, values.flip(k)), k)

    ends = [(0.0, 1.0 + (axis == k)) for axis in range(2)]
    whole = obstacle_system(Grid.uniform(doubled(a).shape, ends), doubled(a), doubled(f), Obstacles(doubled(active), "dirichlet"))
    half = obstacle_system(Grid.unit(a.shape), a, f, Obstacles(active, "dirichlet", (side,)))
    u = torch.from_numpy(solve(half, method="direct").x).reshape(8, 6)
    np.testing.assert_allclose(solve(whole, method="direct").x, doubled(u).flatten().numpy(), atol=1e-14 * float(u.abs().max()) * 48)


def test_walls_do_what_they_say():
    """A slab across the box: an insulating one leaves constants alone at its faces, a cold one is the wall of a shorter box."""
    active = torch.ones(8, 4, dtype=torch.bool)
    active[5:] = False
    one, grid = torch.ones(8, 4, dtype=torch.float64), Grid.uniform((8, 4), ((0.0, 2.0), (0.0, 1.0)))
    shorter = Grid.uniform((5, 4), ((0.0, 1.25), (0.0, 1.0)))
    cold = solve(obstacle_system(grid, one, one, Obstacles(active, "dirichlet")), method="direct").x.reshape(8, 4)
    alone = solve(diffusion_system(shorter, one[:5], one[:5]), method="direct").x.reshape(5, 4)
    np.testing.assert_allclose(cold[:5], alone, rtol=1e-12)
    insulating = obstacle_system(grid, one, one, Obstacles(active, "neumann"))
    flux = (insulating.A @ np.ones(32)).reshape(8, 4)
    np.testing.assert_allclose(flux[4, 1:3], 0.0, atol=1e-14)  # next to the slab, away from the box


@pytest.mark.parametrize("wall", WALLS)
@pytest.mark.parametrize("balls", [ONE_DISC, THREE])
def test_a_cycle_trained_on_the_box_needs_at_most_twice_the_iterations_around_obstacles(wall, balls):
    system = system_with((64, 64), Obstacles(outside((64, 64), balls), wall))
    for cycle in (LearnedVCycle(), trained_cycle()):
        assert iterations(system, cycle) <= 2 * iterations(system_with((64, 64), None), cycle)
    assert iterations(system, trained_cycle()) < iterations(system, LearnedVCycle())


@pytest.mark.parametrize("insulated", [("x0-",), ("x0-", "x0+", "x1-")])
def test_insulated_sides_cost_at_most_twice_the_iterations(insulated):
    """Corrections are continued evenly through them; oddly, as where u = 0, they would cost four times as many."""
    system = system_with((64, 64), Obstacles(torch.ones(64, 64, dtype=torch.bool), insulated=insulated))
    for cycle in (LearnedVCycle(), trained_cycle()):
        assert iterations(system, cycle) <= 2 * iterations(system_with((64, 64), None), cycle)


@pytest.mark.parametrize("wall", WALLS)
def test_the_same_in_space_around_a_ball(wall):
    obstacles = Obstacles(outside((32, 32, 32), (((0.5, 0.5, 0.5), 0.2),)), wall)
    assert iterations(system_with((32,) * 3, obstacles), LearnedVCycle(dim=3)) <= 2 * iterations(system_with((32,) * 3, None), LearnedVCycle(dim=3))


@pytest.mark.parametrize("insulated", [(), ("x0-", "x1-", "x1+")])
@pytest.mark.parametrize("wall", WALLS)
def test_around_obstacles_the_cycle_stays_symmetric_and_positive(wall, insulated):
    obstacles = Obstacles(outside((16, 16), (((0.4, 0.6), 0.2),)), wall, insulated)
    M = LearnedVCycle(coarsest=16).setup(system_with((16, 16), obstacles), torch.float64)
    dense = np.column_stack([M @ unit for unit in np.eye(256)])
    np.testing.assert_allclose(dense, dense.T, atol=1e-12 * abs(dense).max())
    assert M.positive is True
    assert np.linalg.eigvalsh((dense + dense.T) / 2).min() > 0


def test_what_does_not_fit_is_refused():
    active, one = outside((16, 16), ONE_DISC), torch.ones(16, 16, dtype=torch.float64)
    with pytest.raises(ValueError, match="wall 'neumann' or 'dirichlet'"):
        Obstacles(active, "sticky")
    with pytest.raises(ValueError, match="at least one cell"):
        Obstacles(~torch.ones(4, dtype=torch.bool))
    with pytest.raises(ValueError, match="must name sides of the box, of x0-, x0"):
        Obstacles(active, insulated=("x2-",))
    with pytest.raises(UsageError, match=r"close off 240 cells.* or open a side of the box"):
        system_with((16, 16), Obstacles(active, insulated=("x0-", "x0+", "x1-", "x1+")))
    with pytest.raises(UsageError, match=r"mask \(4, 4\)"):
        obstacle_system(Grid.unit((16, 16)), one, one, Obstacles(torch.ones(4, 4, dtype=torch.bool)))
    ring = outside((16, 16), (((0.5, 0.5), 0.3),)) | ~outside((16, 16), (((0.5, 0.5), 0.15),))
    with pytest.raises(UsageError, match="close off 16 cells"):
        system_with((16, 16), Obstacles(ring))
    assert system_with((16, 16), Obstacles(ring, "dirichlet")).positive_definite  # a cold one holds them
    system = system_with((16, 16), Obstacles(active))
    check_family(LearnedVCycle(), Poisson(), system)
    with pytest.raises(UsageError, match="does not see obstacles"):
        check_family(LinearMultigridNet(levels=3), Poisson(), system)
