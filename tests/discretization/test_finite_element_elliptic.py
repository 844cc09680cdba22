"""Scalar elliptic problems: orders by manufactured solutions, flags, energy, exactness on linear functions."""

import math

import numpy as np
import pytest
import scipy.sparse.linalg as sla
import torch
from fem_cases import a, alpha, conditions, grad_u, perturbed, rate, solve, source, square, u
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.discretization.boundary import Dirichlet, Neumann, Periodic, Robin
from pdeflow.discretization.finite_element import (
    FEMSpace,
    condensed_system,
    elliptic_system,
    energy,
    space_on,
)
from pdeflow.errors import UsageError
from pdeflow.geometry.mesh import Mesh

ELEMENTS = ["P1", "P2", "Q1", "Q2"]
ORDER = {"P1": 2, "P2": 3, "Q1": 2, "Q2": 3}


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("kind", ["Dirichlet", "Neumann", "Robin", "mixed"])
def test_errors_fall_at_the_order_of_the_element(element, kind):
    errors, slopes = [], []
    for n in (16, 32):
        space = FEMSpace(square(n, element), element)
        found = solve(elliptic_system(space, a, source, conditions(kind, space.mesh)))
        errors.append(space.error(found, u))
        slopes.append(space.error(found, u, "H1", gradient=grad_u))
    assert rate(errors) == pytest.approx(ORDER[element], abs=0.15)
    assert rate(slopes) == pytest.approx(ORDER[element] - 1, abs=0.15)


@pytest.mark.parametrize(
    ("cell_type", "element", "order"),
    [("tet", "P1", 2), ("hex", "Q1", 2), ("tet", "P2", 3), ("hex", "Q2", 3)],
)
def test_errors_fall_at_the_order_in_three_dimensions(cell_type, element, order):
    def exact(x):
        return torch.sin(x[:, 0] + 2 * x[:, 1]) * torch.exp(x[:, 2])

    errors = []
    for n in (3, 6) if order == 3 else (5, 10):
        space = FEMSpace(Mesh.box((n, n, n), cell_type=cell_type), element)
        system = elliptic_system(
            space, 1.0, lambda x: 4 * exact(x), {"x0-": Dirichlet(exact), "*": Dirichlet(exact)}
        )
        errors.append(space.error(solve(system), exact))
    assert rate(errors) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("element", ["P1", "P2"])
def test_lines_are_nodally_exact(element):
    """In one dimension the nodal values at vertices are those of u when f is integrated exactly."""
    space = FEMSpace(Mesh.box((7,), cell_type="line"), element)
    found = solve(elliptic_system(space, 1.0, 2.0, {"x0-": Dirichlet(1.0), "x0+": Neumann(0.0)}))
    x = space.points[:, 0].numpy()
    np.testing.assert_allclose(found, 1 + 2 * x - x**2, atol=1e-13)


@pytest.mark.parametrize("element", ELEMENTS)
def test_convection_diffusion_reaction_keeps_the_order(element):
    def beta(x):
        return torch.stack([1 + x[:, 1], 2 - x[:, 0]], dim=1)

    errors = []
    for n in (16, 32):
        space = FEMSpace(square(n, element), element)

        def f(x):
            return source(x) + (beta(x) * grad_u(x)).sum(-1) + (1 + x[:, 0]) * u(x)

        system = elliptic_system(
            space, a, f, conditions("mixed", space.mesh), velocity=beta, reaction=lambda x: 1 + x[:, 0]
        )
        assert not system.symmetric
        errors.append(space.error(solve(system), u))
    assert rate(errors) == pytest.approx(ORDER[element], abs=0.15)


@pytest.mark.parametrize("element", ELEMENTS)
def test_tensor_coefficient_converges(element):
    """-∇·(A∇u) with constant A: f = -(A11 u_xx + 2 A12 u_xy + A22 u_yy)."""
    tensor = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)

    def f(x):
        s, c, e = torch.sin(2 * x[:, 0] + 1), torch.cos(2 * x[:, 0] + 1), torch.exp(x[:, 1])
        return -(2 * (-4 * s * e) + 2 * 0.5 * (2 * c * e + 1) + s * e)

    errors = []
    for n in (8, 16):
        space = FEMSpace(square(n, element), element)
        errors.append(space.error(solve(elliptic_system(space, tensor, f, {"*": Dirichlet(u)})), u))
    assert rate(errors) == pytest.approx(ORDER[element], abs=0.15)


