"""Elasticity, Taylor–Hood flow and the vector forms beneath them."""

import numpy as np
import pytest
import skfem
import torch
from fem_cases import perturbed, rate, solve, square
from hypothesis import given, settings
from hypothesis import strategies as st
from skfem.models.elasticity import linear_elasticity

from pdeflow.discretization.finite_element import (
    FEMSpace,
    TaylorHood,
    Traction,
    VectorDirichlet,
    VectorSpace,
    elasticity_system,
    oseen_system,
    plane_strain,
    plane_stress,
    rigid_motions,
    stokes_system,
    strain_stress,
    taylor_hood_on,
    vector_space_on,
)
from pdeflow.errors import UsageError
from pdeflow.geometry.mesh import Mesh

ELEMENTS = ["P1", "P2", "Q1", "Q2"]
ORDER = {"P1": 2, "P2": 3, "Q1": 2, "Q2": 3}
LAMBDA, MU = 1.3, 0.7


def displacement(x):
    return torch.stack([torch.sin(2 * x[:, 0]) * torch.exp(x[:, 1]), torch.cos(x[:, 0] + x[:, 1])], dim=1)


def derivatives(function, x):
    """∂_j u_i and ∂_k ∂_j u_i by automatic differentiation."""
    x = x.detach().requires_grad_()
    u = function(x)
    slope = torch.stack(
        [torch.autograd.grad(u[:, i].sum(), x, create_graph=True)[0] for i in range(2)], dim=1
    )
    second = [
        [torch.autograd.grad(slope[:, i, j].sum(), x, retain_graph=True)[0] for j in range(2)]
        for i in range(2)
    ]
    return slope.detach(), torch.stack([torch.stack(row, dim=1) for row in second], dim=1)


def body_force(x):
    """-∇·σ = -(λ + μ) ∇(∇·u) - μ Δu."""
    second = derivatives(displacement, x)[1]
    return -(LAMBDA + MU) * torch.einsum("niik->nk", second) - MU * torch.einsum("nijj->ni", second)


def traction(normal):
    def value(x):
        slope = derivatives(displacement, x)[0]
        stress = LAMBDA * slope.diagonal(dim1=1, dim2=2).sum(-1)[:, None, None] * torch.eye(2) + MU * (
            slope + slope.mT
        )
        return stress @ torch.tensor(normal, dtype=torch.float64)

    return Traction(value)


@pytest.mark.parametrize("element", ELEMENTS)
def test_elasticity_converges_at_the_order_of_the_element(element):
    boundary = {
        "x0-": VectorDirichlet(displacement),
        "x0+": traction([1.0, 0.0]),
        "x1+": traction([0.0, 1.0]),
        "*": VectorDirichlet(displacement),
    }
    errors, slopes = [], []
    for n in (16, 32) if element == "P1" else (8, 16):
        mesh = square(n, element, curved=False)
        space = vector_space_on(perturbed(mesh, 3, 0.1 / n), element)
        found = solve(elasticity_system(space, LAMBDA, MU, body_force, boundary))
        errors.append(space.error(found, displacement))
        slopes.append(space.error(found, displacement, "H1"))
    assert rate(errors) == pytest.approx(ORDER[element], abs=0.15)
    assert rate(slopes) == pytest.approx(ORDER[element] - 1, abs=0.15)


@pytest.mark.parametrize(
    ("element", "cell_type"), [("P1", "tri"), ("P2", "tri"), ("Q1", "quad"), ("Q2", "quad"), ("P1", "tet")]
)
def test_elasticity_matrix_equals_scikit_fem(element, cell_type):
    mesh = Mesh.box((3,) * (3 if cell_type == "tet" else 2), cell_type=cell_type)
    space = VectorSpace(FEMSpace(mesh, element))
    system = elasticity_system(space, LAMBDA, MU, (0.0,) * space.dim, {"*": Traction()})
    basis = skfem.Basis(
        mesh.to_skfem(), skfem.ElementVector(space.scalar.skfem_element), intorder=space.scalar.order
    )
    expected = linear_elasticity(LAMBDA, MU).assemble(basis)
    assert abs(system.A - expected).max() <= 3e-15 * abs(expected).max()
    assert system.nullspace.shape[1] == space.dim * (space.dim + 1) // 2
    np.testing.assert_allclose(system.A @ system.nullspace, 0, atol=1e-13)
    assert (
        np.linalg.matrix_rank(np.hstack([system.nullspace, rigid_motions(space)]), tol=1e-9)
        == system.nullspace.shape[1]
    )


