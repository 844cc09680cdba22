"""Parameter groups: every weight once, with the view its module declares."""

import pytest
import torch
from torch import nn

from pdeflow.models import FNO, TFNO
from pdeflow.optim import Muon
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
