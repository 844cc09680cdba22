"""Vorticity driven from rest: exact solutions under forcings that no flow carries away."""

import math

import pytest
import torch

from pdeflow import seeds
from pdeflow.errors import UsageError
from pdeflow.problems import ForcedVorticity, Function, Instance
from pdeflow.problems.forced_vorticity import truncated

FORCINGS = {
    "shear": (lambda x: torch.cos(3 * x[:, 1]), 9.0),
    "cells": (lambda x: torch.sin(2 * x[:, 0]) * torch.cos(2 * x[:, 1]), 8.0),
    "oblique": (lambda x: torch.sin(x[:, 0] - 2 * x[:, 1]), 5.0),
}


@pytest.mark.parametrize("name", FORCINGS)
def test_eigenfunctions_of_the_laplacian_drive_a_flow_that_is_known(name):
    """u·∇w vanishes for them, so w = A f (1 - e^(-ν λ t)) / (ν λ)."""
    problem, (f, eigenvalue) = ForcedVorticity(viscosity=0.05, final_time=3.0, amplitude=1.5), FORCINGS[name]
    grid, instance = problem.grid((16, 12)), Instance({"f": Function(f)})
    answer = problem.compute(instance, grid, None)
    rate = 0.05 * eigenvalue
    exact = 1.5 * Function(f).on(grid) * (1 - math.exp(-3 * rate)) / rate
    torch.testing.assert_close(torch.from_numpy(answer.fields["w"]), exact, atol=1e-7, rtol=0)
    assert answer.residual <= problem.rtol

    def solution(x):
        w = 1.5 * f(x[:, :2]) * (1 - torch.exp(-rate * x[:, 2])) / rate
        return torch.stack((w, w / eigenvalue), dim=1)

    x = torch.rand(40, 3, generator=seeds.generator(0, seeds.NOISE, 0), dtype=torch.float64)
    torch.testing.assert_close(problem.residual(solution, x, instance), torch.zeros(40, 2, dtype=torch.float64), atol=1e-10, rtol=0)


def test_the_stored_vorticity_hardly_depends_on_the_grid():
    problem = ForcedVorticity(viscosity=0.05, final_time=1.0, modes=8)
    instance = problem.sample(seeds.generator(0, seeds.INPUTS, 0))
    coarse, fine = (torch.from_numpy(problem.compute(instance, problem.grid((n, n)), None).fields["w"]) for n in (24, 48))
    assert (truncated(fine, (24, 24)) - coarse).norm() < 1e-5 * coarse.norm()


def test_a_batch_at_a_fixed_step_gives_the_verified_vorticities():
    problem = ForcedVorticity(viscosity=0.05, final_time=1.0, modes=8, refinement=1)
    grid = problem.grid((24, 20))
    drawn = [problem.sample(seeds.generator(0, seeds.INPUTS, i)) for i in range(3)]
    batch = problem.march(torch.stack([item.fields["f"].on(grid) for item in drawn]), grid, 200)
    for found, item in zip(truncated(batch, grid.shape), drawn, strict=True):
        expected = torch.from_numpy(problem.compute(item, grid, None).fields["w"])
        assert (found - expected).norm() < 1e-6 * expected.norm()


@pytest.mark.parametrize(("fine", "coarse"), [((16, 12), (8, 6)), ((15, 9), (5, 3)), ((12, 12), (7, 9))])
def test_truncation_keeps_the_modes_that_fit_and_drops_the_others(fine, coarse):
    def series(shape, k):
        x, y = (2 * math.pi * torch.arange(n, dtype=torch.float64) / n for n in shape)
        return torch.cos(k * x)[:, None] + torch.sin((k - 1) * y) + 0.3

    low = 2
    torch.testing.assert_close(truncated(series(fine, low), coarse), series(coarse, low))
    x = torch.arange(fine[0], dtype=torch.float64) * 2 * math.pi / fine[0]
    high = torch.cos((coarse[0] // 2 + 1) * x)[:, None].expand(fine)
    torch.testing.assert_close(truncated(high, coarse), torch.zeros(coarse, dtype=torch.float64), atol=1e-14, rtol=0)


def test_wrong_settings_are_refused():
    for bad in ({"viscosity": 0.0}, {"final_time": -1.0}, {"amplitude": 0.0}, {"refinement": 0}):
        with pytest.raises(UsageError, match="positive"):
            ForcedVorticity(**bad)
    problem = ForcedVorticity()
    with pytest.raises(UsageError, match="periodic grid"):
        problem.compute(problem.sample(seeds.generator(0, seeds.INPUTS, 0)), problem.domain.grid((8, 8)), None)
