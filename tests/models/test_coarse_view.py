"""Block means and their interpolation are of second order, and patches correct a coarse network's prediction and nothing else."""

import itertools
import math
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pdeflow.models import FNO, TFNO, PatchedNetwork
from pdeflow.models.coarse_view import block_means, from_blocks

SMALL = {"n_modes": (4, 4), "hidden_channels": 8, "n_layers": 1}


def affine(grid, coefficients):
    axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in grid), indexing="ij")
    return sum(c * axis for c, axis in zip(coefficients, axes, strict=True))[None, None]


@given(st.lists(st.integers(2, 4), min_size=1, max_size=3), st.integers(1, 4), st.lists(st.floats(-3, 3), min_size=3, max_size=3))
def test_affine_fields_come_back_between_the_middles_of_blocks(blocks, factor, coefficients):
    x = affine([factor * n for n in blocks], coefficients[: len(blocks)])
    y = from_blocks(block_means(x, factor), factor, periodic=False)
    inside = (..., *[slice(factor // 2, factor * n - factor // 2) for n in blocks])
    torch.testing.assert_close(y[inside], x[inside], atol=1e-12, rtol=0)


def test_means_stay_whatever_the_boundary():
    x = torch.randn(2, 3, 12, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for periodic in (True, False):
        y = from_blocks(block_means(x, 4), 4, periodic)
        torch.testing.assert_close(y.mean((2, 3)), x.mean((2, 3)), atol=1e-14, rtol=0)


def test_waves_of_a_torus_come_back_to_second_order():
    errors = []
    for n in (64, 128, 256):
        x = torch.sin(2 * math.pi * torch.arange(n, dtype=torch.float64) / n)[None, None]
        errors.append((from_blocks(block_means(x, 4), 4, periodic=True) - x).abs().max().item())
    orders = [math.log2(one / other) for one, other in itertools.pairwise(errors)]
    assert all(1.98 < order < 2.02 for order in orders), orders


def corrected(silent=False, levels=1, **options):
    torch.manual_seed(0)
    channels = (levels + 1) * (4 + (options.get("boundary") == "mask"))
    inner = TFNO((4, 4), channels, 1, 8, 1, coordinates=False, rank=0.3)
    network = PatchedNetwork(inner, levels=levels, coarse=FNO(**SMALL), **options).double()
    if silent:
        last = [layer for layer in inner.projection.modules() if getattr(layer, "weight", None) is not None][-1]
        nn.init.zeros_(last.weight), nn.init.zeros_(last.bias)
    return network


@pytest.mark.parametrize("options", [{}, {"boundary": "symmetric", "blend": True}, {"boundary": "mask"}, {"levels": 2}])
def test_patches_that_say_nothing_leave_the_coarse_prediction(options):
    network = corrected(silent=True, **options)
    a, u = (torch.randn(2, 1, 32, 48, dtype=torch.float64) for _ in range(2))
    network.fit_normalizers(5 * a - 1, 7 * u + 2)
    factor, periodic = network.patches.per_axis, network.patches.boundary == "circular"
    means = block_means(network.input_normalizer(a), factor)
    expected = network.output_normalizer.inverse(from_blocks(network.coarse(means), factor, periodic))
    torch.testing.assert_close(network(a), expected, atol=1e-12, rtol=1e-12)


def test_the_coarse_prediction_is_an_input_of_the_patches():
    network = corrected()
    a = torch.randn(1, 1, 16, 16, dtype=torch.float64)
    correction = []
    for scale in (1.0, 2.0):
        with torch.no_grad():
            for p in network.coarse.projection.parameters():
                p.mul_(scale)
        h = network._fields(network.input_normalizer(a))
        coarse = network.output_normalizer.inverse(h[:, :1])
        correction.append(network(a) - coarse)
    assert (correction[0] - correction[1]).abs().max() > 1e-3 * correction[0].abs().max()


def test_bounded_memory_changes_neither_values_nor_gradients():
    a = torch.randn(3, 1, 16, 16, dtype=torch.float64)
    results = []
    for at_once in (None, 5):
        network = corrected(patches_per_call=at_once)
        y = network(a)
        y.square().sum().backward()
        results.append([y, *(p.grad for p in network.parameters())])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-10)


REFUSED = {
    "2 views of 1 fields + 1 coarse predictions + 2 coordinates and 1 outputs set in_channels: 8": lambda: PatchedNetwork(
        FNO((4, 4), 6, coordinates=False), coarse=FNO((4, 4))
    ),
    "the coarse network has out_channels=2; with 1 fields and 1 outputs set out_channels: 1": lambda: PatchedNetwork(
        FNO((4, 4), 8, coordinates=False), coarse=FNO((4, 4), 1, 2)
    ),
    "n_modes=12 exceeds grid 8": lambda: PatchedNetwork(
        FNO((4, 4), 8, coordinates=False), coarse=FNO((12, 12)), padding=0.25
    ).check_grid((16, 16)),
}


@pytest.mark.parametrize(("words", "make"), REFUSED.items())
def test_misuse_is_refused_in_one_line(words, make):
    with pytest.raises(ValueError, match=rf"\A.*{re.escape(words)}.*\Z"):
        make()
