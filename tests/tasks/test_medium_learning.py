"""A network that learns one Helmholtz matrix: fewer FGMRES iterations than the exact shifted Laplacian."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from lightning import Trainer
from scipy.sparse.linalg import splu

from pdeflow import seeds
from pdeflow.errors import UsageError
from pdeflow.linalg import Reason, solve
from pdeflow.linalg.preconditioners import Preconditioner
from pdeflow.models import MediumNet
from pdeflow.problems import Poisson, SpongeHelmholtz
from pdeflow.run_folder.family import check_family
from pdeflow.tasks import MediumLearning

QUIET = {
    "accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False,
    "num_sanity_val_steps": 0,
}  # fmt: skip


def shifted_laplacian(task, shift=0.5):
    """Exact inverse of -Δ - k² (1 + iσ + i shift): the textbook preconditioner, whose own cost nobody counts here."""
    problem, system = task.problem, task.system
    grid = problem.grid(task.network.grid)
    k = problem.sample(seeds.generator(task.seed, seeds.SOLVE, task.instance)).fields["k"].on(grid).numpy().reshape(-1)
    factor = splu(sp.csc_matrix(system.A - 1j * shift * sp.diags_array(k**2) * grid.cell_measure))
    return Preconditioner("shifted Laplacian", factor.solve, system.A.shape, True, None, None)


def learned(folder, side, waves, steps):
    """Train on one medium, `waves` wave lengths across."""
    torch.manual_seed(0)
    task = MediumLearning(
        MediumNet((side, side), levels=int(math.log2(side)) - 1), SpongeHelmholtz(wave_number=2 * math.pi * waves), steps_per_epoch=steps
    )
    start = time.process_time()
    Trainer(max_steps=steps, limit_val_batches=0, default_root_dir=folder, **QUIET).fit(task)
    return task, time.process_time() - start


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return learned(tmp_path_factory.mktemp("medium"), 32, 3, 120)[0]


def test_a_learned_medium_needs_fewer_iterations_than_the_exact_shifted_laplacian(small):
    ours, theirs = small.iterations(small.network), small.iterations(shifted_laplacian(small))
    assert max(ours) < min(theirs)
    assert max(theirs) < min(small.iterations("none"))
    found = solve(small.system, method="fgmres", preconditioner=small.network, rtol=1e-10)
    assert found.reason is Reason.converged
    A, b = small.system.A, small.system.b
    assert np.linalg.norm(b - A @ found.x) <= 1e-10 * np.linalg.norm(b)


@pytest.mark.slow
def test_at_64_cells_and_six_wave_lengths_it_needs_half_of_them_after_a_minute(tmp_path):
    task, seconds = learned(tmp_path, 64, 6, 300)
    assert 2 * max(task.iterations(task.network)) <= min(task.iterations(shifted_laplacian(task)))
    assert seconds <= 60


def test_another_medium_is_refused_by_the_command_and_left_by_the_guard(small):
    check_family(small.network, small.problem, small.system)
    other = small.problem.system(small.problem.sample(seeds.generator(5, seeds.SOLVE, 0)), small.problem.grid((32, 32)))
    with pytest.raises(UsageError, match="the one matrix it was trained on"):
        check_family(small.network, small.problem, other)
    blank = MediumNet((32, 32))  # untrained: whatever FGMRES makes of it, the answer is verified
    found = solve(other, method="fgmres", preconditioner=blank, rtol=1e-6)
    assert found.converged
    assert np.linalg.norm(other.b - other.A @ found.x) <= 1e-6 * np.linalg.norm(other.b)


def test_the_network_is_linear_over_the_complex_numbers_and_blind_to_the_length_of_a_residual(small):
    M = small.network.setup(small.system)
    u, v = np.random.default_rng(0).standard_normal((2, small.system.n)) * (1 + 1j)
    error = M @ (2 * u + 1j * v) - (2 * (M @ u) + 1j * (M @ v))
    assert np.abs(error).max() <= 1e-5 * np.abs(M @ u).max()
    assert np.abs(1e40 * (M @ (1e-40 * u)) - M @ u).max() <= 1e-5 * np.abs(M @ u).max()
    assert not np.any(M @ np.zeros(small.system.n, dtype=complex))
    assert np.isnan(M @ np.full(small.system.n, np.nan)).all()
    assert not np.iscomplexobj(M @ u.real)


def test_what_does_not_fit_is_refused(make_trainer):
    with pytest.raises(ValueError, match=r"divisible by 2\^\(levels - 1\)"):
        MediumNet((24, 24), levels=5)
    problem = Poisson()
    system = problem.system(problem.sample(seeds.generator(0, seeds.SOLVE, 0)), problem.grid((16, 16)))
    with pytest.raises(UsageError, match=r"grid \(32, 32\), this system's layout is 'cell-16x16'"):
        solve(system, method="fgmres", preconditioner=MediumNet((32, 32)))
    with pytest.raises(UsageError, match="layout is 'unknown'"):
        solve(replace(system, layout=""), method="fgmres", preconditioner=MediumNet((16, 16), levels=3))
    for task in (MediumLearning(MediumNet()), MediumLearning(MediumNet(), SpongeHelmholtz(), batch_size=0)):
        with pytest.raises(UsageError, match="needs `problem`"):
            make_trainer(max_steps=1).fit(task)
