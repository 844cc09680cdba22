"""Fourth-order differences: order for every boundary type, exactness for polynomials, and waves with few points."""

import math

import numpy as np
import pytest
import torch
from manufactured_on_grids import KINDS, PHYSICS, Manufactured

from pdeflow.discretization.boundary import Dirichlet, Neumann, Robin
from pdeflow.discretization.finite_difference import finite_difference_system
from pdeflow.discretization.fourth_order import differences, fourth_order_system
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid
from pdeflow.linalg import solve

SIZES = {1: (64, 128), 2: (32, 48), 3: (12, 16)}
CASES = [(dim, kind, physics) for dim in (1, 2) for kind in KINDS for physics in PHYSICS] + [
    (3, "robin", "convection"),
    (3, "mixed", "reaction"),
]


@pytest.mark.parametrize(("dim", "kind", "physics"), CASES)
def test_order_is_four_for_every_boundary_type(dim, kind, physics):
    case = Manufactured(dim, kind, physics)
    if kind in ("neumann", "periodic") and not case.reacting:
        pytest.skip("singular and not symmetric: its data cannot be balanced exactly")
    assert case.rates("node", fourth_order_system, SIZES[dim])[-1] == pytest.approx(4.0, abs=0.25)


@pytest.mark.parametrize("derivative", [1, 2])
def test_differences_are_exact_for_polynomials_of_degree_four(derivative):
    grid = Grid.uniform((7, 6), [(0.0, 1.5), (-1.0, 1.0)], location="node")
    x = grid.coordinates().reshape(-1, 2).numpy()
    for k in (0, 1):
        p = np.polynomial.Polynomial([1.0, -2.0, 0.5, 3.0, -1.0])
        found = differences(grid, k, derivative) @ p(x[:, k])
        np.testing.assert_allclose(found, p.deriv(derivative)(x[:, k]), atol=1e-11)


def test_plane_wave_needs_far_fewer_points_than_at_second_order():
    """-Δu - k²u = 0, k = 25, impedance walls: 48 nodes at fourth order beat 96 at second order twice over."""
    k, direction, errors = 25.0, (math.cos(0.5), math.sin(0.5)), []

    def u(x):
        return torch.exp(1j * k * (x[:, 0] * direction[0] + x[:, 1] * direction[1]))

    def wall(axis, sign):
        return Robin(-1j * k, lambda x: 1j * k * (sign * direction[axis] - 1) * u(x))

    boundary = {f"x{axis}{side}": wall(axis, -1 if side == "-" else 1) for axis in (0, 1) for side in "-+"}
    for assemble, n in ((finite_difference_system, 97), (fourth_order_system, 49)):
        grid = Grid.unit((n, n), location="node")
        system = assemble(grid, 1.0, 0.0, boundary, reaction=-(k**2))
        exact = u(grid.coordinates().reshape(-1, 2)).numpy()
        solution = solve(system, method="direct", rtol=1e-8)
        assert solution.converged
        errors.append(np.linalg.norm(solution.x - exact) / np.linalg.norm(exact))
    assert errors[1] < errors[0] / 2


def test_dirichlet_nodes_carry_their_values():
    grid = Grid.unit((7, 6), location="node")
    boundary = {"x0-": Dirichlet(3.0), "x0+": Robin(1.0, 2.0), "x1-": Dirichlet(4.0), "x1+": Neumann(1.0)}
    system = fourth_order_system(grid, 2.0, 1.0, boundary)
    u = np.linalg.solve(system.A.toarray(), system.b).reshape(grid.shape)
    np.testing.assert_allclose(u[0, 1:], 3.0, rtol=1e-13)
    np.testing.assert_allclose(u[:, 0], 4.0, rtol=1e-13)


@pytest.mark.parametrize("grid", [Grid.unit((8, 8)), Grid.unit((8, 5), location="node")])
def test_grids_that_do_not_carry_the_stencil_are_refused(grid):
    with pytest.raises(UsageError, match="6 or more"):
        fourth_order_system(grid, 1.0, 1.0, dict.fromkeys(("x0-", "x0+", "x1-", "x1+"), Dirichlet()))
