"""Supervised training: what it logs, that it resumes bit by bit, and what it refuses."""

import pytest
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
from torch import nn

from pdeflow.errors import DataError, UsageError
from pdeflow.losses import RelativeH1, RelativeHs
from pdeflow.models import FNO, TFNO
from pdeflow.tasks import OperatorLearning, accuracy

MUON = {"class_path": "pdeflow.optim.Muon", "init_args": {"lr": 0.02}}


def task(**options):
    torch.manual_seed(0)
    return OperatorLearning(TFNO((4, 4), hidden_channels=8, n_layers=2, rank=0.5), **options)


def states_equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


class StopAfter(Callback):
    """Ends a training as Ctrl-C does, after an epoch's checkpoint."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.parametrize("optimizer", [MUON, None])
def test_an_interrupted_training_resumes_bit_by_bit(tmp_path, make_trainer, make_fields, optimizer):
    whole = task(optimizer=optimizer)
    make_trainer(max_epochs=4).fit(whole, make_fields())
    options = {"max_epochs": 4, "enable_checkpointing": True}
    keep = [ModelCheckpoint(tmp_path, save_last=True, monitor=OperatorLearning.monitor), StopAfter(2)]
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        make_trainer(callbacks=keep, **options).fit(task(optimizer=optimizer), make_fields())
    resumed = task(optimizer=optimizer)
    trainer = make_trainer(max_epochs=4)
    trainer.fit(resumed, make_fields(), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert trainer.global_step == 16
    assert states_equal(whole.state_dict(), resumed.state_dict())
    assert not states_equal(whole.state_dict(), task().state_dict())


def test_a_loss_learns_the_grid_of_the_data_or_refuses_it(make_trainer, fields):
    learner = task(loss=RelativeH1())
    make_trainer(max_epochs=1).fit(learner, fields)
    grid = fields.grid
    assert learner.loss.extent == [high - low for low, high in grid.bounds]
    assert (learner.loss.periodic, learner.loss.location) == (all(grid.periodic), grid.location)
    with pytest.raises(UsageError, match=r"RelativeHs does not fit the data.*use RelativeH1"):
        make_trainer(max_epochs=1).fit(task(loss=RelativeHs(-1.0)), fields)


def test_checkpoints_hold_tensors_and_plain_values_only(tmp_path, make_trainer, fields):
    keep = ModelCheckpoint(tmp_path, save_last=True, monitor=OperatorLearning.monitor, filename="best")
    trained = task(optimizer=MUON, problem=fields.problem)
    make_trainer(max_epochs=1, callbacks=[keep], enable_checkpointing=True).fit(trained, fields)
    for name in ("best.ckpt", "last.ckpt"):
        state = torch.load(tmp_path / name, weights_only=True)
        assert states_equal(state["state_dict"], trained.state_dict())
    fresh = task()
    fresh.load_state_dict(state["state_dict"])
    a = fields.held_out[0].float()
    assert torch.equal(fresh.eval()(a), trained.eval()(a))


def test_training_fits_the_normalisers_and_lowers_the_error(make_trainer, fields):
    trained = task(optimizer=MUON)
    trainer = make_trainer(max_epochs=40)
    trainer.fit(trained, fields)
    a, u = fields.training_fields()
    assert trained.network.input_normalizer.mean == pytest.approx(a.mean().item())
    assert trained.network.output_normalizer.std == pytest.approx(u.std(correction=0).item())
    assert trainer.callback_metrics["val/rel_l2"] < 0.2  # the mean training field leaves 0.27
    assert {"train/loss", "val/rel_l2", "val/rel_h1"} <= set(trainer.callback_metrics)


@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_logged_test_errors_are_the_means_of_the_accuracy_table(make_trainer, make_fields, batch_size):
    data, model = make_fields(test_batch_size=batch_size), task()
    (logged,) = make_trainer().test(model, data, verbose=False)
    a, u = (field.float() for field in data.held_out)
    with torch.no_grad():
        table = accuracy(None, data.grid, a, u, model.network(a))
    assert set(logged) == {f"test/{name}" for name in table}
    for name, values in table.items():
        assert logged[f"test/{name}"] == pytest.approx(values.mean(), rel=1e-5)


def test_predictions_come_with_their_sample_numbers(make_trainer, fields):
    model = task()
    parts = make_trainer().predict(model, fields)
    assert torch.cat([part["index"] for part in parts]).tolist() == list(range(7))
    with torch.no_grad():
        expected = model(fields.held_out[0].float())
    torch.testing.assert_close(torch.cat([part["u"] for part in parts]), expected)


def test_any_network_and_loss_will_do(make_trainer, fields):
    model = OperatorLearning(nn.Conv2d(1, 1, 3, padding=1), RelativeH1())
    a, u = fields.training_fields()
    before = float(model.loss(model(a), u))
    make_trainer(max_epochs=3).fit(model, fields)
    assert float(model.loss(model(a), u)) < before


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda: FNO((4, 4), in_channels=2, hidden_channels=8), "FNO does not fit the data: .*--model.network.in_channels 1"),
        (lambda: FNO((4, 4), out_channels=2, hidden_channels=8), "FNO does not fit the data: .*--model.network.out_channels 1"),
        (lambda: FNO((12, 12), hidden_channels=8), "12"),
        (lambda: FNO((4, 4, 4), hidden_channels=8), "3-D"),
        (lambda: nn.Conv2d(3, 1, 1), "in_channels"),
        (lambda: nn.Conv2d(1, 2, 1), "out_channels"),
    ],
)
def test_a_network_that_does_not_fit_the_data_is_refused_before_training(
    make_trainer, fields, network, message
):
    with pytest.raises(UsageError, match=message):
        make_trainer(max_epochs=1).fit(OperatorLearning(network()), fields)


def test_loaders_without_a_data_module_are_refused(make_trainer, fields):
    with pytest.raises(UsageError, match="set `data`"):
        make_trainer(max_epochs=1).fit(task(), fields.train_dataloader())


def test_bad_training_data_are_refused_by_sample(make_trainer, fields):
    fields.train[1][3, 0, 2, 2] = float("nan")
    with pytest.raises(DataError, match="'u' is not finite in 1 of 20 samples, first in sample 3"):
        make_trainer(max_epochs=1).fit(task(), fields)
    fields.train[1][3] = 0.0
    with pytest.raises(DataError, match="sample 3 has u = 0"):
        make_trainer(max_epochs=1).fit(task(), fields)


def test_a_loss_that_is_not_finite_names_step_and_samples(make_trainer, fields):
    class Diverges(nn.Module):
        calls = 0

        def forward(self, prediction, target):
            self.calls += 1
            return (prediction - target).square().sum() * (float("nan") if self.calls == 3 else 1.0)

    with pytest.raises(UsageError, match=r"nan at step 2, samples \[\d+, \d+, \d+, \d+, \d+\]; lower"):
        make_trainer(max_epochs=1).fit(task(loss=Diverges()), fields)


def test_training_takes_turns_on_the_wanted_resolutions(make_trainer, make_fields):
    data, seen = make_fields(), []
    trained = task(coarsen=[1, 2])
    trained.network.register_forward_hook(lambda module, args, out: seen.append((module.training, args[0].shape[2:], out.shape[2:])))
    make_trainer(max_epochs=1).fit(trained, data)
    full = data.grid.shape
    steps = [shape for training, shape, _ in seen if training]
    assert steps[:4] == [full, tuple(n // 2 for n in full)] * 2
    assert {shape for training, shape, _ in seen if not training} == {full}
    assert all(before == after for _, before, after in seen)


@pytest.mark.parametrize(("coarsen", "message"), [([3], "must divide"), ([8], "exceeds grid")])
def test_a_resolution_that_does_not_fit_is_refused_before_training(make_trainer, fields, coarsen, message):
    with pytest.raises(UsageError, match=message):
        make_trainer(max_epochs=1).fit(task(coarsen=coarsen), fields)


def test_the_mean_of_weights_is_kept_by_lightnings_callback(tmp_path, make_trainer, make_fields):
    """Averages over steps need no code of ours: a callback of the settings file, and what is validated and kept is the average."""
    averaging = EMAWeightAveraging(decay=0.9)
    keep = ModelCheckpoint(tmp_path, save_last=True, monitor=OperatorLearning.monitor)
    trained = task(optimizer=MUON)
    make_trainer(max_epochs=2, callbacks=[averaging, keep], enable_checkpointing=True).fit(trained, make_fields())
    plain = task(optimizer=MUON)
    make_trainer(max_epochs=2).fit(plain, make_fields())
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert states_equal(state["state_dict"], trained.state_dict())
    assert not states_equal(trained.state_dict(), plain.state_dict())


def test_a_compiled_network_keeps_the_names_of_its_weights(make_trainer, make_fields):
    compiled, plain = task(optimizer=MUON, compile_network=True), task(optimizer=MUON)
    for model in (compiled, plain):
        make_trainer(max_epochs=1).fit(model, make_fields())
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[name], value, atol=1e-3, rtol=1e-2)
