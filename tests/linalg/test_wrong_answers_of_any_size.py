"""Right-hand sides from 1e-300 to 1e300, each column its own: "converged" is never said above the tolerance, and is said where x exists.

The check is independent of the library and of every rounding: b - A x in rational numbers, from the entries as they are stored.
"""

from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla
import torch

from pdeflow.errors import UsageError
from pdeflow.linalg import Reason, block_cg
from pdeflow.linalg.conjugate_window import inner, magnitude, norm
from pdeflow.linalg.deep_conjugate_directions import dcdm
from pdeflow.linalg.differentiable import differentiable_solve
from pdeflow.linalg.refinement import refine

DECADES = {torch.float32: 30, torch.float64: 300}
RTOL = {torch.float32: 1e-4, torch.float64: 1e-8}
SAID = (Reason.converged, Reason.converged_fallback, Reason.zero_rhs)


def exact_residual(A, b, x):
    """‖b - A x‖ / ‖b‖ (absolute where b = 0) and ‖|A| |x|‖ / ‖b‖, of which rounding is a share, without any rounding of b - A x."""
    rows = [[Fraction(float(value)) for value in row] for row in np.asarray(A)]
    right, point = ([Fraction(float(value)) for value in v] for v in (b, x))
    unit = max(map(abs, right)) or Fraction(1)
    parts = [
        (value - sum(a * y for a, y in zip(row, point, strict=True)), sum(abs(a * y) for a, y in zip(row, point, strict=True)))
        for row, value in zip(rows, right, strict=True)
    ]
    size = np.linalg.norm([float(value / unit) for value in right]) or 1.0
    return tuple(np.linalg.norm([float(part / unit) for part in column]) / size for column in zip(*parts, strict=True))


def positive_definite(rng, n):
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    A = Q * 10.0 ** rng.uniform(0, 1, n) @ Q.T
    return (A + A.T) / 2


def scaled(rng, count, n, decades):
    """Columns of any size, among them zeros."""
    sizes = 10.0 ** rng.uniform(-decades, decades, (count, 1)) * (rng.random((count, 1)) > 0.1)
    return rng.standard_normal((count, n)) * sizes


def check(A, b, x, reasons, rtol, eps):
    """What was wrongly claimed, and how many columns converged."""
    claimed = [k for k, reason in enumerate(reasons) if reason in SAID]
    for k in claimed:
        assert np.all(np.isfinite(x[k]))
        residual, rounding = exact_residual(A, b[k], x[k])
        assert residual <= rtol + 20 * eps * (1 + rounding), (k, reasons[k], residual)
        assert (reasons[k] is Reason.zero_rhs) == (not b[k].any())
    return len(claimed)


def networks(rng, n, dtype):
    W = torch.from_numpy(rng.standard_normal((n, n))).to(dtype)
    return (torch.clone, lambda r: r @ W, lambda r: torch.relu(r @ W) - 0.1, torch.zeros_like, lambda r: r * float("nan"), lambda r: 1e-300 * r)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("part", range(4))
def test_deep_conjugate_directions(part, dtype):
    count = done = 0
    for index in range(part, 120, 4):
        rng = np.random.default_rng(index)
        n, R = int(rng.integers(2, 12)), int(rng.integers(1, 5))
        A, b = positive_definite(rng, n), torch.from_numpy(scaled(rng, R, n, DECADES[dtype])).to(dtype)
        dense = torch.from_numpy(A).to(dtype)
        kinds = (sp.csr_array(A), sla.aslinearoperator(A), torch.from_numpy(A), dense.to_sparse(), lambda v, dense=dense: v @ dense)
        network, guard = networks(rng, n, dtype)[rng.integers(6)], str(rng.choice(["switch", "multi"]))
        x0 = b * float(rng.standard_normal()) if rng.random() < 0.3 else None
        found = dcdm(kinds[rng.integers(len(kinds))], b, network, x0, guard=guard, rtol=RTOL[dtype], maxiter=300)
        done += check(A, b.numpy(), found.x.numpy(), found.reasons, RTOL[dtype], torch.finfo(dtype).eps)
        count += R
    assert done == count


@pytest.mark.parametrize("part", range(4))
def test_refinement(part):
    for index in range(part, 80, 4):
        rng = np.random.default_rng(1000 + index)
        n, R = int(rng.integers(2, 12)), int(rng.integers(1, 5))
        A, b = positive_definite(rng, n), torch.from_numpy(scaled(rng, R, n, 300))
        sixteen = torch.linalg.inv(torch.from_numpy(A)).to(torch.bfloat16)
        by = (lambda r, A=A: dcdm(sp.csr_array(A), r, torch.clone, rtol=1e-3), torch.float32), (lambda r, M=sixteen: r @ M, torch.bfloat16)
        inverse, dtype = by[rng.integers(2)]
        found = refine(torch.from_numpy(A), b, inverse, rtol=1e-12, dtype=dtype, maxiter=60)
        assert check(A, b.numpy(), found.x.numpy(), found.reasons, 1e-12, 2.0**-52) == R


@pytest.mark.parametrize("part", range(2))
def test_block_conjugate_gradients(part):
    for index in range(part, 60, 2):
        rng = np.random.default_rng(2000 + index)
        n, s = int(rng.integers(2, 12)), int(rng.integers(1, 5))
        A, b = positive_definite(rng, n), scaled(rng, s, n, 300)
        X0 = rng.standard_normal() * b.T if rng.random() < 0.3 else None
        found = block_cg(A, b.T, X0)
        assert check(A, b, [solution.x for solution in found], [solution.reason for solution in found], 1e-8, 2.0**-52) == s


