"""Training on samples that are drawn anew: which samples, that they are solved, that a resumed training sees the same ones."""

import ast
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

import pdeflow.tasks
from pdeflow import seeds
from pdeflow.data.manifest import build_manifest
from pdeflow.errors import UsageError
from pdeflow.generation import Recipe
from pdeflow.generation.chains import write_chain
from pdeflow.models import FNO, TFNO
from pdeflow.problems import (
    ConvectionDiffusion,
    Darcy,
    Heat,
    Helmholtz,
    LogNormalDarcy,
    PipeFlow,
    Poisson,
    PolygonHeat,
)
from pdeflow.tasks import OperatorLearning
from pdeflow.tasks.fresh_data import EpochBatches, FreshDataModule
from pdeflow.tasks.fresh_samples import common_grid, diffusion, draw, solve_instances

MUON = {"class_path": "pdeflow.optim.Muon", "init_args": {"lr": 0.02}}
PLAIN = [Darcy(), LogNormalDarcy(), Poisson()]
OTHERS = [ConvectionDiffusion(), Helmholtz(wave_number=5.0)]


def fresh(**options):
    return FreshDataModule(
        **({"problem": Darcy(), "grid": (8, 8), "batch_size": 3, "batches_per_epoch": 4} | options)
    )


def task(seed=0, **options):
    torch.manual_seed(seed)
    return OperatorLearning(TFNO((4, 4), hidden_channels=8, n_layers=2, rank=0.5), optimizer=MUON, **options)


def epoch(data, number):
    loader = data.train_dataloader()
    loader.sampler.set_epoch(number)
    return list(loader)


