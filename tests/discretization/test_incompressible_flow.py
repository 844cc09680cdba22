import numpy as np
import pytest

from pdeflow.discretization.biquadratic import BiquadraticElements
from pdeflow.discretization.incompressible_flow import Flow
from pdeflow.linalg import solve

VISCOSITY = 1 / 20
RATE = 0.5 / VISCOSITY - np.sqrt(0.25 / VISCOSITY**2 + 4 * np.pi**2)


def direct(system):
    return solve(system, method="direct", rtol=1e-12)


def kovasznay(x):
    """Velocity, its gradient and the pressure behind a lattice (Kovasznay, Proc. Camb. Phil. Soc. 44 (1948) 58)."""
    decay, phase = np.exp(RATE * x[..., 0]), 2 * np.pi * x[..., 1]
    u = np.stack([1 - decay * np.cos(phase), RATE / (2 * np.pi) * decay * np.sin(phase)], axis=-1)
    first = np.stack([-RATE * decay * np.cos(phase), 2 * np.pi * decay * np.sin(phase)], axis=-1)
    second = np.stack([RATE**2 / (2 * np.pi) * decay * np.sin(phase), RATE * decay * np.cos(phase)], axis=-1)
    return u, np.stack([first, second], axis=-2), 0.5 * (1 - decay**2)


def lattice_flow(m):
    """A bent channel with Kovasznay's velocity on three sides and its traction on the fourth."""
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, 2 * m + 1), np.linspace(-0.5, 0.5, 2 * m + 1), indexing="ij")
    e = BiquadraticElements(np.stack([x, y + 0.1 * np.sin(2 * x)], axis=-1))
    given = np.zeros(e.shape, dtype=bool)
    given[0] = given[:, 0] = given[:, -1] = True
    outlet = e.side(0, -1)
    _, slope, p = kovasznay(outlet.points)
    traction = VISCOSITY * np.einsum("eqik,eqk->eqi", slope, outlet.normals) - p[..., None] * outlet.normals
    velocity = kovasznay(e.coordinates.reshape(-1, 2))[0]
    return Flow(e, VISCOSITY, given.ravel(), velocity, outlet.load(traction, e.size))


def errors(m):
    flow = lattice_flow(m)
    found = flow.solve(direct)
    assert found.converged
    u, p = flow.split(found.x)
    e = flow.elements
    exact, _, pressure = kovasznay(e.points)
    velocity = (e.weights[..., None] * (e.values @ u[e.nodes] - exact) ** 2).sum()
    return np.sqrt([velocity, (e.weights * (p[e.corners] @ e.corner_values.T - pressure) ** 2).sum()])


def test_velocity_converges_at_third_order_and_pressure_at_second():
    found = np.array([errors(m) for m in (4, 8, 16)])
    orders = np.log2(found[:-1] / found[1:])[-1]
    assert orders[0] == pytest.approx(3, abs=0.2)
    assert orders[1] > 1.85


def test_the_jacobian_is_the_derivative_of_the_residual():
    flow = lattice_flow(3)
    x, d = np.random.default_rng(0).standard_normal((2, flow.size))
    d[flow.fixed] = 0
    r = flow.residual(x)
    change = (flow.residual(x + d) - flow.residual(x - d)) / 2  # the equations are quadratic: exact
    A = flow.system(x, r, 1.0, 1.0).A
    np.testing.assert_allclose(A @ d, change, atol=1e-12 * np.abs(change).max())
    picard = flow.system(x, r, 1.0, 0.0)
    y = (
        x + direct(picard).x
    )  # Picard: the convecting velocity is the old one, so that the equations are linear
    np.testing.assert_allclose(picard.A @ (y - x), -r, atol=1e-9 * np.abs(r).max())


def test_newton_converges_quadratically_from_the_stokes_flow():
    found = lattice_flow(6).solve(direct, rtol=1e-12)
    norms = np.array(found.residual_norms) / found.residual_norms[0]
    fast = norms[(norms < 1e-2) & (norms > 1e-11)]
    assert len(fast) >= 2
    assert np.log(fast[-1]) / np.log(fast[-2]) > 1.6
    assert found.iterations <= 8


def test_mass_is_conserved_and_the_reported_residual_is_the_recomputed_one():
    flow = lattice_flow(5)
    found = flow.solve(direct)
    u, _ = flow.split(found.x)
    through = [flow.elements.side(axis, end).flux(u) for axis in (0, 1) for end in (0, -1)]
    assert abs(sum(through)) < 1e-11 * max(map(abs, through))
    assert found.residual_norms[-1] == pytest.approx(np.linalg.norm(flow.residual(found.x)), rel=1e-12)
    assert flow.relative_residual(found.x) < 1e-10


def test_a_fluid_at_rest_needs_no_step():
    flow = lattice_flow(2)
    still = Flow(flow.elements, VISCOSITY, flow.given, np.zeros_like(flow.velocity))
    found = still.solve(direct)
    assert found.converged
    assert not found.x.any()
