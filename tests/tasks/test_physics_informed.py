"""Physics-informed training: exact Jacobians, every kind of optimizer and boundary, bitwise resume, refusals."""

from dataclasses import dataclass

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from pdeflow.discretization.boundary import Dirichlet, Neumann, Robin
from pdeflow.errors import UsageError
from pdeflow.models import MLP
from pdeflow.problems import Burgers, ChebyshevPoisson, ConvectionDiffusion, Helmholtz, Manufactured, Poisson
from pdeflow.tasks import OperatorLearning, PhysicsInformed

RESIDUAL = ["ENGDW", "SPRING", "Sven", "LevenbergMarquardt", "GradientSmoothness", "NystromNewtonCG"]


def settings(name, **options):
    path = name if "." in name else f"pdeflow.optim.{name}"
    return {"class_path": path, "init_args": options}


def small(problem=None, hidden=(10,), seed=0, **options):
    torch.manual_seed(seed)
    counts = {"interior": 64, "boundary": 24, "steps_per_epoch": 5}
    return PhysicsInformed(MLP(hidden=hidden), problem or Poisson(modes=1), seed=seed, **(counts | options))


def weights(task):
    return torch.cat([p.detach().flatten() for p in task.network.parameters()])


def wave(x):
    return torch.sin(2.1 * x[:, 0] + 0.3) * torch.exp(0.7 * x[:, 1])


class Mixed(ConvectionDiffusion):
    """Neumann on one side, Robin on another, Dirichlet elsewhere."""

    def boundary(self, instance):
        return {"x0-": Neumann(0.3), "x0+": Robin(2.0, 0.1), "x1-": Dirichlet(0.0), "x1+": Dirichlet(1.0)}


PROBLEMS = [Poisson(modes=4), ChebyshevPoisson(), Helmholtz(wave_number=3.0, modes=2), Mixed(diffusivity=0.5, modes=2)]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: type(problem).__name__)
@pytest.mark.parametrize("hidden", [(7,), (6, 5)])
def test_the_jacobian_is_that_of_one_backward_pass_per_row(problem, hidden):
    task = small(problem, hidden, interior=20, boundary=12)
    task.setup("fit")
    vector, params = task.residuals(0), list(reversed(list(task.network.parameters())))
    r, jacobian = vector.jacobian(params)
    slow = vector.residual()
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(value, params, retain_graph=True, materialize_grads=True)])
        for value in slow
    ]
    assert torch.allclose(r, slow.detach(), rtol=1e-12, atol=1e-12 * float(r.abs().max()))
    assert torch.allclose(jacobian, torch.stack(rows), rtol=1e-10, atol=1e-11 * float(jacobian.abs().max()))
    assert len(vector) == len(r) == 32


