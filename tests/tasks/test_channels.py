"""A network with other channels than the data is told which, how many they are, what they are, and the option to set."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from pdeflow.models import FNO
from pdeflow.problems import Burgers, Darcy, PlumePressure
from pdeflow.tasks.channels import channel_words, check_channels


def network(into, out):
    return FNO((4,), in_channels=into, out_channels=out, hidden_channels=4, n_layers=1)


def fields(into, out):
    return torch.ones(2, into, 8), torch.ones(2, out, 8)


@pytest.mark.parametrize(
    ("problem", "own", "message"),
    [
        (Burgers(), (1, 1), "it has 1 output channel, the solutions of the data have 11 (11 frames of u); set --model.network.out_channels 11"),
        (Burgers(), (2, 11), "it has 2 input channels, the inputs of the data have 1 (u0); set --model.network.in_channels 1"),
        (PlumePressure(), (1, 1), "it has 1 input channel, the inputs of the data have 2 (mask, f); set --model.network.in_channels 2"),
        (Darcy(), (1, 3), "it has 3 output channels, the solutions of the data have 1 (u); set --model.network.out_channels 1"),
    ],
)
def test_the_message_names_the_channels_of_the_data_and_the_option(problem, own, message):
    count = len(problem.inputs), len(problem.outputs) * len(problem.times)
    with pytest.raises(ValueError) as caught:
        check_channels(network(*own), *fields(*count), problem)
    assert str(caught.value) == message
    check_channels(network(*count), *fields(*count), problem)


def test_data_without_names_are_counted_and_a_network_without_normalisers_is_left_to_its_first_prediction():
    with pytest.raises(ValueError, match=r"^it has 1 output channel, the solutions of the data have 4; set --model.network.out_channels 4$"):
        check_channels(network(1, 1), *fields(1, 4), SimpleNamespace())
    check_channels(nn.Conv1d(3, 1, 1), *fields(1, 4), SimpleNamespace())


def test_a_network_around_another_says_that_both_have_channels():
    outer = network(1, 1)
    outer.network = nn.Identity()
    with pytest.raises(ValueError, match=r"--model\.network\.in_channels 2, and the networks inside it to match"):
        check_channels(outer, *fields(2, 1), SimpleNamespace())


def test_several_outputs_have_their_frames_in_a_row_and_many_names_are_cut_short():
    assert channel_words(("v", "w"), 5) == " (5 frames of each of v, w)"
    assert channel_words("abcdefgh", 1) == " (a, b, c, d, e, f, …)"
    assert channel_words((), 3) == ""
