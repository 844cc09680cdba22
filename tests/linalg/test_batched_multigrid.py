"""Many diffusion problems at once: agreement with a direct solve, counts that no grid changes, and honest verdicts."""

from itertools import product
from math import prod

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import spsolve

from pdeflow import seeds
from pdeflow.discretization.finite_volume import diffusion_system
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid
from pdeflow.linalg import operators
from pdeflow.linalg.batched_multigrid import solve_batch
from pdeflow.linalg.batched_stencil import interior, pad
from pdeflow.linalg.black_box_multigrid import BatchedVCycle
from pdeflow.problems import Darcy, LogNormalDarcy

LOG_NORMAL, CONTRAST_4, CONTRAST_3000 = LogNormalDarcy(), Darcy(), Darcy(low=1e-3, high=3.0)
PROBLEMS = [LOG_NORMAL, CONTRAST_4, CONTRAST_3000]
NAMES = ["log-normal", "contrast 4", "contrast 3000"]
BOXES = [
    ((9, 14), (1.0, 1.0)), ((33, 17), (1.0, 1.0)), ((64, 15), (0.02, 0.31)), ((1, 40), (0.3, 1.0)), ((2, 3), (1.0, 2.0)),
    ((9, 12, 7), (1.0, 1.0, 1.0)), ((16, 5, 11), (0.1, 0.7, 0.2)), ((101,), (0.1,)),
]  # fmt: skip


def coefficients(problem, shape, count):
    """Coefficients of the first draws, shape (count, *shape), and their grid."""
    grid = problem.grid(shape)
    draws = [problem.sample(seeds.generator(0, seeds.SOLVE, i)) for i in range(count)]
    return torch.stack([draw.fields["a"].on(grid) for draw in draws]), grid


def rough(shape, count, decades=4.0):
    """White noise in the exponent: no two neighbours have anything in common."""
    generator = torch.Generator().manual_seed(5)
    return 10 ** (decades * (torch.rand(count, *shape, dtype=torch.float64, generator=generator) - 0.5))


def noise(like):
    return torch.randn(like.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(6))


def systems(a, f, spacing):
    """The same problems as assembled matrices."""
    grid = Grid.uniform(tuple(a.shape[1:]), [(0.0, n * h) for n, h in zip(a.shape[1:], spacing, strict=True)])
    return [diffusion_system(grid, *pair) for pair in zip(a, f, strict=True)]


def matrix(apply, shape):
    """Columns of a linear map of fields with ghost cells, from one batch of unit vectors."""
    n = prod(shape)
    found = apply(pad(torch.eye(n, dtype=torch.float64).reshape(*shape, n)))
    return found[interior(shape)].reshape(n, n).numpy().copy()


def cycle_of(a, spacing, coarsest=4):
    """The preconditioner of one coefficient, repeated for as many right-hand sides as it has cells."""
    many = a.expand(prod(a.shape), *a.shape)
    return BatchedVCycle.setup(operators.face_conductances(many, spacing), spacing, coarsest)


@pytest.mark.parametrize("problem", PROBLEMS, ids=NAMES)
def test_solutions_agree_with_a_direct_solve_to_the_condition_of_the_matrix(problem):
    a, grid = coefficients(problem, (24, 24), 3)
    f = noise(a)
    found = solve_batch(a, f, grid.spacing())
    assert found.converged.all()
    for x, system in zip(found.x, systems(a, f, grid.spacing()), strict=True):
        exact = spsolve(system.A, system.b)
        error = np.linalg.norm(x.numpy().ravel() - exact) / np.linalg.norm(exact)
        assert error <= 1e-8 * np.linalg.cond(system.A.toarray())


@pytest.mark.parametrize(("problem", "most"), zip(PROBLEMS, (10, 10, 16), strict=True), ids=NAMES)
def test_the_number_of_iterations_does_not_grow_with_the_grid(problem, most):
    counts = []
    for n in (32, 64, 127, 128, 256):
        a, grid = coefficients(problem, (n, n), 4)
        found = solve_batch(a, torch.ones_like(a), grid.spacing())
        assert found.converged.all()
        counts.append(int(found.iterations.max()))
    assert max(counts) <= most


