"""Compressed networks: exact at full energy, as good as promised below it, and honest counts."""

import pytest
import torch

from pdeflow.models import FNO, TFNO, SpectralConv
from pdeflow.models.compression import compress, parameter_report
from pdeflow.models.spectral_weight import DenseWeight, spectral_weight


def network(**options):
    torch.manual_seed(0)
    return FNO((6, 8), hidden_channels=10, n_layers=2, **options)


def squared_loss(ours, theirs):
    return [
        ((a.conv.weight.dense_weight() - b.conv.weight.dense_weight()).norm() / a.conv.weight.dense_weight().norm()) ** 2
        for a, b in zip(ours.blocks, theirs.blocks, strict=True)
    ]


@pytest.mark.parametrize("kind", ["tucker", "tt"])
def test_all_energy_keeps_the_function(kind):
    dense, a = network(), torch.randn(2, 1, 12, 14)
    for block in dense.blocks:  # rank two along every axis
        w = torch.view_as_complex(block.conv.weight.weight.data)
        for axis in range(w.ndim):
            real = axis >= w.ndim - 2
            low = torch.randn(w.shape[0], 2) @ torch.randn(2, w.shape[0])
            w = torch.tensordot(w, low.to(w.dtype) if real else low * torch.exp(1j * torch.rand(())), dims=([0], [0]))
        block.conv.weight.weight.data = torch.view_as_real(w / w.abs().max()).contiguous()
    small = compress(dense, kind, energy=1.0 - 1e-12)
    assert all(not isinstance(block.conv.weight, DenseWeight) for block in small.blocks)
    torch.testing.assert_close(small(a), dense(a), atol=1e-4, rtol=1e-4)
    assert all(isinstance(block.conv.weight, DenseWeight) for block in dense.blocks)


@pytest.mark.parametrize("kind", ["tucker", "tt"])
def test_weights_never_grow(kind):
    dense = network()  # Gaussian weights: all energy needs all ranks
    assert all(isinstance(block.conv.weight, DenseWeight) for block in compress(dense, kind, energy=1.0).blocks)
    half = compress(dense, kind, energy=0.5)
    assert sum(p.numel() for p in half.parameters()) < sum(p.numel() for p in dense.parameters())
    with pytest.raises(ValueError, match="lower them"):
        compress(dense, kind, rank=(10, 10, 6, 5) if kind == "tucker" else (10, 100, 5))


@pytest.mark.parametrize("kind", ["tucker", "tt"])
@pytest.mark.parametrize("energy", [0.99, 0.9, 0.5])
def test_the_lost_energy_is_at_most_what_was_allowed(kind, energy):
    dense = network()
    for block in dense.blocks:  # singular values that fall by 2 from one to the next
        w = block.conv.weight.weight.data
        for axis in range(w.ndim - 1):
            w *= (2.0 ** -torch.arange(w.shape[axis])).reshape(-1, *[1] * (w.ndim - 1 - axis))
    small = compress(dense, kind, energy=energy)
    assert all(lost <= 1 - energy for lost in squared_loss(dense, small))
    assert any(lost > (1 - energy) / 20 for lost in squared_loss(dense, small))  # and it is used


@pytest.mark.parametrize(("kind", "rank"), [("tucker", (3, 4, 2, 2)), ("tt", (3, 5, 2))])
def test_a_weight_of_low_rank_is_found_exactly(kind, rank):
    dense = network()
    for block in dense.blocks:
        low = spectral_weight(kind, 10, 10, (6, 8), rank)
        with torch.no_grad():
            block.conv.weight.weight.copy_(torch.view_as_real(low.dense_weight().movedim((0, 1), (-2, -1)).contiguous()))
    small = compress(dense, kind, energy=1 - 1e-9)
    assert small.blocks[0].conv.weight.ranks == rank
    assert max(squared_loss(dense, small)) < 1e-10
    assert max(squared_loss(dense, compress(dense, kind, rank=rank))) < 1e-10


def test_counts_are_those_of_the_stored_numbers():
    net = TFNO((16, 16), hidden_channels=32, rank=0.1)
    rows = parameter_report(net)
    assert [row.form for row in rows] == ["TuckerWeight"] * 4
    assert rows[0].dense == 2 * 32 * 32 * 16 * 9
    assert rows[0].stored == sum(p.numel() for p in net.blocks[0].conv.weight.parameters())
    assert 8 < rows[0].compression < 12
    assert rows[0].path == "32 -> 18 channels, 18 x 18 per mode, 18 -> 32 channels"
    dense = parameter_report(SpectralConv(32, 32, (16, 16)))[0]
    assert (dense.compression, dense.flops) == (1, 8 * 32 * 32 * 16 * 9)
    joint = parameter_report(TFNO((16, 16), hidden_channels=32, rank=0.1, joint=True))
    assert len(joint) == 1
    assert joint[0].dense == 4 * rows[0].dense


def test_what_cannot_be_compressed_is_refused():
    with pytest.raises(ValueError, match="no dense spectral weight"):
        compress(TFNO((4, 4), hidden_channels=8))
    with pytest.raises(ValueError, match="energy"):
        compress(network(), energy=1.5)
    with pytest.raises(ValueError, match="expected 4 ranks"):
        compress(network(), rank=(2, 2))
