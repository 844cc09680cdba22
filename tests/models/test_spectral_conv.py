"""The truncated Fourier convolution against neuraloperator, and the theorems a convolution satisfies."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.models import SpectralConv
from pdeflow.models.spectral_weight import spectral_weight
from pdeflow.models.truncated_fourier import (
    differentiate,
    fft_inverse,
    fft_transform,
    truncated_inverse,
    truncated_transform,
)

GRIDS = [((32,), (16,)), ((16, 20), (8, 12)), ((12, 12), (12, 12)), ((10, 12, 8), (6, 4, 8)), ((9, 11), (9, 11)), ((7, 8, 5), (3, 1, 5))]
FORMS = ["dense", "tucker", "cp", "tt"]


@pytest.mark.parametrize(("grid", "n_modes"), GRIDS[:4])
def test_equals_neuraloperator_on_copied_weights_on_even_grids(grid, n_modes):
    spectral_convolution = pytest.importorskip("neuralop.layers.spectral_convolution")
    torch.manual_seed(0)
    theirs, ours = spectral_convolution.SpectralConv(5, 6, n_modes), SpectralConv(5, 6, n_modes)
    with torch.no_grad():
        ours.weight.weight.copy_(torch.view_as_real(theirs.weight.tensor.movedim((0, 1), (-2, -1)).contiguous()))
        ours.bias.copy_(theirs.bias.flatten())
    x = torch.randn(2, 5, *grid)
    torch.testing.assert_close(ours(x.movedim(1, -1)).movedim(-1, 1), theirs(x), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("grid", "n_modes"), GRIDS)
def test_both_paths_are_the_same_transform_and_the_same_inverse(grid, n_modes):
    torch.manual_seed(6)
    x = torch.randn(2, *grid, 3, dtype=torch.float64)
    z = truncated_transform(x, n_modes)
    torch.testing.assert_close(z, fft_transform(x, n_modes), atol=1e-14, rtol=0)
    add = torch.randn_like(x)
    z = torch.randn_like(z)
    torch.testing.assert_close(
        truncated_inverse(z, n_modes, grid, add), fft_inverse(z, n_modes, grid) + add, atol=1e-13 * z.numel(), rtol=0
    )


@pytest.mark.parametrize("form", [*FORMS, "depthwise"])
@pytest.mark.parametrize("grid", [(16, 12), (15, 13), (16, 13), (9, 12)])
def test_commutes_with_translations_on_even_and_odd_grids(grid, form):
    torch.manual_seed(1)
    layer = SpectralConv(4, 4, (8, 8), factorization=form, rank=0.3)
    x = torch.randn(2, *grid, 4)
    moved = layer(x.roll((3, 5), (1, 2)))
    torch.testing.assert_close(moved, layer(x).roll((3, 5), (1, 2)), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("coarse", "factor"), [(32, 2), (33, 2), (16, 3)])
def test_a_band_limited_field_gives_the_same_function_on_every_grid(coarse, factor):
    torch.manual_seed(2)
    layer = SpectralConv(1, 2, (8, 8))
    fine = factor * coarse

    def field(n):
        x = torch.arange(n) * (2 * math.pi / n)
        return (torch.sin(3 * x)[:, None] + torch.cos(2 * x)[None] * torch.sin(x)[:, None])[None, ..., None]

    there = layer(field(fine))[:, ::factor, ::factor]
    torch.testing.assert_close(there, layer(field(coarse)), atol=1e-5, rtol=0)
    torch.testing.assert_close(layer(field(coarse), (fine, fine)), layer(field(fine)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_derivative_is_that_of_the_series(axis):
    torch.manual_seed(7)
    layer, x = SpectralConv(2, 3, (6, 5)).double(), torch.randn(1, 12, 15, 2, dtype=torch.float64)
    n = (240, 240)  # central differences of a trigonometric polynomial have error h²/6 |f'''|
    y = layer(x, n)
    slope = (y.roll(-1, axis + 1) - y.roll(1, axis + 1)) * 120
    exact = layer.derivative(x, axis, n)
    assert (exact - slope).abs().max() < (2 * math.pi * 3) ** 2 / 6 / 240**2 * 1.01 * exact.abs().max() * 2
    k, grid = torch.randn(1, 2, 6, 3, 1, dtype=torch.float64), (12, 15)
    there_and_back = truncated_transform(truncated_inverse(differentiate(k, (6, 5), axis), (6, 5), grid), (6, 5))
    torch.testing.assert_close(there_and_back[:, :, 1:, 1:], differentiate(k, (6, 5), axis)[:, :, 1:, 1:])


def test_a_mode_outside_the_kept_band_is_removed():
    layer = SpectralConv(1, 1, (8,), bias=False)
    x = torch.cos(5 * torch.arange(32) * (2 * math.pi / 32))[None, :, None]
    torch.testing.assert_close(layer(x), torch.zeros_like(x), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("grid", "n_modes"), GRIDS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("path", ["matmul", "fft"])
def test_factorised_product_equals_the_product_with_the_assembled_weight(grid, n_modes, form, path):
    torch.manual_seed(3)
    factorised = SpectralConv(6, 5, n_modes, factorization=form, rank=0.3, path=path).double()
    x, add = torch.randn(2, *grid, 6, dtype=torch.float64), torch.randn(2, *grid, 5, dtype=torch.float64)
    with torch.no_grad():
        factorised.bias.copy_(torch.randn(5))
    z = torch.view_as_complex(fft_transform(x, n_modes).movedim(1, -1).contiguous())
    z = torch.einsum("b...i,io...->b...o", z, factorised.weight.dense_weight())
    expected = fft_inverse(torch.view_as_real(z).movedim(-1, 1), n_modes, grid) + factorised.bias + add
    torch.testing.assert_close(factorised(x, add=add), expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("form", ["tucker", "cp", "tt"])
def test_layers_of_a_joint_tensor_differ_and_are_its_slices(form):
    torch.manual_seed(8)
    weight = spectral_weight(form, 3, 4, (4, 6), 0.5, layers=3).double()
    layer = SpectralConv(3, 4, (4, 6), factorization=None).double()
    x = torch.randn(1, 8, 8, 3, dtype=torch.float64)
    outs = [layer(x, kernel=weight.kernel(i)) for i in range(3)]
    assert (outs[0] - outs[1]).abs().max() > 0.01 * outs[0].abs().max()
    dense = SpectralConv(3, 4, (4, 6)).double()
    for i, out in enumerate(outs):
        with torch.no_grad():
            dense.weight.weight.copy_(torch.view_as_real(weight.dense_weight(i).movedim((0, 1), (-2, -1)).contiguous()))
        torch.testing.assert_close(out, dense(x))


@pytest.mark.parametrize("form", [*FORMS, "depthwise"])
@pytest.mark.parametrize("rank", [0.05, 0.1, 0.5])
@pytest.mark.parametrize("layers", [None, 4])
def test_initial_weights_have_the_wanted_size_for_every_form_and_rank(form, rank, layers):
    if layers and form in ("dense", "depthwise"):
        pytest.skip("nothing to share")
    torch.manual_seed(4)
    weights = [spectral_weight(form, 32, 32, (16, 16), rank, layers) for _ in range(4 if layers else 8)]
    squares = [w.dense_weight(layer).abs().square().mean() for w in weights for layer in range(layers or 1)]
    assert torch.stack(squares).mean().sqrt().item() == pytest.approx(math.sqrt(2 / 64), rel=0.3)


@pytest.mark.parametrize("form", [*FORMS, "depthwise"])
@pytest.mark.parametrize("path", ["matmul", "fft"])
def test_derivatives_of_the_weights_agree_with_differences(form, path):
    torch.manual_seed(5)
    layer = SpectralConv(2, 2, (4, 4), factorization=form, rank=0.4, path=path).double()
    x = torch.randn(1, 5, 6, 2, dtype=torch.float64, requires_grad=True)
    parameters = tuple(layer.parameters())

    def call(x, *values):
        return torch.func.functional_call(layer, dict(zip((n for n, _ in layer.named_parameters()), values, strict=True)), x)

    assert torch.autograd.gradcheck(call, (x, *parameters))


@settings(max_examples=20, deadline=None)
@given(n=st.integers(4, 17), modes=st.integers(1, 4), seed=st.integers(0, 2**31))
def test_is_linear_without_bias(n, modes, seed):
    torch.manual_seed(seed)
    layer = SpectralConv(1, 1, (modes, modes), bias=False).double()
    x, y = torch.randn(2, 1, n, n, 1, dtype=torch.float64)
    torch.testing.assert_close(layer(2 * x - y), 2 * layer(x) - layer(y))


def test_low_precision_of_the_transform_is_bounded():
    torch.manual_seed(9)
    layer, x = SpectralConv(8, 8, (16, 16), bias=False), torch.randn(2, 64, 64, 8)
    exact = SpectralConv(8, 8, (16, 16), bias=False).double()
    exact.load_state_dict(layer.state_dict())
    reference = exact(x.double())
    assert (layer(x).double() - reference).norm() < 1e-6 * reference.norm()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (layer(x).double() - reference).norm() < 2e-2 * reference.norm()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SpectralConv(1, 1, (32,))(torch.zeros(1, 16, 1)), "n_modes=32 exceeds grid 16 along axis 0"),
        (lambda: SpectralConv(1, 1, (8,))(torch.zeros(1, 16, 1), (4,)), "n_modes=8 exceeds grid 4"),
        (lambda: SpectralConv(64, 64, (8, 8), factorization="tucker", rank=(40, 40, 40, 5)), "Tucker rank 40 exceeds mode size 8"),
        (lambda: SpectralConv(4, 4, (8, 8), factorization="tucker", rank=1.5), "fraction"),
        (lambda: SpectralConv(4, 4, (8, 8), factorization="cp", rank=100000), "CP rank 100000 must lie in"),
        (lambda: SpectralConv(4, 4, (8, 8), factorization="tt", rank=(9, 2, 2)), "tensor train rank 9 exceeds mode size 4"),
        (lambda: SpectralConv(4, 4, (8, 8), factorization="svd"), "factorization must be one of"),
        (lambda: SpectralConv(4, 5, (8, 8), factorization="depthwise"), "equal channels"),
        (lambda: SpectralConv(4, 4, (8, 8), path="dct"), "path must be"),
        (lambda: SpectralConv(1, 1, (4,))(torch.zeros(1, 8, 1, dtype=torch.float64)), r"call \.to\(torch.float64\)"),
        (lambda: SpectralConv(1, 1, (4,), factorization=None)(torch.zeros(1, 8, 1)), "no weight of its own"),
        (lambda: spectral_weight("dense", 4, 4, (4,), layers=3), "nothing that layers could share"),
    ],
)
def test_bad_modes_ranks_and_options_are_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
