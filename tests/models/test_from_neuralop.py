"""Weights taken over from neuraloperator give the same function and the same gradients."""

import pytest
import torch

from pdeflow.models.from_neuralop import from_neuralop

models = pytest.importorskip("neuralop.models")
OPTIONS = [
    {}, {"norm": "group_norm"}, {"norm": "instance_norm", "preactivation": True}, {"separable": True}, {"domain_padding": 0.25},
    {"fno_skip": "soft-gating", "channel_mlp_skip": "linear"}, {"positional_embedding": None}, {"fno_skip": None},
    {"factorization": "tucker", "rank": 0.3}, {"factorization": "cp", "rank": 0.3}, {"factorization": "tt", "rank": 0.3},
]  # fmt: skip
GRIDS = [((32,), (16,)), ((20, 24), (8, 12)), ((12, 10, 8), (6, 4, 8))]


def drawn(n_modes, **options):
    torch.manual_seed(0)
    model = models.FNO(n_modes, 2, 3, 12, n_layers=3, **options)
    for p in model.parameters():
        if p.abs().max() < 1e-2:  # tensor trains start too small to be seen
            p.data = 0.2 * torch.randn_like(p)
    return model


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("grid", "n_modes"), GRIDS)
def test_outputs_are_equal(grid, n_modes, options):
    theirs = drawn(n_modes, **options)
    x = torch.randn(2, 2, *grid)
    with torch.no_grad():
        expected = theirs(x)
        assert (from_neuralop(theirs)(x) - expected).norm() <= 1e-6 * expected.norm()


@pytest.mark.parametrize("n", [32, 64])
def test_gradients_are_equal(n):
    theirs = drawn((16, 16))
    ours, x, weight = from_neuralop(theirs), torch.randn(2, 2, n, n), torch.randn(2, 3, n, n)
    (theirs(x) * weight).sum().backward()
    (ours(x) * weight).sum().backward()
    spectral = torch.view_as_complex(ours.blocks[1].conv.weight.weight.grad).movedim((-2, -1), (0, 1))
    expected = theirs.fno_blocks.convs[1].weight.tensor.grad
    assert (spectral - expected).abs().max() <= 1e-5 * expected.abs().max()
    lifting = theirs.lifting.fcs[0].weight.grad.flatten(1)
    assert (ours.lifting.first.weight.grad - lifting).abs().max() <= 1e-5 * lifting.abs().max()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: torch.nn.Linear(2, 2), "expected neuralop.models.FNO or TFNO, got Linear"),
        (lambda: drawn((4, 4), use_channel_mlp=False), "use_channel_mlp=False"),
        (lambda: drawn((4, 4), stabilizer="tanh"), "stabilizer"),
        (lambda: drawn((4, 4), norm="batch_norm"), "batch_norm"),
        (lambda: drawn((4, 4), domain_padding=[0.1, 0.2]), "same along every axis"),
        (lambda: drawn((4, 4), max_n_modes=(8, 8)), "max_n_modes"),
    ],
)
def test_what_cannot_be_taken_over_is_named(model, message):
    with pytest.raises(ValueError, match=message):
        from_neuralop(model())
