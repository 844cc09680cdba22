"""Gradients through a linear solve: against finite differences, to second order."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from pdeflow.errors import UsageError
from pdeflow.linalg import operators
from pdeflow.linalg.differentiable import differentiable_solve

METHODS = ({"method": "direct"}, {"method": "fcg", "preconditioner": "jacobi", "rtol": 1e-12}, {"method": "fgmres", "preconditioner": "ilu", "rtol": 1e-12})


def seeded(*shape, dtype=torch.float64, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def pattern(n):
    """Indices of a symmetric pattern: a ring with its diagonal."""
    i = torch.arange(n)
    return torch.cat((torch.stack((i, i)), torch.stack((i, (i + 1) % n)), torch.stack(((i + 1) % n, i))), 1)


def sparse(values, n):
    return torch.sparse_coo_tensor(pattern(n), values, (n, n), check_invariants=True)


def dominant(n, dtype=torch.float64):
    """Entries on the pattern of a symmetric positive definite matrix."""
    off = 0.5 * seeded(n, dtype=dtype)
    return torch.cat((3.0 + seeded(n).abs().to(dtype), off, off))


@pytest.mark.parametrize("options", METHODS)
@pytest.mark.parametrize("right", [(7,), (3, 7)])
def test_gradients_of_entries_and_right_hand_sides(options, right):
    if options["method"] == "fcg":  # for symmetric matrices: both entries of a pair move together
        def through(diagonal, off, b):
            return differentiable_solve(sparse(torch.cat((diagonal, off, off)), 7), b, **options)

        values = dominant(7)
        inputs = (values[:7], values[7:14], seeded(*right, seed=1))
    else:
        def through(values, b):
            return differentiable_solve(sparse(values, 7), b, **options)

        inputs = (dominant(7) + 0.1 * seeded(21, seed=2), seeded(*right, seed=1))
    assert gradcheck(through, [v.requires_grad_() for v in inputs])


def test_gradients_of_a_dense_complex_system_and_of_second_order():
    A = (seeded(4, 4, dtype=torch.complex128) + 4 * torch.eye(4)).requires_grad_()
    b = seeded(2, 4, dtype=torch.complex128, seed=1).requires_grad_()
    assert gradcheck(differentiable_solve, (A, b))
    assert gradgradcheck(differentiable_solve, (A, b))
    torch.testing.assert_close(differentiable_solve(A, b), torch.linalg.solve(A, b.mT).mT)


def test_the_gradient_of_a_coefficient_field():
    """Darcy's coefficient behind its conductances, as an inverse problem would have it."""
    f, n = seeded(6, 5), 30
    cells = torch.arange(n).reshape(6, 5)

    def pressure(a):
        gx, gy = operators.face_conductances(a, (1 / 6, 1 / 5))
        pairs = ((cells[:-1], cells[1:], gx[1:-1]), (cells[:, :-1], cells[:, 1:], gy[:, 1:-1]))
        places = [torch.stack((cells.flatten(), cells.flatten()))]
        values = [operators.diagonal((gx, gy)).flatten()]
        for low, high, g in pairs:
            places += [torch.stack((low.flatten(), high.flatten())), torch.stack((high.flatten(), low.flatten()))]
            values += [-g.flatten(), -g.flatten()]
        A = torch.sparse_coo_tensor(torch.cat(places, 1), torch.cat(values), (n, n), check_invariants=True)
        return differentiable_solve(A, f.flatten(), method="cg", preconditioner="jacobi", rtol=1e-12)

    assert gradcheck(pressure, (torch.exp(0.5 * seeded(6, 5, seed=3)).requires_grad_(),))


def test_the_shape_is_that_of_the_right_hand_side_and_what_is_not_solved_has_no_gradient():
    A = sparse(dominant(9), 9)
    x = differentiable_solve(A.to_sparse_csr(), seeded(9))
    assert (x.shape, x.dtype) == ((9,), torch.float64)
    with pytest.raises(UsageError, match="expected A"):
        differentiable_solve(A, seeded(8))
    with pytest.raises(UsageError, match="no gradient"):
        differentiable_solve(A, seeded(9), method="fgmres", preconditioner="none", maxiter=1, rtol=1e-12)


def test_the_type_is_that_to_which_the_two_promote_and_views_are_taken_as_what_they_show():
    A, b = seeded(4, 4) + 4 * torch.eye(4), seeded(4, seed=1)
    exact = torch.linalg.solve(A, b)
    for one, other in ((torch.float64, torch.float32), (torch.float32, torch.float64), (torch.bfloat16, torch.bfloat16), (torch.float64, torch.complex64)):
        wanted = torch.promote_types(one, other)
        x = differentiable_solve(A.to(one), b.to(other))
        assert x.dtype == wanted
        torch.testing.assert_close(x, exact.to(wanted), rtol=0, atol=4 * max(torch.finfo(one).eps, torch.finfo(other).eps))
    Z, z = torch.complex(seeded(4, 4, seed=2), A), torch.complex(seeded(4, seed=3), b)
    torch.testing.assert_close(differentiable_solve(Z.conj(), z.conj()), torch.linalg.solve(Z, z).conj().resolve_conj())
    torch.testing.assert_close(differentiable_solve(Z.conj().imag, z.conj().imag), exact)  # both signs turn
    torch.testing.assert_close(differentiable_solve(torch.tensor([[2.0, 0.0], [0.0, 4.0]]), torch.tensor([1, 1])), torch.tensor([0.5, 0.25]))
    with pytest.raises(UsageError, match=r"int64 on cpu; use A.double"):
        differentiable_solve(torch.tensor([[2, 0], [0, 4]]), torch.tensor([1, 1]))
    with pytest.raises(UsageError, match="got list and Tensor"):
        differentiable_solve([[1.0]], b)
    with pytest.raises(UsageError, match="atol cannot hold"):
        differentiable_solve(A, b, atol=1.0)
    with pytest.raises(UsageError, match=r"nonfinite.*divide b by its size"):
        differentiable_solve(1e-3 * A, 1e307 * b)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_a_cotangent_may_have_any_size(dtype):
    """The gradient is linear in it: a power of two changes no digit."""
    A = (seeded(4, 4, dtype=dtype) + 4 * torch.eye(4)).requires_grad_()
    b = seeded(2, 4, dtype=dtype, seed=1).requires_grad_()
    gradients = []
    for power in (0, -900, 900):
        gradients.append(torch.autograd.grad((2.0**power * differentiable_solve(A, b)).sum().abs(), (A, b)))
    for power, (entries, right) in zip((0, -900, 900), gradients, strict=True):
        torch.testing.assert_close(entries * 2.0**-power, gradients[0][0], rtol=1e-14, atol=0)
        torch.testing.assert_close(right * 2.0**-power, gradients[0][1], rtol=1e-14, atol=0)
