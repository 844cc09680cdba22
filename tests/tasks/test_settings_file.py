"""Model, loss, optimizer and schedule are joined by a settings file and LightningCLI alone."""

import pytest
from lightning.pytorch.cli import LightningCLI
from torch.optim import AdamW, Optimizer

from pdeflow.models import TFNO
from pdeflow.models.learned_v_cycle import LearnedVCycle
from pdeflow.optim import Muon, WarmupCosine
from pdeflow.problems import Darcy
from pdeflow.tasks import DirectionLearning, OperatorLearning

OPERATOR = """
seed_everything: 0
model:
  class_path: pdeflow.tasks.OperatorLearning
  init_args:
    network: {class_path: pdeflow.models.TFNO, init_args: {n_modes: [4, 4], hidden_channels: 8, n_layers: 1}}
    loss: {class_path: pdeflow.losses.RelativeL2}
    problem: {class_path: pdeflow.problems.Darcy, init_args: {low: 3.0}}
"""
SECTIONS = """
optimizer: {class_path: pdeflow.optim.Muon, init_args: {lr: 0.05}}
lr_scheduler: {class_path: pdeflow.optim.WarmupCosine, init_args: {warmup: 0.25}}
"""
DIRECTION = """
seed_everything: 0
model:
  class_path: pdeflow.tasks.DirectionLearning
  init_args:
    network: {class_path: pdeflow.models.learned_v_cycle.LearnedVCycle, init_args: {coarsest: 64}}
    problem: {class_path: pdeflow.problems.Darcy}
    grids: [[16, 16], [32, 32]]
    batch_size: 1
    steps_per_epoch: 2
    instances: 1
"""


class Settings(LightningCLI):
    def add_arguments_to_parser(self, parser):
        parser.add_optimizer_args((Optimizer,), "optimizer", link_to="model.init_args.optimizer")
        parser.add_lr_scheduler_args(nested_key="lr_scheduler", link_to="model.init_args.lr_scheduler")


@pytest.fixture
def read(tmp_path):
    def build(text, *arguments, data=None, **limits):
        path = tmp_path / "settings.yaml"
        path.write_text(text, encoding="utf-8")
        quiet = {
            "accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_checkpointing": False,
            "enable_model_summary": False, "default_root_dir": str(tmp_path),
        }  # fmt: skip
        return Settings(
            None, data, subclass_mode_model=True, auto_configure_optimizers=False, run=False,
            save_config_callback=None, trainer_defaults=quiet | limits, args=["--config", str(path), *arguments],
        )  # fmt: skip

    return build


def optimizer_after_one_epoch(cli):
    cli.trainer.fit(cli.model, cli.datamodule)
    (optimizer,) = cli.trainer.optimizers
    return optimizer


def test_sections_reach_the_task(read, make_fields):
    cli = read(OPERATOR + SECTIONS, data=make_fields, max_epochs=1)
    assert type(cli.model) is OperatorLearning
    assert type(cli.model.network) is TFNO
    assert cli.model.problem == Darcy(low=3.0)
    optimizer = optimizer_after_one_epoch(cli)
    assert type(optimizer) is Muon
    assert optimizer.param_groups[0]["initial_lr"] == 0.05
    schedule = cli.trainer.lr_scheduler_configs[0]
    assert type(schedule.scheduler) is WarmupCosine
    assert (schedule.interval, schedule.scheduler.warmup, schedule.scheduler.total_steps) == ("step", 0.25, 4)


def test_the_command_line_wins_over_the_file_and_short_flags_work(read, make_fields):
    flags = "--optimizer=pdeflow.optim.Muon", "--optimizer.lr=0.02", "--lr_scheduler.warmup=0.5"
    cli = read(OPERATOR + SECTIONS, *flags, data=make_fields, max_epochs=1)
    optimizer = optimizer_after_one_epoch(cli)
    assert optimizer.param_groups[0]["initial_lr"] == 0.02
    assert cli.trainer.lr_scheduler_configs[0].scheduler.warmup == 0.5


def test_without_sections_the_defaults_train(read, make_fields):
    cli = read(OPERATOR, data=make_fields, max_epochs=1)
    assert type(optimizer_after_one_epoch(cli)) is AdamW


def test_a_torch_optimizer_on_the_command_line(read, make_fields):
    flags = "--optimizer=torch.optim.AdamW", "--optimizer.lr=0.003", "--optimizer.weight_decay=0.1"
    optimizer = optimizer_after_one_epoch(read(OPERATOR, *flags, data=make_fields, max_epochs=1))
    assert (type(optimizer), optimizer.param_groups[0]["weight_decay"]) == (AdamW, 0.1)


def test_the_resolved_settings_run_again(read, make_fields, tmp_path):
    cli = read(OPERATOR + SECTIONS, data=make_fields, max_epochs=1)
    again = tmp_path / "resolved.yaml"
    cli.parser.save(cli.config, again, skip_none=False, overwrite=True)
    twin = read(again.read_text(encoding="utf-8"), data=make_fields)
    assert twin.config.model == cli.config.model
    assert twin.config.optimizer == cli.config.optimizer


def test_direction_learning_needs_no_data(read):
    cli = read(DIRECTION, max_steps=2)
    assert type(cli.model) is DirectionLearning
    assert type(cli.model.network) is LearnedVCycle
    optimizer_after_one_epoch(cli)
    assert "val/iterations" in cli.trainer.callback_metrics
