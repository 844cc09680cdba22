"""Streaming POD recovers spans, nears the batch POD, finds sparse dictionaries, and shortens deflated CG."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.adapt.streaming_pod import StreamingPOD
from pdeflow.linalg import deflated_cg


def fed(pod, stream):
    for x in stream:
        pod.update(x)
        assert np.linalg.norm(pod.D, 2) <= 1 + 1e-12
    return pod


@settings(max_examples=15, deadline=None)
@given(rank=st.integers(1, 5), extra=st.integers(0, 3), count=st.integers(1, 4), seed=st.integers(0, 1000))
def test_snapshots_of_exact_rank_give_their_span(rank, extra, count, seed):
    rng = np.random.default_rng(seed)
    span = np.linalg.qr(rng.standard_normal((30, rank)))[0]
    pod = fed(StreamingPOD(30, rank + extra, rng=rng), (span @ rng.standard_normal((rank, count)) for _ in range(60)))
    basis = pod.basis()
    assert basis.shape == (30, rank)
    np.testing.assert_allclose(basis.T @ basis, np.eye(rank), atol=1e-12)
    np.testing.assert_allclose(basis @ (basis.T @ span), span, atol=1e-6)


def test_it_nears_the_energy_of_the_batch_pod():
    rng = np.random.default_rng(0)
    u = np.linalg.qr(rng.standard_normal((60, 60)))[0]
    snapshots = u * 0.7 ** np.arange(60) @ rng.standard_normal((60, 1200))
    pod = fed(StreamingPOD(60, 6, rng=rng), np.split(snapshots, 300, axis=1))
    best = np.linalg.svd(snapshots, full_matrices=False)[0][:, :6]
    left = [np.linalg.norm(snapshots - q @ (q.T @ snapshots)) ** 2 for q in (pod.basis(), best)]
    assert left[0] < 1.01 * left[1]
    np.testing.assert_allclose(np.abs(np.diag(pod.basis().T @ best))[:3], 1, atol=0.01)


def test_solutions_that_come_one_by_one_are_not_forgotten():
    rng = np.random.default_rng(1)
    u = np.linalg.qr(rng.standard_normal((60, 60)))[0]
    snapshots = u * 0.8 ** np.arange(60) @ rng.standard_normal((60, 40))
    basis = fed(StreamingPOD(60, 10, rng=rng), snapshots.T).basis()
    best = np.linalg.svd(snapshots, full_matrices=False)[0][:, :10]
    left = [np.linalg.norm(snapshots - q @ (q.T @ snapshots)) ** 2 for q in (basis, best)]
    assert left[0] < 1.5 * left[1]


def test_power_three_finds_the_dictionary_of_sparse_signals():
    rng = np.random.default_rng(0)
    truth = np.linalg.qr(rng.standard_normal((20, 20)))[0]
    codes = (rng.standard_normal((20, 64)) * (rng.random((20, 64)) < 0.1) for _ in range(2000))
    pod = fed(StreamingPOD(20, 20, power=3, rng=rng), (truth @ code for code in codes))
    assert np.abs(truth.T @ pod.D).max(0).mean() > 0.995  # a random rotation has about 0.5
    assert sorted(np.abs(truth.T @ pod.D).argmax(0)) == list(range(20))


def test_zero_solutions_change_nothing():
    pod = StreamingPOD(5, 2, rng=np.random.default_rng(0))
    before = pod.D.copy()
    pod.update(np.zeros((5, 3)))
    np.testing.assert_allclose(pod.D, before, atol=1e-15)
    assert pod.basis().shape == (5, 0)


def laplacian(n):
    line = sp.diags_array([2.0 * np.ones(n), -np.ones(n - 1), -np.ones(n - 1)], offsets=[0, 1, -1])
    return sp.csr_array(sp.kronsum(line, line))


def test_its_basis_shortens_deflated_cg_on_a_sequence_of_poisson_problems():
    rng, n = np.random.default_rng(0), 24
    A, t = laplacian(n), np.arange(1, n + 1) / (n + 1)
    waves = [np.outer(np.sin(np.pi * i * t), np.sin(np.pi * j * t)).ravel() for i in range(1, 5) for j in range(1, 5)]
    sources = np.array(waves).T @ rng.standard_normal((16, 60)) + 0.01 * rng.standard_normal((n * n, 60))
    pod, plain, deflated = StreamingPOD(n * n, 16, rng=rng), [], []
    for number, b in enumerate(sources.T):
        plain.append(deflated_cg(A, b, rtol=1e-6).iterations)
        solution = deflated_cg(A, b, rtol=1e-6, recycle=pod.recycle() if number >= 30 else None)
        assert solution.converged
        deflated.append(solution.iterations)
        pod.update(solution.x)
    assert np.mean(deflated[30:]) < 0.6 * np.mean(plain[30:])


@pytest.mark.parametrize(("k", "power"), [(0, 2.0), (6, 2.0), (2, 1.0)])
def test_a_wrong_size_is_told_at_the_door(k, power):
    with pytest.raises(ValueError, match=f"got k {k}, n 5"):
        StreamingPOD(5, k, power=power, rng=np.random.default_rng(0))


@pytest.mark.parametrize("x", [np.ones(4), np.full(5, np.nan), 1j * np.ones(5), np.ones((5, 0))])
def test_wrong_snapshots_are_told_at_the_door(x):
    with pytest.raises(ValueError, match=r"expected real, finite snapshots of shape \(5, count\)"):
        StreamingPOD(5, 2, rng=np.random.default_rng(0)).update(x)
