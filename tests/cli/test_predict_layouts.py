"""A loaded network predicts fields with and without the axes of samples and channels, and refuses what it cannot take."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pdeflow.errors import UsageError
from pdeflow.models import FNO
from pdeflow.run_folder import Trained


class Powers(nn.Module):
    """Output channel k is the k-th power of the input, k = 1 … count."""

    def __init__(self, count):
        super().__init__()
        self.count = count

    def forward(self, a):
        return torch.cat([a**k for k in range(1, self.count + 1)], dim=1)


def trained(network, grid):
    return Trained(network, {"grid": list(grid)}, None, Path("stage"))


@pytest.mark.parametrize("grid", [(8,), (4, 6)])
@pytest.mark.parametrize("kind", [torch.tensor, np.asarray])
def test_several_output_channels_are_the_axis_before_the_grid_of_every_layout(grid, kind):
    operator, a = trained(Powers(3), grid), kind(np.random.default_rng(0).normal(size=(5, 1, *grid)).astype("float32"))
    u = operator.predict(a)
    assert type(u) is type(a)
    assert u.shape == (5, 3, *grid)
    assert (operator.predict(a[:, 0]) == u).all()
    assert operator.predict(a[0, 0]).shape == (3, *grid)
    assert (operator.predict(a[0, 0]) == u[0]).all()


@pytest.mark.parametrize("grid", [(8,), (4, 6)])
def test_one_output_channel_has_the_layout_of_the_input(grid):
    operator, a = trained(Powers(1), grid), torch.randn(5, 1, *grid)
    for fields in (a, a[:, 0], a[0, 0], a[:1, 0]):
        assert torch.equal(operator.predict(fields), fields)


@pytest.mark.parametrize(("shape", "found"), [((2, 1, 4), "4"), ((2, 3, 16), "3"), ((3, 16), None), ((2, 2, 2, 16), None)])
def test_a_field_that_does_not_fit_the_network_is_a_usage_error(shape, found):
    operator = trained(FNO(n_modes=[8], in_channels=2, hidden_channels=4, n_layers=1), (16,))
    with pytest.raises(UsageError, match=f"shape .*{found or ''}"):
        operator.predict(torch.zeros(shape))
    assert operator.predict(torch.zeros(2, 2, 16)).shape == (2, 1, 16)
