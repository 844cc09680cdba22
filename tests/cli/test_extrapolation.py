"""Inputs that leave the range seen in training are named, with that range, what came, and by how much."""

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from pdeflow.cli.after_fit import input_ranges
from pdeflow.run_folder import Trained

RANGES = {"mask": [0.0, 1.0], "f": [-2.0, 3.0]}


class Sum(nn.Module):
    def forward(self, a):
        return a.sum(1, keepdim=True)


@pytest.fixture
def trained():
    return Trained(Sum(), {"grid": [4, 4], "input_ranges": RANGES}, None, Path("stage"))


def fields(mask, f):
    """A sample (1, 2, 4, 4) whose inputs take both values of a pair."""
    return torch.stack([torch.linspace(*ends, 16).reshape(4, 4) for ends in (mask, f)])[None]


def test_the_input_outside_is_named_with_both_ranges_and_the_excess(trained):
    with pytest.warns(UserWarning, match="leave the training range") as found:
        trained.predict(fields((0.0, 1.0), (-2.5, 7.0)))
    (message,) = (str(warning.message) for warning in found)
    assert "f is in [-2.5, 7], the training range is [-2, 3]: 0.5 below, 4 above" in message
    assert "mask" not in message


def test_a_value_that_another_input_takes_is_no_excuse(trained):
    with pytest.warns(UserWarning, match=r"mask is in \[0, 2\], the training range is \[0, 1\]: 1 above;"):
        trained.predict(fields((0.0, 2.0), (-2.0, 3.0)))  # 2 is an f of the training, but no mask


def test_inputs_within_their_own_ranges_are_predicted_in_silence(trained):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        u = trained.predict(fields(*RANGES.values()))
    assert torch.equal(u, fields(*RANGES.values()).sum(1, keepdim=True))


def test_the_ranges_of_the_training_are_those_of_each_channel():
    a = torch.cat([fields((0.0, 1.0), (-2.0, 0.5)), fields((0.5, 0.6), (0.0, 3.0))])
    assert input_ranges(a, ("mask", "f")) == RANGES
    assert list(input_ranges(a, ())) == ["channel 0", "channel 1"]