@pytest.mark.parametrize("problem", [Poisson(modes=2), Mixed(diffusivity=0.5, modes=2)], ids=["Dirichlet", "mixed"])
def test_the_exact_solution_has_no_residual_and_another_function_its_quadrature(problem):
    class Exact(nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = nn.Parameter(torch.ones((), dtype=torch.float64))

        def forward(self, x):
            return self.factor * wave(x.reshape(-1, 2)).reshape(*x.shape[:-1], 1)

    task = PhysicsInformed(Exact(), Manufactured(problem, wave), interior=4000, boundary=800, scale=2.0)
    task.setup("fit")
    vector = task.residuals(0)
    assert vector.residual().abs().max() <= 1e-10
    assert task.relative_l2() == 0
    with torch.no_grad():
        task.network.factor.fill_(0.5)
    assert float(vector.residual().detach().norm() / vector.residual_of_zero().norm()) == pytest.approx(0.5)
    assert float(task.relative_l2()) == pytest.approx(0.5)


def test_the_squared_residual_is_an_integral_over_domain_and_boundary_in_units_of_the_solution():
    class One(nn.Module):
        def __init__(self):
            super().__init__()
            self.value = nn.Parameter(torch.ones((), dtype=torch.float64))

        def forward(self, x):
            return self.value + 0 * x.sum(-1, keepdim=True)

    task = PhysicsInformed(One(), Poisson(modes=1), interior=4096, boundary=400, boundary_weight=3.0, scale=2.0)
    task.setup("fit")
    instance, grid = task.instance, task.problem.grid((64, 64))
    source = float(instance.fields["f"].on(grid).square().mean())  # -Δ1 - f = -f inside, 1 on a boundary of length 4
    assert float(task.residuals(0).residual().detach().square().sum()) == pytest.approx((source + 3.0 * 4.0) / 4.0, rel=1e-3)


def test_the_size_of_the_solution_is_found_and_kept_in_the_network():
    task = small()
    task.setup("fit")
    centre = task.problem.exact(torch.tensor([[0.5, 0.5]], dtype=torch.float64), task.instance)
    assert task.scale == pytest.approx(abs(float(centre)), rel=0.01)
    assert float(task.network.scale) == task.scale
    assert "scale" in task.network.state_dict()


@pytest.mark.parametrize("name", [*RESIDUAL, "SelfScaledQN", "MFAC", "torch.optim.AdamW", "torch.optim.LBFGS"])
def test_every_kind_of_optimizer_lowers_the_loss(name, make_trainer):
    options = {"NystromNewtonCG": {"rank": 10}, "MFAC": {"damping": 10.0, "lr": 0.1}}
    task = small(optimizer=settings(name, **options.get(name, {})))
    trainer = make_trainer(max_steps=10)
    trainer.fit(task)
    assert trainer.global_step == 10
    assert task.automatic_optimization == (name not in RESIDUAL)
    fresh = small()
    fresh.setup("fit")
    assert trainer.callback_metrics["train/loss"] < 0.5 * float(fresh.residuals(0).residual().detach().square().sum())
    assert {"val/residual", "val/rel_l2"} <= set(trainer.callback_metrics)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "steps", "bound"), [("ENGDW", 400, 1e-5), ("SelfScaledQN", 150, 2e-6)])
def test_129_weights_solve_poissons_equation(name, steps, bound, make_trainer):
    torch.manual_seed(0)
    task = PhysicsInformed(MLP(hidden=[32]), Poisson(modes=1), optimizer=settings(name))
    assert len(weights(task)) == 129
    make_trainer(max_steps=steps).fit(task)
    assert float(task.relative_l2()) <= bound


@pytest.mark.parametrize("name", [*RESIDUAL, "SelfScaledQN", "MFAC", "torch.optim.AdamW"])
def test_an_interrupted_training_resumes_bit_by_bit(name, tmp_path, make_trainer):
    options = {"optimizer": settings(name), "resample_every": 3}
    if name in ("MFAC", "torch.optim.AdamW"):
        options["lr_scheduler"] = settings("WarmupCosine", total_steps=10)
    whole, half, rest = small(**options), small(**options), small(**options)
    make_trainer(max_steps=10).fit(whole)
    keep = ModelCheckpoint(tmp_path, save_last=True, monitor=half.monitor)
    make_trainer(max_steps=5, callbacks=[keep], enable_checkpointing=True).fit(half)
    make_trainer(max_steps=10).fit(rest, ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert torch.equal(weights(whole), weights(rest))
    assert not torch.equal(weights(whole), weights(half))


def test_points_are_redrawn_each_round_from_seed_and_round_only():
    task, again = small(resample_every=4), small(resample_every=4)
    for each in (task, again):
        each.setup("fit")
    first = task.residuals(0).blocks[0].x
    assert torch.equal(first, task.residuals(3).blocks[0].x)
    assert not torch.equal(first, task.residuals(4).blocks[0].x)
    assert torch.equal(task.residuals(9).blocks[0].x, again.residuals(8).blocks[0].x)
    task.seed = 1
    assert not torch.equal(task._residuals_at(0, task.counts).blocks[0].x, first)


def test_double_precision_of_the_trainer_and_single_precision_work_too(make_trainer):
    for precision, kind in (("64-true", torch.float64), ("32-true", torch.float32)):
        task = PhysicsInformed(MLP(hidden=[8], dtype="float32"), Poisson(modes=1), interior=32, boundary=16,
                               optimizer=settings("LevenbergMarquardt", damping=0.1), steps_per_epoch=3)  # fmt: skip
        trainer = make_trainer(max_steps=3, precision=precision)
        if kind is torch.float32:
            with pytest.warns(UserWarning, match="float32"):
                trainer.fit(task)
        else:
            trainer.fit(task)
        assert weights(task).dtype is kind
        assert torch.isfinite(weights(task)).all()


def test_a_schedule_reaches_optimizers_that_the_task_steps_itself(make_trainer):
    schedule = settings("WarmupCosine", total_steps=4, warmup=0.0, final=0.5)
    task, trainer = small(lr_scheduler=schedule), make_trainer(max_steps=4)
    trainer.fit(task)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("trainer", "message"),
    [
        ({"gradient_clip_val": 1.0}, "gradient_clip_val=1.0; leave it out"),
        ({"accumulate_grad_batches": 2}, "accumulate_grad_batches=2"),
        ({"precision": "bf16-mixed"}, "precision=bf16-mixed"),
        ({"gradient_clip_val": 1.0, "accumulate_grad_batches": 2}, "and .*; leave them out"),
    ],
)
@pytest.mark.parametrize("name", ["ENGDW", "SelfScaledQN", "torch.optim.LBFGS"])
def test_trainer_settings_that_corrupt_the_step_are_refused(name, trainer, message, make_trainer):
    with pytest.raises(UsageError, match=message) as error:
        make_trainer(max_steps=1, **trainer).fit(small(optimizer=settings(name)))
    assert "\n" not in str(error.value)


