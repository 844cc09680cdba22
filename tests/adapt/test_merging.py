"""Merging: alone it changes nothing, equal tasks merge to themselves, disjoint tasks keep all they learned."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pdeflow.adapt.low_rank_adapters import adapters, attach_adapters, merge_adapters
from pdeflow.adapt.merging import merge_columns, merge_operators, separate
from pdeflow.models import FNO

FIELDS = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def base() -> FNO:
    torch.manual_seed(0)
    return FNO([6, 6], hidden_channels=8, n_layers=1).double()


def tuned(seed: int, rank: int = 2) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    network = attach_adapters(base(), rank)
    with torch.no_grad():
        for _, update in adapters(network):
            for p in (update.A, update.B):
                p.copy_(0.2 * torch.randn(p.shape, generator=generator, dtype=p.dtype))
    return network


def overlap(factors):
    return sum((a.mH @ b).abs().square().sum() for i, a in enumerate(factors) for b in factors[:i])


def draw(seed, shape, kind=torch.float64):
    return torch.randn(shape, dtype=kind, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("decoupled", [True, False])
def test_one_operator_merges_to_itself(decoupled):
    network = tuned(1)
    merged = merge_operators([network], decoupled=decoupled)
    torch.testing.assert_close(merged(FIELDS), merge_adapters(network)(FIELDS))
    assert set(merged.state_dict()) == set(base().state_dict())


@pytest.mark.parametrize("decoupled", [True, False])
def test_equal_operators_merge_to_themselves(decoupled):
    network = tuned(1)
    merged = merge_operators([network, network, network], decoupled=decoupled, orthogonal_steps=0)
    torch.testing.assert_close(merged(FIELDS), network(FIELDS))


def test_task_arithmetic_is_the_mean_of_the_weights():
    networks = [tuned(1), tuned(2)]
    merged = merge_operators(networks, decoupled=False, orthogonal_steps=0)
    plain = [merge_adapters(network) for network in networks]
    for name, p in merged.named_parameters():
        torch.testing.assert_close(p, (plain[0].get_parameter(name) + plain[1].get_parameter(name)) / 2)


def test_a_sum_of_adapters_of_orthogonal_inputs_serves_both():
    torch.manual_seed(0)
    layer = nn.Linear(6, 4).double()
    networks = [attach_adapters(layer, 2) for _ in range(2)]
    basis = torch.linalg.qr(draw(3, (6, 6)))[0]
    for k, network in enumerate(networks):
        ((_, update),) = adapters(network)
        update.A.data, update.B.data = basis[:, 2 * k : 2 * k + 2].clone(), draw(k, (2, 4))
    merged = merge_operators(networks, decoupled=False, orthogonal_steps=0, scale=2.0)
    for k, network in enumerate(networks):
        x = draw(9, (5, 2)) @ basis[:, 2 * k : 2 * k + 2].T
        torch.testing.assert_close(merged(x), network(x))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), kind=st.sampled_from([torch.float64, torch.complex128]), stiffness=st.floats(0, 2))
def test_the_nudge_descends_its_objective(seed, kind, stiffness):
    start = [draw(3 * seed + k, (7, 2), kind) for k in range(3)]
    size = sum(torch.linalg.matrix_norm(a, ord=2) ** 2 for a in start) / 3

    def objective(factors):
        moved = sum((a - b).abs().square().sum() for a, b in zip(factors, start, strict=True))
        return (overlap(factors) + stiffness * size * moved).item()

    values = [objective(separate(start, steps, stiffness)) for steps in range(8)]
    assert all(after <= before * (1 + 1e-12) for before, after in itertools.pairwise(values))


def test_the_nudge_without_price_makes_subspaces_orthogonal_and_orthogonal_ones_stay():
    start = [draw(k, (8, 2)) for k in range(3)]
    assert overlap(separate(start, 20_000, 0.0)) < 1e-6 * overlap(start)
    basis = torch.linalg.qr(draw(5, (8, 8)))[0]
    apart = [3 * basis[:, :2], basis[:, 2:4]]
    for before, after in zip(apart, separate(apart, 50, 0.1), strict=True):
        torch.testing.assert_close(after, before)
    for before, after in zip(start, separate(start, 200, 1e9), strict=True):
        torch.testing.assert_close(after, before, atol=1e-6, rtol=1e-6)


def test_decoupled_columns_are_the_mean_length_times_the_mean_direction():
    update = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    other = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    merged = merge_columns(torch.stack([update, other]))
    torch.testing.assert_close(merged, torch.tensor([[3 * 0.3, 3 * 0.9], [0.5, 0.0]]))


def test_misuse_is_told_at_the_door():
    with pytest.raises(ValueError, match="at least one"):
        merge_operators([])
    with pytest.raises(ValueError, match="no adapter to merge"):
        merge_operators([base()])
    with pytest.raises(ValueError, match="network 1 has other adapters"):
        merge_operators([tuned(1), tuned(1, rank=3)])
    torch.manual_seed(1)
    other = attach_adapters(FNO([6, 6], hidden_channels=8, n_layers=1).double(), 2)
    with pytest.raises(ValueError, match="did not start from"):
        merge_operators([tuned(1), other])
    with pytest.raises(ValueError, match="must not be negative"):
        separate([torch.ones(2, 1)], -1, 0.1)