def test_rollers_leave_the_motions_they_allow():
    space = VectorSpace(FEMSpace(square(4, "P1", curved=False), "P1"))
    rollers = {"x0-": VectorDirichlet(components=(0,)), "*": Traction()}
    system = elasticity_system(space, LAMBDA, MU, (0.0, 0.0), rollers)
    assert system.nullspace.shape == (space.n, 1)  # sliding up
    np.testing.assert_allclose(system.A @ system.nullspace, 0, atol=1e-13)
    held = elasticity_system(
        space, LAMBDA, MU, (0.0, 0.0), {**rollers, "x1-": VectorDirichlet(components=(1,))}
    )
    assert held.nullspace is None
    np.linalg.cholesky(held.A.toarray())


@pytest.mark.parametrize("element", ELEMENTS)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=5)
def test_uniaxial_tension_is_exact_on_any_mesh(element, seed):
    """Plane stress: pulling by t stretches by t / E and narrows by ν t / E, for ν = 1/2 too."""
    young, poisson, t = 5.0, 0.5, 0.3
    space = VectorSpace(FEMSpace(perturbed(square(3, element, curved=False), seed, 0.06), element))
    boundary = {
        "x0-": VectorDirichlet(components=(0,)), "x1-": VectorDirichlet(components=(1,)),
        "x0+": Traction((t, 0.0)), "*": Traction(),
    }  # fmt: skip
    first, shear = plane_stress(young, poisson)
    found = solve(elasticity_system(space, first, shear, (0.0, 0.0), boundary))
    expected = space.scalar.points.numpy() * [t / young, -poisson * t / young]
    np.testing.assert_allclose(found.reshape(-1, 2), expected, atol=1e-12)
    stress = strain_stress(space, torch.from_numpy(found), first, shear)[1]
    torch.testing.assert_close(
        stress, torch.tensor([[t, 0], [0, 0]], dtype=torch.float64).expand_as(stress), atol=1e-11, rtol=0
    )


def test_plane_strain_and_plane_stress_agree_without_lateral_contraction():
    assert plane_strain(3.0, 0.0) == plane_stress(3.0, 0.0) == (0.0, 1.5)
    first, shear = plane_strain(3.0, 0.3)
    assert plane_stress(3.0, 0.3)[0] == pytest.approx(2 * first * shear / (first + 2 * shear))


@pytest.mark.parametrize("element", ELEMENTS)
def test_tangent_is_the_derivative_of_the_internal_force(element):
    """For the St. Venant-Kirchhoff law with C from automatic differentiation, as a hyperelastic Newton step uses them."""
    space = VectorSpace(FEMSpace(square(3, element), element))

    def stress(gradient):
        deformation = torch.eye(2, dtype=torch.float64) + gradient
        green = 0.5 * (deformation.mT @ deformation - torch.eye(2, dtype=torch.float64))
        second = (
            LAMBDA * green.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None] * torch.eye(2) + 2 * MU * green
        )
        return deformation @ second

    u = 0.1 * space.interpolate(displacement)
    direction = space.interpolate(lambda x: x.flip(1) ** 2)
    slope = space.gradient_at_quadrature(u)
    modulus = torch.func.vmap(torch.func.vmap(torch.func.jacrev(stress)))(slope)  # C_ikjl
    step = 1e-6
    ahead, behind = (
        space.internal_force(stress(space.gradient_at_quadrature(u + s * direction))) for s in (step, -step)
    )
    numeric = (ahead - behind) / (2 * step)
    np.testing.assert_allclose(
        space.tangent(modulus) @ direction.numpy(), numeric, atol=1e-8 * abs(numeric).max()
    )


def velocity(x):
    return torch.stack(
        [torch.sin(x[:, 0]) * torch.exp(x[:, 1]), -torch.cos(x[:, 0]) * torch.exp(x[:, 1])], dim=1
    )


def pressure(x):
    return torch.cos(2 * x[:, 0]) * x[:, 1]


def stokes_force(x):
    """-Δu + ∇p; the velocity is harmonic and free of divergence."""
    return torch.stack([-2 * torch.sin(2 * x[:, 0]) * x[:, 1], torch.cos(2 * x[:, 0])], dim=1)


@pytest.mark.parametrize(("pair", "element"), [("P2-P1", "P2"), ("Q2-Q1", "Q2")])
def test_taylor_hood_converges_at_orders_three_and_two(pair, element):
    def outflow(x):  # ∂u/∂n - p n at x0 = 1
        slope = derivatives(velocity, x)[0][:, :, 0]
        return slope - pressure(x)[:, None] * torch.tensor([1.0, 0.0], dtype=torch.float64)

    errors, pressures = [], []
    for n in (8, 16):
        space = taylor_hood_on(perturbed(square(n, element, curved=False), 5, 0.08 / n), pair)
        boundary = {"x0+": Traction(outflow), "*": VectorDirichlet(velocity)}
        system = stokes_system(space, 1.0, stokes_force, boundary)
        assert system.nullspace is None
        x = solve(system)
        errors.append(space.velocity.error(x[: space.velocity.n], velocity))
        pressures.append(space.pressure.error(space.split(x)[1], pressure))
    assert rate(errors) == pytest.approx(3, abs=0.15)
    assert rate(pressures) == pytest.approx(2, abs=0.25)


