from dataclasses import replace

import numpy as np
import pytest
import skfem
from scipy.spatial import cKDTree
from skfem.helpers import dot, grad

from pdeflow.discretization.biquadratic import BARLOW, BiquadraticElements
from pdeflow.errors import UsageError


def bent(unit):
    """A smooth map of the unit square, (..., 2) -> (..., 2)."""
    x, y = unit[..., 0], unit[..., 1]
    return np.stack(
        [x + 0.15 * np.sin(2 * y) + 0.1 * x * y, y + 0.2 * x**2 - 0.1 * np.sin(3 * x * y)], axis=-1
    )


def unit_nodes(m, n):
    axes = np.linspace(0, 1, 2 * m + 1), np.linspace(0, 1, 2 * n + 1)
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def ring(m, n, clockwise=False):
    angle = 2 * np.pi * np.arange(2 * m) / (2 * m) * (-1 if clockwise else 1)
    radius = np.linspace(1, 2, 2 * n + 1)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)[:, None]


def test_stiffness_and_mass_equal_those_of_scikit_fem_on_a_curved_grid():
    nodes = unit_nodes(5, 3)
    mine = BiquadraticElements(bent(nodes))
    straight = skfem.MeshQuad2.from_mesh(
        skfem.MeshQuad.init_tensor(np.linspace(0, 1, 6), np.linspace(0, 1, 4))
    )
    mesh = replace(straight, doflocs=np.ascontiguousarray(bent(straight.doflocs.T).T))
    # three Gauss points per axis: the stiffness of curved elements is rational, so the rule must be the same
    t, w = np.polynomial.legendre.leggauss(3)
    rule = (
        np.stack(np.meshgrid((t + 1) / 2, (t + 1) / 2, indexing="ij")).reshape(2, -1),
        np.outer(w, w).ravel() / 4,
    )
    basis = skfem.Basis(mesh, skfem.ElementQuad2(), quadrature=rule)
    theirs = [
        skfem.BilinearForm(form).assemble(basis)
        for form in (lambda u, v, w: dot(grad(u), grad(v)), lambda u, v, w: u * v)
    ]
    gap, place = cKDTree(mine.coordinates.reshape(-1, 2)).query(basis.doflocs.T)
    assert gap.max() < 1e-14
    u, v = np.random.default_rng(0).standard_normal((2, mine.size))
    slope = [np.einsum("mqad,ma->mqd", mine.gradients, w[mine.nodes]) for w in (u, v)]
    value = [w[mine.nodes] @ mine.values.T for w in (u, v)]
    stiffness = float((mine.weights * (slope[0] * slope[1]).sum(-1)).sum())
    mass = float((mine.weights * value[0] * value[1]).sum())
    assert stiffness == pytest.approx(u[place] @ theirs[0] @ v[place], rel=1e-12)
    assert mass == pytest.approx(u[place] @ theirs[1] @ v[place], rel=1e-12)


@pytest.mark.parametrize("clockwise", [False, True])
def test_a_ring_closes_and_its_normals_satisfy_the_divergence_theorem(clockwise):
    e = BiquadraticElements(ring(16, 3, clockwise), (True, False))
    sides = [e.side(1, 0), e.side(1, -1)]
    through = sum(float((s.weights * (s.normals * s.points).sum(-1)).sum()) for s in sides)  # ∫ ∇·x = 2 |Ω|
    assert through == pytest.approx(2 * e.weights.sum(), rel=1e-13)
    assert e.weights.sum() == pytest.approx(3 * np.pi, rel=1e-4)
    assert sides[1].weights.sum() == pytest.approx(4 * np.pi, rel=1e-4)
    assert (sides[0].normals * sides[0].points).sum(-1).max() < 0  # into the hole


@pytest.mark.parametrize(
    ("axis", "end", "normal"), [(0, 0, (-1, 0)), (0, -1, (1, 0)), (1, 0, (0, -1)), (1, -1, (0, 1))]
)
def test_normals_of_a_square_point_out(axis, end, normal):
    side = BiquadraticElements(unit_nodes(2, 3)).side(axis, end)
    np.testing.assert_allclose(side.normals, np.broadcast_to(normal, side.normals.shape), atol=1e-14)


def test_area_of_a_ring_converges_at_fourth_order():
    errors = [
        abs(BiquadraticElements(ring(m, 2), (True, False)).weights.sum() - 3 * np.pi) for m in (8, 16, 32)
    ]
    assert np.log2(np.array(errors[:-1]) / errors[1:]) == pytest.approx([4, 4], abs=0.1)


def test_loads_add_up_to_the_force():
    e = BiquadraticElements(bent(unit_nodes(3, 4)))
    force = e.load(np.broadcast_to([2.0, -1.0], (*e.weights.shape, 2)))
    np.testing.assert_allclose(force.sum(0), np.array([2.0, -1.0]) * e.weights.sum(), rtol=1e-13)
    side = e.side(1, -1)
    np.testing.assert_allclose(
        side.load(np.array([0.0, 3.0]), e.size).sum(0), [0, 3 * side.weights.sum()], rtol=1e-13
    )


def test_averaged_derivatives_are_exact_for_quadratics_and_of_second_order_on_curved_grids():
    errors = []
    for m in (4, 8, 16):
        for shape, power in ((lambda x: x, 2), (bent, 3)):
            e = BiquadraticElements(shape(unit_nodes(m, m)))
            x = e.coordinates.reshape(-1, 2)
            u, slope = x[:, 0] ** power * x[:, 1], power * x[:, 0] ** (power - 1) * x[:, 1]
            found = e.average(np.einsum("mqa,ma->mq", e.gradients_at(BARLOW)[..., 0], u[e.nodes]))
            errors.append(np.abs(found - slope).max())
    assert (
        max(errors[0::2]) < 1e-12
    )  # at Barlow's points x² y is differentiated exactly, and the derivative is bilinear
    assert np.log2(np.array(errors[1:-2:2]) / errors[3::2]).min() > 1.8


def test_corner_values_are_interpolated_bilinearly():
    e = BiquadraticElements(unit_nodes(2, 3))
    corners = e.coordinates[::2, ::2].reshape(-1, 2)
    function = [1 + 2 * x[:, 0] - x[:, 1] for x in (corners, e.coordinates.reshape(-1, 2))]
    np.testing.assert_allclose(e.spread_corners(function[0]), function[1], atol=1e-14)


def test_wrong_counts_and_folded_elements_are_refused():
    with pytest.raises(UsageError, match="odd number of nodes"):
        BiquadraticElements(unit_nodes(2, 2)[:-1])
    with pytest.raises(UsageError, match="odd number of nodes"):
        BiquadraticElements(unit_nodes(2, 2), (True, False))
    folded = unit_nodes(2, 2)
    folded[1, 1] += 0.6
    with pytest.raises(UsageError, match="folded, first number 0"):
        BiquadraticElements(folded)
