"""Low-rank adapters: they start at the trained network, merge into it exactly, and store little."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pdeflow.adapt.low_rank_adapters import adapter_state, adapters, attach_adapters, merge_adapters
from pdeflow.models import FNO
from pdeflow.tasks.parameter_groups import parameter_groups


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fno(width: int = 12) -> FNO:
    torch.manual_seed(0)
    return FNO([6, 6], hidden_channels=width, n_layers=2).double()


def shaken(network: nn.Module, seed: int = 1) -> nn.Module:
    """Give every factor random entries."""
    with torch.no_grad():
        for _, update in adapters(network):
            for p in (update.A, update.B):
                p.copy_(0.1 * torch.randn(p.shape, generator=seeded(seed), dtype=p.dtype))
    return network


FIELDS = torch.randn(2, 1, 16, 16, generator=seeded(), dtype=torch.float64)


def test_an_adapted_network_starts_as_the_trained_one():
    network = fno()
    assert torch.equal(attach_adapters(network, generator=seeded())(FIELDS), network(FIELDS))


@settings(max_examples=10, deadline=None)
@given(rank=st.integers(1, 20), alpha=st.floats(0.1, 8.0))
def test_merging_changes_no_value(rank, alpha):
    adapted = shaken(attach_adapters(fno(), rank, alpha))
    merged = merge_adapters(adapted)
    assert torch.equal(merged(FIELDS), adapted(FIELDS))
    assert set(merged.state_dict()) == set(fno().state_dict())
    assert type(merged.blocks[0].conv.weight) is type(fno().blocks[0].conv.weight)
    assert not torch.allclose(merged(FIELDS), fno()(FIELDS))


@pytest.mark.parametrize("rank", [1, 3])
def test_updates_have_the_rank_asked_for_in_every_mode(rank):
    network = fno()
    merged = merge_adapters(shaken(attach_adapters(network, rank)))
    change = merged.blocks[0].conv.weight.dense_weight() - network.blocks[0].conv.weight.dense_weight()
    assert torch.linalg.matrix_rank(change.movedim((0, 1), (-2, -1)), rtol=1e-9).eq(rank).all()
    assert (
        torch.linalg.matrix_rank(merged.blocks[0].skip.weight - network.blocks[0].skip.weight, rtol=1e-9)
        == rank
    )


def test_training_moves_the_factors_alone():
    network = fno()
    adapted = attach_adapters(network, 2)
    optimizer = torch.optim.Adam([p for p in adapted.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = (adapted(FIELDS) - FIELDS).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    frozen = {
        name.replace("parametrizations.weight.original", "weight"): p
        for name, p in adapted.named_parameters()
    }
    assert all(torch.equal(p, frozen[name]) for name, p in network.named_parameters())


def test_an_adapted_network_keeps_its_normalisers_until_it_is_merged():
    adapted = attach_adapters(fno(), 1)
    before = adapted(FIELDS)
    adapted.fit_normalizers(7 * FIELDS, FIELDS)
    assert torch.equal(adapted(FIELDS), before)
    merged = merge_adapters(adapted)
    merged.fit_normalizers(7 * FIELDS, FIELDS)
    assert not torch.allclose(merged(FIELDS), before)


def test_the_state_is_small_and_restores_the_adapters():
    adapted = shaken(attach_adapters(fno(32), 2))
    state = adapter_state(adapted)
    spectral = [p for name, p in state.items() if ".conv." in name]
    modes, width = 2 * 6 * 4, 32
    assert sum(p.numel() for p in spectral) == 2 * 2 * modes * (
        width + width
    )  # 2 parts, rank 2: an eighth of 2 modes 32²
    fresh = attach_adapters(fno(32), 2)
    fresh.load_state_dict(state, strict=False)
    assert torch.equal(fresh(FIELDS), adapted(FIELDS))


def test_optimizers_see_the_factors_as_matrices():
    groups = {group["matrix_view"]: group["names"] for group in parameter_groups(attach_adapters(fno(), 2))}
    assert set(groups) == {"matrix", "spectral"}
    assert len(groups["spectral"]) == 4


def test_one_part_of_a_network_can_be_adapted():
    adapted = attach_adapters(fno(), 2, modules=lambda name: name.startswith("projection"))
    assert [name for name, _ in adapters(adapted)] == ["projection.first", "projection.second"]
    assert [name for name, _ in adapters(attach_adapters(nn.Linear(3, 2), 1))] == [""]


def test_misuse_is_told_at_the_door():
    with pytest.raises(ValueError, match="rank of at least 1, got 0"):
        attach_adapters(fno(), 0)
    with pytest.raises(ValueError, match="no Linear layer and no dense"):
        attach_adapters(nn.GELU())
    with pytest.raises(ValueError, match="adapters already"):
        attach_adapters(attach_adapters(fno()))