@pytest.mark.parametrize("element", ["P2", "Q2"])
def test_helmholtz_plane_wave_leaves_through_the_impedance_boundary(element):
    """u = exp(i k d·x) solves -Δu - k²u = 0 with ∂u/∂n - i k u = g; g from the exact normal derivative."""
    k, direction = 6.0, torch.tensor([math.cos(0.4), math.sin(0.4)], dtype=torch.float64)

    def wave(x):
        return torch.exp(1j * k * (x * direction).sum(-1))

    def impedance(normal):
        return Robin(
            -1j * k,
            lambda x: 1j * k * (torch.tensor(normal, dtype=torch.float64).dot(direction) - 1) * wave(x),
        )

    boundary = {
        "x0-": impedance([-1.0, 0.0]), "x0+": impedance([1.0, 0.0]), "x1-": impedance([0.0, -1.0]), "x1+": impedance([0.0, 1.0]),
    }  # fmt: skip
    errors = []
    for n in (8, 16):
        space = FEMSpace(square(n, element, curved=False), element)
        system = elliptic_system(space, 1.0, 0.0, boundary, reaction=-(k**2))
        assert abs(system.A - system.A.T).max() < 1e-14 * abs(system.A).max()  # complex symmetric …
        assert not system.symmetric  # … not Hermitian
        errors.append(space.error(solve(system), wave))
    assert errors[-1] < 2e-3
    assert rate(errors) == pytest.approx(3, abs=0.2)


CASES = [
    ({"*": Dirichlet(0.0)}, None, None, True, True, False),
    ({"*": Neumann(0.0)}, None, None, True, True, True),
    ({"*": Neumann(0.0)}, 1.0, None, True, True, False),
    ({"*": Robin(1.0)}, None, None, True, True, False),
    ({"*": Robin(0.0)}, None, None, True, True, True),
    ({"*": Dirichlet(0.0)}, -3.0, None, True, None, False),
    ({"*": Dirichlet(0.0)}, None, (1.0, 0.5), False, False, False),
    ({"*": Dirichlet(0.0)}, -3.0 + 1j, None, False, False, False),
    ({"*": Dirichlet(0.0)}, 3.0 + 0j, None, True, True, False),
]


@pytest.mark.parametrize(("boundary", "reaction", "velocity", "symmetric", "definite", "singular"), CASES)
def test_declared_properties_are_those_of_the_matrix(
    boundary, reaction, velocity, symmetric, definite, singular
):
    system = elliptic_system(
        FEMSpace(square(5, "P1"), "P1"), a, 1.0, boundary, velocity=velocity, reaction=reaction
    )
    dense = system.A.toarray()
    assert (system.symmetric, system.positive_definite) == (symmetric, definite)
    assert (system.nullspace is not None) is singular
    assert np.allclose(dense, dense.conj().T, atol=1e-13) is symmetric
    if symmetric:
        lowest = np.linalg.eigvalsh(dense)[:2] / abs(dense).max()
        assert definite is None or bool(lowest[0] > 1e-6) is not singular
        if singular:
            assert abs(lowest[0]) < 1e-14 < 1e-3 < lowest[1]
            np.testing.assert_allclose(dense @ system.nullspace, 0, atol=1e-13)


@pytest.mark.parametrize("element", ELEMENTS)
def test_condensed_matrix_is_positive_definite_and_gives_the_same_solution(element):
    space = FEMSpace(square(6, element), element)
    boundary = conditions("mixed", space.mesh)
    small, full = condensed_system(space, a, source, boundary), elliptic_system(space, a, source, boundary)
    np.linalg.cholesky(small.A.toarray())
    np.linalg.cholesky(full.A.toarray())
    assert abs(full.A - full.A.T).max() < 1e-14 * abs(full.A).max()
    x = small.expand(sla.spsolve(small.A.tocsc(), small.b))
    np.testing.assert_allclose(x, solve(full), atol=1e-11)
    spread = np.linalg.cond(full.A.toarray()) / np.linalg.cond(small.A.toarray())
    assert spread < 1.5  # the fixed diagonals are of the matrix's size


