"""Muon: the geometry of its steps, AdamW as its elementwise part, descent, checkpoints, refusals."""

import io
import math

import pytest
import torch
from torch import nn

from pdeflow.optim import Muon, to_matrix


def parameter(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)))


def step_of(p: nn.Parameter, grad: torch.Tensor, **options) -> torch.Tensor:
    before = p.detach().clone()
    p.grad = grad
    group = {"params": [p]} | ({"matrix_view": options.pop("view")} if "view" in options else {})
    Muon([group], **options).step()
    return p.detach() - before


def test_update_of_a_spectral_weight_has_equal_singular_values_in_every_mode():
    p, grad = parameter(4, 3, 3, 5, 2), torch.randn(4, 3, 3, 5, 2, dtype=torch.float64)
    update = to_matrix(step_of(p, grad, view="spectral", lr=0.1), "spectral")
    singular = torch.linalg.svdvals(update)  # (12 modes, 3)
    torch.testing.assert_close(singular, torch.full_like(singular, 0.1 * 0.2 * math.sqrt(5)))


@pytest.mark.parametrize(
    ("scale", "factor"), [("rms", 0.2 * 8**0.5), ("kj", 2**0.5), ("spectral", 2**0.5), ("none", 1.0)]
)
def test_scales_of_a_tall_matrix(scale, factor):
    update = step_of(parameter(8, 4), torch.randn(8, 4, dtype=torch.float64), lr=1.0, scale=scale)
    assert torch.linalg.svdvals(update).tolist() == pytest.approx([factor] * 4)


def test_rms_scale_gives_entries_of_size_a_fifth():
    update = step_of(parameter(64, 32), torch.randn(64, 32, dtype=torch.float64), lr=1.0)
    assert update.square().mean().sqrt().item() == pytest.approx(0.2)


@pytest.mark.parametrize("view", ["elementwise", None])
def test_elementwise_parameters_take_torch_adamw_steps(view):
    ours, theirs = parameter(7), parameter(7)
    group = {"params": [ours]} | ({"matrix_view": view} if view else {})
    options = {"lr": 0.03, "weight_decay": 0.1}
    optimizers = Muon([group], **options), torch.optim.AdamW([theirs], **options)
    for k in range(20):
        for p, optimizer in zip((ours, theirs), optimizers, strict=True):
            p.grad = (p.detach() - 2) ** 3 + math.sin(k)
            optimizer.step()
    torch.testing.assert_close(ours, theirs)


def test_equals_torch_muon_on_a_matrix_up_to_its_bfloat16():
    ours, theirs = parameter(12, 20, dtype=torch.float32), parameter(12, 20, dtype=torch.float32)
    options = {"lr": 0.02, "weight_decay": 0.0}
    a = Muon([ours], polar="jordan5", scale="kj", **options)
    b = torch.optim.Muon([theirs], **options)
    start = ours.detach().clone()
    for k in range(20):
        grad = torch.randn(12, 20, generator=torch.Generator().manual_seed(k))
        for p, optimizer in ((ours, a), (theirs, b)):
            p.grad = grad.clone()
            optimizer.step()
    way = (theirs - start).norm().item()
    assert (ours - theirs).norm().item() < 0.03 * way


VIEWS_AND_SHAPES = [
    ("matrix", (6, 4)),
    ("spectral", (3, 4, 5, 2)),
    ("complex_matrix", (6, 3, 2)),
    ("tucker_core", (2, 3, 4, 2)),
]


@pytest.mark.parametrize(("view", "shape"), VIEWS_AND_SHAPES)
def test_first_step_descends_by_the_dual_norm(view, shape):
    p, grad = parameter(*shape), torch.randn(*shape, dtype=torch.float64)
    update = step_of(p, grad, view=view, lr=1e-3, scale="none")
    nuclear = torch.linalg.svdvals(to_matrix(grad, view)).sum()  # = <G, polar(G)>, in real storage too
    torch.testing.assert_close((grad * update).sum(), -1e-3 * nuclear)