@pytest.mark.parametrize(("pair", "cell_type"), [("P2-P1", "tri"), ("Q2-Q1", "quad")])
def test_poiseuille_flow_is_exact_for_navier_stokes(pair, cell_type):
    """u = (1 - 4 y²) on |y| < 1/2, p = 8 ν (L - x); one Newton step from the solution stays there."""
    viscosity, length = 0.1, 3.0
    mesh = Mesh.rectangle((6, 4), (0.0, -0.5), (length, 0.5), cell_type)
    space = TaylorHood.on(mesh, pair)

    def profile(x):
        return torch.stack([1 - 4 * x[:, 1] ** 2, 0 * x[:, 1]], dim=1)

    boundary = {"x0-": VectorDirichlet(profile), "x0+": Traction(), "*": VectorDirichlet()}
    # do-nothing: ν ∂u/∂n - p n = 0 holds for the exact flow at p(L) = 0
    x = solve(stokes_system(space, viscosity, (0.0, 0.0), boundary))
    for newton in (False, True, True):
        flow, head = space.split(x)
        torch.testing.assert_close(flow, profile(space.velocity.scalar.points), atol=1e-12, rtol=0)
        torch.testing.assert_close(head, 8 * viscosity * (length - mesh.points[:, 0]), atol=1e-12, rtol=0)
        last = x[: space.velocity.n]
        x = solve(oseen_system(space, viscosity, (0.0, 0.0), boundary, velocity=last, newton=newton))


def test_newton_system_is_the_derivative_of_the_navier_stokes_residual():
    space = TaylorHood.on(square(3, "P2"), "P2-P1")
    w = space.velocity.interpolate(velocity).numpy()
    v = np.random.default_rng(0).normal(size=w.size)
    step = 1e-6
    numeric = (space.inertia(w + step * v) - space.inertia(w - step * v)) / (2 * step)
    np.testing.assert_allclose(space.convection(w, newton=True) @ v, numeric, atol=1e-8 * abs(numeric).max())


def test_enclosed_flow_declares_the_constant_pressure():
    space = TaylorHood.on(square(3, "Q2"), "Q2-Q1")
    system = stokes_system(space, 1.0, (0.0, 0.0), {"*": VectorDirichlet()})
    np.testing.assert_allclose(system.A @ system.nullspace, 0, atol=1e-14)
    assert system.symmetric
    assert abs(system.A - system.A.T).max() == 0.0


def test_vector_fields_are_evaluated_and_wrong_input_refused():
    space = VectorSpace(FEMSpace(square(4, "P2", curved=False), "P2"))
    x = torch.rand(9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    field = space.interpolate(lambda x: torch.stack([x[:, 0] ** 2, x.prod(1)], dim=1))
    torch.testing.assert_close(space.evaluate(field, x), torch.stack([x[:, 0] ** 2, x.prod(1)], dim=1))
    with pytest.raises(UsageError, match="not stable"):
        elasticity_system(space, -5.0, 1.0, (0.0, 0.0), {"*": Traction()})
    with pytest.raises(UsageError, match="body force has shape"):
        elasticity_system(space, 1.0, 1.0, (0.0, 0.0, 0.0), {"*": Traction()})
    with pytest.raises(UsageError, match="boundary facets have no condition"):
        elasticity_system(space, 1.0, 1.0, (0.0, 0.0), {"x0-": Traction()})
    with pytest.raises(UsageError, match="components"):
        elasticity_system(space, 1.0, 1.0, (0.0, 0.0), {"*": VectorDirichlet(components=(2,))})
    for kind, name in ((VectorDirichlet, "value of VectorDirichlet"), (Traction, "traction")):
        conditions = {"x0-": kind((torch.nan, 0.0)), "*": VectorDirichlet()}
        with pytest.raises(UsageError, match=f"the {name} on 'x0-' is not finite"):
            elasticity_system(space, 1.0, 1.0, (0.0, 0.0), conditions)
    with pytest.raises(UsageError, match="VectorDirichlet or Traction"):
        elasticity_system(space, 1.0, 1.0, (0.0, 0.0), {"*": 1.0})
    with pytest.raises(UsageError, match="ν < 1/2"):
        plane_strain(1.0, 0.5)
    with pytest.raises(UsageError, match="unknown"):
        TaylorHood.on(space.scalar.mesh, "P1-P1")
