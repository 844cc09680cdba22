"""Parameter groups: every weight once, with the view its module declares."""

import pytest
import torch
from torch import nn

from pdeflow.models import FNO, TFNO, SpectralConv
from pdeflow.optim import Muon, from_matrix, to_matrix
from pdeflow.tasks.parameter_groups import parameter_groups


def views(network: nn.Module) -> dict[str, str]:
    return {name: group["matrix_view"] for group in parameter_groups(network) for name in group["names"]}


@pytest.mark.parametrize("network", [FNO((4, 4), hidden_channels=8), TFNO((4, 4), hidden_channels=8)])
def test_every_parameter_is_in_one_group_and_muon_accepts_all(network):
    groups = parameter_groups(network)
    named = dict(network.named_parameters())
    assert sorted(name for group in groups for name in group["names"]) == sorted(named)
    assert all(named[n] is p for g in groups for n, p in zip(g["names"], g["params"], strict=True))
    network(torch.randn(2, 1, 8, 8)).square().sum().backward()
    Muon(groups).step()


def test_spectral_weights_lifting_and_projection():
    found = views(FNO((4, 4), hidden_channels=8))
    assert found["blocks.0.conv.weight.weight"] == "spectral"
    assert found["blocks.0.skip.weight"] == "matrix"
    assert found["lifting.first.weight"] == "elementwise"  # fan-in 3: raw fields
    assert found["projection.second.weight"] == "elementwise"  # fan-out 1
    assert found["blocks.0.mlp_skip.weight"] == "elementwise"
    assert found["blocks.0.mlp.first.bias"] == "elementwise"


def test_neuraloperators_own_networks_are_understood():
    models = pytest.importorskip("neuralop.models")
    dense = views(models.FNO((4, 4), 1, 1, 8))
    assert dense["fno_blocks.convs.0.weight.tensor"] == "spectral_channels_first"
    tucker = views(models.TFNO((4, 4), 1, 1, 8, rank=0.5))
    assert tucker["fno_blocks.convs.0.weight.core"] == "tucker_core_channels_first"
    assert tucker["fno_blocks.convs.0.weight.factors.factor_3"] == "complex_matrix"


@pytest.mark.parametrize("factorization", [None, "Tucker", "CP", "TT"])
@pytest.mark.parametrize("separable", [False, True])
def test_every_kind_of_foreign_weight_has_a_view_with_an_inverse(factorization, separable):
    models = pytest.importorskip("neuralop.models")
    network = models.FNO((4, 4), 1, 1, 8, n_layers=1, factorization=factorization, separable=separable, rank=0.5)
    named, found = dict(network.named_parameters()), views(network)
    for name, p in named.items():
        matrix = to_matrix(p, found[name])
        torch.testing.assert_close(from_matrix(matrix, found[name], p), p, atol=0, rtol=0)
    weights = {name.partition("weight.")[2]: view for name, view in found.items() if "convs.0.weight" in name}
    expected = {
        None: {"tensor": "spectral_channels_first"}, "Tucker": {"core": "tucker_core_channels_first", "factors.factor_0": "complex_matrix"},
        "CP": {"weights": "elementwise", "factors.factor_2": "complex_columns"}, "TT": {"factors.factor_1": "complex_train_core"},
    }[factorization]  # fmt: skip
    if separable:
        expected |= {None: {"tensor": "elementwise"}, "Tucker": {"core": "complex_matrix"}}.get(factorization, {})
    assert expected.items() <= weights.items()
    network(torch.randn(2, 1, 8, 8)).square().sum().backward()
    Muon(parameter_groups(network)).step()


@pytest.mark.parametrize("factorization", ["dense", "depthwise", "tucker", "cp", "tt"])
def test_every_kind_of_our_weights_has_a_view_with_an_inverse(factorization):
    layer = SpectralConv(6, 6, (4, 4), factorization=factorization, rank=0.5)
    named = dict(layer.named_parameters())
    for name, view in views(layer).items():
        torch.testing.assert_close(from_matrix(to_matrix(named[name], view), view, named[name]), named[name], atol=0, rtol=0)


def test_heads_and_embeddings_are_blocks():
    found = views(nn.ModuleDict({"attention": nn.MultiheadAttention(16, 4), "table": nn.Embedding(10, 16)}))
    assert found["attention.in_proj_weight"] == "matrix/12"
    assert found["attention.out_proj.weight"] == "matrix"
    assert found["table.weight"] == "rows"


def test_a_module_may_declare_views_of_its_parameters():
    class Gate(nn.Linear):
        matrix_views = {"weight": "elementwise"}  # noqa: RUF012

    assert set(views(Gate(16, 16)).values()) == {"elementwise"}


def test_shared_weights_count_once_and_frozen_ones_not():
    first, second = nn.Linear(8, 8), nn.Linear(8, 8)
    second.weight = first.weight
    first.bias.requires_grad_(False)
    assert views(nn.Sequential(first, second)) == {"0.weight": "matrix", "1.bias": "elementwise"}


def test_nothing_to_train_is_refused():
    with pytest.raises(ValueError, match="no trainable parameter"):
        parameter_groups(nn.Identity())
