"""An iteration card tells the most iterations of all unseen systems, not the least and not the last."""

import torch

from pdeflow.models import LearnedVCycle
from pdeflow.problems import LogNormalDarcy
from pdeflow.tasks import DirectionLearning, direction_learning


def test_the_card_tells_the_most_iterations_on_each_grid(monkeypatch):
    counts = {(16, 16): [7.5, 9.25, 8.0], (32, 32): [11.0, 6.0, 10.5]}
    asked = {shape: iter(values) for shape, values in counts.items()}
    monkeypatch.setattr(
        direction_learning, "interpolated_iterations", lambda network, system, rtol: next(asked[tuple(system.grid.shape)])
    )
    torch.manual_seed(0)
    task = DirectionLearning(LearnedVCycle(coarsest=64), LogNormalDarcy(), grids=tuple(counts), instances=3, batch_size=1)
    logged = {}
    monkeypatch.setattr(task, "log", lambda name, value, **_: logged.setdefault(name, []).append(value))
    task.on_validation_epoch_start()
    for index in task.val_dataloader():
        task.validation_step(index, index)
    rows = {tuple(row["grid"]): row for row in task.iteration_card()["grids"]}
    assert {shape: row["network"] for shape, row in rows.items()} == {shape: max(values) for shape, values in counts.items()}
    assert logged["val/iterations"] == [11.0, 9.25, 10.5]  # of each system the most over the grids; the epoch takes the most of them
    for shape, row in rows.items():  # and of a classical method too
        each = [direction_learning.classical_counts([task.unseen_system(i, shape)], task.rtol)["cg"] for i in range(3)]
        assert row["cg"] == max(each)
