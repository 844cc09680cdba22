"""Ritz vectors: exact where the Krylov space is the whole space, optimal at the ends of the spectrum before."""

import numpy as np
import pytest
import torch

from pdeflow.linalg.ritz_vectors import ritz_vectors


def symmetric(values, seed=0):
    rng = np.random.default_rng(seed)
    Q = torch.from_numpy(np.linalg.qr(rng.standard_normal((len(values), len(values))))[0])
    return Q * torch.as_tensor(values, dtype=torch.float64) @ Q.mT, torch.from_numpy(rng.standard_normal(len(values)))


def test_a_whole_krylov_space_gives_the_eigenpairs():
    A, z = symmetric(np.linspace(1, 5, 30))
    values, vectors = ritz_vectors(lambda v: A @ v, z, 30)
    torch.testing.assert_close(values, torch.linspace(1, 5, 30, dtype=torch.float64), rtol=1e-8, atol=0)
    torch.testing.assert_close(vectors @ A, values[:, None] * vectors, rtol=0, atol=1e-7)


def test_vectors_stay_orthonormal_long_after_the_first_have_converged():
    A, z = symmetric(np.r_[np.linspace(1, 2, 95), 1e3, 2e3, 4e3, 8e3, 2e4])
    values, vectors = ritz_vectors(lambda v: A @ v.reshape(100), z.reshape(4, 25), 60)
    torch.testing.assert_close(vectors.flatten(1) @ vectors.flatten(1).mT, torch.eye(60, dtype=torch.float64), rtol=0, atol=1e-12)
    assert vectors.shape == (60, 4, 25)
    assert values[-1] == pytest.approx(2e4, rel=1e-12)
    assert (values[:-1] < values[1:]).all()  # no copies of what has converged


def test_the_null_space_is_left_out_and_an_exhausted_space_ends():
    A, z = symmetric(np.r_[np.zeros(10), np.ones(5), 3 * np.ones(5)])
    values, vectors = ritz_vectors(lambda v: A @ v, z, 20)
    assert values.tolist() == pytest.approx([1.0, 3.0])
    assert (vectors @ A - values[:, None] * vectors).abs().max() < 1e-10


def test_what_cannot_start_is_refused():
    with pytest.raises(ValueError, match="does not map to zero"):
        ritz_vectors(lambda v: 0 * v, torch.ones(4), 3)
    with pytest.raises(ValueError, match="count 0"):
        ritz_vectors(lambda v: v, torch.ones(4), 0)
