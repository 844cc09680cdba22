"""Roll-outs: powers of a linear map, what stays, and how far errors are carried back."""

import pytest
import torch
from torch import nn

from pdeflow.models import FNO, Rollout


class Affine(nn.Module):
    """u ↦ w u + c."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))

    def forward(self, x):
        return self.w * x[:, :1] + x[:, 1:]


def test_frames_are_the_powers_of_a_linear_map_with_a_constant_forcing():
    a = torch.randn(3, 2, 5, dtype=torch.float64)
    u, frames = a[:, :1], Rollout(Affine(), 4, start=False)(a)
    for k in range(4):
        u = 0.5 * u + a[:, 1:]
        torch.testing.assert_close(frames[:, k : k + 1], u)
    torch.testing.assert_close(Rollout(Affine(), 4)(a), torch.cat((a[:, :1], frames), dim=1))


@pytest.mark.parametrize(("trained", "power"), [(None, 3), (3, 3), (2, 2), (1, 1)])
def test_errors_are_carried_back_through_the_wanted_number_of_steps(trained, power):
    step, a = Affine(), torch.zeros(1, 2, 1, dtype=torch.float64)
    a[:, 0] = 1
    Rollout(step, 3, trained)(a)[:, -1].sum().backward()
    assert step.w.grad.item() == pytest.approx(power * 0.5**2)  # d/dw of w³, its first factors held


def test_normalisers_see_every_frame_as_input_and_as_output():
    net = Rollout(FNO((4,), 2, 1, 8, 1), 3)
    a, u = torch.randn(6, 2, 12), torch.randn(6, 3, 12) * 5 + 2
    stored = torch.cat((a[:, :1], u), dim=1)
    net.fit_normalizers(a, stored)
    inner = net.network
    torch.testing.assert_close(inner.output_normalizer.mean, u.mean()[None])
    before = torch.cat((a[:, :1], u[:, :2]), dim=1)
    torch.testing.assert_close(inner.input_normalizer.mean, torch.stack((before.mean(), a[:, 1].mean())))
    assert net(a).shape == stored.shape


def test_wrong_channels_are_refused():
    with pytest.raises(ValueError, match=r"4 channels of solutions are not 3 frames \(3 steps\)"):
        Rollout(Affine(), 3, start=False).fit_normalizers(torch.zeros(1, 2, 4), torch.zeros(1, 4, 4))
    with pytest.raises(ValueError, match="only 1"):
        Rollout(Affine(), 1).fit_normalizers(torch.zeros(1, 1, 4), torch.zeros(1, 4, 4))
    with pytest.raises(ValueError, match="at least 1"):
        Rollout(Affine(), 0)
