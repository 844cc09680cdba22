import pytest
import torch
from lightning import LightningModule, Trainer

from pdeflow.data import PDEDataModule
from pdeflow.data.datamodule import EpochSampler
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid
from pdeflow.problems import Darcy

QUIET = {
    "logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False,
    "accelerator": "cpu",
}  # fmt: skip


class Recorder(LightningModule):
    """One weight; remembers the numbers of the samples that it was shown."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def training_step(self, batch, batch_index):
        self.seen.append((self.current_epoch, *batch["index"].tolist()))
        return ((self.weight * batch["a"] - batch["u"]) ** 2).mean()

    def validation_step(self, batch, batch_index):
        self.seen.append(("valid", *batch["index"].tolist()))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.0)


def epochs(task):
    order = {}
    for epoch, *indices in task.seen:
        order.setdefault(epoch, []).extend(indices)
    return order


def test_nothing_is_read_before_it_is_needed(tmp_path):
    data = PDEDataModule(str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match="pdeflow generate"):
        data.setup("fit")


def test_every_epoch_shows_every_sample_once_in_another_order(made):
    torch.manual_seed(0)
    task = Recorder()
    Trainer(max_epochs=3, limit_val_batches=0, **QUIET).fit(task, PDEDataModule(str(made), batch_size=4))
    order = epochs(task)
    assert all(sorted(order[epoch]) == list(range(6)) for epoch in range(3))
    assert len({tuple(order[epoch]) for epoch in range(3)}) == 3


def test_the_order_of_an_epoch_does_not_depend_on_the_epochs_before_or_on_global_state(made, tmp_path):
    whole, first, second = Recorder(), Recorder(), Recorder()
    torch.manual_seed(1)
    Trainer(max_epochs=4, limit_val_batches=0, **QUIET).fit(whole, PDEDataModule(str(made), batch_size=2))
    trainer = Trainer(max_epochs=2, limit_val_batches=0, **QUIET)
    trainer.fit(first, PDEDataModule(str(made), batch_size=2))
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    torch.manual_seed(2)
    resumed = Trainer(max_epochs=4, limit_val_batches=0, **QUIET)
    resumed.fit(second, PDEDataModule(str(made), batch_size=2), ckpt_path=tmp_path / "half.ckpt")
    assert epochs(first) | epochs(second) == epochs(whole)


def test_the_seed_changes_the_order():
    orders = [list(EpochSampler(50, seed)) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


def test_validation_and_test_come_in_order_and_whole(made):
    data = PDEDataModule(str(made), batch_size=2)
    for loader in (data.val_dataloader(), data.test_dataloader(), data.predict_dataloader()):
        assert [batch["index"].tolist() for batch in loader] == [[0, 1], [2]]
    assert data.grid == Grid.unit((8, 8))
    assert data.inputs == Darcy().inputs
    assert data.problem == Darcy()


def test_n_train_keeps_the_first_samples_for_steps_and_normalisers(made):
    data, all_data = PDEDataModule(str(made), batch_size=2, n_train=3), PDEDataModule(str(made))
    assert sorted(i for batch in data.train_dataloader() for i in batch["index"].tolist()) == [0, 1, 2]
    for part, whole in zip(data.training_fields(), all_data.training_fields(), strict=True):
        assert torch.equal(part, whole[:3])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_train": 7}, "between 1 and 6, got 7"),
        ({"n_train": 0}, "got 0"),
        ({"batch_size": 0}, "at least 1, got 0"),
    ],
)
def test_wrong_settings_are_refused_before_training(made, settings, message):
    with pytest.raises(UsageError, match=message):
        PDEDataModule(str(made), **settings).setup("fit")
