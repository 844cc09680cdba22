"""The normaliser: what standardisation means, and its inverse."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.models import Normalizer


def test_is_the_identity_before_fit():
    x = torch.randn(2, 3, 5)
    torch.testing.assert_close(Normalizer(3)(x), x, atol=0, rtol=0)


@settings(max_examples=25, deadline=None)
@given(mean=st.floats(-100, 100), std=st.floats(1e-3, 1e3), seed=st.integers(0, 2**31))
def test_encoded_channels_have_zero_mean_and_unit_variance(mean, std, seed):
    generator = torch.Generator().manual_seed(seed)
    x = mean + std * torch.randn(4, 2, 6, 7, generator=generator, dtype=torch.float64)
    normalizer = Normalizer(2).double().fit(x)
    z = normalizer(x)
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(2).double(), atol=1e-9, rtol=0)
    torch.testing.assert_close(z.var((0, 2, 3), correction=0), torch.ones(2).double(), atol=1e-9, rtol=0)
    torch.testing.assert_close(normalizer.inverse(z), x)


def test_a_constant_channel_is_only_shifted():
    z = Normalizer(1).fit(torch.full((3, 1, 4), 12.0))(torch.full((3, 1, 4), 13.0))
    torch.testing.assert_close(z, torch.ones(3, 1, 4))


def test_statistics_are_part_of_the_checkpoint():
    fitted = Normalizer(1).fit(torch.randn(4, 1, 8) * 3 + 2)
    other = Normalizer(1)
    other.load_state_dict(fitted.state_dict())
    assert other.mean == fitted.mean
    assert other.std == fitted.std


def test_bad_values_and_channels_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        Normalizer(1).fit(torch.full((1, 1, 2), float("nan")))
    with pytest.raises(ValueError, match=r"got shape \(1, 2, 4\)"):
        Normalizer(1)(torch.zeros(1, 2, 4))
