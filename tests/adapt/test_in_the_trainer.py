"""Adapters, AdaPreLoRA and Langevin steps in the task of operator learning, with Lightning's averages and checkpoints."""

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging

from pdeflow.adapt.langevin import Langevin
from pdeflow.adapt.low_rank_adapters import adapter_state, attach_adapters, merge_adapters
from pdeflow.adapt.preconditioned_adapters import AdaPreLoRA
from pdeflow.models import FNO
from pdeflow.tasks import OperatorLearning

from ..tasks.conftest import TinyFields


def trainer(**options):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return Trainer(max_epochs=4, enable_checkpointing=False, num_sanity_val_steps=0, **quiet, **options)


def base():
    torch.manual_seed(0)
    data = TinyFields()
    network = FNO([4, 4], hidden_channels=6, n_layers=1)
    network.fit_normalizers(*data.training_fields())
    return network, data


def loss(network, data):
    a, u = data.training_fields()
    with torch.no_grad():
        return ((network(a) - u).norm() / u.norm()).item()


@pytest.mark.parametrize("kind", ["AdamW", "AdaPreLoRA", "Muon"])
def test_adapters_train_and_merge(kind):
    network, data = base()
    adapted = attach_adapters(network, 2)
    optimizers = {
        "AdamW": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-2}},
        "Muon": {"class_path": "pdeflow.optim.Muon", "init_args": {"lr": 2e-2}},
        "AdaPreLoRA": lambda groups: AdaPreLoRA(adapted, lr=1e-2),
    }
    before, frozen = loss(adapted, data), network.blocks[0].conv.weight.weight.clone()
    trainer().fit(OperatorLearning(adapted, optimizer=optimizers[kind]), data)
    assert loss(adapted, data) < before
    assert torch.equal(adapted.blocks[0].conv.weight.parametrizations.weight.original, frozen)
    assert loss(merge_adapters(adapted), data) == pytest.approx(loss(adapted, data), rel=1e-6)


def test_lightning_averages_adapters():
    network, data = base()
    adapted = attach_adapters(network, 2)
    start = {name: p.clone() for name, p in adapter_state(adapted).items()}
    optimizer = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-2}}
    average = EMAWeightAveraging(decay=0.9)
    trainer(callbacks=[average]).fit(OperatorLearning(adapted, optimizer=optimizer), data)
    assert any(not torch.equal(p, start[name]) for name, p in adapter_state(adapted).items())


def test_langevin_trains_operators():
    network, data = base()
    before = loss(network, data)
    optimizer = {"class_path": "pdeflow.adapt.langevin.Langevin", "init_args": {"lr": 1e-2, "temperature": 1e-9}}
    task = OperatorLearning(network, optimizer=optimizer)
    trainer().fit(task, data)
    assert loss(network, data) < before
    (sampler,) = [task.optimizers().optimizer]
    assert isinstance(sampler, Langevin)
    sampler.swap_mean()
    assert loss(network, data) < before
