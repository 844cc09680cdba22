"""The paper's network against a slow copy, written down from the table of the specification layer by layer."""

import pytest
import torch
from torch.nn import functional

from pdeflow.models import DirectionNet


def twin(h, weights, dim, before, coarse, after):
    """Convolutions 3^dim with zero padding and bias, in the order of the table; `weights` gives (weight, bias) of the next layer."""
    conv, pool = (functional.conv2d, functional.avg_pool2d) if dim == 2 else (functional.conv3d, functional.avg_pool3d)

    def rectified(h):
        weight, bias = next(weights)
        return conv(h, weight, bias, padding=1).clamp_min(0)

    def pairs(h, count):
        for _ in range(count):
            skip, h = h, rectified(h)
            h = rectified(h) + skip  # the ReLU comes before the skip is added
        return h

    weight, bias = next(weights)
    h = conv(h, weight, bias, padding=1)  # linear
    fine = rectified(pairs(rectified(h), before))
    h = pairs(pool(fine, 2), coarse)
    for axis in range(2, dim + 2):
        h = h.repeat_interleave(2, dim=axis)
    h = pairs(h + fine, after)
    weight, bias = next(weights)
    return conv(h, weight, bias)  # pointwise and linear


@pytest.mark.parametrize(("before", "coarse", "after"), [(1, 3, 2), (2, 5, 3)])  # the paper's for 64³ and 128³
@pytest.mark.parametrize(("dim", "shape"), [(2, (10, 6)), (3, (6, 4, 8))])
def test_the_network_is_that_of_the_paper(dim, shape, before, coarse, after):
    torch.manual_seed(0)
    network = DirectionNet(dim, 5, before, coarse, after).double()
    with torch.no_grad():
        for parameter in network.parameters():  # so that no layer is negligible and none is dead
            torch.nn.init.normal_(parameter, std=0.3)
    tensors = list(network.parameters())
    r = torch.randn(2, 1, *shape, dtype=torch.float64)
    with torch.no_grad():
        expected = twin(r, zip(tensors[::2], tensors[1::2], strict=True), dim, before, coarse, after)
        found = network(r)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10 * float(expected.abs().max()))
