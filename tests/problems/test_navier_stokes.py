import math
from dataclasses import replace

import pytest
import torch

from pdeflow import seeds
from pdeflow.discretization.fourier import FourierGrid
from pdeflow.discretization.time_stepping import ETDRK4, IFRK4
from pdeflow.errors import UsageError
from pdeflow.problems.navier_stokes import NavierStokes
from pdeflow.problems.spectral_equation import SpectralEquation

FREE = NavierStokes(amplitude=0.0, viscosity=2e-3, final_time=2.0, frames=5)


def draw(problem, index=0):
    return problem.sample(seeds.generator(0, seeds.INPUTS, index))


def at_time(grid, t):
    x = grid.coordinates()
    return torch.cat([x, torch.full((*grid.shape, 1), t, dtype=torch.float64)], dim=-1)


def budget(problem, w, grid):
    """Energy ½⟨|u|²⟩, enstrophy ½⟨w²⟩ and palinstrophy ½⟨|∇w|²⟩."""
    space = FourierGrid.of(grid)
    w_hat = space.forward(w)
    psi = space.streamfunction(w_hat)
    return [0.5 * space.inner(a, w_hat) for a in (psi, w_hat, -space.laplacian(w_hat))]


@pytest.mark.parametrize("method", [ETDRK4, IFRK4])
@pytest.mark.parametrize("wavenumber", [1, 2, 3])
@pytest.mark.parametrize("drag", [0.0, 0.1])
def test_taylor_green_vortices_decay_exactly(method, wavenumber, drag):
    problem = replace(FREE, drag=drag)
    grid, instance = problem.grid((32, 32)), NavierStokes.taylor_green(wavenumber, 2.0)
    frames = problem.march([instance], grid, method=method)[0]
    for t, frame in zip(problem.times, frames, strict=True):
        assert float((frame - problem.exact(at_time(grid, t), instance)[..., 0]).abs().max()) < 1e-12


def test_forced_taylor_green_vortices_stay_exact_in_time():
    problem, instance = NavierStokes(frames=3), NavierStokes.taylor_green(1, 0.5)
    grid = problem.grid((16, 16))
    frames = torch.from_numpy(problem.compute(instance, grid, None).fields["w"])
    exact = problem.exact(at_time(grid, problem.times[-1]), instance)[..., 0]
    assert float((frames[-1] - exact).abs().max()) < 1e-12
    assert float((exact - frames[0]).abs().max()) > 0.1


@pytest.mark.parametrize("problem", [FREE, NavierStokes(drag=0.05)], ids=["free", "forced"])
def test_exact_solution_has_zero_strong_residual(problem):
    x = torch.rand(50, 3, generator=seeds.generator(0, seeds.NOISE, 0), dtype=torch.float64)
    instance = NavierStokes.taylor_green()
    residual = problem.residual(lambda p: problem.exact(p, instance), x, instance)
    assert residual.shape == (50, 2)
    torch.testing.assert_close(residual, torch.zeros_like(residual), atol=1e-9, rtol=0)


def test_only_known_vortices_have_an_exact_solution():
    x = torch.zeros(1, 3, dtype=torch.float64)
    assert NavierStokes().exact(x, draw(NavierStokes())) is None
    assert NavierStokes().exact(x, NavierStokes.taylor_green(2)) is None
    assert FREE.exact(x, NavierStokes.taylor_green(2)) is not None


def test_energy_and_enstrophy_decay_without_forcing_and_the_mean_vorticity_stays_zero():
    grid = FREE.grid((64, 64))
    frames = FREE.march([draw(FREE, i) for i in range(3)], grid)
    energy, enstrophy, _ = budget(FREE, frames, grid)
    assert bool((energy.diff(dim=1) < 0).all())
    assert bool((enstrophy.diff(dim=1) < 0).all())
    assert float(frames.mean((-2, -1)).abs().max()) < 1e-15