@pytest.mark.parametrize(("shape", "spacing"), BOXES, ids=str)
def test_any_shape_and_spacing_is_solved_and_the_verdict_is_the_recomputed_residual(shape, spacing):
    a = rough(shape, 3, decades=2.0)
    f = noise(a)
    found = solve_batch(a, f, spacing)
    assert found.converged.all()
    assert int(found.iterations.max()) <= 16
    for x, claimed, system in zip(found.x, found.residual, systems(a, f, spacing), strict=True):
        r = system.b - system.A @ x.numpy().ravel()
        residual = np.linalg.norm(r) / np.linalg.norm(system.b)
        assert residual <= 1e-8
        assert residual == pytest.approx(float(claimed), rel=1e-3, abs=1e-14)


def test_a_batch_gives_what_its_samples_give_one_by_one():
    shape, spacing = (40, 33), (1.0, 1.3)
    a = torch.cat([rough(shape, 3, decades) for decades in (0.1, 2.0, 6.0)])
    f = noise(a)
    together = solve_batch(a, f, spacing)
    for i in range(len(a)):
        alone = solve_batch(a[i : i + 1], f[i : i + 1], spacing)
        assert (alone.x[0] - together.x[i]).norm() <= 1e-12 * alone.x.norm()
        assert alone.iterations[0] == together.iterations[i]
    assert len(set(together.iterations.tolist())) > 2  # samples left at different times


@pytest.mark.parametrize(
    ("shape", "spacing"), [((9, 8), (1.0, 1.0)), ((5, 4, 3), (1.0, 1.0, 1.0)), ((16, 3), (0.1, 1.0))]
)
@pytest.mark.parametrize("decades", [0.0, 4.0, 8.0])
def test_the_preconditioner_is_symmetric_and_its_spectrum_lies_between_zero_and_one(shape, spacing, decades):
    M = cycle_of(rough(shape, 1, decades)[0], spacing)
    assert len(M.levels) >= 2
    B, A = matrix(lambda r: M @ r, shape), matrix(M.apply, shape)
    assert np.abs(B - B.T).max() <= 1e-12 * np.abs(B).max()
    assert np.linalg.eigvalsh((B + B.T) / 2).min() > 0
    factor = np.linalg.cholesky((B + B.T) / 2)
    spectrum = np.linalg.eigvalsh(factor.T @ A @ factor)  # that of M A: a variational cycle damps any error
    assert 0 < spectrum.min() <= spectrum.max() <= 1 + 1e-10


@pytest.mark.parametrize("shape", [(9, 8), (7, 4, 5)])
def test_every_coarse_matrix_is_the_galerkin_product(shape):
    M = cycle_of(rough(shape, 1)[0], (1.0,) * len(shape))
    for fine, coarse in zip(M.levels[:-1], M.levels[1:], strict=True):
        c = noise(coarse.u[interior(coarse.shape)])
        u, back = torch.zeros_like(fine.u), torch.zeros_like(coarse.u)
        for cells, points, weight in fine.transfers:
            u[cells] += pad(c)[points] * (1.0 if weight is None else weight)
        r = fine.apply(u)
        for cells, points, weight in fine.transfers:
            back[points] += r[cells] * (1.0 if weight is None else weight)
        torch.testing.assert_close(coarse.apply(pad(c)), back, rtol=1e-11, atol=1e-11)


def test_interpolation_reproduces_constants_away_from_the_walls():
    level = cycle_of(rough((16, 16), 1)[0], (1.0, 1.0)).levels[0]
    u = torch.zeros_like(level.u)
    for cells, points, weight in level.transfers:
        u[cells] += torch.ones_like(u)[points] * (1.0 if weight is None else weight)
    torch.testing.assert_close(u[3:-3, 3:-3], torch.ones_like(u[3:-3, 3:-3]), rtol=1e-12, atol=0)


