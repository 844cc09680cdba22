"""The truncated Fourier convolution against neuraloperator, and the theorems a convolution satisfies."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.models import SpectralConv
from pdeflow.models.spectral_conv import tucker_ranks

GRIDS = [((32,), (16,)), ((16, 20), (8, 12)), ((12, 12), (12, 12)), ((10, 12, 8), (6, 4, 8))]


@pytest.mark.parametrize(("grid", "n_modes"), GRIDS)
def test_equals_neuraloperator_on_copied_weights_on_even_grids(grid, n_modes):
    spectral_convolution = pytest.importorskip("neuralop.layers.spectral_convolution")
    torch.manual_seed(0)
    theirs, ours = spectral_convolution.SpectralConv(5, 6, n_modes), SpectralConv(5, 6, n_modes)
    with torch.no_grad():
        ours.weight.copy_(torch.view_as_real(theirs.weight.tensor))
        ours.bias.copy_(theirs.bias)
    x = torch.randn(2, 5, *grid)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("rank", [None, 0.3])
@pytest.mark.parametrize("grid", [(16, 12), (15, 13), (16, 13), (9, 12)])
def test_commutes_with_translations_on_even_and_odd_grids(grid, rank):
    torch.manual_seed(1)
    layer = SpectralConv(3, 4, (8, 8), rank=rank)
    x = torch.randn(2, 3, *grid)
    moved = layer(x.roll((3, 5), (2, 3)))
    torch.testing.assert_close(moved, layer(x).roll((3, 5), (2, 3)), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("coarse", "factor"), [(32, 2), (33, 2), (16, 3)])
def test_a_band_limited_field_gives_the_same_function_on_every_grid(coarse, factor):
    torch.manual_seed(2)
    layer = SpectralConv(1, 2, (8, 8))
    fine = factor * coarse

    def field(n):
        x = torch.arange(n) * (2 * math.pi / n)
        return (torch.sin(3 * x)[:, None] + torch.cos(2 * x)[None] * torch.sin(x)[:, None])[None, None]

    torch.testing.assert_close(
        layer(field(fine))[..., ::factor, ::factor], layer(field(coarse)), atol=1e-5, rtol=0
    )


def test_a_mode_outside_the_kept_band_is_removed():
    layer = SpectralConv(1, 1, (8,), bias=False)
    x = torch.cos(5 * torch.arange(32) * (2 * math.pi / 32))[None, None]
    torch.testing.assert_close(layer(x), torch.zeros_like(x), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("grid", "n_modes"), GRIDS)
def test_factorised_product_equals_the_product_with_the_assembled_weight(grid, n_modes):
    torch.manual_seed(3)
    factorised, dense = SpectralConv(6, 5, n_modes, rank=0.3), SpectralConv(6, 5, n_modes)
    with torch.no_grad():
        dense.weight.copy_(torch.view_as_real(factorised.dense_weight()))
    x = torch.randn(2, 6, *grid)
    torch.testing.assert_close(factorised(x), dense(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("rank", [None, 0.05, 0.1, 0.5])
def test_initial_weights_have_the_wanted_size_at_every_rank(rank):
    torch.manual_seed(4)
    layer = SpectralConv(32, 32, (16, 16), rank=rank)
    rms = layer.dense_weight().abs().square().mean().sqrt().item()
    assert rms == pytest.approx(math.sqrt(2 / 64), rel=0.3)


@pytest.mark.parametrize(
    ("fraction", "ranks"), [(0.05, (15, 15, 7, 4)), (0.1, (18, 18, 9, 5)), (0.5, (27, 27, 13, 8))]
)
def test_float_rank_shrinks_all_modes_alike(fraction, ranks):
    assert tucker_ranks((32, 32, 16, 9), fraction) == ranks


def test_derivatives_of_the_weights_agree_with_differences():
    torch.manual_seed(5)
    layer = SpectralConv(2, 2, (4, 4), rank=(2, 2, 3, 2)).double()
    x = torch.randn(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))


@settings(max_examples=20, deadline=None)
@given(n=st.integers(4, 17), modes=st.integers(1, 4), seed=st.integers(0, 2**31))
def test_is_linear_without_bias(n, modes, seed):
    torch.manual_seed(seed)
    layer = SpectralConv(1, 1, (modes, modes), bias=False).double()
    x, y = torch.randn(2, 1, 1, n, n, dtype=torch.float64)
    torch.testing.assert_close(layer(2 * x - y), 2 * layer(x) - layer(y))


def test_bad_modes_ranks_and_options_are_refused_by_name():
    with pytest.raises(ValueError, match=r"n_modes=32 exceeds grid 16 along axis 1"):
        SpectralConv(1, 1, (8, 32)).check_grid((32, 16))
    with pytest.raises(ValueError, match=r"n_modes=32 exceeds grid 16"):
        SpectralConv(1, 1, (32,))(torch.zeros(1, 1, 16))
    with pytest.raises(ValueError, match="Tucker rank 40 exceeds mode size 8"):
        SpectralConv(64, 64, (8, 8), rank=(40, 40, 40, 5))
    with pytest.raises(ValueError, match="fraction"):
        SpectralConv(4, 4, (8, 8), rank=1.5)
    with pytest.raises(ValueError, match="separable=True"):
        SpectralConv(4, 4, (8, 8), separable=True)
    with pytest.raises(ValueError, match=r"call \.to\(torch.float64\)"):
        SpectralConv(1, 1, (4,))(torch.zeros(1, 1, 8, dtype=torch.float64))