@pytest.mark.parametrize(("view", "shape"), VIEWS_AND_SHAPES)
def test_a_quadratic_converges_under_a_decaying_rate(view, shape):
    p, target = parameter(*shape), parameter(*shape, seed=1).detach()
    optimizer = Muon([{"params": [p], "matrix_view": view}], lr=0.2)
    start = (p - target).norm().item()
    for k in range(300):
        optimizer.param_groups[0]["lr"] = 0.2 * (1 - k / 300) ** 2
        optimizer.zero_grad()
        (p - target).square().sum().backward()
        optimizer.step()
    assert (p - target).norm().item() < 0.01 * start


def test_resumed_run_equals_the_uninterrupted_one():
    def run(steps, resume=None):
        layers = [parameter(5, 4), parameter(5)]
        optimizer = Muon(layers, lr=0.05)
        if resume:
            file = io.BytesIO(resume)
            saved = torch.load(file, weights_only=True)
            optimizer.load_state_dict(saved["optimizer"])
            for p, value in zip(layers, saved["parameters"], strict=True):
                p.data.copy_(value)
        for _ in range(steps):
            optimizer.zero_grad()
            sum((p**4).sum() for p in layers).backward()
            optimizer.step()
        file = io.BytesIO()
        torch.save({"optimizer": optimizer.state_dict(), "parameters": [p.detach() for p in layers]}, file)
        return file.getvalue(), layers

    _, whole = run(8)
    halfway, _ = run(5)
    _, resumed = run(3, halfway)
    for p, q in zip(whole, resumed, strict=True):
        torch.testing.assert_close(p, q, atol=0, rtol=0)


def test_parameters_without_gradient_stay_and_the_gradient_is_kept():
    p, q = parameter(3, 3), parameter(3, 3)
    before, grad = p.detach().clone(), torch.randn(3, 3, dtype=torch.float64)
    q.grad = grad.clone()
    Muon([p, q], weight_decay=0.1).step()
    torch.testing.assert_close(p.detach(), before, atol=0, rtol=0)
    torch.testing.assert_close(q.grad, grad, atol=0, rtol=0)


def test_a_gradient_that_is_not_finite_is_skipped_then_reported():
    p = parameter(3, 3)
    before = p.detach().clone()
    optimizer = Muon([p])
    p.grad = torch.full((3, 3), float("nan"), dtype=torch.float64)
    for _ in range(9):
        optimizer.step()
    torch.testing.assert_close(p.detach(), before, atol=0, rtol=0)
    with pytest.raises(ValueError, match="not finite for 10 steps"):
        optimizer.step()


def test_closure_is_evaluated_with_gradients():
    p = parameter(3, 3)
    optimizer = Muon([p])

    def closure():
        optimizer.zero_grad()
        loss = p.square().sum()
        loss.backward()
        return loss

    first = optimizer.step(closure)
    assert closure() < first


def test_wrong_settings_are_refused():
    p = parameter(3, 3)
    with pytest.raises(ValueError, match="lr must be"):
        Muon([p], lr=-1.0)
    with pytest.raises(ValueError, match="momentum must lie"):
        Muon([p], momentum=1.0)
    with pytest.raises(ValueError, match="polar must be one of"):
        Muon([p], polar="qr")
    with pytest.raises(ValueError, match="scale must be one of"):
        Muon([p], scale="big")
    with pytest.raises(ValueError, match="polar_steps"):
        Muon([p], polar_steps=0)
    with pytest.raises(ValueError, match="last axis of 2"):
        Muon([{"params": [parameter(3, 3, 3, 3)], "matrix_view": "spectral"}])
    embedding = nn.Embedding(4, 3, sparse=True)
    embedding(torch.tensor([1])).sum().backward()
    with pytest.raises(ValueError, match="sparse"):
        Muon(embedding.parameters()).step()
