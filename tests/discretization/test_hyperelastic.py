import numpy as np
import pytest
import torch

from pdeflow.discretization.biquadratic import BiquadraticElements
from pdeflow.discretization.hyperelastic import Solid
from pdeflow.discretization.plane_stress import RivlinSaunders
from pdeflow.linalg import solve
from pdeflow.problems.differentiate import divergence, gradient

RUBBER = RivlinSaunders(1.863, 0.0979)
MATERIALS = [RUBBER, RUBBER.linear()]


def direct(system):
    return solve(system, method="direct", rtol=1e-12)


def ring(m, n):
    """Elements between a wavy hole and a circle."""
    angle = 2 * np.pi * np.arange(2 * m)[:, None] / (2 * m)
    radius = (0.4 + 0.05 * np.cos(3 * angle)) * (1 - np.linspace(0, 1, 2 * n + 1)) + np.linspace(
        0, 1, 2 * n + 1
    )
    nodes = radius[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return BiquadraticElements(nodes, (True, False))


def strip(m, n):
    """A distorted rectangle, clamped at the left and pulled at the right."""
    x, y = np.meshgrid(np.linspace(0, 2, 2 * m + 1), np.linspace(0, 1, 2 * n + 1), indexing="ij")
    return BiquadraticElements(
        np.stack([x + 0.05 * np.sin(3 * y) * x * (2 - x), y + 0.05 * x * (2 - x) * y], axis=-1)
    )


def pulled(material, force, m=6, n=3):
    e = strip(m, n)
    clamped = np.zeros((*e.shape, 2), dtype=bool)
    clamped[0] = True
    return Solid(
        e, material, clamped.reshape(-1, 2), e.side(0, -1).load(np.array([force, 0.3 * force]), e.size)
    )


def outer_nodes(e):
    mask = np.zeros((*e.shape, 2), dtype=bool)
    mask[:, -1] = True
    if not e.periodic[0]:
        mask[:, 0] = mask[0] = mask[-1] = True
    return mask.reshape(-1, 2)


@pytest.mark.parametrize("material", MATERIALS)
@pytest.mark.parametrize("make", [strip, ring])
def test_patch_test_a_homogeneous_deformation_is_reproduced(material, make):
    e = make(8, 2)
    x, G = e.coordinates.reshape(-1, 2), np.array([[0.2, -0.1], [0.3, 0.15]])
    u, clamped = x @ G.T, outer_nodes(e)
    load = np.zeros_like(u)
    stress = material.stress(torch.from_numpy(G)).numpy()
    if make is ring:  # the hole carries the traction of the homogeneous state
        hole = e.side(1, 0)
        load = hole.load(hole.normals @ stress.T, e.size)
    solid = Solid(e, material, clamped, load)
    v = np.where(clamped, u, 0.97 * u)
    for _ in range(6):
        v = v + direct(solid.system(v, solid.residual(v))).x.reshape(-1, 2)
    np.testing.assert_allclose(v, u, atol=1e-12)
    np.testing.assert_allclose(
        solid.stress(v),
        np.broadcast_to(material.true_stress(torch.from_numpy(G)).numpy(), (e.size, 2, 2)),
        atol=1e-11,
    )


def smooth(x):
    first = 0.1 * torch.sin(2 * x[:, 0] + x[:, 1])
    return torch.stack([first, 0.1 * torch.cos(x[:, 0] - 1.5 * x[:, 1]) * x[:, 1]], dim=1)


def smooth_gradient(x, keep=False):
    x = x.detach().requires_grad_()
    u = smooth(x)
    G = torch.stack([gradient(u[:, i], x) for i in range(2)], dim=1)
    return (x, G) if keep else G.detach()


def manufactured(material, m):
    """Errors of displacement and of nodal stress on a ring: u given outside, traction at the hole, body force inside."""
    e = ring(m, m // 4)
    at = torch.from_numpy(e.points.reshape(-1, 2))
    x, G = smooth_gradient(at, keep=True)
    P = material.stress(G)
    force = -torch.stack([divergence(P[:, i], x) for i in range(2)], dim=1).detach().numpy()
    hole = e.side(1, 0)
    stress = material.stress(smooth_gradient(torch.from_numpy(hole.points.reshape(-1, 2)))).numpy()
    traction = np.einsum("qij,qj->qi", stress, hole.normals.reshape(-1, 2)).reshape(hole.points.shape)
    nodes = torch.from_numpy(e.coordinates.reshape(-1, 2))
    u, clamped = smooth(nodes).numpy(), outer_nodes(e)
    solid = Solid(e, material, clamped, e.load(force.reshape(e.points.shape)) + hole.load(traction, e.size))
    v = u  # Newton starts at the interpolant, which is near
    for _ in range(5):
        v = v + direct(solid.system(v, solid.residual(v))).x.reshape(-1, 2)
    assert solid.relative_residual(v) < 1e-11
    difference = e.values @ v[e.nodes] - smooth(at).numpy().reshape(e.points.shape)
    exact = material.true_stress(smooth_gradient(nodes)).numpy()
    return np.sqrt((e.weights[..., None] * difference**2).sum()), np.sqrt(
        ((solid.stress(v) - exact) ** 2).mean()
    )


@pytest.mark.parametrize("material", MATERIALS)
def test_displacement_converges_at_third_order_and_nodal_stress_at_second(material):
    errors = np.array([manufactured(material, m) for m in (8, 16, 32)])
    orders = np.log2(errors[:-1] / errors[1:])
    assert orders[-1, 0] == pytest.approx(3, abs=0.2)
    assert orders[-1, 1] > 1.85


def some_state(solid, size=0.02):
    return size * np.random.default_rng(0).standard_normal(solid.load.shape) * ~solid.clamped


@pytest.mark.parametrize("material", MATERIALS)
def test_residual_is_minus_the_gradient_of_the_energy_and_tangent_its_derivative(material):
    solid = pulled(material, 0.2)
    u, d, h = (
        some_state(solid),
        np.random.default_rng(1).standard_normal(solid.load.shape) * ~solid.clamped,
        1e-5,
    )
    slope = (solid.energy(u + h * d) - solid.energy(u - h * d)) / (2 * h)
    assert -(solid.residual(u) * d).sum() == pytest.approx(slope, rel=1e-6)
    h = 1e-7
    change = (solid.internal(u + h * d) - solid.internal(u - h * d)) / (2 * h)
    exact = (solid.tangent(u) @ d.ravel()).reshape(-1, 2)
    assert np.linalg.norm(change - exact) < 1e-8 * np.linalg.norm(exact)
    A = solid.tangent(u)
    assert abs(A - A.T).max() < 1e-13 * abs(A).max()


def test_the_energy_gradient_of_the_linear_solid_is_the_residual_of_its_system():
    solid = pulled(RUBBER.linear(), 0.2)
    system, u = solid.system(np.zeros(solid.load.shape), solid.load, definite=True), some_state(solid)
    free = ~solid.clamped.ravel()
    np.testing.assert_allclose(
        (system.b - system.A @ u.ravel())[free], solid.residual(u).ravel()[free], atol=1e-14
    )
    quadratic = 0.5 * u.ravel() @ system.A @ u.ravel() - system.b @ u.ravel()
    assert quadratic == pytest.approx(solid.energy(u), rel=1e-12)


def test_newton_converges_quadratically():
    found = pulled(RUBBER, 0.35).solve(direct)
    assert found.converged
    norms = np.array(found.residual_norms)
    fast = norms[(norms < 1e-2 * norms[0]) & (norms > 1e-9 * norms[0])]
    assert len(fast) >= 2
    assert np.log(fast[-1]) / np.log(fast[-2]) > 1.6
    assert found.iterations <= 8


def test_load_steps_lead_to_the_same_solution_where_one_step_is_not_allowed_enough_iterations():
    solid = pulled(RUBBER, 0.35)
    whole, parts = solid.solve(direct), solid.solve(direct, maxiter=4)
    assert parts.converged
    assert parts.iterations > whole.iterations
    np.testing.assert_allclose(parts.x, whole.x, atol=1e-9)


def test_reactions_balance_the_load():
    solid = pulled(RUBBER, 0.35)
    u = solid.solve(direct).x
    reaction = (solid.internal(u) - solid.load)[solid.clamped].reshape(-1, 2).sum(0)
    np.testing.assert_allclose(reaction, -solid.load.sum(0), rtol=1e-9)


def test_a_load_beyond_reach_is_not_reported_as_solved():
    found = pulled(RUBBER, 0.35).solve(direct, maxiter=1)
    assert not found.converged
    assert np.isnan(pulled(RUBBER, 0.2).internal(-2 * strip(6, 3).coordinates.reshape(-1, 2)[:, ::-1])).all()
