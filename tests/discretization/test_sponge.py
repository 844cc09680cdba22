"""The absorbing layer lets waves out: measured reflection in one dimension, an enlarged box in two."""

import math

import numpy as np
import pytest
import scipy.sparse.linalg as sla
import torch

from pdeflow.discretization.boundary import Dirichlet
from pdeflow.discretization.finite_difference import finite_difference_system
from pdeflow.discretization.finite_volume import elliptic_system
from pdeflow.discretization.sponge import damped_reaction, sponge, sponge_strength
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid


def reflected_amplitude(k, width, strength, n=4000):
    """Send exp(ikx) from the left of [0, 1 + width] and fit A exp(iκx) + B exp(-iκx) before the layer; |B / A|."""
    bounds = ((0.0, 1.0 + width),)
    grid = Grid.uniform((n,), bounds, location="node")
    damping = sponge(grid.coordinates(), bounds, width, strength, tags=("x0+",))
    boundary = {"x0-": Dirichlet(1.0), "x0+": Dirichlet(0.0)}
    system = finite_difference_system(grid, 1.0, 0.0, boundary, reaction=damped_reaction(k, damping))
    u, x, h = sla.spsolve(system.A.tocsc(), system.b), grid.axis(0).numpy(), grid.spacing()[0]
    kappa = 2 / h * math.asin(k * h / 2)  # the wave number of the differences
    inside = x < 1.0
    waves = np.stack((np.exp(1j * kappa * x[inside]), np.exp(-1j * kappa * x[inside])), axis=1)
    (forth, back), *_ = np.linalg.lstsq(waves, u[inside], rcond=None)
    return abs(back / forth)


@pytest.mark.parametrize("k", [10.0, 40.0])
def test_plane_wave_is_absorbed_by_a_layer_of_two_wave_lengths(k):
    width = 2 * 2 * math.pi / k
    assert reflected_amplitude(k, width, sponge_strength(k, width)) < 0.01
    assert reflected_amplitude(k, width, 0.0) == pytest.approx(1.0, rel=1e-3)


def test_reflection_of_a_weak_layer_is_what_the_strength_was_chosen_for():
    k, width = 40.0, 1.0
    strength = sponge_strength(k, width, reflection=0.1)
    assert reflected_amplitude(k, width, strength) == pytest.approx(0.1, rel=0.05)


def test_point_source_sees_no_wall():
    """The field inside [0, 1]² with a layer of 0.6 equals that of a wider box, to 1 %."""
    k, width, h = 15.0, 0.6, 1 / 50

    def inside(margin):
        bounds = ((-margin, 1 + margin),) * 2
        n = round((1 + 2 * margin) / h)
        grid = Grid.uniform((n, n), bounds)
        x = grid.coordinates()
        damping = sponge(x, bounds, width, sponge_strength(k, width))
        f = torch.exp(-((x - 0.5) ** 2).sum(-1) / (2 * 0.04**2))
        walls = dict.fromkeys(("x0-", "x0+", "x1-", "x1+"), Dirichlet())
        system = elliptic_system(grid, 1.0, f, walls, reaction=damped_reaction(k, damping))
        u = sla.spsolve(system.A.tocsc(), system.b).reshape(n, n)
        own = round(margin / h)
        return u[own : n - own, own : n - own]

    near, far = inside(width), inside(width + 0.6)
    assert np.linalg.norm(near - far) < 0.01 * np.linalg.norm(far)


def test_damping_is_zero_inside_full_at_the_wall_and_only_where_asked():
    bounds = ((0.0, 2.0), (0.0, 1.0))
    x = torch.tensor([[1.0, 0.5], [2.0, 0.5], [0.0, 0.5], [1.95, 0.5], [1.0, 1.0]], dtype=torch.float64)
    found = sponge(x, bounds, 0.1, 4.0, tags=("x0+",))
    torch.testing.assert_close(found, torch.tensor([0.0, 4.0, 0.0, 1.0, 0.0], dtype=torch.float64))
    assert float(sponge(x, bounds, 0.1, 4.0)[4]) == pytest.approx(4.0)


@pytest.mark.parametrize(
    "change",
    [{"width": 3.0}, {"strength": -1.0}, {"degree": 0}, {"tags": ("left",)}, {"x": torch.zeros(2, 3)}],
)
def test_layers_that_do_not_fit_are_refused(change):
    options = {"x": torch.zeros(2, 2), "bounds": ((0.0, 1.0),) * 2, "width": 0.1, "strength": 1.0, **change}
    with pytest.raises(UsageError):
        sponge(**options)
    with pytest.raises(UsageError):
        sponge_strength(0.0, 1.0)
