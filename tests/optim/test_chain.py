"""Every preset: descent, symmetry, scale, batches, checkpoints, refusals."""

import copy
import inspect
import io
import typing
from contextlib import nullcontext

import jsonargparse
import pytest
import torch
from torch import nn

from pdeflow import optim
from pdeflow.errors import UsageError
from pdeflow.models import FNO, TFNO
from pdeflow.optim import Muon, to_matrix
from pdeflow.tasks.configure import build_optimizer
from pdeflow.tasks.parameter_groups import parameter_groups

from .presets import EQUIVARIANT, NAMES, SCALE_FREE, make

LAYOUTS = [
    ("matrix", (6, 4), torch.float64),
    ("matrix", (4, 6), torch.float32),
    ("spectral", (3, 4, 5, 2), torch.float64),
    ("spectral_channels_first", (5, 4, 3), torch.complex64),
    ("complex_matrix", (6, 3), torch.complex128),
    ("elementwise", (7,), torch.float64),
]


def gaussian(*shape, dtype=torch.float64, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def unitary(n, dtype, seed):
    return torch.linalg.qr(gaussian(n, n, dtype=dtype, seed=seed)).Q


def run(name, gradients, view="matrix", start=None, **options):
    """Return the parameter after steps with given gradients."""
    p = nn.Parameter(torch.zeros_like(gradients[0]) if start is None else start.clone())
    optimizer = make(name, [{"params": [p], "matrix_view": view}], **options)
    for grad in gradients:
        p.grad = grad.clone()
        optimizer.step()
    return p.detach()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("view", "shape", "dtype"), LAYOUTS)
def test_a_quadratic_converges_under_a_decaying_rate(name, view, shape, dtype):
    p, target = nn.Parameter(gaussian(*shape, dtype=dtype)), gaussian(*shape, dtype=dtype, seed=1)
    peak = {"PolarGrad": 0.05, "AdaptiveMemorySGD": 0.02, "AdaptiveMemoryMuon": 0.15, "Dion2": 0.8}.get(name, 0.4)
    optimizer = make(name, [{"params": [p], "matrix_view": view}], lr=peak)
    start = (p - target).abs().square().sum().item()
    for k in range(300):
        optimizer.param_groups[0]["lr"] = peak * (1 - k / 300) ** 2
        optimizer.zero_grad()
        (p - target).abs().square().sum().backward()
        optimizer.step()
    assert (p - target).abs().square().sum().item() < 0.05 * start


