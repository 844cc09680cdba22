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


def test_type_and_shape_are_those_of_the_right_hand_side_and_what_is_not_solved_has_no_gradient():
    A = sparse(dominant(9), 9)
    x = differentiable_solve(A.to_sparse_csr(), seeded(9).float().double())
    assert (x.shape, x.dtype) == ((9,), torch.float64)
    with pytest.raises(UsageError, match="expected A"):
        differentiable_solve(A, seeded(8))
    with pytest.raises(UsageError, match="no gradient"):
        differentiable_solve(A, seeded(9), method="fgmres", preconditioner="none", maxiter=1, rtol=1e-12)
