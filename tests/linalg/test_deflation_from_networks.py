"""A coarse space from what `pdeflow.load` returns, from networks of any precision, and from complex fields."""

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.sparse.linalg import eigsh

from pdeflow import seeds
from pdeflow.linalg import DeflationSpace, LinearSystem, Reason, solve
from pdeflow.models import TFNO
from pdeflow.problems import Darcy
from pdeflow.run_folder.trained import Trained


def same_span(U, V):
    return np.allclose(U @ (U.conj().T @ V), V, rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return TFNO(n_modes=(4, 4), hidden_channels=8, n_layers=2)


def coefficients(count, side=16):
    problem, grid = Darcy(), Darcy().grid((side, side))
    return torch.stack([problem.sample(seeds.generator(0, seeds.SOLVE, i)).fields["a"].on(grid) for i in range(count)])


def test_what_load_returns_a_network_and_its_predictions_give_one_space(network):
    a = coefficients(5)  # float64, the network is in float32
    trained = Trained(network, {"grid": [16, 16]}, Darcy(), Path("unused"))
    space = DeflationSpace.from_model(trained, a)
    assert space.U.shape == (256, 5)
    assert space.U.dtype == np.float64
    for model, inputs in ((trained.predict, a), (trained, a.numpy()), (network, a[:, None]), (network, a[:, None].numpy())):
        assert same_span(space.U, DeflationSpace.from_model(model, inputs).U)
    problem = Darcy()
    system = problem.system(problem.sample(seeds.generator(0, seeds.SOLVE, 0)), problem.grid((16, 16)))
    assert solve(system, method="def_cg", preconditioner="jacobi", recycle=space).converged


def test_sixteen_bits_and_a_module_without_parameters_are_read_too(network):
    a = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    linear = torch.nn.Linear(3, 50).to(torch.bfloat16)
    U = DeflationSpace.from_model(linear, a.double()).U
    with torch.no_grad():
        directions = torch.linalg.qr(linear(a.bfloat16()).double().mT)[0].numpy()
    assert same_span(U, directions)
    assert DeflationSpace.from_model(torch.nn.Identity(), np.eye(5)[:2]).U.shape == (5, 2)


def test_complex_fields_keep_their_imaginary_part_and_deflate_a_hermitian_matrix():
    """A = D T Dᴴ with phases D has the spectrum of T, and modes D v: deflating them takes as many iterations as T's own."""
    T = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(200, 200)).tocsr()
    phases = np.exp(1j * np.linspace(0, 7, 200))
    A = (sp.diags_array(phases) @ T @ sp.diags_array(phases.conj())).tocsr()
    modes, b = eigsh(T, k=10, sigma=0)[1], np.random.default_rng(0).standard_normal(200)
    hermitian = LinearSystem(A, phases * b)
    space = DeflationSpace.from_fields((phases[:, None] * modes).T)
    assert same_span(space.U, phases[:, None] * modes)
    found = solve(hermitian, method="def_cg", preconditioner="none", recycle=space)
    real = solve(LinearSystem(T, b), method="def_cg", preconditioner="none", recycle=DeflationSpace.from_fields(modes.T))
    assert found.reason is real.reason is Reason.converged
    assert found.iterations <= real.iterations + 2
    complex_model = torch.nn.Conv1d(1, 1, 1, dtype=torch.complex64)
    assert np.iscomplexobj(DeflationSpace.from_model(complex_model, np.eye(4)[:, None]).U)