@pytest.mark.parametrize("name", EQUIVARIANT)
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("shape", [(6, 4), (3, 5)])
def test_commutes_with_rotations_of_both_sides(name, dtype, shape):
    left, right = unitary(shape[0], dtype, 1), unitary(shape[1], dtype, 2)
    gradients = [gaussian(*shape, dtype=dtype, seed=k) for k in range(8)]
    turned = run(name, [left @ g @ right for g in gradients])
    torch.testing.assert_close(turned, left @ run(name, gradients) @ right, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("name", SCALE_FREE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
@pytest.mark.parametrize("power", [-12, -6, 6, 12])
def test_does_not_depend_on_the_size_of_the_gradients(name, dtype, power):
    gradients = [gaussian(4, 6, dtype=dtype, seed=k) for k in range(6)]
    plain = run(name, gradients)
    other = run(name, [10.0**power * g for g in gradients])
    torch.testing.assert_close(other, plain, atol=3e-3 * plain.abs().max().item(), rtol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("view", "shape", "dtype"), LAYOUTS)
def test_zero_gradients_change_nothing(name, view, shape, dtype):
    start = gaussian(*shape, dtype=dtype)
    options = {"constrained": False} if name == "Scion" else {}
    moved = run(name, [torch.zeros_like(start)] * 3, view, start, **options)
    torch.testing.assert_close(moved, start, atol=0, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_layers_of_one_shape_share_a_batch_and_nothing_else(name):
    layers = [nn.Parameter(gaussian(3, 4, 5, 2, seed=k)) for k in range(3)]
    biases = [nn.Parameter(gaussian(4 + k, seed=k)) for k in range(3)]
    alone = copy.deepcopy([layers, biases])
    together = make(
        name, [{"params": layers, "matrix_view": "spectral"}, {"params": biases, "matrix_view": "elementwise"}]
    )
    apart = [
        make(name, [{"params": [p], "matrix_view": view}])
        for group, view in zip(alone, ("spectral", "elementwise"), strict=True) for p in group
    ]  # fmt: skip
    for step in range(7):
        for k, (p, q) in enumerate(zip([*layers, *biases], [*alone[0], *alone[1]], strict=True)):
            p.grad = gaussian(*p.shape, seed=10 * step + k) if (step + k) % 4 else None  # ages differ
            q.grad = p.grad
        for optimizer in (together, *apart):
            optimizer.step()
    for p, q in zip([*layers, *biases], [*alone[0], *alone[1]], strict=True):
        torch.testing.assert_close(p, q, atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_real_pairs_and_complex_numbers_take_the_same_steps(name):
    gradients = [gaussian(3, 5, 4, dtype=torch.complex128, seed=k) for k in range(6)]
    pairs = run(name, [torch.view_as_real(g) for g in gradients], "spectral")
    torch.testing.assert_close(torch.view_as_complex(pairs), run(name, gradients, "spectral"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_resumed_run_equals_the_uninterrupted_one_bit_by_bit(name, dtype):
    def advance(layers, optimizer, steps):
        for _ in range(steps):
            optimizer.zero_grad()
            sum((p.abs() ** 4).sum() for p in layers).backward()
            optimizer.step()

    def fresh():
        layers = [nn.Parameter(gaussian(3, 4, 5, dtype=dtype, seed=k)) for k in range(2)]
        view = "spectral" if dtype.is_complex else "matrix"
        layers.append(nn.Parameter(gaussian(5, dtype=torch.float32)))
        groups = [{"params": layers[:2], "matrix_view": view}, {"params": layers[2:], "matrix_view": "elementwise"}]
        return layers, make(name, groups)

    layers, optimizer = fresh()
    advance(layers, optimizer, 4)
    file = io.BytesIO()
    torch.save({"optimizer": optimizer.state_dict(), "parameters": [p.detach() for p in layers]}, file)
    advance(layers, optimizer, 9)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    resumed, other = fresh()
    other.load_state_dict(saved["optimizer"])
    for p, value in zip(resumed, saved["parameters"], strict=True):
        p.data.copy_(value)
    advance(resumed, other, 9)
    for p, q in zip(layers, resumed, strict=True):
        torch.testing.assert_close(p, q, atol=0, rtol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("network", [FNO((4, 4), hidden_channels=8), TFNO((4, 4), hidden_channels=8)])
def test_trains_our_networks(name, network):
    network = copy.deepcopy(network)
    before = [p.detach().clone() for p in network.parameters()]
    optimizer = make(name, parameter_groups(network), lr=1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        network(gaussian(2, 1, 8, 8, dtype=torch.float32)).square().sum().backward()
        optimizer.step()
    for p, q in zip(network.parameters(), before, strict=True):
        assert p.isfinite().all()
        assert not torch.equal(p, q)


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_explicit_and_typed(name):
    """As LightningCLI builds its flags from them."""
    constructor = getattr(optim, name).__init__
    hints = typing.get_type_hints(constructor)
    parameters = list(inspect.signature(constructor).parameters.values())[1:]
    assert parameters[0].name == "params"
    assert all(p.kind is p.POSITIONAL_OR_KEYWORD and p.name in hints for p in parameters)
    assert all(p.default is not p.empty for p in parameters[1:])
    text = inspect.getdoc(getattr(optim, name))
    assert all(f"    {p.name}: " in text for p in parameters)


@pytest.mark.parametrize("name", NAMES)
def test_a_settings_file_builds_each_by_its_class_path(name):
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(torch.optim.Optimizer, "optimizer", skip={"params"})
    settings = parser.parse_args([f"--optimizer=pdeflow.optim.{name}", "--optimizer.lr=0.5"]).optimizer
    built = build_optimizer(settings, FNO((4, 4), hidden_channels=8))
    assert type(built) is getattr(optim, name)
    assert all(group["lr"] == 0.5 for group in built.param_groups)
    with pytest.raises(UsageError, match=rf"optimizer {name}: lr must be a finite number >= 0, got -1; correct the section"):
        build_optimizer({"class_path": f"pdeflow.optim.{name}", "init_args": {"lr": -1}}, FNO((4, 4), hidden_channels=8))


def test_a_state_of_another_chain_or_view_is_refused():
    p = nn.Parameter(gaussian(4, 4))
    saved = Muon([p]).state_dict()
    with pytest.raises(ValueError, match=r"saved optimizer state has chain Muon\(.*\), this one NorMuon\(.*resume with"):
        make("NorMuon", [p]).load_state_dict(saved)
    with pytest.raises(ValueError, match="has matrix_view None, this one rows"):
        Muon([{"params": [p], "matrix_view": "rows"}]).load_state_dict(saved)
    plain = torch.optim.SGD([p]).state_dict()
    with pytest.raises(ValueError, match="has chain None"):
        Muon([p]).load_state_dict(plain)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_that_are_not_finite_are_skipped_then_reported(name):
    good, bad = nn.Parameter(gaussian(3, 3)), nn.Parameter(gaussian(3, 3))
    start = bad.detach().clone()
    optimizer = make(name, [good, bad])
    for k in range(9):
        good.grad, bad.grad = gaussian(3, 3, seed=k), torch.full((3, 3), float("inf"), dtype=torch.float64)
        said = r"a parameter, shape \(3, 3\), is not finite; it is left out"
        with nullcontext() if k else pytest.warns(UserWarning, match=said):
            optimizer.step()
    assert good.isfinite().all()
    torch.testing.assert_close(bad.detach(), start, atol=0, rtol=0)
    with pytest.raises(ValueError, match="not finite for 10 steps"):
        optimizer.step()


def test_complex_weights_in_bfloat16_are_refused_with_the_cure():
    p = nn.Parameter(gaussian(3, 4, 5, dtype=torch.complex64))
    with pytest.raises(ValueError, match="imaginary part in bfloat16; use polar_dtype"):
        Muon([{"params": [p], "matrix_view": "spectral"}], polar_dtype="bfloat16")
    half = nn.Parameter(torch.zeros(3, 4, 5, 2, dtype=torch.bfloat16))
    with pytest.raises(ValueError, match="keep the weights in float32"):
        Muon([{"params": [half], "matrix_view": "spectral"}])


def test_real_weights_in_bfloat16_are_worked_on_in_float32():
    p = nn.Parameter(torch.zeros(8, 6, dtype=torch.bfloat16))
    optimizer = Muon([p], lr=1.0, scale="none", polar_steps=6)
    p.grad = gaussian(8, 6, dtype=torch.float32).bfloat16()
    optimizer.step()
    torch.testing.assert_close(p.detach(), -optim.polar(p.grad.float(), steps=6).bfloat16())
    assert optimizer.state[p]["momentum"].dtype == torch.float32


WRONG = [
    ("NorMuon", {"beta2": 1.0}, "beta2 must lie"),
    ("ROOT", {"quantile": 0.0}, "quantile must lie"),
    ("Scion", {"ball": "cube"}, "ball must be one of spectral"),
    ("SOAP", {"betas": (0.9, 1.0)}, "betas must lie"),
    ("KLShampoo", {"refresh": 0}, "refresh must be a whole number"),
    ("Shampoo", {"damping": -1.0}, "damping must be a finite number"),
    ("FISMO", {"statistics_decay": 1.5}, "statistics_decay must lie"),
    ("ARO", {"base": "adam"}, "base must be one of sinkhorn"),
    ("Dion2", {"fraction": 1.5}, "fraction must lie"),
    ("Trion", {"rank": 2.5}, "rank must be a whole number"),
    ("SymmetryAware", {"symmetry": "round"}, "symmetry must be one of"),
    ("AdaptiveMemorySGD", {"memory": float("inf")}, "memory must be"),
]


@pytest.mark.parametrize(("name", "options", "message"), WRONG)
def test_wrong_settings_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        make(name, [nn.Parameter(gaussian(3, 3))], **options)


def test_per_mode_updates_equal_those_of_each_matrix_alone():
    gradients = [gaussian(3, 4, 5, 2, seed=k) for k in range(6)]
    for name in NAMES:
        whole = to_matrix(run(name, gradients, "spectral"), "spectral")
        for mode in range(3):
            alone = run(name, [to_matrix(g, "spectral")[mode] for g in gradients])
            torch.testing.assert_close(whole[mode], alone, msg=name)
