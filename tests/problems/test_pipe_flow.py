from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from pdeflow import seeds
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid
from pdeflow.problems.instance import Instance
from pdeflow.problems.pipe_flow import PipeFlow, hermite

CHANGES = {"viscosity": 0.01, "peak": 0.8, "length": 9.0, "width": 1.1, "bend": 0.7}


def drawn(problem, sample=0, resolution=(16, 4)):
    instance = problem.sample(seeds.generator(0, seeds.INPUTS, sample))
    return instance, problem.layout(instance, resolution)


def answer(problem, sample=0, resolution=(16, 4)):
    return problem.compute(*drawn(problem, sample, resolution), None)


@pytest.mark.parametrize(("viscosity", "peak", "width"), [(0.005, 1.0, 1.0), (0.02, 0.3, 2.0)])
def test_a_straight_pipe_carries_poiseuilles_flow(viscosity, peak, width):
    problem = PipeFlow(viscosity=viscosity, peak=peak, width=width, bend=0.0)
    instance, grid = drawn(problem)
    found = problem.compute(instance, grid, None)
    exact = problem.exact(grid.coords, instance).numpy()
    for k, name in enumerate(problem.outputs):
        np.testing.assert_allclose(found.fields[name], exact[..., k], atol=1e-12)
    assert found.residual < 1e-12


def test_poiseuilles_flow_has_zero_strong_residual_and_is_given_for_straight_pipes_only():
    problem = PipeFlow(bend=0.0)
    instance, _ = drawn(problem)
    x = torch.rand(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = problem.residual(lambda x: problem.exact(x, instance), x, instance)
    torch.testing.assert_close(found, torch.zeros(50, 3, dtype=torch.float64), atol=1e-12, rtol=0)
    assert PipeFlow().exact(x, drawn(PipeFlow())[0]) is None


def test_kovasznays_flow_has_zero_strong_residual():
    problem = PipeFlow(viscosity=0.05)
    rate = 10 - (100 + 4 * np.pi**2) ** 0.5

    def kovasznay(x):
        decay, phase = torch.exp(rate * x[:, 0]), 2 * np.pi * x[:, 1]
        second = rate / (2 * np.pi) * decay * torch.sin(phase)
        return torch.stack([1 - decay * torch.cos(phase), second, 0.5 * (1 - decay**2)], dim=1)

    x = torch.rand(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = problem.residual(kovasznay, x, drawn(problem)[0])
    torch.testing.assert_close(found, torch.zeros(50, 3, dtype=torch.float64), atol=1e-11, rtol=0)


@pytest.mark.parametrize("sample", range(3))
def test_what_flows_in_flows_out(sample):
    problem = PipeFlow()
    instance, grid = drawn(problem, sample, (24, 6))
    found = problem.compute(instance, grid, None)
    flow = problem.flow(grid)
    u = np.stack([found.fields["u_x"], found.fields["u_y"]], axis=-1).reshape(-1, 2)
    assert found.residual < 1e-10
    assert flow.elements.side(0, -1).flux(u) == pytest.approx(2 / 3, abs=1e-10)
    assert flow.elements.side(0, 0).flux(u) == pytest.approx(-2 / 3, abs=1e-10)
    assert not u.reshape(*grid.shape, 2)[1:, [0, -1]].any()


def test_the_reported_residual_is_the_recomputed_one():
    problem = PipeFlow()
    instance, grid = drawn(problem)
    found = problem.compute(instance, grid, None)
    u = np.stack([found.fields["u_x"], found.fields["u_y"]], axis=-1)
    corners = found.fields["p"][::2, ::2]
    x = np.concatenate([u.ravel(), corners.ravel()])
    assert problem.flow(grid).relative_residual(x) == pytest.approx(found.residual, rel=1e-9)


def test_every_parameter_changes_the_solution():
    problem = PipeFlow()
    assert set(CHANGES) == {item.name for item in fields(problem)}
    before = answer(problem)
    for name, value in CHANGES.items():
        after = answer(replace(problem, **{name: value}))
        for field in problem.outputs:
            change = np.linalg.norm(after.fields[field] - before.fields[field])
            assert change > 1e-3 * np.linalg.norm(before.fields[field]), (name, field)


def test_a_mirrored_pipe_carries_the_mirrored_flow():
    problem = PipeFlow()
    instance, grid = drawn(problem)
    mirrored = Instance(instance.fields, {name: -value for name, value in instance.scalars.items()})
    here = problem.compute(instance, grid, None).fields
    there = problem.compute(mirrored, problem.layout(mirrored, (16, 4)), None).fields
    for name, sign in (("u_x", 1), ("u_y", -1), ("p", 1)):
        np.testing.assert_allclose(there[name], sign * here[name][:, ::-1], atol=1e-9)


def test_refinement_approaches_one_flow():
    problem = PipeFlow(bend=0.5)
    fine = answer(problem, resolution=(64, 16)).fields["u_x"]
    errors = [
        np.linalg.norm(answer(problem, resolution=(n, n // 4)).fields["u_x"] - fine[:: 64 // n, :: 64 // n])
        / n
        for n in (8, 16, 32)
    ]
    assert errors[0] > 2.5 * errors[1] > 6 * errors[2]


def test_the_spline_takes_values_and_slopes_at_its_knots_and_is_smooth():
    generator = torch.Generator().manual_seed(0)
    values, slopes = torch.rand(2, 5, generator=generator, dtype=torch.float64)
    x = torch.arange(0, 10.1, 2.5, dtype=torch.float64).requires_grad_()
    y = hermite(x, values, slopes, 10.0)
    torch.testing.assert_close(y.detach(), values)
    torch.testing.assert_close(torch.autograd.grad(y.sum(), x)[0], slopes / 2.5)
    for side in (-1e-9, 1e-9):  # value and slope are continuous across the knots
        near = (x.detach() + side).requires_grad_()
        y = hermite(near, values, slopes, 10.0)
        torch.testing.assert_close(y.detach(), values, atol=1e-8, rtol=0)
        torch.testing.assert_close(torch.autograd.grad(y.sum(), near)[0], slopes / 2.5, atol=1e-7, rtol=0)


def test_nodes_follow_the_centreline_and_the_inlet_stays():
    problem = PipeFlow()
    instance, grid = drawn(problem)
    assert grid.shape == (33, 9)
    middle = grid.coords[:, 4]
    torch.testing.assert_close(middle[:, 1], problem.centreline(middle[:, 0], instance))
    torch.testing.assert_close(grid.coords[0, :, 1], torch.linspace(-0.5, 0.5, 9, dtype=torch.float64))
    torch.testing.assert_close(
        grid.coords[:, -1, 1] - grid.coords[:, 0, 1], torch.ones(33, dtype=torch.float64)
    )
    values = problem.input_values(instance, grid)
    np.testing.assert_array_equal(np.stack([values["x"], values["y"]], axis=-1), grid.coords.numpy())


def test_wrong_settings_and_grids_are_refused_in_one_line():
    with pytest.raises(UsageError, match="viscosity, length and width > 0"):
        PipeFlow(viscosity=0.0)
    problem = PipeFlow()
    instance, _ = drawn(problem)
    for resolution in (0.1, (16,), (0, 4)):
        with pytest.raises(UsageError, match="elements along and across"):
            problem.layout(instance, resolution)
    with pytest.raises(UsageError, match="needs the curved grid"):
        problem.compute(instance, Grid.unit((9, 9)), None)