def test_a_differentiable_solve_and_its_gradients_of_any_size():
    for index in range(30):
        rng = np.random.default_rng(3000 + index)
        n, decades = int(rng.integers(2, 12)), int(rng.choice([140, 290]))
        A, b = (torch.from_numpy(v).requires_grad_() for v in (positive_definite(rng, n), scaled(rng, 3, n, decades)))
        x = differentiable_solve(A, b)
        g = torch.from_numpy(scaled(rng, 3, n, decades))
        adjoint, entries = torch.autograd.grad(x, (b, A), g)
        for right, solution in ((b, x), (g, adjoint)):
            for v, w in zip(right.detach().numpy(), solution.detach().numpy(), strict=True):
                assert exact_residual(A.detach().numpy(), v, w)[0] <= 1e-8
        if decades == 140:  # products of the two stay in float64
            torch.testing.assert_close(entries, -(adjoint.mT @ x).detach())


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 3e38), (torch.float32, 3e-45), (torch.float64, 1.5e308), (torch.float64, 1e-323)])
def test_an_x_that_its_type_cannot_hold_is_not_called_converged(dtype, size):
    """x = 1.4 b overflows, and at the other end b - A x cannot be smaller than the distance between two numbers."""
    n = 40
    A = sp.diags_array([-1.0, 2.7, -1.0], offsets=[-1, 0, 1], shape=(n, n))
    b = torch.full((1, n), size, dtype=dtype)
    solutions = [dcdm(A, b, torch.clone, rtol=1e-5, window=n)]
    if dtype == torch.float64:
        solutions.append(refine(A, b, lambda r: dcdm(A, r, torch.clone, rtol=1e-3)))
    for found in solutions:
        assert not found.converged.any()
        if size > 1:
            assert found.reasons == (Reason.nonfinite,)
        else:
            assert found.reasons == (Reason.stagnated,)
            assert float(found.residual) == pytest.approx(exact_residual(A.toarray(), b[0].numpy(), found.x[0].numpy())[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_iterates_scale_with_the_right_hand_side_bit_by_bit(dtype):
    """A power of two changes no digit: neither of x nor of the residuals."""
    rng = np.random.default_rng(0)
    A, b = positive_definite(rng, 9), torch.from_numpy(rng.standard_normal((1, 9))).to(dtype)
    power = 2.0 ** (100 if dtype == torch.float32 else 900)
    one = dcdm(sp.csr_array(A), b, torch.clone, rtol=1e-4)
    for factor in (power, 1 / power):
        other = dcdm(sp.csr_array(A), factor * b, torch.clone, rtol=1e-4)
        assert torch.equal(other.x, factor * one.x)
        assert torch.equal(other.residual_norms, factor * one.residual_norms)
        assert torch.equal(other.residual, one.residual)


def test_tolerances_are_absolute_in_the_units_of_b():
    A, b = sp.eye_array(5), torch.full((3, 5), 1e-200, dtype=torch.float64)
    b[1:] = 1e-180
    for found in (dcdm(2 * A, b, torch.clone, rtol=0.0, atol=1e-190), refine(2 * A, b, lambda r: r / 2, rtol=0.0, atol=1e-190)):
        assert [k > 0 for k in found.iterations.tolist()] == [False, True, True]
        assert found.converged.all()
    seen = []
    dcdm(2 * A, b, torch.clone, maxiter=1, guard=None, stop=lambda k, now: seen.append(now))
    torch.testing.assert_close(seen[0], 5**0.5 * b[:, 0])


def test_norms_neither_under_nor_overflow():
    for size in (5e-324, 1e-300, 1.0, 1e300, 1.7e308):
        u = torch.zeros(2, 3, 4, dtype=torch.float64)
        u[1, 2, 3] = -size
        assert norm(u).tolist() == [0.0, size]
        nothing, power = magnitude(u).tolist()
        assert nothing == 1
        assert 1 <= size / power < 2
    tiny = torch.full((1, 4), 1e-30)
    assert float(inner(tiny, tiny)) == 4 * float(tiny[0, 0]) ** 2  # in float32 a product is 0


def test_a_scale_of_the_matrix_does_not_matter_either():
    A = positive_definite(np.random.default_rng(0), 8)
    b = torch.ones(1, 8, dtype=torch.float64)
    one = dcdm(torch.from_numpy(A), b, torch.clone)
    for power in (-800, 800):
        found = dcdm(torch.from_numpy(A * 2.0**power), b, torch.clone)
        assert torch.equal(found.x, one.x * 2.0**-power)
        assert found.converged.all()


def test_what_is_no_null_space_is_refused():
    """Else the residual would be that of another problem: for this one it fell to 3e-7 where b - A x was 0.86 of b."""
    T = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(12, 12))
    A, v = sp.kronsum(T, T, format="csr"), torch.linspace(0, 1, 144, dtype=torch.float64)[None]
    for b in (v, v.float(), 1e200 * v):
        for nullspace in ("constant", torch.ones(1, 144), np.eye(2, 144)):
            with pytest.raises(UsageError, match="the declared null space is not one"):
                dcdm(A, b, torch.clone, nullspace=nullspace)


def test_an_infinite_unknown_behind_an_empty_column_is_no_solution():
    line = sp.diags_array([np.full(20, 2.0), -np.ones(19), -np.ones(19)], offsets=[0, 1, -1]).tolil()
    line[:, 7] = 0
    Z = sp.csr_array(line)
    x = torch.linspace(1, 2, 20, dtype=torch.float64)
    b = torch.as_tensor(Z @ x.numpy())[None]
    hidden = x.clone()
    hidden[7] = torch.inf
    assert refine(Z, b, lambda r: x[None] * (norm(r) / norm(b))[:, None]).converged.all()
    found = refine(Z, b, lambda r: hidden[None] * (norm(r) / norm(b))[:, None])
    assert found.reasons == (Reason.nonfinite,)