def test_first_order_optimizers_may_clip(make_trainer):
    task = small(optimizer=settings("torch.optim.AdamW"))
    before = [p.detach().clone() for p in task.network.parameters()]
    make_trainer(max_steps=1, gradient_clip_val=1.0).fit(task)
    assert all(not torch.equal(p, q) for p, q in zip(before, task.network.parameters(), strict=True))


@dataclass(frozen=True)
class Undiscretized(Poisson):
    def layout(self, instance, resolution):
        raise UsageError("no grid in this dimension")


def broken(network):
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    return network


@pytest.mark.parametrize(
    ("network", "problem", "options", "message"),
    [
        (MLP(), None, {}, "set `problem`"),
        (MLP(), Burgers(), {}, "elliptic problem with one real solution"),
        (MLP(in_features=3), Poisson(), {}, "set in_features: 2"),
        (MLP(out_features=2), Poisson(), {}, "set out_features: 1"),
        (nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Linear(8, 1)), Poisson(), {}, "found BatchNorm1d at '1'"),
        (nn.Sequential(nn.Linear(2, 8), nn.Dropout(), nn.Linear(8, 1)), Poisson(), {}, "found Dropout"),
        (MLP(), Poisson(), {"interior": 0}, "needs positive interior"),
        (MLP(), Poisson(), {"scale": -1.0}, "scale"),
        (MLP(), Undiscretized(), {}, "give the task a scale"),
        (broken(MLP()), Poisson(modes=1), {}, "nan in .* interior points, first at"),
        (broken(MLP()), Poisson(modes=1), {"optimizer": settings("torch.optim.AdamW")}, "interior points, first at"),
    ],
)
def test_wrong_problems_networks_and_numbers_are_refused_in_one_line(network, problem, options, message, make_trainer):
    with pytest.raises(UsageError, match=message) as error:
        make_trainer(max_steps=1).fit(PhysicsInformed(network, problem, **options))
    assert "\n" not in str(error.value)


def test_a_jacobian_that_does_not_fit_is_refused_before_it_is_allocated(monkeypatch):
    monkeypatch.setattr("pdeflow.tasks.residual_vector.MAX_JACOBIAN", 1e4)
    task = small()
    task.setup("fit")
    with pytest.raises(UsageError, match="fewer points"):
        task.residuals(0).jacobian(list(task.network.parameters()))


def test_tasks_without_residuals_refuse_optimizers_that_need_them(fields, make_trainer):
    with pytest.raises(UsageError, match=r"use it with pdeflow\.tasks\.PhysicsInformed"):
        make_trainer(max_epochs=1).fit(OperatorLearning(nn.Conv2d(1, 1, 1), optimizer=settings("ENGDW")), fields)


def test_the_monitor_is_the_error_where_it_is_known_and_the_residual_elsewhere(make_trainer):
    assert small().monitor == "val/rel_l2"
    task, trainer = small(ChebyshevPoisson()), make_trainer(max_steps=2)
    trainer.fit(task)
    assert task.monitor == "val/residual"
    assert "val/rel_l2" not in trainer.callback_metrics