@pytest.mark.parametrize("amplitude", [0.0, 0.1])
def test_energy_and_enstrophy_budgets_close(amplitude):
    problem = NavierStokes(amplitude=amplitude, drag=0.05, viscosity=2e-3)
    grid, h = problem.grid((64, 64)), 2e-3
    times = [0.0, *(1.0 + h * i for i in range(5))]
    frames = problem.march([draw(problem)], grid, times=times)[0, 1:]
    energy, enstrophy, palinstrophy = budget(problem, frames, grid)
    space = FourierGrid.of(grid)
    f_hat = space.forward(amplitude * (NavierStokes(amplitude=1.0).forcing(grid.coordinates())))
    w_hat = space.forward(frames[2])
    work = float(space.inner(space.streamfunction(w_hat), f_hat)), float(space.inner(w_hat, f_hat))

    def slope(values):  # fourth-order central difference
        return float((values[0] - 8 * values[1] + 8 * values[3] - values[4]) / (12 * h))

    loss = 2 * 2e-3 * float(enstrophy[2]) + 2 * 0.05 * float(energy[2])
    assert slope(energy) == pytest.approx(work[0] - loss, rel=1e-7)
    loss = 2 * 2e-3 * float(palinstrophy[2]) + 2 * 0.05 * float(enstrophy[2])
    assert slope(enstrophy) == pytest.approx(work[1] - loss, rel=1e-7)


def test_the_inviscid_limit_conserves_energy_and_enstrophy():
    problem = replace(FREE, viscosity=1e-300)
    grid = problem.grid((32, 32))
    equation = SpectralEquation.of(problem, grid, torch.zeros(1, dtype=torch.float64))
    start = equation.space.inverse(
        equation.space.mask * equation.space.forward(draw(problem).fields["w0"].on(grid))
    )
    frames = problem.march(start, grid, times=(0.0, 1.0), substeps=[100])
    for values in budget(problem, frames, grid)[:2]:
        assert float(values[1]) == pytest.approx(float(values[0]), rel=1e-8)


def test_the_same_flow_seen_from_a_shifted_origin_is_shifted():
    problem, grid = FREE, FREE.grid((32, 32))
    start = draw(problem).fields["w0"].on(grid)
    frames = problem.march(torch.stack([start, start.roll((5, -3), (0, 1))]), grid, substeps=[16] * 4)
    torch.testing.assert_close(frames[1], frames[0].roll((5, -3), (1, 2)), atol=1e-13, rtol=0)


def test_the_flow_mirrored_at_the_diagonal_has_mirrored_vorticity_of_the_other_sign():
    problem, grid = NavierStokes(final_time=2.0, frames=3, amplitude=0.0), FREE.grid((32, 32))
    start = draw(problem).fields["w0"].on(grid)
    frames = problem.march(torch.stack([start, -start.T]), grid, substeps=[32] * 2)
    torch.testing.assert_close(frames[1], -frames[0].mT, atol=1e-13, rtol=0)


def test_initial_variance_is_that_of_the_published_distribution():
    problem, grid = NavierStokes(modes=32), NavierStokes().grid((32, 32))
    generator = seeds.generator(0, seeds.INPUTS, 0)
    measured = torch.stack([problem.sample(generator).fields["w0"].on(grid) ** 2 for _ in range(500)]).mean()
    k = 2 * math.pi * torch.cat([torch.arange(-15.0, 17.0)])
    square = k[:, None] ** 2 + k[None, :] ** 2
    expected = float((7**3 * (square + 49) ** -2.5)[square > 0].sum())
    assert float(measured) == pytest.approx(expected, rel=0.06)


def test_residual_needs_the_stream_function():
    with pytest.raises(UsageError, match=r"shape \(n, 2\)"):
        FREE.residual(lambda x: x[:, 0], torch.rand(4, 3, dtype=torch.float64), draw(FREE))


def test_every_frame_is_as_accurate_as_the_last():
    problem = NavierStokes()  # the forced flow forgets its start: the first frames need the smallest steps
    grid, instance = problem.grid((32, 32)), draw(problem)
    frames = torch.from_numpy(problem.compute(instance, grid, None).fields["w"])
    truth = problem.march([instance], grid, substeps=[128] * 10)[0]
    error = (frames - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1)
    assert float(error.max()) < problem.tolerance
