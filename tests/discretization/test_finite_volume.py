"""Finite volumes: order for every boundary type, exact identities of the matrix, and a slow twin."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from manufactured_on_grids import KINDS, PHYSICS, Manufactured

from pdeflow import seeds
from pdeflow.discretization.boundary import Dirichlet, Neumann, Periodic, Robin
from pdeflow.discretization.compatibility import balanced
from pdeflow.discretization.finite_volume import diffusion_system, elliptic_system
from pdeflow.errors import UsageError
from pdeflow.geometry import Box, Grid
from pdeflow.linalg import describe, solve
from pdeflow.random_fields import gaussian_random_field


def walls(dim, condition=None):
    condition = condition or Dirichlet()
    return {f"x{k}{sign}": condition for k in range(dim) for sign in "-+"}


def positive(shape, seed=0):
    return 0.1 + torch.rand(
        shape, generator=seeds.generator(seed, seeds.NOISE, len(shape)), dtype=torch.float64
    )


@pytest.mark.parametrize("physics", PHYSICS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_order_is_two_for_every_boundary_type(dim, kind, physics):
    assert Manufactured(dim, kind, physics).rates("cell", elliptic_system)[-1] == pytest.approx(2.0, abs=0.1)


def test_order_is_two_with_arithmetic_means_and_one_with_upwind_convection():
    case = Manufactured(2, "mixed", "convection")
    assert case.rates("cell", elliptic_system, mean="arithmetic")[-1] == pytest.approx(2.0, abs=0.1)
    case = Manufactured(1, "robin", "convection")
    assert case.rates("cell", elliptic_system, convection="upwind")[-1] == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("mean", ["harmonic", "arithmetic"])
@pytest.mark.parametrize("shape", [(1,), (7,), (5, 3), (1, 4), (4, 1), (3, 4, 2)])
def test_homogeneous_dirichlet_walls_give_the_diffusion_system_bit_for_bit(shape, mean):
    grid = Grid.uniform(shape, [(0.0, 1.3), (-1.0, 2.0), (0.0, 0.7)][: len(shape)])
    a, f = positive(shape), positive(shape, 1)
    plain, general = (
        diffusion_system(grid, a, f, mean=mean),
        elliptic_system(grid, a, f, walls(len(shape)), mean=mean),
    )
    for name in ("data", "indices", "indptr"):
        assert getattr(plain.A, name).tobytes() == getattr(general.A, name).tobytes()
    assert plain.b.tobytes() == general.b.tobytes()
    assert general.symmetric
    assert general.positive_definite
    assert general.nullspace is None
    assert general.grid == grid
    assert np.array_equal(general.coefficient, a.numpy())


def slow_twin(grid, a, c, robin, velocity):
    """Visit every cell and face; each wall has a ∂u/∂n + robin u = 0."""
    h, n, volume = grid.spacing(), grid.size, grid.cell_measure
    A, numbers = np.zeros((n, n)), np.arange(n).reshape(grid.shape)
    for cell in np.ndindex(*grid.shape):
        i = numbers[cell]
        A[i, i] += c * volume
        for k in range(grid.ndim):
            area = volume / h[k]
            for step in (-1, 1):
                there, flow = list(cell), step * velocity[k] * area
                there[k] += step
                if 0 <= there[k] < grid.shape[k] or grid.periodic[k]:
                    there[k] %= grid.shape[k]
                    j = numbers[tuple(there)]
                    conductance = area / h[k] * 2 * a[cell] * a[tuple(there)] / (a[cell] + a[tuple(there)])
                    A[i, i] += conductance - flow / 2
                    A[i, j] -= conductance - flow / 2
                else:
                    conductance = 2 * a[cell] * area / h[k]
                    A[i, i] += (conductance - flow) * robin * area / (conductance + robin * area)
    return A


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=3),
    st.floats(0.0, 2.0),
    st.floats(-3.0, 3.0),
)
def test_matrix_equals_a_loop_over_cells_and_faces(axes, robin, speed):
    shape, periodic = zip(*axes, strict=True)
    grid = Grid(shape, ((0.0, 1.0), (-1.0, 1.0), (2.0, 5.0))[: len(shape)], periodic, "cell")
    velocity, a = [speed, 1.0, -0.5][: len(shape)], positive(shape)
    boundary = {tag: c for tag, c in walls(len(shape), Robin(robin)).items() if not periodic[int(tag[1])]}
    beta = torch.tensor(velocity, dtype=torch.float64).expand(*shape, len(shape))
    A = elliptic_system(grid, a, 0.0, boundary, velocity=beta, reaction=0.3).A.toarray()
    expected = slow_twin(grid, a.numpy(), 0.3, robin, velocity)
    np.testing.assert_allclose(A, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


@given(st.lists(st.floats(0.05, 20.0), min_size=2, max_size=12))
def test_harmonic_means_are_exact_for_a_layered_medium(layers):
    n = len(layers)
    grid, a = Grid.unit((n,)), torch.tensor(layers, dtype=torch.float64)
    system = elliptic_system(grid, a, 0.0, {"x0-": Dirichlet(0.0), "x0+": Dirichlet(1.0)})
    resistance = np.cumsum(1 / (n * a.numpy()))
    centre = resistance - 0.5 / (n * a.numpy())
    u = np.linalg.solve(system.A.toarray(), system.b)
    np.testing.assert_allclose(u, centre / resistance[-1], atol=1e-12, rtol=0)


@pytest.mark.parametrize("kind", ["neumann", "periodic"])
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_nothing_is_lost_without_a_way_out(dim, kind):
    """Column sums of closed and periodic boxes vanish, with a divergence-free flow too where it goes round."""
    periodic = kind == "periodic"
    grid = Grid.unit((5, 4, 3)[:dim], periodic=periodic)
    boundary = walls(dim, Periodic() if periodic else Neumann())
    speed = torch.tensor([1.0, -2.0, 0.5][:dim], dtype=torch.float64).expand(*grid.shape, dim)
    system = elliptic_system(grid, positive(grid.shape), 1.0, boundary, velocity=speed if periodic else None)
    ones = np.ones(grid.size)
    np.testing.assert_allclose(ones @ system.A, 0.0, atol=1e-13 * np.abs(system.A.data).max())
    np.testing.assert_allclose(system.A @ system.nullspace, 0.0, atol=1e-13 * np.abs(system.A.data).max())


def test_source_equals_what_flows_out_through_the_walls():
    grid = Grid.uniform((9, 7), [(0.0, 1.0), (0.0, 2.0)])
    a, f, inflow, data = positive(grid.shape), positive(grid.shape, 1), 0.7, 0.3
    boundary = {**walls(2, Dirichlet(data)), "x0-": Neumann(inflow)}
    system = elliptic_system(grid, a, f, boundary)
    u = np.linalg.solve(system.A.toarray(), system.b).reshape(grid.shape)
    hx, hy = grid.spacing()
    a = a.numpy()
    out = 2 * a[-1] * (u[-1] - data) * hy / hx - inflow * hy
    top = 2 * a[:, [0, -1]] * (u[:, [0, -1]] - data) * hx / hy
    assert out.sum() + top.sum() == pytest.approx(float(f.sum()) * grid.cell_measure, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_self_adjoint_systems_are_symmetric_and_say_so(kind):
    system = Manufactured(2, kind, "diffusion").system(8, "cell", elliptic_system)
    found = describe(system.A)
    assert system.symmetric
    assert found.hermitian
    assert system.positive_definite
    assert (system.nullspace is not None) == found.constant_nullspace
    assert (system.nullspace is not None) == (kind in ("neumann", "periodic"))
    assert (system.grid is not None) == (kind == "dirichlet")


def test_published_darcy_stencil_is_not_symmetric_and_ours_is():
    """Entries 4 a_i and -a_j of the neighbour: krylov_recycling section 6.3 found 1.1e-2 on 98 x 98 nodes."""
    n = 98
    grid, generator = Grid.unit((n, n)), seeds.generator(0, seeds.INPUTS, 0)
    g = gaussian_random_field(Box.unit(2), 2.5, 7.0, generator=generator, kind="periodic", scale=7.0**1.5).on(
        grid
    )
    a = torch.exp(g)
    flat = a.reshape(-1).numpy()
    bands = [4 * flat, -flat[1:], -flat[:-1], -flat[n:], -flat[2 : n * n - n + 2]]  # the last two cells off
    published = sp.diags_array(bands, offsets=[0, 1, -1, n, -n]).tocsr()
    ours = elliptic_system(grid, a, 1.0, walls(2)).A
    asymmetry = [sp.linalg.norm(A - A.T) / sp.linalg.norm(A) for A in (published, ours)]
    assert asymmetry[0] > 3e-3
    assert asymmetry[1] == 0.0


def test_upwind_convection_obeys_the_maximum_principle_where_central_differences_do_not():
    grid = Grid.unit((12, 12))
    beta = torch.tensor([300.0, 170.0], dtype=torch.float64).expand(12, 12, 2)
    boundary = {
        **walls(2),
        "x0-": Dirichlet(lambda x: (x[:, 1] > 0.4).double()),
        "x1+": Neumann(),
    }
    found = {}
    for scheme in ("upwind", "central"):
        system = elliptic_system(grid, positive((12, 12)), 0.0, boundary, velocity=beta, convection=scheme)
        found[scheme] = np.linalg.solve(system.A.toarray(), system.b)
        off = system.A - sp.diags_array(system.A.diagonal())
        assert (off.max() <= 0) == (scheme == "upwind")
    assert found["upwind"].min() >= -1e-14
    assert found["upwind"].max() <= 1 + 1e-14
    assert found["central"].min() < -0.01 or found["central"].max() > 1.01


def test_velocity_by_cells_equals_velocity_by_function_where_it_is_linear():
    grid = Grid.uniform((6, 5), [(0.0, 1.0), (-1.0, 1.0)])

    def beta(x):
        return torch.stack((2 * x[:, 0] - x[:, 1], 1 + x[:, 0] + 3 * x[:, 1]), dim=-1)

    cells = beta(grid.coordinates().reshape(-1, 2)).reshape(6, 5, 2)
    by_cells, by_function = (
        elliptic_system(grid, 1.0, 1.0, walls(2, Robin(1.0)), velocity=v).A for v in (cells, beta)
    )
    assert abs(by_cells - by_function).max() < 1e-14


def test_complex_coefficients_give_a_complex_symmetric_matrix():
    grid = Grid((6, 5), ((0.0, 1.0), (0.0, 1.0)), (False, True), "cell")
    a = torch.complex(positive((6, 5)), positive((6, 5), 1))
    system = elliptic_system(grid, a, 1.0, {"x0-": Robin(-2j, 1.0), "x0+": Dirichlet(1j)}, reaction=-1 + 2j)
    assert system.A.dtype == complex
    assert abs(system.A - system.A.T).max() == 0
    assert system.symmetric is False
    assert system.positive_definite is None
    assert system.grid is None
    only_data = elliptic_system(grid, 1.0, 1.0, {"x0-": Dirichlet(1j), "x0+": Dirichlet()})
    assert only_data.A.dtype == float
    assert only_data.symmetric
    assert np.iscomplexobj(only_data.b)


@pytest.mark.parametrize(
    ("reaction", "transfer", "expected"), [(1.0, 1.0, True), (-1.0, 1.0, None), (1.0, -1.0, None)]
)
def test_definiteness_is_claimed_only_where_it_is_certain(reaction, transfer, expected):
    system = elliptic_system(Grid.unit((4,)), 1.0, 1.0, walls(1, Robin(transfer)), reaction=reaction)
    assert system.positive_definite is expected
    assert system.symmetric


def test_balanced_data_solve_a_pure_neumann_problem_and_contradictory_data_are_refused():
    grid = Grid.unit((16,))
    fitting = elliptic_system(grid, 1.0, 1.0, {"x0-": Neumann(), "x0+": Neumann(-1.0)})
    tilted = replace(fitting, b=fitting.b + 1e-3 * np.abs(fitting.b).max())
    assert solve(balanced(tilted), rtol=1e-10).converged
    assert not solve(tilted, rtol=1e-10).converged
    with pytest.raises(UsageError, match="do not balance"):
        balanced(elliptic_system(grid, 1.0, 1.0, walls(1, Neumann())))


FAULTS = [
    ({"boundary": {"x0-": Dirichlet()}}, r"no boundary condition on \['x0\+', 'x1-', 'x1\+'\]"),
    ({"boundary": {**walls(2), "left": Dirichlet()}}, r"unknown boundary tags \['left'\].*x0-"),
    ({"boundary": {**walls(2), "x0-": 0.0}}, "is a float; expected Dirichlet"),
    ({"boundary": walls(2, Periodic())}, "periodic"),
    ({"grid": Grid.unit((4, 4), periodic=True)}, "periodic"),
    ({"grid": Grid.unit((4, 4), location="node")}, "cell-centred"),
    ({"a": -1.0}, "positive"),
    ({"boundary": {**walls(2), "x0-": Neumann(lambda x: 1 / x[:, 0])}}, "the value of Neumann on 'x0-' is inf, not finite, at 4"),
    ({"boundary": {**walls(2), "x1+": Robin(float("nan"))}}, r"the coefficient of Robin on 'x1\+' is nan"),
    ({"a": torch.ones(3, 4)}, r"a has shape \(3, 4\); expected a number or \(4, 4\)"),
    ({"velocity": torch.ones(4, 4)}, r"velocity must be real \(4, 4, 2\)"),
    ({"velocity": lambda x: x[:, 0]}, "velocity must return"),
    ({"velocity": torch.ones(4, 4, 2), "convection": "quick"}, "central"),
    ({"reaction": torch.ones(4)}, "reaction has shape"),
]


@pytest.mark.parametrize(("change", "message"), FAULTS)
def test_wrong_input_is_named_in_one_line(change, message):
    options = {"grid": Grid.unit((4, 4)), "a": 1.0, "f": 1.0, "boundary": walls(2), **change}
    with pytest.raises(UsageError, match=message) as caught:
        elliptic_system(
            options.pop("grid"), options.pop("a"), options.pop("f"), options.pop("boundary"), **options
        )
    assert "\n" not in str(caught.value)
