"""Label-free training of the V-cycle: fewer iterations on unseen coefficients, reproducible from (seed, step)."""

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.optim.lr_scheduler import ConstantLR

from pdeflow import seeds
from pdeflow.errors import UsageError
from pdeflow.linalg import solve
from pdeflow.models.learned_v_cycle import LearnedVCycle
from pdeflow.problems import Darcy, Poisson
from pdeflow.tasks import DirectionLearning
from pdeflow.tasks.iteration_card import MAX_ITERATIONS, interpolated_iterations
from pdeflow.tasks.right_hand_sides import OnPolicy


def small(noise_steps=4, **options):
    settings = {
        "grids": ((16, 16), (32, 32)),
        "batch_size": 2,
        "right_hand_sides": OnPolicy(noise_steps),
        "steps_per_epoch": 5,
        "instances": 2,
    }
    return DirectionLearning(LearnedVCycle(coarsest=16), Darcy(), **(settings | options))


def weights(task):
    return torch.cat([p.detach().flatten() for p in task.network.parameters()])


def test_training_needs_fewer_iterations_on_unseen_coefficients_and_on_a_finer_grid(make_trainer):
    task, untrained = small(batch_size=4, noise_steps=10, steps_per_epoch=60), LearnedVCycle(coarsest=16)
    make_trainer(max_steps=60).fit(task)
    grid = Darcy().grid((64, 64))
    for i in range(3):
        system = Darcy().system(Darcy().sample(seeds.generator(0, seeds.SOLVE, i)), grid)
        assert interpolated_iterations(task.network, system) <= 0.8 * interpolated_iterations(
            untrained, system
        )


def test_an_interrupted_training_resumes_bit_by_bit(tmp_path, make_trainer):
    whole, half, rest = small(), small(), small()
    make_trainer(max_steps=10).fit(whole)
    schedule = {"class_path": "pdeflow.optim.WarmupCosine", "init_args": {"warmup": 0.0, "final": 0.05}}
    half.lr_scheduler = schedule | {"init_args": schedule["init_args"] | {"total_steps": 10}}
    keep = ModelCheckpoint(tmp_path, save_last=True, monitor=DirectionLearning.monitor)
    make_trainer(max_steps=5, callbacks=[keep], enable_checkpointing=True).fit(half)
    make_trainer(max_steps=10).fit(rest, ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert torch.equal(weights(whole), weights(rest))
    assert not torch.equal(weights(whole), weights(half))
    fresh = small().network
    untrained = {shape: max(interpolated_iterations(fresh, rest.unseen_system(i, shape)) for i in range(2)) for shape in rest.grids}
    assert whole.untrained == rest.untrained == untrained  # not the count of the half-trained cycle


def test_a_step_sees_the_same_coefficients_in_every_run_and_the_next_step_others():
    first, spacing = small().coefficients(3)
    assert first.shape == (2, 1, 32, 32)
    assert spacing == pytest.approx((1 / 32, 1 / 32))
    assert torch.equal(first, small().coefficients(3)[0])
    assert not torch.equal(first, small().coefficients(5)[0])
    assert not torch.equal(first, small(seed=1).coefficients(3)[0])
    assert not torch.equal(first[0], first[1])


def test_validation_logs_the_worst_and_the_mean_count(make_trainer):
    task, trainer = small(), make_trainer()
    trainer.validate(task, verbose=False)
    counts = [
        interpolated_iterations(task.network, task.unseen_system(i, shape))
        for i in range(2)
        for shape in task.grids
    ]
    assert trainer.callback_metrics["val/iterations"] == pytest.approx(max(counts))
    assert trainer.callback_metrics["val/mean_iterations"] == pytest.approx(sum(counts) / 4)


def test_interpolated_count_lies_in_the_last_iteration():
    system = small().unseen_system(0, (32, 32))
    whole = solve(system, method="fcg", preconditioner=LearnedVCycle(), rtol=1e-8, guard="none").iterations
    assert whole - 1 < interpolated_iterations(LearnedVCycle(), system) <= whole
    assert interpolated_iterations(LearnedVCycle(), system, rtol=1e-6) < whole - 1


def test_a_cycle_that_does_not_converge_counts_the_most():
    broken = LearnedVCycle(coarsest=16)
    with torch.no_grad():
        broken.smoother.fill_(float("nan"))
    assert interpolated_iterations(broken, small().unseen_system(0, (32, 32))) == MAX_ITERATIONS


def test_default_optimizer_is_adam_down_to_the_final_rate(make_trainer):
    task, trainer = small(), make_trainer(max_steps=5)
    trainer.fit(task)
    (optimizer,) = trainer.optimizers
    assert type(optimizer) is torch.optim.Adam
    assert optimizer.param_groups[0]["lr"] == pytest.approx(5e-4)


@pytest.mark.parametrize(("given", "norm"), [(None, 1.0), (1e-3, 1e-3)])
def test_gradients_are_clipped_to_norm_one_unless_the_trainer_says_otherwise(make_trainer, given, norm):
    class Steep(DirectionLearning):
        def training_step(self, batch, batch_idx):
            return 1e6 * self.network.correction

    def sgd(groups):
        return torch.optim.SGD(groups, lr=0.5)

    task = Steep(LearnedVCycle(), Darcy(), optimizer=sgd, lr_scheduler=lambda o: ConstantLR(o, 1.0))
    make_trainer(max_steps=1, gradient_clip_val=given).fit(task)
    assert 1 - task.network.correction.item() == pytest.approx(0.5 * norm, rel=1e-3)


def test_wrong_problem_grid_or_divergence_is_refused(make_trainer):
    cases = [
        (DirectionLearning(LearnedVCycle()), "set `problem`"),
        (small(grids=((63, 63),)), "such as"),
        (small(grids=((4, 4),)), "nothing to learn"),
        (small(batch_size=0), "positive batch_size"),
    ]
    for task, message in cases:
        with pytest.raises(UsageError, match=message):
            make_trainer(max_steps=1).fit(task)
    broken = small()
    with torch.no_grad():
        broken.network.smoother.fill_(float("nan"))
    with pytest.raises(UsageError, match="nan at step 0"):
        make_trainer(max_steps=1).fit(broken)


def test_other_elliptic_problems_train_too(make_trainer):
    task = DirectionLearning(LearnedVCycle(coarsest=16), Poisson(), grids=((32, 32),), batch_size=1)
    before = task.network.smoother.detach().clone()
    make_trainer(max_steps=1).fit(task)
    moved = (task.network.smoother.detach() - before).abs()
    assert 0 < moved.max() <= 0.011  # one Adam step of rate 1e-2
