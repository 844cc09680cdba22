"""neuraloperator's models as networks: checkpoints reload under Lightning's rules, wrong grids and dtypes are refused."""

import copy

import pytest
import torch
from torch import nn

from pdeflow.models import NeuralopNetwork, neuralop_network

models = pytest.importorskip("neuralop.models")


def network(**options):
    torch.manual_seed(0)
    return NeuralopNetwork(models.FNO((4, 4), 1, 1, 8, n_layers=2, **options))


@pytest.mark.parametrize("options", [{}, {"factorization": "tucker", "rank": 0.5}])
def test_state_holds_tensors_only_and_reloads(tmp_path, options):
    net, a = network(**options), torch.randn(2, 1, 8, 8)
    net.fit_normalizers(3 * a + 1, 5 * a)
    torch.save({"state_dict": {f"network.{k}": v for k, v in net.state_dict().items()}}, tmp_path / "x.ckpt")
    state = torch.load(tmp_path / "x.ckpt", weights_only=True)["state_dict"]
    holder = nn.Module()
    holder.network = network(**options)
    with torch.no_grad():
        for p in holder.network.parameters():
            p.zero_()
    assert set(holder.state_dict()) == set(state)
    holder.load_state_dict(state)
    torch.testing.assert_close(holder.network(a), net(a), atol=0, rtol=0)
    torch.testing.assert_close(copy.deepcopy(net)(a), net(a), atol=0, rtol=0)


def test_a_state_with_their_mapping_is_read():
    net = network()
    state = net.state_dict() | {"_metadata": {"args": ()}}
    assert network().load_state_dict(state).unexpected_keys == []


def test_what_it_would_get_wrong_is_refused(monkeypatch):
    net = network()
    with pytest.raises(ValueError, match=r"neuralop 2\.0\.0 SpectralConv is incorrect on odd grids \(33\)"):
        net.check_grid((32, 33))
    with pytest.raises(ValueError, match="n_modes=4 exceeds grid 2 along axis 1"):
        net.check_grid((8, 2))
    with pytest.raises(ValueError, match="use float32"):
        net.double()(torch.zeros(1, 1, 8, 8, dtype=torch.float64))
    with pytest.raises(ValueError, match="does not name its channels"):
        NeuralopNetwork(nn.Conv2d(1, 1, 1, bias=False).requires_grad_(False).eval() and nn.Identity())
    monkeypatch.setattr(neuralop_network, "installed", lambda: (2, 1, 0))
    net.check_grid((32, 33))


def test_odd_grids_are_wrong_there_and_right_here():
    """The reason for the refusal: a translation of the input is not one of the output."""
    theirs = models.FNO((4, 4), 1, 1, 8, n_layers=1, positional_embedding=None)
    a = torch.randn(1, 1, 9, 9)
    moved, still = theirs(a.roll(2, 2)), theirs(a).roll(2, 2)
    assert (moved - still).norm() > 1e-3 * still.norm()


def test_a_settings_file_names_the_model_by_text():
    options = {"n_modes": [4, 4], "in_channels": 1, "out_channels": 1, "hidden_channels": 8}
    net = NeuralopNetwork(model="neuralop.models.FNO", options=options)
    assert net(torch.randn(1, 1, 8, 8)).shape == (1, 1, 8, 8)
    for bad, message in (({}, "give either"), ({"model": "os.system"}, "a class of neuralop"), ({"model": "neuralop.models.FNOX"}, "FNOX")):
        with pytest.raises(ValueError, match=message):
            NeuralopNetwork(**bad)