@pytest.mark.parametrize("element", ELEMENTS)
@given(seed=st.integers(0, 2**32 - 1), c=st.tuples(*[st.floats(-3, 3)] * 3))
@settings(max_examples=10)
def test_linear_functions_are_reproduced_on_any_mesh(element, seed, c):
    """The patch test, with Dirichlet values on one side and the exact flux on the others."""
    space = FEMSpace(perturbed(square(4, element, curved=False), seed, 0.05), element)

    def linear(x):
        return c[0] + c[1] * x[:, 0] + c[2] * x[:, 1]

    boundary = {
        "x0-": Dirichlet(linear),
        "x0+": Neumann(2 * c[1]),
        "x1-": Neumann(-2 * c[2]),
        "x1+": Neumann(2 * c[2]),
    }
    found = solve(elliptic_system(space, 2.0, 0.0, boundary))
    np.testing.assert_allclose(found, linear(space.points).numpy(), atol=1e-12 * (1 + max(map(abs, c))))


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("tensor", [False, True])
def test_gradient_of_the_energy_is_the_residual_on_free_unknowns(element, tensor):
    space = FEMSpace(square(5, element), element)
    boundary = conditions("mixed", space.mesh)
    coefficient = torch.tensor([[2.0, 0.3], [0.3, 1.0]]).double() if tensor else a
    system = elliptic_system(space, coefficient, source, boundary, reaction=alpha)
    fixed = torch.unique(torch.cat([space.boundary_dofs("x1+"), space.boundary_dofs("x1-")]))
    x = torch.rand(space.n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[fixed] = torch.from_numpy(solve(system))[fixed]
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(energy(space, x, coefficient, source, boundary, alpha), x)
    residual = system.A @ x.detach().numpy() - system.b
    free = np.setdiff1d(np.arange(space.n), fixed.numpy())
    np.testing.assert_allclose(gradient.numpy()[free], residual[free], atol=1e-11 * abs(system.b).max())


def test_energy_takes_a_batch_and_differentiates_in_a_parameter():
    space = space_on(square(4, "P1"), "P1")
    batch = torch.stack([space.interpolate(u), 2 * space.interpolate(u)])
    factor = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    values = energy(space, batch, lambda x: factor * a(x), 0.0, {"*": Dirichlet(0.0)})
    torch.testing.assert_close(values[1], 4 * values[0])
    (slope,) = torch.autograd.grad(values[0], factor)
    torch.testing.assert_close(slope, values[0].detach() / factor.detach())


def test_first_named_dirichlet_part_decides_at_a_corner():
    space = FEMSpace(square(4, "P2", curved=False), "P2")
    corner = int((space.points.norm(dim=1)).argmin())
    sides = {"x0-": Dirichlet(1.0), "x1-": Dirichlet(2.0)}
    for order, value in ((sides, 1.0), (dict(reversed(sides.items())), 2.0)):
        assert solve(elliptic_system(space, 1.0, 0.0, {**order, "*": Neumann(0.0)}))[corner] == pytest.approx(
            value
        )


SPACE = FEMSpace(square(3, "P1"), "P1")
BAD = [
    ({"x0-": Dirichlet()}, {}, "9 boundary facets have no condition (tags 'x0+', 'x1-', 'x1+'; first facet"),
    ({"left": Dirichlet(), "*": Neumann()}, {}, "'left'; the mesh has 'x0-', 'x0+'"),
    ({"*": Periodic()}, {}, "Periodic; finite elements take"),
    ({"*": Dirichlet()}, {"a": -1.0}, "a must be positive everywhere, its smallest value is -1"),
    ({"*": Dirichlet()}, {"a": torch.ones(5)}, "a has shape (5,), expected () or (18,)"),
    ({"*": Dirichlet()}, {"a": lambda x: x}, "a must return a tensor"),
    ({"*": Dirichlet()}, {"f": float("nan")}, "f is not finite"),
    ({"*": Dirichlet()}, {"velocity": 1.0}, "velocity has shape (), expected (2,)"),
    ({"*": Neumann()}, {"velocity": (1.0, 0.0)}, "convection with Neumann conditions everywhere"),
    ({"*": Dirichlet()}, {"a": torch.tensor([[1.0, 0.5], [0.0, 1.0]])}, "must be symmetric"),
    ({"*": Dirichlet(lambda x: x)}, {}, "a boundary function must return shape"),
    ({"*": Dirichlet(lambda x: 1.0)}, {}, "got float"),
    ({"x0-": Dirichlet(math.nan), "*": Neumann()}, {}, "the value of Dirichlet on 'x0-' is nan, not finite, at 4 points"),
    ({"x0-": Neumann(lambda x: (-x[:, 1] - 9).log()), "*": Dirichlet()}, {}, "the value of Neumann on 'x0-' is nan, not finite"),
    ({"*": Robin(1.0, lambda x: (x[:, 0] - 9).log())}, {}, "the value of Robin on '*' is nan, not finite"),
    ({"x1+": Robin(lambda x: x[:, 1] * math.nan), "*": Dirichlet()}, {}, "the coefficient of Robin on 'x1+' is nan"),
]


@pytest.mark.parametrize(("boundary", "other", "message"), BAD)
def test_wrong_input_is_refused_in_one_line(boundary, other, message):
    arguments = {"a": 1.0, "f": 1.0, **other}
    with pytest.raises(UsageError) as caught:
        elliptic_system(SPACE, arguments.pop("a"), arguments.pop("f"), boundary, **arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