def test_a_sample_that_needs_more_steps_is_reported_and_the_others_are_as_without_it():
    easy, hard = coefficients(LOG_NORMAL, (32, 32), 3)[0], rough((32, 32), 1, 14.0)
    a, spacing = torch.cat((easy[:1], hard, easy[1:])), (1 / 32, 1 / 32)
    f = torch.ones_like(a)
    found, without = solve_batch(a, f, spacing, maxiter=12), solve_batch(easy, f[1:], spacing)
    assert found.converged.tolist() == [True, False, True, True]
    assert found.iterations[1] == 12
    system = systems(hard, f[:1], spacing)[0]
    r = system.b - system.A @ found.x[1].numpy().ravel()
    assert float(found.residual[1]) == pytest.approx(np.linalg.norm(r) / np.linalg.norm(system.b), rel=1e-6)
    assert found.residual[1] > 1e-8
    torch.testing.assert_close(found.x[[0, 2, 3]], without.x, rtol=1e-12, atol=0)


def test_no_tolerance_is_claimed_that_rounding_does_not_allow():
    a, grid = coefficients(CONTRAST_3000, (64, 64), 2)
    strict = solve_batch(a, torch.ones_like(a), grid.spacing(), rtol=1e-17)
    assert not strict.converged.any()
    assert strict.residual.max() < 1e-11


def test_single_precision_inside_reaches_the_same_tolerance_in_about_as_many_steps():
    a, grid = coefficients(CONTRAST_4, (64, 64), 4)
    double = solve_batch(a, torch.ones_like(a), grid.spacing(), rtol=1e-10)
    single = solve_batch(a, torch.ones_like(a), grid.spacing(), rtol=1e-10, cycle=torch.float32)
    assert single.converged.all()
    assert (single.iterations - double.iterations).abs().max() <= 1


def test_sources_of_any_size_are_solved_and_zero_gives_zero():
    a = rough((12, 13), 4, 1.0)
    f = noise(a) * torch.tensor([1.0, 1e-200, 1e200, 0.0], dtype=torch.float64).reshape(-1, 1, 1)
    found = solve_batch(a, f, (1.0, 1.0))
    assert found.converged.all()
    assert found.iterations.tolist()[3] == 0
    assert not found.x[3].any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"a": lambda a: a.index_fill(0, torch.tensor(1), 0.0)}, "positive and finite.*1 samples, first 1"),
        ({"a": lambda a: a * float("nan")}, "positive and finite"),
        ({"f": lambda f: f / 0}, "source must be finite"),
        ({"f": lambda f: f[0]}, "one shape"),
        ({"spacing": lambda h: (1.0,)}, "spacing per axis"),
        ({"spacing": lambda h: (1.0, 0.0)}, "positive spacings"),
        ({"a": lambda a: a + 1j}, "real"),
        ({"rtol": lambda r: 0.0}, "rtol"),
        ({"cycle": lambda c: torch.float16}, "float32"),
    ],
)
def test_wrong_arguments_are_refused(change, words):
    good = {
        "a": torch.ones(3, 8, 8),
        "f": torch.ones(3, 8, 8),
        "spacing": (1.0, 1.0),
        "rtol": 1e-8,
        "cycle": torch.float64,
    }
    with pytest.raises(UsageError, match=words):
        solve_batch(**{name: change.get(name, lambda v: v)(value) for name, value in good.items()})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(
    ("shape", "cycle"), product([(64, 64), (33, 20), (12, 11, 13)], [torch.float64, torch.float32])
)
def test_a_gpu_gives_what_the_cpu_gives(shape, cycle):
    a, spacing = rough(shape, 5, 2.0), (1.0,) * len(shape)
    f = noise(a)
    here = solve_batch(a, f, spacing, cycle=cycle)
    there = solve_batch(a.cuda(), f.cuda(), spacing, cycle=cycle)
    assert there.converged.all()
    assert (there.iterations.cpu() - here.iterations).abs().max() <= 1
    assert (there.x.cpu() - here.x).norm() <= 1e-6 * here.x.norm()
