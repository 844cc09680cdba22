import torch

from pdeflow import seeds
from pdeflow.problems.heat import Heat
from pdeflow.problems.instance import Function, Instance


def draw(problem, index=0):
    return problem.sample(seeds.generator(0, seeds.INPUTS, index))


def at_time(grid, t):
    x = grid.coordinates()
    return torch.cat([x, torch.full((*grid.shape, 1), t, dtype=torch.float64)], dim=-1)


def test_every_frame_equals_the_exact_solution_to_rounding():
    problem = Heat(final_time=2.0, frames=5)
    grid, instance = problem.grid((40, 36)), draw(problem)
    frames = torch.from_numpy(problem.compute(instance, grid, None).fields["u"])
    for t, frame in zip(problem.times, frames, strict=True):
        assert float((frame - problem.exact(at_time(grid, t), instance)).abs().max()) < 1e-12


def test_exact_solution_has_zero_strong_residual():
    problem = Heat(modes=16)
    x = torch.rand(50, 3, generator=seeds.generator(0, seeds.NOISE, 0), dtype=torch.float64)
    for index in range(3):
        instance = draw(problem, index)
        residual = problem.residual(lambda p, i=instance: problem.exact(p, i), x, instance)
        torch.testing.assert_close(residual, torch.zeros_like(residual), atol=1e-9, rtol=0)


def test_exact_solution_starts_at_the_initial_field():
    problem, x = Heat(), torch.rand(20, 2, generator=seeds.generator(0, seeds.NOISE, 1), dtype=torch.float64)
    instance, start = draw(problem), torch.cat([x, torch.zeros(20, 1, dtype=torch.float64)], dim=1)
    torch.testing.assert_close(
        problem.exact(start, instance), instance.fields["u0"].at(x), atol=1e-14, rtol=1e-12
    )


def test_mean_is_conserved_and_the_maximum_principle_holds():
    problem = Heat(final_time=3.0)
    grid = problem.grid((32, 32))
    start = draw(problem).fields["u0"].on(grid) + 0.7
    frames = problem.march(start, grid)
    means = frames.mean((1, 2))
    torch.testing.assert_close(means, means[:1].expand_as(means), atol=1e-14, rtol=0)
    assert bool((frames.amax((1, 2)).diff() <= 1e-12).all())
    assert bool((frames.amin((1, 2)).diff() >= -1e-12).all())


def test_a_field_without_modes_has_no_exact_solution():
    instance = Instance({"u0": Function(lambda x: x[..., 0] * 0)})
    assert Heat().exact(torch.zeros(1, 3, dtype=torch.float64), instance) is None
