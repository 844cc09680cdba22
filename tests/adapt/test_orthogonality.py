"""Orthogonality penalties agree with the matrix of the convolution, vanish where they should, and leave free what is close."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pdeflow.adapt.low_rank_adapters import attach_adapters
from pdeflow.adapt.orthogonality import OrthogonalityPenalty, convolution_penalty, matrix_penalty
from pdeflow.models import FNO


def draw(seed, *shape, kind=torch.float64):
    return torch.randn(shape, dtype=kind, generator=torch.Generator().manual_seed(seed))


def circular_matrix(kernel, stride, points):
    """The matrix of a circular convolution, applied to one unit field after the other."""
    channels, axes = kernel.shape[1], kernel.ndim - 2
    side = stride * points
    fields = torch.eye(channels * side**axes, dtype=kernel.dtype).reshape(-1, channels, *[side] * axes)
    padded = nn.functional.pad(fields, [0, kernel.shape[-1] - 1] * axes, mode="circular")
    return (nn.functional.conv1d if axes == 1 else nn.functional.conv2d)(padded, kernel, stride=stride).flatten(1).T


@settings(max_examples=40, deadline=None)
@given(
    out=st.integers(1, 5), channels=st.integers(1, 3), side=st.integers(1, 4), stride=st.integers(1, 2),
    axes=st.integers(1, 2), seed=st.integers(0, 1000),
)  # fmt: skip
def test_it_is_the_distance_of_the_circular_convolution_per_output_point(out, channels, side, stride, axes, seed):
    kernel = 0.3 * draw(seed, out, channels, *[side] * axes)
    points = 2 * side - 1
    matrix = circular_matrix(kernel, stride, points)
    few = out <= channels * stride**axes
    gram = matrix @ matrix.T if few else matrix.T @ matrix
    distance = (gram - torch.eye(len(gram), dtype=torch.float64)).square().sum() / points**axes
    torch.testing.assert_close(convolution_penalty(kernel, stride), distance)


def test_a_shift_of_rotated_channels_is_free():
    kernel = torch.zeros(3, 3, 3, 3, dtype=torch.float64)
    kernel[:, :, 0, 2] = torch.linalg.qr(draw(0, 3, 3))[0]
    assert convolution_penalty(kernel).abs() < 1e-24


def test_descent_makes_a_convolution_keep_lengths():
    kernel = nn.Parameter(0.3 * draw(1, 4, 4, 3))
    optimizer = torch.optim.Adam([kernel], lr=1e-2)
    for _ in range(1000):
        optimizer.zero_grad()
        convolution_penalty(kernel).backward()
        optimizer.step()
    x = draw(2, 5, 4, 12)
    y = nn.functional.conv1d(nn.functional.pad(x, (1, 1), mode="circular"), kernel)
    torch.testing.assert_close(y.square().sum((1, 2)), x.square().sum((1, 2)), rtol=1e-3, atol=0)


@settings(max_examples=30, deadline=None)
@given(
    m=st.integers(1, 6), n=st.integers(1, 6), threshold=st.floats(0, 5), seed=st.integers(0, 1000),
    kind=st.sampled_from([torch.float64, torch.complex128]),
)  # fmt: skip
def test_matrices_pay_for_their_distance_beyond_the_threshold(m, n, threshold, seed, kind):
    matrices = draw(seed, 3, m, n, kind=kind)
    values = torch.linalg.svdvals(matrices).square() - 1  # the Gram matrix has these eigenvalues minus one
    expected = (values.norm(dim=-1) - threshold).clamp_min(0).square().sum()
    torch.testing.assert_close(matrix_penalty(matrices, threshold), expected)
    rotated = torch.linalg.qr(draw(seed + 1, m, m, kind=kind))[0] @ matrices
    torch.testing.assert_close(matrix_penalty(rotated, threshold), expected)


@pytest.mark.parametrize("threshold", [0.0, 0.1])
def test_the_slope_at_an_orthogonal_matrix_is_zero(threshold):
    matrix = torch.linalg.qr(draw(0, 4, 4))[0].requires_grad_()
    (slope,) = torch.autograd.grad(matrix_penalty(matrix, threshold), matrix)
    torch.testing.assert_close(slope, torch.zeros_like(slope), atol=1e-12, rtol=0)


def test_a_network_pays_for_each_layer_once():
    torch.manual_seed(0)
    network = FNO([4, 4], hidden_channels=6, n_layers=1)
    maps = [m.weight for m in network.modules() if isinstance(m, nn.Linear) and m.out_features > 1]
    modes = torch.view_as_complex(network.blocks[0].conv.weight.weight)
    expected = matrix_penalty(modes) + sum(matrix_penalty(weight) for weight in maps)
    penalty = OrthogonalityPenalty(network)
    torch.testing.assert_close(penalty(), expected)
    assert not list(penalty.parameters())
    torch.testing.assert_close(OrthogonalityPenalty(attach_adapters(network, 1))(), expected)


def test_convolutions_in_a_network_are_seen():
    stack = nn.Sequential(nn.Conv2d(2, 4, 3, stride=2), nn.GELU(), nn.Conv2d(4, 4, 1))
    expected = convolution_penalty(stack[0].weight, 2) + matrix_penalty(stack[2].weight.flatten(1))
    torch.testing.assert_close(OrthogonalityPenalty(stack)(), expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: convolution_penalty(torch.ones(2, 2, 3, 5)), "equal axes"),
        (lambda: convolution_penalty(torch.ones(2)), "got \\(2,\\)"),
        (lambda: convolution_penalty(torch.ones(2, 2, 3), 0), "stride of at least 1"),
        (lambda: matrix_penalty(torch.ones(3)), "shape \\(3,\\)"),
        (lambda: matrix_penalty(torch.ones(3, 3), -1.0), "threshold >= 0"),
        (lambda: OrthogonalityPenalty(nn.GELU()), "no Linear layer"),
    ],
)
def test_misuse_is_told_at_the_door(call, message):
    with pytest.raises(ValueError, match=message):
        call()