def states_equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Darcy on 8 x 8 cells: 4 train, 6 valid, 5 test, of the root seed that fresh data have by default."""
    root = tmp_path_factory.mktemp("darcy")
    recipe = Recipe.of(
        Darcy(),
        None,
        {"train": 4, "valid": 6, "test": 5},
        [8, 8],
        seed=0,
        method="direct",
        rtol=1e-8,
        chain_length=8,
    )
    for chain in recipe.chains():
        write_chain(root, recipe, chain, "direct", lambda iterations: None)
    build_manifest(root, {"rtol": 1e-8, "solver": "sparse direct", "seconds": 1.0, "versions": {}})
    return root


def test_every_epoch_is_new_and_the_same_epoch_is_the_same_again():
    first, second, again = epoch(fresh(), 0), epoch(fresh(), 1), epoch(fresh(), 1)
    assert len(first) == 4
    numbers = torch.cat([batch["index"] for batch in first + second])
    assert numbers.tolist() == list(range(24))
    fields = torch.cat([batch["a"] for batch in first + second]).flatten(1)
    assert len(torch.unique(fields, dim=0)) == 24
    for one, other in zip(second, again, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(first[0]["a"], fresh(seed=1).batch(0)["a"])


def test_sample_n_does_not_depend_on_the_batches():
    small, large = fresh(batch_size=2), fresh(batch_size=6)
    together = torch.cat([small.batch(k)["u"] for k in range(3)])
    torch.testing.assert_close(together, large.batch(0)["u"], rtol=1e-6, atol=0)


def test_no_training_sample_is_a_sample_of_a_dataset_with_the_same_seed(dataset):
    problem, grid = Darcy(), Darcy().grid((8, 8))
    stored = [problem.sample(seeds.generator(0, seeds.INPUTS, i)).fields["a"] for i in range(60)]
    drawn = [instance.fields["a"] for instance in draw(problem, 0, range(60))]
    modes = torch.stack([field.coefficients.flatten() for field in stored + drawn])
    assert len(torch.unique(modes, dim=0)) == 120
    assert fresh(path=str(dataset)).grid == grid


@pytest.mark.parametrize("problem", [*PLAIN, *OTHERS], ids=lambda problem: type(problem).__name__)
def test_labels_solve_the_assembled_system(problem):
    instances = draw(problem, 5, range(3))
    grid = common_grid(problem, instances, (16, 16))
    a, u = solve_instances(problem, instances, grid, rtol=problem.rtol)
    assert a.dtype == u.dtype == torch.float64
    for instance, inputs, outputs in zip(instances, a, u, strict=True):
        expected = problem.input_values(instance, grid)
        assert all(
            torch.equal(field, torch.from_numpy(expected[name]))
            for name, field in zip(problem.inputs, inputs, strict=True)
        )
        system = problem.system(instance, grid)
        x = outputs[0].flatten().numpy() if len(outputs) == 1 else torch.complex(*outputs).flatten().numpy()
        assert abs(system.b - system.A @ x).max() <= 1e-7 * abs(system.b).max()


@pytest.mark.parametrize("problem", [*PLAIN, *OTHERS], ids=lambda problem: type(problem).__name__)
def test_only_plain_diffusion_is_solved_in_batches(problem):
    instance = draw(problem, 0, [0])[0]
    assert (diffusion(problem, instance, common_grid(problem, [instance], (8, 8))) is not None) == (
        problem in PLAIN
    )


def test_frames_of_an_evolution_are_channels():
    data = fresh(problem=Heat(frames=4, modes=4), grid=(12, 10), batch_size=2)
    batch = data.batch(0)
    assert tuple(batch["a"].shape) == (2, 1, 12, 10)
    assert tuple(batch["u"].shape) == (2, len(data.problem.times), 12, 10)


def test_a_sample_that_the_batch_does_not_solve_is_solved_alone(monkeypatch):
    instances = draw(Darcy(), 0, range(3))
    grid = Darcy().grid((16, 16))
    expected = solve_instances(Darcy(), instances, grid, rtol=1e-10)[1]
    from pdeflow.tasks import fresh_samples

    whole = fresh_samples.solve_batch
    monkeypatch.setattr(fresh_samples, "solve_batch", lambda *a, **k: whole(*a, **k, maxiter=1))
    found = solve_instances(Darcy(), instances, grid, rtol=1e-10)[1]
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-10)


def test_a_short_training_lowers_the_error_on_samples_it_never_saw(make_trainer, dataset):
    data = fresh(grid=None, problem=None, path=str(dataset), batch_size=16, batches_per_epoch=30)
    torch.manual_seed(0)
    adam = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-2}}
    trained = OperatorLearning(FNO((4, 4), hidden_channels=8, n_layers=1), optimizer=adam)
    trainer = make_trainer(max_epochs=3)
    trainer.fit(trained, datamodule=data)
    assert trainer.global_step == 90
    assert trainer.callback_metrics["val/rel_l2"] < 0.15  # the mean training field leaves 0.27
    assert trainer.test(trained, datamodule=data, verbose=False)[0]["test/rel_l2"] < 0.15


class Stop(Callback):
    """Ends a training as Ctrl-C does, after a number of steps."""

    def __init__(self, step):
        self.step = step

    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("step", [4, 6], ids=["at the end of an epoch", "in the middle of an epoch"])
def test_a_resumed_training_sees_the_same_batches(step, tmp_path, make_trainer):
    whole = task()
    make_trainer(max_epochs=3).fit(whole, datamodule=fresh())
    keep = ModelCheckpoint(tmp_path, save_last=True, every_n_train_steps=2)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        make_trainer(max_epochs=3, callbacks=[keep, Stop(step)], enable_checkpointing=True).fit(
            task(), datamodule=fresh()
        )
    resumed, trainer = task(seed=1), make_trainer(max_epochs=3)
    trainer.fit(resumed, datamodule=fresh(), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert trainer.global_step == 12
    assert states_equal(whole.state_dict(), resumed.state_dict())


def test_processes_share_the_batches_of_an_epoch():
    parts = [EpochBatches(7, 3, rank) for rank in range(3)]
    for part in parts:
        part.set_epoch(2)
    found = [list(part) for part in parts]
    assert sorted(number for part in found for number in part) == list(range(14, 20))
    assert [len(part) for part in parts] == [len(numbers) for numbers in found] == [2, 2, 2]


def test_the_task_names_the_problem_where_the_data_do_not(make_trainer):
    data = fresh(problem=None)
    make_trainer(max_steps=1).fit(task(problem=LogNormalDarcy()), datamodule=data)
    assert data.problem == LogNormalDarcy()
    assert tuple(data.training_fields()[0].shape) == (12, 1, 8, 8)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"batches_per_epoch": 0}, "batches_per_epoch"),
        ({"problem": None}, "set `problem`"),
        ({"grid": None}, r"set data.grid, e.g. \[32, 32\]"),
        ({"problem": PipeFlow(), "grid": (16, 8)}, "one uniform grid"),
        ({"path": "nowhere"}, "nowhere"),
        ({"rtol": 1e-18}, "cannot be reached"),
    ],
)
def test_settings_that_cannot_work_are_refused(options, words, make_trainer):
    with pytest.raises(UsageError, match=words):
        make_trainer(max_steps=1).fit(task(), datamodule=fresh(**options))


def test_a_dataset_of_another_grid_or_problem_is_refused(dataset):
    for options in ({"grid": (16, 16)}, {"problem": Heat(frames=4), "grid": (8, 8)}):
        with pytest.raises(UsageError, match="name another"):
            fresh(path=str(dataset), **options).setup("fit")


def test_problems_on_meshes_are_refused():
    with pytest.raises(UsageError):
        fresh(problem=PolygonHeat()).setup("fit")


def test_any_network_trains_on_it(make_trainer):
    trained = OperatorLearning(FNO((4, 4), hidden_channels=8, n_layers=1))
    trainer = make_trainer(max_epochs=1)
    trainer.fit(trained, datamodule=fresh(problem=Poisson()))
    assert trainer.global_step == 4


def test_generation_is_not_needed():
    for name in ("fresh_data", "fresh_samples"):
        tree = ast.parse((Path(pdeflow.tasks.__file__).parent / f"{name}.py").read_text())
        modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert not [module for module in modules if module.startswith("pdeflow.generation")]
