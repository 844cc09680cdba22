import math

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from pdeflow.linalg.operators import apply, apply_stencil, diagonal, face_conductances

SHAPES = [(7,), (5, 8), (4, 3, 5)]


def random_field(shape, seed=0):
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 0.2


def assembled(coefficient, spacing, mean):
    """The same operator, entry by entry: a loop over cells and neighbours."""
    a, index = coefficient.numpy(), np.arange(coefficient.numel()).reshape(coefficient.shape)
    matrix = sp.lil_matrix((a.size, a.size))
    for cell in np.ndindex(*a.shape):
        for k, h in enumerate(spacing):
            area = math.prod(spacing) / h
            for move in (-1, 1):
                other = tuple(c + move * (axis == k) for axis, c in enumerate(cell))
                if not 0 <= other[k] < a.shape[k]:
                    matrix[index[cell], index[cell]] += 2 * a[cell] * area / h
                    continue
                value = 2 / (1 / a[cell] + 1 / a[other]) if mean == "harmonic" else (a[cell] + a[other]) / 2
                matrix[index[cell], index[cell]] += value * area / h
                matrix[index[cell], index[other]] -= value * area / h
    return matrix.tocsr()


@pytest.mark.parametrize("mean", ["harmonic", "arithmetic"])
@pytest.mark.parametrize("shape", SHAPES)
def test_stencil_equals_the_assembled_matrix(shape, mean):
    spacing = (0.3, 0.5, 0.2)[: len(shape)]
    a, u = random_field(shape), random_field(shape, seed=1)
    A = assembled(a, spacing, mean)
    np.testing.assert_allclose(
        apply_stencil(u, a, spacing, mean).flatten(), A @ u.flatten().numpy(), rtol=1e-12
    )
    np.testing.assert_allclose(
        diagonal(face_conductances(a, spacing, mean)).flatten(), A.diagonal(), rtol=1e-14
    )


def test_leading_axes_are_a_batch_and_broadcast():
    a, u = random_field((3, 1, 6, 4)), random_field((1, 2, 6, 4), seed=1)
    together = apply(u, face_conductances(a, (1.0, 2.0)))
    assert together.shape == (3, 2, 6, 4)
    torch.testing.assert_close(
        together[2, 1], apply_stencil(u[0, 1], a[2, 0], (1.0, 2.0)), rtol=1e-14, atol=0
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_operator_is_symmetric_and_positive(shape):
    faces = face_conductances(random_field(shape), (1.0,) * len(shape))
    u, v = random_field(shape, 1) - 0.7, random_field(shape, 2) - 0.7
    assert (v * apply(u, faces)).sum() == pytest.approx(float((u * apply(v, faces)).sum()), rel=1e-12)
    assert (u * apply(u, faces)).sum() > 0


@pytest.mark.parametrize("mean", ["harmonic", "arithmetic"])
def test_solution_converges_at_second_order_for_a_smooth_coefficient(mean):
    errors = []
    for n in (8, 16, 32):
        spacing = (1 / n, 2 / n)  # the rectangle [0, 1] × [0, 2]
        x, y = torch.meshgrid(
            *((torch.arange(n, dtype=torch.float64) + 0.5) * h for h in spacing), indexing="ij"
        )
        pi, a = math.pi, 1 + x * y
        u = torch.sin(pi * x) * torch.sin(pi * y)
        u_x, u_y = pi * torch.cos(pi * x) * torch.sin(pi * y), pi * torch.sin(pi * x) * torch.cos(pi * y)
        f = 2 * pi**2 * a * u - y * u_x - x * u_y  # -∇·(a∇u)
        unit = torch.eye(n * n, dtype=torch.float64).reshape(n * n, n, n)
        A = apply_stencil(unit, a, spacing, mean).flatten(1)
        b = math.prod(spacing) * f.flatten()
        errors.append((torch.linalg.solve(A, b) - u.flatten()).abs().max().item())
    assert math.log2(errors[1] / errors[2]) == pytest.approx(2.0, abs=0.1)


def test_harmonic_faces_are_exact_for_a_jump_on_a_face():
    a = torch.tensor([3.0, 3.0, 12.0, 12.0], dtype=torch.float64)  # -(a u')' = 0 inside, flux 1 from the left
    u = torch.tensor([1 / 24, 3 / 24, 4 / 24 + 1 / 96, 4 / 24 + 3 / 96], dtype=torch.float64)  # u' = 1 / a
    inner = apply_stencil(u, a, (0.25,))[1:-1]
    torch.testing.assert_close(inner, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-14)
    assert apply_stencil(u, a, (0.25,), "arithmetic")[1:-1].abs().max() > 0.1


def test_wrong_input_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"grid\.spacing"):
        face_conductances(torch.ones(4), (1.0, 1.0))
    with pytest.raises(ValueError, match="harmonic"):
        face_conductances(torch.ones(4), (1.0,), "geometric")
