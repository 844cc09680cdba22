"""Optimizers and schedules from settings: named groups, steps filled in, clear refusals."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from pdeflow.errors import UsageError
from pdeflow.models import TFNO
from pdeflow.optim import Muon
from pdeflow.tasks.configure import configure
from pdeflow.tasks.parameter_groups import parameter_groups

ADAMW = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-2}}
COSINE = {"class_path": "pdeflow.optim.WarmupCosine", "init_args": {"warmup": 0.0, "final": 0.5}}


def trainer(steps=10, **options):
    defaults = {
        "estimated_stepping_batches": steps, "gradient_clip_val": None, "accumulate_grad_batches": 1,
        "max_epochs": -1, "max_steps": -1, "precision": "32-true", "world_size": 1,
    }  # fmt: skip
    return SimpleNamespace(**(defaults | options))


@pytest.mark.parametrize("name", ["AdamW", "Adam", "SGD", "RMSprop", "NAdam"])
def test_plain_optimizers_accept_the_named_groups_and_step(name):
    network = TFNO((4, 4), hidden_channels=8)
    settings = {"class_path": f"torch.optim.{name}", "init_args": {"lr": 1e-3}}
    optimizer = configure(network, settings, COSINE, trainer())["optimizer"]
    before = [p.detach().clone() for p in network.parameters()]
    network(torch.randn(2, 1, 8, 8)).square().sum().backward()
    optimizer.step()
    assert all(not torch.equal(p, q) for p, q in zip(network.parameters(), before, strict=True))
    assert {group["matrix_view"] for group in optimizer.param_groups} >= {"matrix", "elementwise"}


def test_muon_sees_the_views_that_the_network_declares():
    network = TFNO((4, 4), hidden_channels=8)
    built = configure(
        network, {"class_path": "pdeflow.optim.Muon", "init_args": {"lr": 0.5}}, COSINE, trainer()
    )
    groups = built["optimizer"].param_groups
    assert [g["matrix_view"] for g in groups] == [g["matrix_view"] for g in parameter_groups(network)]
    assert all(g["initial_lr"] == 0.5 for g in groups)


def test_schedule_ends_at_its_final_rate_after_the_trainers_steps():
    built = configure(nn.Linear(9, 9), ADAMW, COSINE, trainer(steps=7))
    assert built["lr_scheduler"]["interval"] == "step"
    schedule = built["lr_scheduler"]["scheduler"]
    for _ in range(7):
        built["optimizer"].step()
        schedule.step()
    assert schedule.get_last_lr() == pytest.approx([0.5 * 1e-2] * 2)


def test_callables_build_as_settings_do():
    built = configure(
        nn.Linear(9, 9), lambda groups: Muon(groups, lr=0.1),
        lambda optimizer: torch.optim.lr_scheduler.ConstantLR(optimizer), trainer(),
    )  # fmt: skip
    assert type(built["optimizer"]) is Muon
    assert type(built["lr_scheduler"]["scheduler"]) is torch.optim.lr_scheduler.ConstantLR


def test_a_plateau_schedule_follows_its_metric_by_epoch():
    plateau = {
        "class_path": "lightning.pytorch.cli.ReduceLROnPlateau",
        "init_args": {"monitor": "val/rel_l2"},
    }
    entry = configure(nn.Linear(9, 9), ADAMW, plateau, trainer())["lr_scheduler"]
    assert (entry["interval"], entry["monitor"]) == ("epoch", "val/rel_l2")


def test_lbfgs_gets_one_group_and_refuses_clipping_and_accumulation():
    lbfgs = {"class_path": "torch.optim.LBFGS"}
    (group,) = configure(nn.Linear(9, 9), lbfgs, COSINE, trainer())["optimizer"].param_groups
    assert len(group["params"]) == 2
    for wrong in ({"gradient_clip_val": 1.0}, {"accumulate_grad_batches": 2}):
        with pytest.raises(UsageError, match="LBFGS"):
            configure(nn.Linear(9, 9), lbfgs, COSINE, trainer(**wrong))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"class_path": "pdeflow.optim.Moun"}, "cannot import 'pdeflow.optim.Moun'"),
        ({"class_path": "Muon"}, "package.module.Class"),
        ({"class_path": "pdeflow.optim.Muon", "init_args": {"lrr": 1}}, "lrr"),
        ({"class_path": "pdeflow.optim.Muon", "init_args": {"lr": -1.0}}, "Muon"),
        ("pdeflow.optim.Muon", "must be {class_path, init_args} or a callable"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(settings, message):
    with pytest.raises(UsageError, match=message) as caught:
        configure(nn.Linear(9, 9), settings, COSINE, trainer())
    assert "\n" not in str(caught.value)


def test_a_training_without_end_needs_a_bound_for_the_schedule():
    with pytest.raises(UsageError, match=r"trainer\.max_epochs or trainer\.max_steps"):
        configure(nn.Linear(9, 9), ADAMW, COSINE, trainer(steps=float("inf")))


def test_nothing_to_train_is_a_usage_error():
    with pytest.raises(UsageError, match="no trainable parameter"):
        configure(nn.Identity(), ADAMW, COSINE, trainer())
