"""Trained networks at 64 x 64: iterations, precision, refusals."""

import time
from importlib.util import find_spec

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from pdeflow import seeds
from pdeflow.errors import UsageError
from pdeflow.linalg import Reason, operators, solve
from pdeflow.linalg.deep_conjugate_directions import dcdm
from pdeflow.linalg.preconditioners import incomplete_cholesky
from pdeflow.losses import Energy, LogEnergy, MinimalResidual, Residual
from pdeflow.models import MLP, DirectionNet, LearnedVCycle, LinearMultigridNet
from pdeflow.problems import Poisson
from pdeflow.tasks import DirectionLearning, Manufactured, OnPolicy, Ritz, Spectral

BUDGET = 60.0
"""CPU seconds in which a network must be worth something."""
QUIET = {
    "accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    """A linear network trained for 200 steps, about 10 CPU seconds, and the checkpoint that it left."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("linear")
    task = DirectionLearning(
        LinearMultigridNet(), Poisson(), grids=((64, 64),), steps_per_epoch=200, instances=2, rtol=1e-6,
        optimizer={"class_path": "torch.optim.Adam", "init_args": {"lr": 3e-3}},
        lr_scheduler={"class_path": "pdeflow.optim.WarmupCosine", "init_args": {"warmup": 0.2, "final": 0.01}},
    )  # fmt: skip
    keep, start = ModelCheckpoint(folder, monitor=DirectionLearning.monitor), time.process_time()
    Trainer(max_steps=200, callbacks=[keep], default_root_dir=folder, **QUIET).fit(task)
    assert time.process_time() - start <= BUDGET
    return task.network, torch.load(keep.best_model_path, weights_only=True)


@pytest.fixture(scope="module")
def cycle(tmp_path_factory):
    """A V-cycle trained on Poisson's equation for 100 steps, about 3 CPU seconds."""
    task = DirectionLearning(LearnedVCycle(), Poisson(), grids=((32, 32), (64, 64)), steps_per_epoch=100, instances=1)
    folder, start = tmp_path_factory.mktemp("cycle"), time.process_time()
    Trainer(max_steps=100, enable_checkpointing=False, default_root_dir=folder, **QUIET).fit(task)
    assert time.process_time() - start <= BUDGET
    return task.network


@pytest.fixture(scope="module")
def poisson():
    """Poisson on 64 x 64: operator on fields, the assembled system, and two white and two smooth right-hand sides."""
    problem = Poisson()
    system = problem.system(problem.sample(seeds.generator(3, seeds.SOLVE, 0)), problem.grid((64, 64)))
    faces = operators.face_conductances(torch.ones(1, 1, 64, 64, dtype=torch.float64), (1.0, 1.0))
    white = torch.randn(2, 1, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    dipole = torch.zeros(1, 1, 64, 64, dtype=torch.float64)
    dipole[0, 0, 20, 20], dipole[0, 0, 44, 40] = 1.0, -1.0
    smooth = torch.from_numpy(system.b).reshape(1, 1, 64, 64)
    return lambda u: operators.apply(u, faces), system, torch.cat((white, smooth / smooth.norm(), dipole))


def steps(poisson, network, rtol, **options):
    A, _, b = poisson
    found = dcdm(A, b, network, rtol=rtol, guard=None, maxiter=500, **options)
    assert found.converged.all()
    return int(found.iterations.max())


def test_a_linear_network_needs_eight_steps_to_1e_6(poisson, linear):
    network, _ = linear
    assert steps(poisson, network, 1e-6) <= 8
    assert steps(poisson, torch.clone, 1e-6, window=1) >= 100  # conjugate gradients


def test_a_trained_cycle_needs_fewer_steps_than_an_untrained_one_and_than_conjugate_gradients(poisson, cycle):
    spacing, a = (1.0, 1.0), torch.ones(1, 1, 64, 64, dtype=torch.float64)
    trained, untrained = cycle.on(a, spacing), LearnedVCycle().on(a, spacing)
    assert steps(poisson, trained, 1e-6) <= 8
    assert steps(poisson, trained, 1e-10) <= 12
    assert steps(poisson, trained, 1e-6) < steps(poisson, untrained, 1e-6) < steps(poisson, torch.clone, 1e-6, window=1)
    assert steps(poisson, untrained, 1e-6) < solve(poisson[1], method="cg", preconditioner=zero_fill(poisson[1]), rtol=1e-6).iterations


def zero_fill(system):
    """IC(0): no fill, no entry dropped; Jacobi where its package is missing, which is weaker still."""
    if not find_spec("ilupp"):
        return "jacobi"
    return incomplete_cholesky(system, fill=0, threshold=0.0)


def test_a_network_of_sixteen_bits_serves_a_float64_solver(poisson, linear):
    """1e-10 is reached, far below what the network resolves, in at most a fifth more iterations."""
    network, _ = linear
    full = steps(poisson, network, 1e-10)
    half = LinearMultigridNet()
    half.load_state_dict(network.state_dict())
    assert steps(poisson, half.to(torch.bfloat16), 1e-10) <= 1.2 * full
    assert steps(poisson, lambda r: network(r.float()), 1e-12) <= full + 4
    for rtol, most in ((1e-10, 1.2), (1e-12, 1.5)):  # the same by the driver, which verifies in float64
        system = poisson[1]
        wide, narrow = (
            solve(system, method="dcdm", preconditioner=network.setup(system, dtype), rtol=rtol, guard="none")
            for dtype in (None, torch.bfloat16)
        )
        assert narrow.converged
        assert narrow.iterations <= most * wide.iterations


def test_a_trained_network_is_refused_by_cg_and_used_by_the_flexible_method(poisson, linear):
    _, system, _ = poisson
    network, _ = linear
    with pytest.raises(UsageError, match="use method='fcg'"):
        solve(system, method="cg", preconditioner=network)
    found = solve(system, preconditioner=network, rtol=1e-8)
    assert (found.method, found.reason) == ("fcg", Reason.converged)
    assert solve(system, method="dcdm", preconditioner=network, rtol=1e-8).iterations <= found.iterations


def test_the_checkpoint_carries_the_iterations_beside_those_of_classical_methods(linear):
    _, checkpoint = linear
    card = checkpoint["iteration_card"]
    (row,) = card["grids"]
    assert row["grid"] == [64, 64]
    assert row["network"] <= 9 < row["cg"]
    assert row["amg"] < row["cg"]
    assert card["rtol"] == 1e-6
    assert "laplace" in card["problem"]


@pytest.mark.parametrize("network", [DirectionNet(dim=2, channels=4), LinearMultigridNet(levels=3, channels=4), LearnedVCycle(coarsest=16)])
@pytest.mark.parametrize("loss", [Energy(), LogEnergy(), Residual(), MinimalResidual()])
@pytest.mark.parametrize("kind", [Manufactured(), OnPolicy(1), Spectral(), Ritz(20)])
def test_every_network_learns_from_every_loss_and_every_right_hand_side(network, loss, kind, make_trainer):
    task = DirectionLearning(network, Poisson(), loss, kind, grids=((16, 16),), batch_size=2, steps_per_epoch=3, instances=1)
    before = [p.detach().clone() for p in network.parameters()]
    trainer = make_trainer(max_steps=3, limit_val_batches=0)
    if isinstance(kind, Ritz) and loss.needs_solution:
        with pytest.raises(UsageError, match="Ritz brings no solutions"):
            trainer.fit(task)
        return
    trainer.fit(task)
    assert any(not torch.equal(p, old) for p, old in zip(network.parameters(), before, strict=True))


def test_a_module_that_proposes_no_directions_is_refused(make_trainer):
    for network, message in ((MLP(), "proposes no directions"), (DirectionNet(dim=3), "has dim=3, but Poisson lives in 2-D")):
        with pytest.raises(UsageError, match=message):
            make_trainer(max_steps=1).fit(DirectionLearning(network, Poisson()))
    odd = DirectionLearning(LinearMultigridNet(), Poisson(), grids=((24, 24),))
    with pytest.raises(UsageError, match=r"divisible by 16, got \(24, 24\)"):
        make_trainer(max_steps=1).fit(odd)
