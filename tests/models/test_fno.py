"""FNO and TFNO: theorems on equivariance and resolution, checkpoints, physical units."""

import copy
import io

import pytest
import torch
from torch import nn

from pdeflow.models import FNO, TFNO, SpectralConv
from pdeflow.models.fno_block import FunctionNorm

SMALL = {"n_modes": (6, 6), "hidden_channels": 8, "n_layers": 2}
NETWORKS = [FNO, TFNO]
VARIANTS = [
    {"factorization": "cp"}, {"factorization": "tt"}, {"factorization": "depthwise"}, {"joint": True, "rank": 0.3},
    {"joint": True, "factorization": "cp"}, {"joint": True, "factorization": "tt"}, {"norm": "group_norm"},
    {"norm": "instance_norm", "preactivation": True}, {"skip": "soft-gating", "mlp_skip": "linear"}, {"skip": None, "mlp_skip": None},
    {"path": "fft"}, {"domain_padding": 0.3}, {"coordinates": "corner"},
]  # fmt: skip


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("grid", [(12, 16), (13, 11)])
def test_without_coordinates_the_network_commutes_with_translations(network, grid):
    torch.manual_seed(0)
    net = network(**SMALL, coordinates=False)
    a = torch.randn(2, 1, *grid)
    torch.testing.assert_close(net(a.roll((2, 3), (2, 3))), net(a).roll((2, 3), (2, 3)), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("network", NETWORKS)
def test_rescaled_data_give_rescaled_predictions(network):
    torch.manual_seed(1)
    net = network(**SMALL)
    a, u = torch.randn(4, 1, 12, 12), torch.randn(4, 1, 12, 12)
    net.fit_normalizers(a, u)
    before = net(a)
    net.fit_normalizers(3 * a + 1, 10 * u - 2)
    torch.testing.assert_close(net(3 * a + 1), 10 * before - 2, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("network", NETWORKS)
def test_checkpoint_of_tensors_reloads_and_predicts_the_same(network):
    torch.manual_seed(2)
    net = network(**SMALL, domain_padding=0.25)
    a = torch.randn(3, 1, 12, 12)
    net.fit_normalizers(a, 5 * a)
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert all(isinstance(value, torch.Tensor) and not value.is_complex() for value in state.values())
    other = network(**SMALL, domain_padding=0.25)
    other.load_state_dict(state)
    torch.testing.assert_close(other(a), net(a), atol=0, rtol=0)
    torch.testing.assert_close(copy.deepcopy(net)(a), net(a), atol=0, rtol=0)


@pytest.mark.parametrize("grid", [(16,), (12, 10), (8, 6, 9)])
def test_one_to_three_axes(grid):
    net = TFNO([4] * len(grid), 2, 3, hidden_channels=8, n_layers=1, domain_padding=0.2)
    assert net(torch.zeros(2, 2, *grid)).shape == (2, 3, *grid)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_every_variant_trains_reloads_and_keeps_translations(options):
    torch.manual_seed(4)
    net = TFNO(**SMALL, **options)
    a = torch.randn(2, 1, 12, 13)
    net(a).square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []
    other = TFNO(**SMALL, **options)
    other.load_state_dict(net.state_dict())
    torch.testing.assert_close(other(a), net(a), atol=0, rtol=0)
    if not ({"domain_padding", "coordinates"} & options.keys()):
        still = TFNO(**SMALL, **options, coordinates=False)
        torch.testing.assert_close(still(a.roll((2, 3), (2, 3))), still(a).roll((2, 3), (2, 3)), atol=1e-5, rtol=1e-4)


def test_normalisation_is_that_of_torch():
    x = 3 * torch.randn(2, 5, 6, 7) + 1
    ours = FunctionNorm(5, "group_norm")
    with torch.no_grad():
        ours.weight.uniform_()
        ours.bias.uniform_()
    expected = nn.functional.group_norm(x, 1, ours.weight, ours.bias)
    torch.testing.assert_close(ours(x.movedim(1, -1)).movedim(-1, 1), expected, atol=1e-5, rtol=1e-5)
    instance = FunctionNorm(5, "instance_norm")(x.movedim(1, -1)).movedim(-1, 1)
    torch.testing.assert_close(instance, nn.functional.instance_norm(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("grid", "fine"), [((12, 12), (24, 36)), ((13, 12), (26, 24)), ((16,), (32,))])
def test_another_output_grid_holds_the_values_of_the_own_one(grid, fine):
    """Fourier interpolation goes through the points, up to the mode n/2 of an even grid, which it drops."""
    net = FNO([4] * len(grid), hidden_channels=8, n_layers=1, coordinates=False, skip=None, mlp_skip=None, lifting_ratio=1)
    k = torch.cos(2 * torch.pi * torch.arange(grid[0]) / grid[0]).reshape(-1, *[1] * (len(grid) - 1)).expand(grid)
    step = tuple(slice(None, None, f // n) for f, n in zip(fine, grid, strict=True))
    out = net(k[None, None], fine)
    assert out.shape[2:] == fine
    linear = nn.Identity()
    net.projection, net.output_normalizer = linear, nn.Identity()
    net.output_normalizer.inverse = lambda y: y
    net.blocks[0].mlp = linear
    torch.testing.assert_close(net(k[None, None], fine)[(..., *step)], net(k[None, None]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_network_compiles_and_exports_without_a_graph_break(network):
    torch.manual_seed(5)
    net, a = network(**SMALL), torch.randn(2, 1, 12, 12)
    explained = torch._dynamo.explain(net)(a)
    assert (explained.graph_count, explained.graph_break_count) == (1, 0)
    torch.testing.assert_close(torch.export.export(net, (a,)).module()(a), net(a), atol=1e-6, rtol=1e-5)


def test_padding_breaks_periodicity():
    torch.manual_seed(3)
    periodic, padded = (FNO(**SMALL, coordinates=False, domain_padding=p).eval() for p in (0.0, 0.5))
    padded.load_state_dict(periodic.state_dict())
    a = torch.randn(1, 1, 12, 12)
    rolled, straight = padded(a.roll(6, 3)), padded(a).roll(6, 3)
    assert (rolled - straight).abs().max() > 1e-3 * straight.abs().max()


def test_gradients_and_updates_reach_every_parameter():
    net = TFNO(**SMALL)
    net(torch.randn(2, 1, 12, 12)).square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_tensorised_weights_are_fewer():
    counts = [sum(p.numel() for p in net((16, 16)).parameters()) for net in NETWORKS]
    assert counts[1] < 0.15 * counts[0]


def test_every_spectral_layer_is_ours():
    spectral = [m for m in FNO(**SMALL).modules() if isinstance(m, SpectralConv)]
    assert len(spectral) == SMALL["n_layers"]
    assert not any(p.is_complex() for p in FNO(**SMALL).parameters())


def test_wrong_grids_and_channels_are_refused():
    net = FNO(**SMALL)
    with pytest.raises(ValueError, match="n_modes=6 exceeds grid 4"):
        net.check_grid((12, 4))
    with pytest.raises(ValueError, match="2-D"):
        net.check_grid((12, 12, 12))
    with pytest.raises(ValueError, match=r"expected fields \(batch, 1, \*grid\)"):
        net(torch.zeros(1, 2, 12, 12))
    with pytest.raises(ValueError, match="domain_padding"):
        FNO(**SMALL, domain_padding=-1.0)
    with pytest.raises(ValueError, match="interpolate the prediction"):
        FNO(**SMALL, domain_padding=0.5)(torch.zeros(1, 1, 12, 12), (24, 24))
    for option, bad in (("norm", "batch_norm"), ("skip", "dense"), ("coordinates", "node"), ("factorization", "svd")):
        with pytest.raises(ValueError, match=bad):
            FNO(**SMALL, **{option: bad})


def test_runs_in_double_precision():
    net: nn.Module = TFNO(**SMALL).double()
    assert net(torch.zeros(1, 1, 12, 12, dtype=torch.float64)).dtype == torch.float64
