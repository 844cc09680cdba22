"""The same steps as other implementations of the same rule, on real matrices: torch's, and those of the extra `peers`."""

import pytest
import torch
from torch import nn

from pdeflow import optim

from .test_chain import gaussian

SHAPES = [(5, 5), (6, 4), (4, 7)]


@pytest.fixture
def peers():
    """A library of the extra `peers`."""
    return pytest.importorskip("pytorch_optimizer", reason="pip install 'pdeflow[peers]'")


def together(ours, theirs, shape, steps=20):
    """Let both train a matrix regression, each from its own gradients; return both ends and the way."""
    a, b, c = gaussian(6, shape[0], seed=1), gaussian(shape[1], 9, seed=2), gaussian(6, 9, seed=3)
    start = gaussian(*shape, seed=4)
    ends = []
    for make in (ours, theirs):
        p = nn.Parameter(start.clone())
        optimizer = make([p])
        for _ in range(steps):
            optimizer.zero_grad()
            (a @ p @ b - c).square().mean().backward()
            optimizer.step()
        ends.append(p.detach())
    return *ends, (ends[1] - start).norm().item()


@pytest.mark.parametrize("shape", [(3, 3), (4, 4), (6, 6)])  # else the first gradient leaves a null space without a basis
@pytest.mark.parametrize("refresh", [1, 3, 10])
def test_soap(shape, refresh, peers):
    ours, theirs, way = together(
        lambda p: optim.SOAP(p, lr=0.03, refresh=refresh),
        lambda p: peers.SOAP(p, lr=0.03, weight_decay=0.0, precondition_frequency=refresh),
        shape,
    )
    assert (ours - theirs).norm().item() < 2e-3 * way  # the peer turns its bases in float32


@pytest.mark.parametrize("shape", SHAPES)
def test_shampoo(shape, peers):
    ours, theirs, way = together(
        lambda p: optim.Shampoo(p, lr=0.1, momentum=0.0, statistics_decay=1.0, damping=1e-13, refresh=1),
        lambda p: peers.Shampoo(p, lr=0.1, matrix_eps=1e-13),
        shape,
    )
    assert (ours - theirs).norm().item() < 1e-3 * way  # null spaces of the first steps are damped differently


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("constrained", [False, True])
@pytest.mark.parametrize(("ball", "theirs"), [("column", "COL"), ("row", "ROW"), ("sign", "SIGN"), ("spectral", "SPECTRAL")])
def test_scion(shape, constrained, ball, theirs, peers):
    kind = peers.optimizer.scion.LMONorm[theirs]
    ours, other, way = together(
        lambda p: optim.Scion(p, lr=0.02, constrained=constrained, ball=ball, radius=2.0, polar="jordan5"),
        lambda p: peers.SCION(p, lr=0.02, constraint=constrained, norm_type=kind, scale=2.0),
        shape,
    )
    tolerance = 0.05 if ball == "spectral" else 1e-5  # its Newton-Schulz steps are in bfloat16
    assert (ours - other).norm().item() < tolerance * way


@pytest.mark.parametrize("shape", SHAPES)
def test_normuon(shape, peers):
    ours, theirs, way = together(
        lambda p: optim.NorMuon(p, lr=0.02, polar="jordan5", scale="kj"),
        lambda p: peers.NorMuon([{"params": p, "use_muon": True}], lr=0.02),
        shape,
    )
    assert (ours - theirs).norm().item() < 0.05 * way  # bfloat16


@pytest.mark.parametrize("shape", SHAPES)
def test_muon(shape):
    ours, theirs, way = together(
        lambda p: optim.Muon(p, lr=0.02, polar="jordan5", scale="rms"),
        lambda p: torch.optim.Muon(p, lr=0.02, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
        shape,
    )
    assert (ours - theirs).norm().item() < 0.05 * way  # bfloat16
