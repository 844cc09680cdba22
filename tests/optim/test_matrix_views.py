"""Matrix views: inverse maps, and the matrices that a layer really applies."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.models import SpectralConv
from pdeflow.models.spectral_weight import spectral_weight
from pdeflow.optim import VIEWS, Muon, from_matrix, polar, to_matrix
from pdeflow.tasks.parameter_groups import parameter_groups

sizes = st.integers(1, 5)
complex_shapes = {
    "spectral": (3, 5), "spectral_channels_first": (3, 5), "complex_matrix": (2, 2),
    "tucker_core": (3, 5), "tucker_core_channels_first": (3, 5), "complex_columns": (2, 3), "complex_train_core": (2, 3),
}  # fmt: skip


@pytest.mark.parametrize("view", sorted(VIEWS))
@settings(max_examples=25, deadline=None)
@given(data=st.data(), native=st.booleans())
def test_views_are_inverse_maps(view, data, native):
    least, most = complex_shapes.get(view, (VIEWS[view].min_axes, 4))
    shape = data.draw(st.lists(sizes, min_size=least, max_size=most))
    complex_view = VIEWS[view].stored_complex
    p = torch.randn([*shape, 2] if complex_view else shape)
    if complex_view and native:
        p = torch.view_as_complex(p)
    matrix = to_matrix(p, view)
    assert matrix.ndim == 3
    assert matrix.is_complex() == complex_view
    torch.testing.assert_close(from_matrix(matrix, view, p), p, atol=0, rtol=0)


def test_spectral_view_is_the_matrix_that_each_mode_applies():
    torch.manual_seed(0)
    layer = SpectralConv(2, 3, (8,), bias=False)
    k = 3
    phase = torch.arange(16) * (2 * torch.pi * k / 16)
    x_hat = torch.tensor([1.0 + 2.0j, -0.5 + 0.3j])
    x = 2 * (x_hat * torch.polar(torch.ones(16), phase)[:, None]).real[None]
    y_hat = torch.fft.rfft(layer(x), dim=1, norm="forward")[0, k]
    torch.testing.assert_close(y_hat, to_matrix(layer.weight.weight, "spectral")[k] @ x_hat, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("view", "place"), [("tucker_core", 2), ("tucker_core_channels_first", 1)])
def test_core_rows_belong_to_outputs(view, place):
    core = torch.arange(2 * 3 * 4).reshape([(2, 3, 4), (4, 2, 3)][place - 1]).to(torch.complex64)
    matrix = to_matrix(core, view)
    assert matrix.shape == (1, 3, 8)
    assert set(matrix[0, 1].real.tolist()) == set(core.select(place, 1).flatten().real.tolist())


def test_gauge_rotation_of_core_outputs_rotates_the_view():
    core = torch.randn(4, 2, 3, dtype=torch.complex64)
    q = torch.linalg.qr(torch.randn(3, 3, dtype=torch.complex64)).Q
    turned = torch.einsum("ps,krs->krp", q, core)
    torch.testing.assert_close(to_matrix(turned, "tucker_core"), q @ to_matrix(core, "tucker_core"))


def test_both_layouts_of_a_weight_give_the_same_matrices():
    ours = torch.randn(5, 4, 2, 3, dtype=torch.complex64)
    theirs = ours.movedim((-2, -1), (0, 1))
    for view in ("spectral", "tucker_core"):
        torch.testing.assert_close(to_matrix(ours, view), to_matrix(theirs, f"{view}_channels_first"))


def test_row_blocks_are_heads():
    p = torch.randn(12, 5)
    matrix = to_matrix(p, "matrix/3")
    torch.testing.assert_close(matrix, torch.stack(p.chunk(3)))
    torch.testing.assert_close(from_matrix(matrix, "matrix/3", p), p)
    with pytest.raises(ValueError, match="equal blocks"):
        to_matrix(p, "matrix/5")
    with pytest.raises(ValueError, match="matrix/K"):
        to_matrix(p, "matrix/0")


def test_polar_factors_of_rows_and_columns_are_unit_vectors():
    p = torch.randn(4, 6)
    torch.testing.assert_close(from_matrix(polar(to_matrix(p, "rows")), "rows", p), p / p.norm(dim=1, keepdim=True))
    torch.testing.assert_close(from_matrix(polar(to_matrix(p, "columns")), "columns", p), p / p.norm(dim=0, keepdim=True))


def test_views_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="must be one of"):
        to_matrix(torch.eye(2), "square")
    with pytest.raises(ValueError, match="last axis of 2"):
        to_matrix(torch.zeros(3, 4, 5, 3), "spectral")
    with pytest.raises(ValueError, match="2 axes"):
        to_matrix(torch.zeros(3), "matrix")
    with pytest.raises(ValueError, match="do not fill"):
        from_matrix(torch.zeros(1, 2, 2), "matrix", torch.zeros(3, 3))


FACTORED = ("tucker", "cp", "tt")
SHARED = [(kind, None) for kind in ("dense", "depthwise", *FACTORED)] + [(kind, 3) for kind in FACTORED]


def weight_of(kind, layers=None, rank=0.5):
    torch.manual_seed(0)
    return spectral_weight(kind, 4, 4, (6, 6), rank, layers).double()


@pytest.mark.parametrize(("kind", "layers"), SHARED)
def test_the_declared_view_of_every_spectral_parameter_is_an_inverse_map(kind, layers):
    groups = parameter_groups(weight_of(kind, layers))
    for view, parameters in ((group["matrix_view"], group["params"]) for group in groups):
        for p in parameters:
            torch.testing.assert_close(from_matrix(to_matrix(p, view), view, p), p, atol=0, rtol=0)
    kinds = {"dense": {"spectral"}, "depthwise": {"elementwise"}, "tucker": {"matrix", "complex_matrix", "tucker_core"},
             "cp": {"elementwise", "columns", "rows", "complex_columns"}, "tt": {"train_core", "complex_train_core"}}  # fmt: skip
    assert {group["matrix_view"] for group in groups} == kinds[kind]


def steps_of(weight, gradients=None):
    """Muon's step of every parameter, for given gradients or those of a fixed linear functional of the dense weight."""
    before = {name: p.detach().clone() for name, p in weight.named_parameters()}
    if gradients is None:
        dense = sum(weight.dense_weight(layer) for layer in range(weight.layers or 1))
        direction = torch.randn(dense.shape, dtype=dense.dtype, generator=torch.Generator().manual_seed(1))
        (dense * direction.conj()).real.sum().backward()
    for name, p in weight.named_parameters():
        p.grad = gradients[name] if gradients else p.grad
    Muon(parameter_groups(weight), lr=1.0, polar="svd").step()
    return {name: p.detach() - before[name] for name, p in weight.named_parameters()}


