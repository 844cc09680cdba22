"""A channel map is the linear layer of torch: values, all gradients, second derivatives, forward mode, vmap, compiled."""

import copy

import pytest
import torch
from torch.nn import functional

from pdeflow.models.channel_map import ChannelMap

POINTS = 2**14


def pair(n, m, bias=True):
    torch.manual_seed(n + m)
    layer = ChannelMap(n, m, bias=bias)
    exact = torch.nn.Linear(n, m, bias=bias, dtype=torch.float64)
    exact.load_state_dict({k: v.double() for k, v in layer.state_dict().items()})
    return layer, exact, torch.randn(2, POINTS // 2, n)


ROUNDING = 5e-6
"""Of float32 sums over 16384 points, relative."""


def difference(a, b):
    return float((a.detach().double() - b.detach()).norm() / b.detach().norm())


@pytest.mark.parametrize(("n", "m", "bias"), [(64, 32, True), (64, 64, False), (24, 12, True), (3, 40, True), (32, 1, True), (9, 9, False)])
def test_values_and_gradients_equal_the_linear_layer_in_float64(n, m, bias):
    layer, exact, x = pair(n, m, bias)
    x, x64 = x.requires_grad_(), x.detach().double().requires_grad_()
    g = torch.randn(2, POINTS // 2, m)
    y, y64 = layer(x), exact(x64)
    y.backward(g), y64.backward(g.double())
    assert max(difference(y, y64), difference(x.grad, x64.grad)) <= ROUNDING
    for p, q in zip(layer.parameters(), exact.parameters(), strict=True):
        assert difference(p.grad, q.grad) <= ROUNDING


def test_second_derivatives_equal_those_in_float64():
    layer, exact, x = pair(48, 32)
    found = []
    for module, points in ((layer, x), (exact, x.double())):
        points = points.requires_grad_()
        (slope,) = torch.autograd.grad(module(points).sin().sum(), points, create_graph=True)
        slope.square().mean().backward()
        found.append((points.grad, module.weight.grad))
    assert max(map(difference, *found)) <= ROUNDING


def test_forward_derivatives_and_vmap_equal_those_in_float64():
    layer, exact, x = pair(48, 32)
    direction = torch.randn_like(x)
    _, tangent = torch.func.jvp(layer, (x,), (direction,))
    assert difference(tangent, direction.double() @ exact.weight.T) <= ROUNDING
    per_sample = torch.func.vmap(torch.func.grad(lambda w, points: functional.linear(points, w).square().mean()), (None, 0))
    own = torch.func.vmap(
        torch.func.grad(lambda w, points: torch.func.functional_call(layer, {"weight": w}, (points,)).square().mean()), (None, 0)
    )
    with torch.no_grad():
        layer.bias.zero_()
    assert difference(own(layer.weight.detach(), x), per_sample(exact.weight.detach(), x.double())) <= ROUNDING


def test_compiled_in_one_graph():
    layer, exact, x = pair(48, 32)
    compiled = torch.compile(copy.deepcopy(layer), fullgraph=True)
    y, y64 = compiled(x), exact(x.double())
    y.square().sum().backward(), y64.square().sum().backward()
    assert max(difference(y, y64), difference(compiled.weight.grad, exact.weight.grad)) <= ROUNDING


def test_other_numbers_take_the_plain_product():
    layer, exact, x = pair(48, 32)
    assert torch.equal(layer.double()(x.double()), exact(x.double()))
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.float()(x).dtype == torch.bfloat16
