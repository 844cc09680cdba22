"""Random fields on meshes: the covariance is the discrete operator's power, and tends to the series of the box."""

import numpy as np
import pytest
import torch

from pdeflow import seeds
from pdeflow.errors import UsageError
from pdeflow.geometry import Box
from pdeflow.geometry.mesh import Mesh
from pdeflow.random_fields import MeshFieldSampler, field_amplitudes, gaussian_random_field


def square(n):
    return Mesh.rectangle((n, n), (0.0, 0.0), (1.0, 1.0), "tri")


def noise_to_field(sampler):
    return torch.stack([sampler.of_noise(unit) for unit in torch.eye(len(sampler.mass))], dim=1).numpy()


@pytest.mark.parametrize("alpha", [2, 4])
def test_mean_variance_on_a_square_tends_to_the_sum_over_cosine_modes(alpha):
    tau = 5.0
    exact = float((field_amplitudes(Box.unit(2), alpha, tau, kind="neumann", modes=400) ** 2).sum())
    gaps = []
    for n in (8, 16):
        sampler = MeshFieldSampler(square(n), alpha, tau)
        variance = (noise_to_field(sampler) ** 2).sum(axis=1)
        gaps.append(abs(float(variance @ sampler.mass) / exact - 1))
    assert gaps[1] < gaps[0] / 2.5  # order h² but for a logarithm
    assert gaps[1] < 0.05


def test_two_solves_are_the_square_of_one_and_constants_are_left_out():
    mesh, tau = square(6), 3.0
    once, twice = (noise_to_field(MeshFieldSampler(mesh, alpha, tau, scale=1.0)) for alpha in (2, 4))
    root = np.sqrt(MeshFieldSampler(mesh, 2, tau).mass)
    np.testing.assert_allclose(
        root[:, None] * twice, (root[:, None] * once) @ (root[:, None] * once), atol=1e-14
    )
    np.testing.assert_allclose(root**2 @ once, 0.0, atol=1e-14)


def test_equal_generators_give_equal_fields_and_the_spread_is_the_covariance():
    sampler = MeshFieldSampler(square(5), 2, 4.0)
    first, again = (sampler.draw(seeds.generator(0, seeds.INPUTS, 3)) for _ in range(2))
    assert torch.equal(first, again)
    generator = seeds.generator(1, seeds.INPUTS, 0)
    drawn = torch.stack([sampler.draw(generator) for _ in range(2000)])
    expected = (noise_to_field(sampler) ** 2).sum(axis=1)
    np.testing.assert_allclose(drawn.var(dim=0).numpy(), expected, rtol=0.16)  # five standard errors


@pytest.mark.parametrize(("alpha", "tau"), [(3, 1.0), (0, 1.0), (2.5, 1.0), (2, 0.0)])
def test_powers_that_take_no_whole_number_of_solves_are_refused(alpha, tau):
    with pytest.raises(UsageError, match="even number above"):
        MeshFieldSampler(square(2), alpha, tau)


def test_field_of_a_box_serves_the_points_of_a_mesh():
    mesh = square(8)
    field = gaussian_random_field(Box.unit(2), 2.0, 3.0, generator=seeds.generator(0, seeds.INPUTS, 0))
    grid = Box.unit(2).grid((9, 9), location="node")
    at = field.at(grid.coordinates().reshape(-1, 2))
    torch.testing.assert_close(at, gaussian_with_all_modes(field, grid), rtol=1e-12, atol=1e-12)
    assert field.at(mesh.points).shape == (81,)


def gaussian_with_all_modes(field, grid):
    """Sum the series mode by mode, the slow way."""
    x = grid.coordinates().reshape(-1, 2)
    modes = torch.arange(64, dtype=torch.float64)
    factor = [
        torch.where(modes == 0, 1.0, 2**0.5) * torch.cos(torch.pi * modes * x[:, k, None]) for k in (0, 1)
    ]
    return torch.einsum("nk,nl,kl->n", *factor, field.coefficients)
