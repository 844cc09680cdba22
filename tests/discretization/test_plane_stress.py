import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pdeflow.discretization.plane_stress import IDENTITY, LinearElastic, RivlinSaunders, von_mises

RUBBER = RivlinSaunders(1.863, 0.0979)
MATERIALS = [RUBBER, RUBBER.linear(), LinearElastic(2.0, 0.7)]
gradients = st.lists(st.floats(-0.4, 0.4), min_size=4, max_size=4).map(
    lambda v: torch.tensor(v, dtype=torch.float64).reshape(2, 2)
)
angles = st.floats(-math.pi, math.pi)


def rotation(angle):
    return torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64
    )


@pytest.mark.parametrize("material", MATERIALS)
@given(G=gradients)
def test_stress_is_the_derivative_of_the_energy_and_the_tangent_that_of_the_stress(material, G):
    stress, tangent = torch.func.jacrev(material.energy)(G), torch.func.jacrev(material.stress)(G)
    size = float(tangent.abs().max())
    torch.testing.assert_close(material.stress(G), stress, atol=1e-13 * size, rtol=1e-11)
    torch.testing.assert_close(material.tangent(G), tangent, atol=1e-12 * size, rtol=1e-11)


@given(G=gradients)
def test_the_tangent_agrees_with_central_differences(G):
    d, h = torch.tensor([[0.3, -0.5], [0.7, 0.4]], dtype=torch.float64), 1e-5
    slope = (RUBBER.stress(G + h * d) - RUBBER.stress(G - h * d)) / (2 * h)
    found = torch.einsum("iJkL,kL->iJ", RUBBER.tangent(G), d)
    smallest = (
        1 + float(torch.linalg.det(IDENTITY + G)) ** -4
    )  # the third derivative grows as the solid is crushed
    assert float((found - slope).norm()) <= 1e-8 * smallest * float(found.norm()) + 1e-8 * smallest


@given(G=gradients, angle=angles)
def test_the_energy_is_objective_and_isotropic(G, angle):
    F, R = IDENTITY + G, rotation(angle)
    energy = RUBBER.energy(G)
    scale = float(RUBBER.tangent(G).abs().max())
    for turned in (R @ F, F @ R):
        torch.testing.assert_close(RUBBER.energy(turned - IDENTITY), energy, atol=1e-13 * scale, rtol=1e-12)
    torch.testing.assert_close(
        RUBBER.stress(R @ F - IDENTITY), R @ RUBBER.stress(G), atol=1e-12 * scale, rtol=1e-11
    )
    mises = von_mises(RUBBER.true_stress(G))
    torch.testing.assert_close(
        von_mises(RUBBER.true_stress(R @ F - IDENTITY)), mises, atol=1e-10 * scale, rtol=1e-10
    )


@given(G=gradients)
def test_the_true_stress_is_symmetric(G):
    stress = RUBBER.true_stress(G)
    torch.testing.assert_close(
        stress, stress.mT, atol=1e-13 * float(RUBBER.tangent(G).abs().max()), rtol=1e-11
    )


def test_the_reference_state_and_its_rotations_are_free_of_stress():
    zero = torch.zeros(2, 2, dtype=torch.float64)
    assert float(RUBBER.energy(zero)) == 0
    assert torch.equal(RUBBER.stress(zero), zero)
    assert float(RUBBER.stress(rotation(1.0) - IDENTITY).abs().max()) < 1e-14


def test_small_strains_are_those_of_the_linear_solid_to_all_digits():
    zero = torch.zeros(2, 2, dtype=torch.float64)
    torch.testing.assert_close(RUBBER.tangent(zero), RUBBER.linear().tangent(zero), atol=1e-14, rtol=1e-14)
    G = torch.tensor([[0.3, -0.5], [0.7, 0.4]], dtype=torch.float64)
    for size in (1e-6, 1e-9, 1e-12):
        near, linear = RUBBER.stress(size * G), RUBBER.linear().stress(size * G)
        assert float((near - linear).norm()) < 5 * size * float(linear.norm()) + 1e-15 * size


@given(stretch=st.floats(0.5, 2.5))
def test_uniaxial_and_equibiaxial_tension_are_those_of_the_three_dimensional_solid(stretch):
    c1, c2 = RUBBER.c1, RUBBER.c2
    uniaxial = torch.diag(torch.tensor([stretch, stretch**-0.5], dtype=torch.float64))
    pull = 2 * (stretch - stretch**-2) * (c1 + c2 / stretch)  # Rivlin and Saunders (1951)
    expected = torch.diag(torch.tensor([pull, 0.0], dtype=torch.float64))
    torch.testing.assert_close(RUBBER.stress(uniaxial - IDENTITY), expected, atol=1e-12, rtol=1e-12)
    biaxial = 2 * (stretch - stretch**-5) * (c1 + c2 * stretch**2)
    torch.testing.assert_close(
        RUBBER.stress((stretch - 1) * IDENTITY), biaxial * IDENTITY, atol=1e-11, rtol=1e-12
    )


def test_von_mises_of_simple_states():
    stress = torch.tensor(
        [[[3.0, 0], [0, 0]], [[2.0, 0], [0, 2.0]], [[0, 1.0], [1.0, 0]]], dtype=torch.float64
    )
    torch.testing.assert_close(von_mises(stress), torch.tensor([3.0, 2.0, math.sqrt(3)], dtype=torch.float64))


def test_inside_out_states_are_not_admissible():
    mirror = torch.diag(torch.tensor([-2.0, 0.0], dtype=torch.float64))
    assert float(RUBBER.energy(mirror)) == 0  # the energy itself does not notice
    assert not RUBBER.admissible(mirror)
    assert RUBBER.admissible(0.1 * IDENTITY)
