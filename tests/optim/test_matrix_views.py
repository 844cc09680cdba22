"""Matrix views: inverse maps, and the matrices that a layer really applies."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.models import SpectralConv
from pdeflow.optim import VIEWS, from_matrix, polar, to_matrix

sizes = st.integers(1, 5)
complex_shapes = {
    "spectral": (3, 5), "spectral_channels_first": (3, 5), "complex_matrix": (2, 2),
    "tucker_core": (3, 5), "tucker_core_channels_first": (3, 5), "complex_columns": (2, 3), "complex_train_core": (2, 3),
}  # fmt: skip


@pytest.mark.parametrize("view", sorted(VIEWS))
@settings(max_examples=25, deadline=None)
@given(data=st.data(), native=st.booleans())
def test_views_are_inverse_maps(view, data, native):
    least, most = complex_shapes.get(view, (VIEWS[view].min_axes, 4))
    shape = data.draw(st.lists(sizes, min_size=least, max_size=most))
    complex_view = VIEWS[view].stored_complex
    p = torch.randn([*shape, 2] if complex_view else shape)
    if complex_view and native:
        p = torch.view_as_complex(p)
    matrix = to_matrix(p, view)
    assert matrix.ndim == 3
    assert matrix.is_complex() == complex_view
    torch.testing.assert_close(from_matrix(matrix, view, p), p, atol=0, rtol=0)


def test_spectral_view_is_the_matrix_that_each_mode_applies():
    torch.manual_seed(0)
    layer = SpectralConv(2, 3, (8,), bias=False)
    k = 3
    phase = torch.arange(16) * (2 * torch.pi * k / 16)
    x_hat = torch.tensor([1.0 + 2.0j, -0.5 + 0.3j])
    x = 2 * (x_hat * torch.polar(torch.ones(16), phase)[:, None]).real[None]
    y_hat = torch.fft.rfft(layer(x), dim=1, norm="forward")[0, k]
    torch.testing.assert_close(y_hat, to_matrix(layer.weight.weight, "spectral")[k] @ x_hat, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("view", "place"), [("tucker_core", 2), ("tucker_core_channels_first", 1)])
def test_core_rows_belong_to_outputs(view, place):
    core = torch.arange(2 * 3 * 4).reshape([(2, 3, 4), (4, 2, 3)][place - 1]).to(torch.complex64)
    matrix = to_matrix(core, view)
    assert matrix.shape == (1, 3, 8)
    assert set(matrix[0, 1].real.tolist()) == set(core.select(place, 1).flatten().real.tolist())


def test_gauge_rotation_of_core_outputs_rotates_the_view():
    core = torch.randn(4, 2, 3, dtype=torch.complex64)
    q = torch.linalg.qr(torch.randn(3, 3, dtype=torch.complex64)).Q
    turned = torch.einsum("ps,krs->krp", q, core)
    torch.testing.assert_close(to_matrix(turned, "tucker_core"), q @ to_matrix(core, "tucker_core"))


def test_both_layouts_of_a_weight_give_the_same_matrices():
    ours = torch.randn(5, 4, 2, 3, dtype=torch.complex64)
    theirs = ours.movedim((-2, -1), (0, 1))
    for view in ("spectral", "tucker_core"):
        torch.testing.assert_close(to_matrix(ours, view), to_matrix(theirs, f"{view}_channels_first"))


def test_row_blocks_are_heads():
    p = torch.randn(12, 5)
    matrix = to_matrix(p, "matrix/3")
    torch.testing.assert_close(matrix, torch.stack(p.chunk(3)))
    torch.testing.assert_close(from_matrix(matrix, "matrix/3", p), p)
    with pytest.raises(ValueError, match="equal blocks"):
        to_matrix(p, "matrix/5")
    with pytest.raises(ValueError, match="matrix/K"):
        to_matrix(p, "matrix/0")


def test_polar_factors_of_rows_and_columns_are_unit_vectors():
    p = torch.randn(4, 6)
    torch.testing.assert_close(from_matrix(polar(to_matrix(p, "rows")), "rows", p), p / p.norm(dim=1, keepdim=True))
    torch.testing.assert_close(from_matrix(polar(to_matrix(p, "columns")), "columns", p), p / p.norm(dim=0, keepdim=True))


def test_views_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="must be one of"):
        to_matrix(torch.eye(2), "square")
    with pytest.raises(ValueError, match="last axis of 2"):
        to_matrix(torch.zeros(3, 4, 5, 3), "spectral")
    with pytest.raises(ValueError, match="2 axes"):
        to_matrix(torch.zeros(3), "matrix")
    with pytest.raises(ValueError, match="do not fill"):
        from_matrix(torch.zeros(1, 2, 2), "matrix", torch.zeros(3, 3))
