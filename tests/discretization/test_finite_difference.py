"""Node-centred differences: order for every boundary type, symmetric elimination, agreement with finite volumes."""

import itertools
import math

import numpy as np
import pytest
import torch
from manufactured_on_grids import KINDS, PHYSICS, Manufactured

from pdeflow.discretization.boundary import Dirichlet, Neumann, Periodic, Robin
from pdeflow.discretization.finite_difference import finite_difference_system
from pdeflow.discretization.finite_volume import elliptic_system
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid
from pdeflow.linalg import describe, solve

SQUARE = ("x0-", "x0+", "x1-", "x1+")


@pytest.mark.parametrize("physics", PHYSICS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_order_is_two_for_every_boundary_type(dim, kind, physics):
    rate = Manufactured(dim, kind, physics).rates("node", finite_difference_system)[-1]
    assert rate == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_self_adjoint_systems_are_symmetric_and_say_so(dim, kind):
    system = Manufactured(dim, kind, "diffusion").system(8, "node", finite_difference_system)
    found = describe(system.A)
    assert system.symmetric
    assert found.hermitian
    assert system.positive_definite
    assert np.linalg.eigvalsh(system.A.toarray())[0] > (-1e-12 if system.nullspace is not None else 0)
    assert (system.nullspace is not None) == found.constant_nullspace == (kind in ("neumann", "periodic"))


def test_dirichlet_nodes_carry_their_values_exactly_and_the_later_axis_wins_at_corners():
    grid = Grid.unit((6, 5), location="node")
    boundary = {
        "x0-": Dirichlet(3.0),
        "x0+": Robin(1.0, 2.0),
        "x1-": Dirichlet(lambda x: 7 + x[:, 0]),
        "x1+": Neumann(1.0),
    }
    system = finite_difference_system(grid, 2.0, 1.0, boundary)
    u = np.linalg.solve(system.A.toarray(), system.b).reshape(grid.shape)
    np.testing.assert_allclose(u[0, 1:], 3.0, rtol=1e-14)
    np.testing.assert_allclose(u[:, 0], 7 + np.linspace(0, 1, 6), rtol=1e-14)


def test_five_point_laplacian_inside():
    """Rows away from the walls are the classic stencil times h²."""
    grid = Grid.unit((5, 5), location="node")
    A = finite_difference_system(grid, 1.0, 1.0, dict.fromkeys(SQUARE, Neumann())).A.toarray()
    row = A[12].reshape(5, 5)
    expected = np.zeros((5, 5))
    expected[2, 2], expected[[1, 3, 2, 2], [2, 2, 1, 3]] = 4, -1
    np.testing.assert_allclose(row, expected, atol=1e-14)


@pytest.mark.parametrize("degree", [1, 2])
def test_polynomials_up_to_degree_two_are_exact_with_constant_coefficients(degree):
    """Central differences are exact for quadratics, and so is the ghost value of a Neumann or Robin wall."""
    grid = Grid.uniform((5, 7), [(0.0, 1.0), (-1.0, 1.0)], location="node")

    def u(x):
        return 1 + 2 * x[:, 0] - x[:, 1] + (degree == 2) * (x[:, 0] ** 2 - 3 * x[:, 1] ** 2)

    def slope(x, k):
        return (2.0 + (degree == 2) * 2 * x[:, 0]) if k == 0 else (-1.0 - (degree == 2) * 6 * x[:, 1])

    boundary = {
        "x0-": Neumann(lambda x: -1.5 * slope(x, 0)),
        "x0+": Robin(2.0, lambda x: 1.5 * slope(x, 0) + 2 * u(x)),
        "x1-": Dirichlet(u),
        "x1+": Neumann(lambda x: 1.5 * slope(x, 1) + 0 * x[:, 0]),
    }
    source = 1.5 * 4.0 * (degree == 2)
    system = finite_difference_system(grid, 1.5, source, boundary)
    exact = u(grid.coordinates().reshape(-1, 2)).numpy()
    np.testing.assert_allclose(np.linalg.solve(system.A.toarray(), system.b), exact, atol=1e-12)


@pytest.mark.parametrize("location", ["cell", "node"])
def test_helmholtz_plane_wave_converges_at_order_two_with_an_impedance_wall(location):
    """-Δu - k²u = 0 with ∂u/∂n - iku = g on all four sides; u = exp(ik d·x)."""
    k, direction = 6.0, (math.cos(0.5), math.sin(0.5))

    def u(x):
        return torch.exp(1j * k * (x[:, 0] * direction[0] + x[:, 1] * direction[1]))

    def wall(axis, sign):
        return Robin(-1j * k, lambda x: 1j * k * (sign * direction[axis] - 1) * u(x))

    boundary = {f"x{axis}{side}": wall(axis, -1 if side == "-" else 1) for axis in (0, 1) for side in "-+"}
    assemble = elliptic_system if location == "cell" else finite_difference_system
    errors = []
    for n in (32, 64, 128):
        grid = Grid.unit((n + (location == "node"),) * 2, location=location)
        solution = solve(assemble(grid, 1.0, 0.0, boundary, reaction=-(k**2)), method="direct", rtol=1e-9)
        assert solution.converged
        exact = u(grid.coordinates().reshape(-1, 2)).numpy()
        errors.append(np.linalg.norm(solution.x - exact) / np.linalg.norm(exact))
    rates = [math.log2(coarse / fine) for coarse, fine in itertools.pairwise(errors)]
    assert rates[-1] == pytest.approx(2.0, abs=0.1)
    assert errors[-1] < 2e-3


FAULTS = [
    ({"grid": Grid.unit((4, 4))}, "node grid"),
    ({"boundary": {"x0-": Dirichlet()}}, "no boundary condition on"),
    ({"boundary": dict.fromkeys(SQUARE, Periodic())}, "periodic"),
    ({"a": 0.0}, "positive"),
    ({"boundary": {**dict.fromkeys(SQUARE, Dirichlet()), "x1+": Dirichlet(math.nan)}}, r"Dirichlet on 'x1\+' is nan, not finite"),
    ({"f": torch.ones(3)}, "f has shape"),
    ({"velocity": torch.ones(4, 4)}, "velocity must be real"),
    ({"velocity": lambda x: x[:, 0]}, "velocity must return"),
    ({"mean": "geometric"}, "harmonic"),
]


@pytest.mark.parametrize(("change", "message"), FAULTS)
def test_wrong_input_is_named_in_one_line(change, message):
    options = {"grid": Grid.unit((4, 4), location="node"), "a": 1.0, "f": 1.0}
    options |= {"boundary": dict.fromkeys(SQUARE, Dirichlet()), **change}
    first = [options.pop(name) for name in ("grid", "a", "f", "boundary")]
    with pytest.raises(UsageError, match=message) as caught:
        finite_difference_system(*first, **options)
    assert "\n" not in str(caught.value)