@pytest.mark.parametrize("layers", [None, 3])
def test_the_step_of_a_component_of_cp_does_not_depend_on_the_others(layers):
    names = dict(weight_of("cp", layers).named_parameters())
    gradients = {name: torch.randn(p.shape, dtype=p.dtype) for name, p in names.items()}
    other = {name: g.clone() for name, g in gradients.items()}
    for name in names:  # component 0: a row of out_factor, a column of the others
        part = other[name] if name in ("out_factor", "scale") else other[name].transpose(0, 1)
        part[0] = torch.randn(part[0].shape, dtype=part.dtype)
    first, second = steps_of(weight_of("cp", layers), gradients), steps_of(weight_of("cp", layers), other)
    for name in names:
        a, b = (s[name] if name in ("out_factor", "scale") else s[name].transpose(0, 1) for s in (first, second))
        torch.testing.assert_close(a[1:], b[1:], atol=1e-14, rtol=0)
        assert name == "scale" or not torch.allclose(a[0], b[0])


def complex_part(p):
    return torch.view_as_complex(p.detach().contiguous())


def test_steps_of_cp_follow_the_split_of_a_component_among_its_factors():
    """a -> c a, b -> b / c and u -> z u, v -> v / z leave the weight, the steps turn by z / |z|, sizes do not enter."""
    plain, split = weight_of("cp"), weight_of("cp")
    size, phase = torch.linspace(0.5, 3, plain.rank).double(), torch.exp(2j * torch.linspace(0, 3, plain.rank).double())
    with torch.no_grad():
        split.in_factor *= size
        split.out_factor /= size[:, None]
        split.mode_factor_0.copy_(torch.view_as_real(complex_part(plain.mode_factor_0) * size * phase))
        split.mode_factor_1.copy_(torch.view_as_real(complex_part(plain.mode_factor_1) / (size * phase)))
    torch.testing.assert_close(split.dense_weight(), plain.dense_weight())
    a, b = steps_of(plain), steps_of(split)
    for name in ("in_factor", "out_factor"):
        torch.testing.assert_close(b[name], a[name])
    torch.testing.assert_close(complex_part(b["mode_factor_0"]), complex_part(a["mode_factor_0"]) * phase)
    torch.testing.assert_close(complex_part(b["mode_factor_1"]), complex_part(a["mode_factor_1"]) / phase)


def test_steps_of_a_tensor_train_follow_rotations_of_its_bonds():
    plain, turned = weight_of("tt"), weight_of("tt")
    r_in, r_out, r_mode = plain.in_factor.shape[1], plain.out_core.shape[2], plain.mode_core_0.shape[2]
    p, q = (torch.linalg.qr(torch.randn(r, r).double()).Q for r in (r_in, r_out))
    z = torch.linalg.qr(torch.randn(r_mode, r_mode, dtype=torch.complex128)).Q

    def turn(parts):
        first, second = complex_part(parts["mode_core_0"]), complex_part(parts["mode_core_1"])
        return {
            "in_factor": parts["in_factor"].detach() @ p,
            "out_core": torch.einsum("ap,aob,bq->poq", p, parts["out_core"].detach(), q),
            "mode_core_0": torch.view_as_real(torch.einsum("bq,bkc,cz->qkz", q.to(z), first, z)),
            "mode_core_1": torch.view_as_real(torch.einsum("cz,ckd->zkd", z.conj(), second)),
        }

    with torch.no_grad():
        for name, value in turn(dict(plain.named_parameters())).items():
            turned.get_parameter(name).copy_(value)
    torch.testing.assert_close(turned.dense_weight(), plain.dense_weight())
    expected, found = turn(steps_of(plain)), steps_of(turned)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name])


@pytest.mark.parametrize("layers", [None, 3])
def test_a_tensor_train_of_isometries_in_its_views_has_the_norm_of_its_last_core(layers):
    """Left-canonical form; Oseledets, SIAM J. Sci. Comput. 33 (2011) 2295, section 3."""
    weight = weight_of("tt", layers, rank=[2, 3, 3, 2][0 if layers else 1 :])
    *isometries, (_, last) = list(weight.named_parameters())
    views = {id(p): group["matrix_view"] for group in parameter_groups(weight) for p in group["params"]}
    with torch.no_grad():
        for _, p in isometries:
            p.copy_(from_matrix(polar(to_matrix(p, views[id(p)]), "svd"), views[id(p)], p))
    total = sum(weight.dense_weight(layer).abs().square().sum() for layer in range(layers or 1))
    torch.testing.assert_close(total, last.detach().square().sum())
