"""Ranks from a share of the dense entries: tensorly's figures, and the number of entries that was asked for."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.models.rank import cp_rank, train_ranks, tucker_ranks
from pdeflow.models.spectral_weight import spectral_weight

SMALL, LARGE = (32, 32, 16, 9), (64, 64, 16, 9)


@pytest.mark.parametrize(
    ("rule", "shape", "share", "ranks"),
    [
        (tucker_ranks, SMALL, 0.05, (15, 15, 7, 4)), (tucker_ranks, SMALL, 0.1, (18, 18, 9, 5)),
        (tucker_ranks, SMALL, 0.5, (27, 27, 13, 8)), (tucker_ranks, LARGE, 0.1, (35, 35, 9, 5)),
        (cp_rank, SMALL, 0.05, 83), (cp_rank, SMALL, 0.1, 166), (cp_rank, SMALL, 0.5, 828), (cp_rank, LARGE, 0.1, 386),
        (train_ranks, SMALL, 0.1, (22, 17, 9)), (train_ranks, LARGE, 0.1, (37, 23, 7)),
    ],
)  # fmt: skip
def test_shares_give_the_ranks_of_tensorly(rule, shape, share, ranks):
    found = rule(shape, share)
    assert found == pytest.approx(ranks, abs=1) if rule is cp_rank else found == ranks


@settings(max_examples=30, deadline=None)
@given(
    form=st.sampled_from(["tucker", "cp", "tt"]), share=st.floats(0.02, 0.3), channels=st.integers(8, 24),
    layers=st.sampled_from([None, 4]), modes=st.lists(st.integers(6, 12), min_size=2, max_size=3),
)  # fmt: skip
def test_about_the_wanted_share_is_stored(form, share, channels, layers, modes):
    weight = spectral_weight(form, channels, channels, modes, share, layers)
    complex_entries = sum(p.numel() // (2 if p.shape[-1] == 2 else 1) for p in weight.parameters())
    wanted = share * math.prod(weight.shape)
    slack = sum(weight.shape) * max(weight.shape)  # rounding of ranks, and factors that are real
    assert 0.5 * wanted - slack <= complex_entries <= 1.6 * wanted + slack
