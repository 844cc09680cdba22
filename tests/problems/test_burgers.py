import pytest
import torch

from pdeflow import seeds
from pdeflow.problems.burgers import Burgers
from pdeflow.problems.instance import Function, Instance, StoredField


def draw(problem, index=0):
    return problem.sample(seeds.generator(0, seeds.INPUTS, index))


def at_time(grid, t):
    x = grid.coordinates()
    return torch.cat([x, torch.full((*grid.shape, 1), t, dtype=torch.float64)], dim=-1)


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize(("viscosity", "n"), [(0.1, 128), (0.02, 256)])
def test_random_samples_agree_with_cole_and_hopf(viscosity, n, index):
    problem = Burgers(viscosity=viscosity, frames=4, modes=48)
    grid, instance = problem.grid((n,)), draw(problem, index)
    frames = torch.from_numpy(problem.compute(instance, grid, None).fields["u"])
    for t, frame in zip(problem.times, frames, strict=True):
        assert float((frame - problem.exact(at_time(grid, t), instance)).abs().max()) < 1e-8


def test_a_steepening_wave_agrees_with_cole_and_hopf():
    problem, instance = Burgers(viscosity=0.02, final_time=0.5, frames=3), Burgers.wave(1.0)
    grid = problem.grid((256,))
    frames = torch.from_numpy(problem.compute(instance, grid, None).fields["u"])
    steepest = [float((frame.roll(-1) - frame).abs().max()) for frame in frames]
    assert steepest[1] > 1.5 * steepest[0]
    for t, frame in zip(problem.times, frames, strict=True):
        assert float((frame - problem.exact(at_time(grid, t), instance)).abs().max()) < 1e-8


def test_a_mean_wind_carries_the_solution_along():
    problem = Burgers(viscosity=0.05, modes=24)
    still = draw(problem)
    moving = Instance({"u0": Function(lambda x: still.fields["u0"].at(x) + 0.3)})
    grid = problem.grid((128,))
    found = torch.from_numpy(problem.compute(moving, grid, None).fields["u"][-1])
    expected = problem.exact(at_time(grid, 1.0), moving)
    assert float((found - expected).abs().max()) < 1e-8
    shifted = at_time(grid, 1.0)
    shifted[..., 0] -= 0.3  # Galilei: u(x, t) = c + v(x - c t, t)
    torch.testing.assert_close(expected, 0.3 + problem.exact(shifted, still), atol=1e-10, rtol=0)


@pytest.mark.parametrize("index", range(3))
def test_exact_solution_has_zero_strong_residual(index):
    problem = Burgers(modes=24)
    instance = draw(problem, index)
    x = torch.rand(50, 2, generator=seeds.generator(0, seeds.NOISE, index), dtype=torch.float64)
    residual = problem.residual(lambda p: problem.exact(p, instance), x, instance)
    torch.testing.assert_close(residual, torch.zeros_like(residual), atol=1e-9, rtol=0)


def test_exact_solution_of_a_stored_field_is_that_of_its_fourier_series():
    problem = Burgers(modes=32)
    grid, instance = problem.grid((64,)), draw(problem)
    stored = Instance({"u0": StoredField(instance.fields["u0"].on(grid), grid)})
    x = at_time(grid, 0.37)
    torch.testing.assert_close(problem.exact(x, stored), problem.exact(x, instance), atol=1e-11, rtol=0)


def test_exact_solution_is_withheld_where_it_would_lose_its_digits():
    problem = Burgers(viscosity=1e-3, alpha=2.5, tau=7.0, scale=49.0)
    assert problem.exact(torch.zeros(1, 2, dtype=torch.float64), draw(problem)) is None


def test_mass_is_conserved_and_energy_decays():
    problem = Burgers(viscosity=5e-3, modes=32)
    start = torch.stack([draw(problem, i).fields["u0"].on(problem.grid((512,))) + 0.2 for i in range(3)])
    frames = problem.march(start, problem.grid((512,)))
    mass = frames.mean(-1)
    assert float((mass - mass[:, :1]).abs().max()) < 1e-12
    assert bool(((frames**2).mean(-1).diff(dim=1) < 0).all())


def test_the_energy_budget_is_that_of_the_equation():
    problem = Burgers(viscosity=0.02, modes=16)
    grid, h = problem.grid((256,)), 1e-3
    start = draw(problem).fields["u0"].on(grid)
    frames = problem.march(start, grid, times=(0.0, 0.1, 0.1 + h, 0.1 + 2 * h))[1:]
    change = float(0.5 * ((frames[2] ** 2).mean() - (frames[0] ** 2).mean()) / (2 * h))
    slope_hat = 2j * torch.pi * torch.arange(129) * torch.fft.rfft(frames[1], norm="forward")
    dissipation = 2 * float((slope_hat.abs() ** 2).sum())  # mean of (∂u/∂x)²
    assert change == pytest.approx(-0.02 * dissipation, rel=1e-5)  # central difference: h²


def test_the_sharp_variant_is_marched_to_the_tolerance():
    problem = Burgers(viscosity=1e-3, alpha=2.5, tau=7.0, scale=49.0, frames=3)
    answer = problem.compute(draw(problem), problem.grid((512,)), None)
    assert answer.residual <= 1e-8
    assert abs(answer.fields["u"]).max() <= abs(answer.fields["u"][0]).max() * 1.001  # maximum principle
