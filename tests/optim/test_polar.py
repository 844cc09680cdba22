"""The polar factor: unitary, equivariant, scale-free, and the same in real embedding."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.optim import polar
from pdeflow.optim.qdwh import halley_weights

DTYPES = [torch.float32, torch.float64, torch.complex64, torch.complex128]
SHAPES = [(12, 7), (7, 12), (3, 6, 6)]


def gaussian(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def unitary(n: int, dtype: torch.dtype, seed: int) -> torch.Tensor:
    return torch.linalg.qr(gaussian(n, n, dtype=dtype, seed=seed)).Q


CONVERGING = ["svd", "qdwh", "polar_express", "minimax", "gram", "newton_schulz", "newton_schulz5"]


@pytest.mark.parametrize("method", CONVERGING)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_short_side_is_orthonormal_and_the_rest_is_positive(method, dtype, shape):
    m = gaussian(*shape, dtype=dtype)
    q = polar(m, method, steps=20)
    wide = q if shape[-2] <= shape[-1] else q.mH
    tolerance = 1e-5 if torch.finfo(dtype).eps > 1e-10 else 1e-12
    eye = torch.eye(wide.shape[-2], dtype=dtype).expand(*wide.shape[:-1], wide.shape[-2])
    torch.testing.assert_close(wide @ wide.mH, eye, atol=tolerance, rtol=0)
    stretch = q.mH @ m if shape[-2] >= shape[-1] else m @ q.mH  # M = Q H, H Hermitian positive
    torch.testing.assert_close(stretch, stretch.mH, atol=20 * tolerance, rtol=0)
    assert torch.linalg.eigvalsh(stretch).min() > 0


@pytest.mark.parametrize("method", [*CONVERGING, "jordan5", "you5"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_commutes_with_rotations_of_both_sides(method, dtype):
    left, right, m = unitary(6, dtype, 1), unitary(9, dtype, 2), gaussian(6, 9, dtype=dtype)
    rotated = left @ polar(m, method) @ right
    torch.testing.assert_close(polar(left @ m @ right, method), rotated, atol=1e-10, rtol=0)


@pytest.mark.parametrize(("method", "tolerance"), [("svd", 1e-12), ("polar_express", 1e-10)])
def test_real_embedding_of_a_complex_matrix_has_the_embedded_factor(method, tolerance):
    def embed(z):
        return torch.cat((torch.cat((z.real, -z.imag), -1), torch.cat((z.imag, z.real), -1)), -2)

    m = gaussian(5, 8, dtype=torch.complex128)
    factor = polar(m, method, steps=20)
    torch.testing.assert_close(polar(embed(m), method, steps=20), embed(factor), atol=tolerance, rtol=0)


@settings(max_examples=30, deadline=None)
@given(power=st.integers(-12, 12), seed=st.integers(0, 2**31))
def test_does_not_depend_on_the_size_of_the_gradient(power, seed):
    m = gaussian(4, 6, dtype=torch.float32, seed=seed)
    for method in ("svd", "qdwh", "polar_express", "gram"):
        torch.testing.assert_close(polar(10.0**power * m, method), polar(m, method), atol=1e-3, rtol=0)


@pytest.mark.parametrize("method", [*CONVERGING, "jordan5", "you5"])
def test_a_zero_matrix_gives_a_zero_update(method):
    assert not polar(torch.zeros(2, 3, 4), method).any()


def test_svd_leaves_the_null_space_alone():
    low_rank = gaussian(8, 2, dtype=torch.float32) @ gaussian(2, 9, dtype=torch.float32, seed=1)
    singular = torch.linalg.svdvals(polar(low_rank, "svd"))
    torch.testing.assert_close(singular, torch.tensor([1.0, 1, 0, 0, 0, 0, 0, 0]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("shape", [(9, 6), (6, 9)])
def test_qdwh_does_not_mind_a_bad_condition(dtype, shape):
    u, v = unitary(shape[0], dtype, 1)[:, :6], unitary(shape[1], dtype, 2)[:, :6]
    m = u @ torch.diag(torch.logspace(0, -12, 6, dtype=torch.float64)).to(dtype) @ v.mH
    torch.testing.assert_close(polar(m, "qdwh"), u @ v.mH, atol=1e-3, rtol=0)  # backward error / smallest value
    q = polar(m, "qdwh")
    wide = q if shape[0] < shape[1] else q.mH
    torch.testing.assert_close(wide @ wide.mH, torch.eye(6, dtype=dtype), atol=1e-12, rtol=0)


@settings(max_examples=30, deadline=None)
@given(low=st.floats(1e-15, 1))
def test_halley_weights_fix_one_and_lift_the_lower_end(low):
    a, b, c = halley_weights(low)
    assert (a + b) / (1 + c) == pytest.approx(1)
    lifted = low * (a + b * low**2) / (1 + c * low**2)
    assert low <= lifted * (1 + 1e-9)
    assert lifted <= 1 + 1e-12


@pytest.mark.parametrize("shape", [(64, 400), (400, 64)])
def test_gram_form_is_the_same_composition(shape):
    m = gaussian(*shape)
    torch.testing.assert_close(polar(m, "gram", 7), polar(m, "polar_express", 7), atol=1e-12, rtol=0)


@pytest.mark.parametrize("method", ["polar_express", "gram", "jordan5"])
def test_bfloat16_stays_near_the_float32_factor(method):
    m = gaussian(64, 256, dtype=torch.float32)
    low = polar(m, method, 5, dtype="bfloat16")
    assert low.dtype == torch.float32
    assert torch.linalg.matrix_norm(low - polar(m, method, 5), 2) < 0.1


def test_half_precision_input_keeps_its_type():
    assert polar(gaussian(8, 8).bfloat16(), "polar_express", dtype="float32").dtype == torch.bfloat16
    assert polar(gaussian(8, 8, dtype=torch.complex64), "svd", dtype="float64").dtype == torch.complex64


def test_complex_matrices_in_bfloat16_are_refused():
    with pytest.raises(ValueError, match="imaginary part in bfloat16"):
        polar(gaussian(3, 3, dtype=torch.complex64), "polar_express", dtype="bfloat16")


def test_jordan_leaves_singular_values_near_one():
    singular = torch.linalg.svdvals(polar(gaussian(64, 256), "jordan5"))
    assert singular.min() > 0.6
    assert singular.max() < 1.25


def test_unknown_methods_are_refused():
    with pytest.raises(ValueError, match="'zolotarev'"):
        polar(torch.eye(2), "zolotarev")
    with pytest.raises(ValueError, match="at least one step"):
        polar(torch.eye(2), "polar_express", steps=0)
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        polar(torch.ones(3))
