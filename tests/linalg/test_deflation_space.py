"""A coarse space from what a network predicts: exact on its span, harmless elsewhere, verified always."""

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import eigsh

from pdeflow.errors import UsageError
from pdeflow.linalg import DeflationSpace, Reason, solve


def slow_modes(system, count):
    return eigsh(system.A, k=count, sigma=0)[1]


class Mixtures(torch.nn.Module):
    """A stand-in for an operator network: mixtures of fixed fields, in float32, with noise of its accuracy."""

    def __init__(self, fields, noise=0.0):
        super().__init__()
        self.fields, self.noise = torch.from_numpy(fields).float(), noise

    def forward(self, a):
        exact = a @ self.fields.mT
        return exact + self.noise * exact.std() * torch.randn(exact.shape, generator=torch.Generator().manual_seed(0))


def inputs(count, width):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(1))


def test_a_model_that_knows_the_slow_modes_leaves_the_condition_number_of_the_rest(darcy):
    """k steps of CG reduce the error by 2 ((√κ - 1)/(√κ + 1))^k, κ without the deflated eigenvalues."""
    modes = slow_modes(darcy, 16)
    space = DeflationSpace.from_model(Mixtures(modes), inputs(24, 16), layout=darcy.layout)
    assert space.U.shape == (darcy.n, 16)  # 24 predictions, but only 16 directions in them
    found = solve(darcy, method="def_cg", preconditioner="none", recycle=space, rtol=1e-8)
    plain = solve(darcy, method="cg", preconditioner="none", rtol=1e-8)
    assert found.reason is Reason.converged
    assert found.iterations <= 0.6 * plain.iterations


def test_a_model_that_knows_them_roughly_still_helps_and_one_that_knows_nothing_costs_no_accuracy(darcy):
    rough = DeflationSpace.from_model(Mixtures(slow_modes(darcy, 16), noise=0.05), inputs(24, 16))
    nonsense = DeflationSpace.from_model(lambda a: np.random.default_rng(0).standard_normal((len(a), darcy.n)), inputs(24, 16))
    plain = solve(darcy, method="cg", preconditioner="jacobi", rtol=1e-8)
    for space, share in ((rough, 0.9), (nonsense, 1.1)):
        found = solve(darcy, method="def_cg", preconditioner="jacobi", recycle=space, rtol=1e-8)
        assert np.linalg.norm(darcy.b - darcy.A @ found.x) <= 1e-8 * np.linalg.norm(darcy.b)
        assert found.iterations <= share * plain.iterations


def test_what_spans_nothing_or_does_not_fit_is_refused(darcy):
    for fields in (np.zeros((3, 5)), np.full((2, 5), np.nan), np.empty((0, 5))):
        with pytest.raises(UsageError, match="a deflation space needs"):
            DeflationSpace.from_fields(fields)
    with pytest.raises(UsageError, match="it has 5 unknowns"):
        solve(darcy, method="def_cg", recycle=DeflationSpace.from_fields(np.eye(5)))
    with pytest.raises(UsageError, match="different layouts"):
        solve(darcy, method="def_cg", recycle=DeflationSpace.from_fields(np.eye(darcy.n)[:3], layout="node"))
