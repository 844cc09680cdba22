"""The polar factor: unitary, equivariant, scale-free, and the same in real embedding."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.optim import polar

DTYPES = [torch.float32, torch.float64, torch.complex64, torch.complex128]
SHAPES = [(12, 7), (7, 12), (3, 6, 6)]


def gaussian(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def unitary(n: int, dtype: torch.dtype, seed: int) -> torch.Tensor:
    return torch.linalg.qr(gaussian(n, n, dtype=dtype, seed=seed)).Q


@pytest.mark.parametrize("method", ["svd", "polar_express"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_short_side_is_orthonormal_and_the_rest_is_positive(method, dtype, shape):
    m = gaussian(*shape, dtype=dtype)
    q = polar(m, method, steps=12)
    wide = q if shape[-2] <= shape[-1] else q.mH
    tolerance = 1e-5 if torch.finfo(dtype).eps > 1e-10 else 1e-12
    eye = torch.eye(wide.shape[-2], dtype=dtype).expand(*wide.shape[:-1], wide.shape[-2])
    torch.testing.assert_close(wide @ wide.mH, eye, atol=tolerance, rtol=0)
    stretch = q.mH @ m if shape[-2] >= shape[-1] else m @ q.mH  # M = Q H, H Hermitian positive
    torch.testing.assert_close(stretch, stretch.mH, atol=20 * tolerance, rtol=0)
    assert torch.linalg.eigvalsh(stretch).min() > 0


@pytest.mark.parametrize("method", ["svd", "jordan5", "polar_express"])
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
    for method in ("svd", "polar_express"):
        torch.testing.assert_close(polar(10.0**power * m, method), polar(m, method), atol=1e-3, rtol=0)


@pytest.mark.parametrize("method", ["svd", "jordan5", "polar_express"])
def test_a_zero_matrix_gives_a_zero_update(method):
    assert not polar(torch.zeros(2, 3, 4), method).any()


def test_svd_leaves_the_null_space_alone():
    low_rank = gaussian(8, 2, dtype=torch.float32) @ gaussian(2, 9, dtype=torch.float32, seed=1)
    singular = torch.linalg.svdvals(polar(low_rank, "svd"))
    torch.testing.assert_close(singular, torch.tensor([1.0, 1, 0, 0, 0, 0, 0, 0]), atol=1e-5, rtol=0)


def test_jordan_leaves_singular_values_near_one():
    singular = torch.linalg.svdvals(polar(gaussian(64, 256), "jordan5"))
    assert singular.min() > 0.6
    assert singular.max() < 1.25


def test_unknown_methods_are_refused():
    with pytest.raises(ValueError, match="'qdwh'"):
        polar(torch.eye(2), "qdwh")
    with pytest.raises(ValueError, match="at least one step"):
        polar(torch.eye(2), "polar_express", steps=0)
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        polar(torch.ones(3))
