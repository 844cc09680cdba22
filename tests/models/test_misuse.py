"""Every misuse of an operator has one line that says what was expected, what came and what to do."""

import pytest
import torch

from pdeflow.losses import RelativeH1, RelativeL2
from pdeflow.models import FNO, TFNO, NeuralopNetwork, PatchedNetwork, SpectralConv

SMALL = {"hidden_channels": 8, "n_layers": 1}


def neuralop_fno():
    return NeuralopNetwork(pytest.importorskip("neuralop.models").FNO((4, 4), 1, 1, 8, n_layers=1))


def patched(levels):
    return PatchedNetwork(FNO((4, 4), in_channels=(levels + 1) * 3, coordinates=False, **SMALL), levels=levels)


MISUSES = {
    "odd grid with neuralop": (lambda: neuralop_fno().check_grid((33, 32)), "odd grids", "use an even grid"),
    "modes above the grid": (lambda: FNO((32, 32), **SMALL).check_grid((64, 16)), "exceeds grid 16 along axis 1", "lower n_modes"),
    "modes above the grid, neuralop": (lambda: neuralop_fno().check_grid((2, 8)), "exceeds grid 2 along axis 0", "lower n_modes"),
    "rank above a mode": (lambda: TFNO((8, 8), rank=(8, 8, 9, 5), **SMALL), "Tucker rank 9 exceeds mode size 8", "entry 2"),
    "rank share above one": (lambda: TFNO((8, 8), rank=2.0, **SMALL), r"must lie in \(0, 1\]", "dense"),
    "zero target": (lambda: RelativeL2()(torch.ones(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)), "norm is 0 for sample 0", "absolute loss"),
    "zero target, H1": (lambda: RelativeH1()(torch.ones(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)), "norm is 0 for sample 0", "absolute loss"),
    "dtype": (lambda: SpectralConv(1, 1, (4,))(torch.zeros(1, 8, 1, dtype=torch.float64)), "input torch.float64", r"call \.to"),
    "patches that do not divide": (lambda: patched(3).check_grid((100, 96)), "grid 100 is not divisible by 2\\*\\*levels=8", "100"),
    "channels of patches": (lambda: PatchedNetwork(FNO((4, 4), coordinates=False, **SMALL), levels=1), "6", "in_channels"),
    "coordinates per patch": (lambda: PatchedNetwork(FNO((4, 4), in_channels=6, **SMALL)), "coordinates", "false"),
    "dimension": (lambda: FNO((4, 4), **SMALL)(torch.zeros(1, 1, 8)), "2-D", "one n_modes per axis"),
}


@pytest.mark.parametrize("name", MISUSES)
def test_one_line_says_what_is_wrong_and_what_to_do(name):
    call, problem, cure = MISUSES[name]
    with pytest.raises(ValueError, match=problem) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 250
    with pytest.raises(ValueError, match=cure):
        call()
