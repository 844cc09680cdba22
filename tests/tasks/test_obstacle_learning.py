"""A cycle learns around obstacles, with open and insulated sides: the operator of its batches is the assembled one."""

import numpy as np
import pytest
import torch

from pdeflow.errors import UsageError
from pdeflow.models import LearnedVCycle, LinearMultigridNet
from pdeflow.problems import PlumePressure, Poisson
from pdeflow.tasks import DirectionLearning
from pdeflow.tasks.iteration_card import interpolated_iterations
from pdeflow.tasks.right_hand_sides import OnPolicy, Ritz


def small(problem, **options):
    settings = {"grids": ((16,) * problem.dim, (32,) * problem.dim), "batch_size": 2, "steps_per_epoch": 40, "instances": 1}
    return DirectionLearning(LearnedVCycle(coarsest=16 if problem.dim == 2 else 64, dim=problem.dim), problem, **(settings | options))


@pytest.mark.parametrize("wall", ["neumann", "dirichlet"])
def test_the_operator_of_a_step_is_that_of_the_system(wall, monkeypatch, make_trainer):
    problem, seen = PlumePressure(wall=wall, balls=2), []
    task = small(problem)
    monkeypatch.setattr(task.right_hand_sides, "draw", lambda batch: (seen.append(batch), (torch.ones(batch.shape).double(),) * 2)[1])
    make_trainer(max_steps=2).fit(task)
    for batch in seen:
        grid = problem.grid(batch.shape[2:])
        system = problem.system(problem.sample(torch.Generator().manual_seed(0)), grid)
        assert not torch.equal(batch.active.double(), torch.from_numpy(system.mask.active.numpy()).double())  # other obstacles
        stored = {"mask": batch.active.double(), "f": torch.ones(grid.shape).double()}
        A = problem.stored_system(stored, {}, grid).A
        u = torch.randn(batch.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        inside = batch.active.flatten().numpy() > 0
        expected = inside * (A @ (inside * u[0].flatten().numpy()))
        np.testing.assert_allclose(batch.apply(u)[0].flatten().numpy(), expected, atol=1e-12 * abs(expected).max())


@pytest.mark.parametrize("dim", [2, 3])
def test_training_needs_fewer_iterations_around_obstacles_it_never_saw(dim, make_trainer):
    task = small(PlumePressure(dim=dim), right_hand_sides=OnPolicy(10), steps_per_epoch=120)
    untrained = task.network.untrained()
    make_trainer(max_steps=120).fit(task)
    for number in range(2):
        system = task.unseen_system(number, (64, 64) if dim == 2 else (32, 32, 32))
        assert interpolated_iterations(task.network, system) <= 0.8 * interpolated_iterations(untrained, system)


def test_what_cannot_learn_around_obstacles_is_refused(make_trainer):
    blind = DirectionLearning(LinearMultigridNet(levels=3), PlumePressure())
    with pytest.raises(UsageError, match="does not see the obstacles of PlumePressure; use LearnedVCycle"):
        make_trainer(max_steps=1).fit(blind)
    with pytest.raises(UsageError, match="but obstacles are random; use OnPolicy"):
        make_trainer(max_steps=1).fit(small(PlumePressure(), right_hand_sides=Ritz(20)))
    assert DirectionLearning(LearnedVCycle(), Poisson()).obstacles(0) is None
