import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pdeflow.discretization import diffusion_system
from pdeflow.geometry import Grid
from pdeflow.linalg import Reason, operators, solve
from pdeflow.linalg.deep_conjugate_directions import dcdm
from pdeflow.losses.energy import log_energy_loss, mixed_noise
from pdeflow.models.learned_v_cycle import LearnedVCycle
from pdeflow.models.v_cycle_levels import coarsen, prolong, restrict, setup_levels
from tests.trained_cycle import trained_cycle


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def two_phase(*shape, seed=0, batch=1):
    """A coefficient 12 or 3 with random blobs, the same function of space on every grid."""
    waves = torch.arange(1, 6, dtype=torch.float64)
    c = torch.randn(batch, 5, 5, dtype=torch.float64, generator=seeded(seed)) / (
        waves[:, None] ** 2 + waves**2
    )
    x, y = (torch.cos(math.pi * waves * (torch.arange(n)[:, None] + 0.5) / n) for n in shape)
    return torch.where(x @ c @ y.T >= 0, 12.0, 3.0).double()[:, None]


def random_cycle(seed=0):
    """Even stencils without any other structure."""
    cycle = LearnedVCycle()
    with torch.no_grad():
        for parameter in cycle.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=seeded(seed)))
    return cycle


CYCLES = [LearnedVCycle, trained_cycle, random_cycle]


def system_of(coefficient, bounds=((0.0, 1.0), (0.0, 1.0))):
    grid = Grid.uniform(coefficient.shape[2:], bounds)
    return SimpleNamespace(grid=grid, coefficient=coefficient[0, 0].numpy(), mask=None)


def pcg_iterations(coefficient, M, rtol=1e-8):
    n, faces = coefficient[0, 0].numel(), operators.face_conductances(coefficient, (1.0, 1.0))
    r = np.ones(n)
    stop = rtol * np.linalg.norm(r)
    z = M @ r
    p, rho = z, r @ z
    for k in range(1, 100):
        Ap = operators.apply(torch.from_numpy(p).reshape(coefficient.shape), faces).flatten().numpy()
        r = r - rho / (p @ Ap) * Ap
        if np.linalg.norm(r) <= stop:
            return k
        z = M @ r
        rho, previous = r @ z, rho
        p = z + rho / previous * p
    return 100


@pytest.mark.parametrize("make", CYCLES)
@pytest.mark.parametrize("shape", [(64, 64), (48, 80)])
def test_cycle_is_symmetric_and_linear(make, shape):
    cycle, levels = make(), setup_levels(two_phase(*shape), (1.0, 1.5))
    u, v = torch.randn(2, 1, 1, *shape, dtype=torch.float64, generator=seeded())
    with torch.no_grad():
        Mu, Mv, both = (cycle.cycle(w, levels) for w in (u, v, 2 * u - 3 * v))
    assert len(levels) >= 3
    assert abs((v * Mu).sum() - (u * Mv).sum()) <= 1e-12 * v.norm() * Mu.norm()
    torch.testing.assert_close(both, 2 * Mu - 3 * Mv, rtol=0, atol=1e-12 * float(Mu.abs().max()))


@pytest.mark.parametrize("make", [LearnedVCycle, trained_cycle])
def test_cycle_is_positive_on_the_whole_space(make):
    coefficient = two_phase(32, 32, seed=3)
    M = make().setup(system_of(coefficient), dtype=torch.float64)
    dense = np.column_stack([M @ unit for unit in np.eye(1024)])
    assert M.positive is True
    assert np.linalg.eigvalsh((dense + dense.T) / 2).min() > 0


def test_positivity_is_not_claimed_when_the_smoother_amplifies():
    rough = torch.exp(
        9.2 * torch.rand(1, 1, 32, 32, dtype=torch.float64, generator=seeded())
    )  # white, contrast 1e4
    assert trained_cycle().setup(system_of(rough)).positive is None
    assert LearnedVCycle().setup(system_of(rough)).positive is True


def test_prolongation_is_the_adjoint_of_restriction_and_linear_up_to_the_wall():
    cycle = random_cycle()
    stencil = cycle.transfer.detach().double()[cycle.fold]
    r = torch.randn(1, 1, 12, 8, dtype=torch.float64, generator=seeded())
    e = torch.randn(1, 1, 6, 4, dtype=torch.float64, generator=seeded(1))
    assert (restrict(r, stencil) * e).sum() == pytest.approx(
        float((r * prolong(e, stencil)).sum()), rel=1e-12
    )
    x = (torch.arange(16, dtype=torch.float64) + 0.5)[:, None].expand(16, 16)
    bilinear = LearnedVCycle().transfer.detach().double()[cycle.fold]
    coarse = (x[:8, :8] * 2)[None, None]  # zero at the wall x = 0
    torch.testing.assert_close(prolong(coarse, bilinear)[0, 0, :14, 2:14], x[:14, 2:14])


def test_transfers_through_insulated_sides_are_adjoint_and_keep_constants():
    cycle, sides = random_cycle(), ("x0-", "x1-", "x1+")
    stencil = cycle.transfer.detach().double()[cycle.fold]
    r = torch.randn(1, 1, 12, 8, dtype=torch.float64, generator=seeded())
    e = torch.randn(1, 1, 6, 4, dtype=torch.float64, generator=seeded(1))
    assert (restrict(r, stencil, sides) * e).sum() == pytest.approx(float((r * prolong(e, stencil, sides)).sum()), rel=1e-12)
    bilinear, one = LearnedVCycle().transfer.detach().double()[cycle.fold], torch.ones(1, 1, 8, 8, dtype=torch.float64)
    kept = prolong(one, bilinear, sides)[0, 0]
    torch.testing.assert_close(kept[:14], torch.ones_like(kept[:14]))
    assert float(kept[-1].max()) < 1  # where u = 0


def test_coarse_operator_is_the_rediscretised_one_for_a_constant_coefficient():
    faces = operators.face_conductances(torch.full((1, 1, 8, 12), 3.0), (1.0, 2.0))
    expected = operators.face_conductances(torch.full((1, 1, 4, 6), 3.0), (2.0, 4.0))
    for coarse, face in zip(coarsen(faces), expected, strict=True):
        torch.testing.assert_close(coarse, face)


@pytest.mark.parametrize("make", CYCLES)
@pytest.mark.parametrize("shape", [(16, 16), (64, 64), (48, 80)])
def test_unrolled_steps_equal_the_module(make, shape):
    cycle, coefficient = make(), two_phase(*shape)
    system = system_of(coefficient, ((0.0, 1.0), (0.0, 0.5)))
    r = torch.randn(1, 1, *shape, dtype=torch.float64, generator=seeded())
    with torch.no_grad():
        expected = cycle(r, coefficient, system.grid.spacing()).flatten().numpy()
    for dtype, tolerance in ((torch.float64, 1e-13), (torch.float32, 3e-6)):
        M = cycle.setup(system, dtype)
        for scale in (1.0, 1e-30):  # twice: no state is left, and no underflow
            error = np.abs(M @ (scale * r.flatten().numpy()) / scale - expected).max()
            assert error <= tolerance * np.abs(expected).max()


def test_preconditioner_passes_zero_and_nan_on():
    M = LearnedVCycle().setup(system_of(two_phase(32, 32)))
    assert (M.linear, M.symmetric, M.shape) == (True, True, (1024, 1024))
    assert not (M @ np.zeros(1024)).any()
    assert np.isnan(M @ np.full(1024, np.nan)).all()
    with pytest.raises(ValueError, match="one right-hand side"):
        M @ np.zeros((1024, 2))


def test_untrained_cycle_needs_as_many_iterations_on_every_grid():
    counts = [
        pcg_iterations(a, LearnedVCycle().setup(system_of(a)))
        for a in (two_phase(n, n) for n in (32, 64, 128))
    ]
    assert max(counts) <= 14
    assert all(abs(count - counts[1]) <= 2 for count in counts)


def test_trained_weights_move_to_a_finer_grid():
    for a in (two_phase(128, 128, seed=seed) for seed in range(2)):
        untrained, trained = (
            pcg_iterations(a, make().setup(system_of(a))) for make in (LearnedVCycle, trained_cycle)
        )
        assert trained <= 0.8 * untrained


def test_the_guard_leaves_weights_that_do_not_fit_the_coefficient():
    """White noise of contrast 1e4: trained on two phases, the cycle is worse than untrained; the guard takes multigrid."""
    generator = torch.Generator().manual_seed(0)
    a = torch.exp(9.2 * torch.rand(64, 64, generator=generator, dtype=torch.float64))
    system = diffusion_system(Grid.unit((64, 64)), a, torch.ones_like(a))
    unguarded, guarded, untrained = (
        solve(system, method="fcg", preconditioner=make(), guard=guard, maxiter=400)
        for make, guard in ((trained_cycle, "none"), (trained_cycle, "switch"), (LearnedVCycle, "none"))
    )
    assert untrained.iterations < unguarded.iterations
    assert guarded.reason is Reason.converged_fallback
    assert guarded.switched_at is not None
    assert guarded.iterations < untrained.iterations


def test_training_lowers_the_energy_loss():
    cycle, generator = LearnedVCycle(), seeded()
    optimizer = torch.optim.Adam(cycle.parameters(), lr=1e-2)
    losses = []
    for k in range(40):
        coefficient = two_phase(32, 32, seed=k, batch=4)
        levels = setup_levels(coefficient)
        x = mixed_noise(coefficient.shape, generator=generator)
        b = operators.apply(x, levels[0].faces)
        f = cycle.cycle(b, levels)
        loss = log_energy_loss(f, operators.apply(f, levels[0].faces), b, x).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) / 5 < sum(losses[:5]) / 5 - 0.3  # log of the energy left by one step


def test_wrong_input_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"stops at \(63, 63\); take a grid such as \(64, 64\)"):
        setup_levels(torch.ones(1, 1, 63, 63))
    with pytest.raises(ValueError, match="positive coefficient"):
        setup_levels(torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match="None, None"):
        setup_levels(torch.ones(8, 8))
    with pytest.raises(ValueError, match="damping"):
        LearnedVCycle(damping=1.5)
    with pytest.raises(ValueError, match="shape"):
        LearnedVCycle()(torch.ones(1, 1, 8, 8), torch.ones(1, 1, 16, 16))
    with pytest.raises(ValueError, match="use AMG"):
        LearnedVCycle().setup(SimpleNamespace(grid=Grid.unit((8,)), coefficient=np.ones(8)))
    holes = SimpleNamespace(grid=Grid.unit((8, 8)), coefficient=np.ones((8, 8)), mask=np.eye(8, dtype=bool))
    with pytest.raises(ValueError, match="a mask must say what holds at its walls"):
        LearnedVCycle().setup(holes)


def layered(*shape, seed=0):
    """A coefficient in space that varies by a factor of a hundred, smoothly."""
    a = torch.randn(1, 1, *(side // 8 for side in shape), dtype=torch.float64, generator=seeded(seed))
    return torch.exp(1.5 * torch.nn.functional.interpolate(a, shape, mode="trilinear"))


def space_cycle(seed=0):
    cycle = LearnedVCycle(dim=3, coarsest=64)
    with torch.no_grad():
        for parameter in cycle.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=seeded(seed)))
    return cycle


def test_in_space_the_cycle_is_symmetric_linear_and_untrained_positive():
    a, spacing = layered(16, 8, 24), (1.0, 0.7, 1.3)
    cycle, levels = space_cycle(), setup_levels(a, spacing, 64)
    u, v = torch.randn(2, 1, 1, 16, 8, 24, dtype=torch.float64, generator=seeded())
    with torch.no_grad():
        Mu, Mv, both = (cycle.cycle(w, levels) for w in (u, v, 2 * u - 3 * v))
    assert len(levels) == 3
    assert sum(p.numel() for p in cycle.parameters()) == 13
    assert abs((v * Mu).sum() - (u * Mv).sum()) <= 1e-12 * v.norm() * Mu.norm()
    torch.testing.assert_close(both, 2 * Mu - 3 * Mv, rtol=0, atol=1e-12 * float(Mu.abs().max()))
    a = layered(8, 8, 8)
    M = LearnedVCycle(dim=3, coarsest=8).setup(system_in_space(a), torch.float64)
    dense = np.column_stack([M @ unit for unit in np.eye(512)])
    assert M.positive is True
    assert np.linalg.eigvalsh((dense + dense.T) / 2).min() > 0
    amplifying = LearnedVCycle(dim=3, coarsest=8)
    with torch.no_grad():
        amplifying.smoother[0] = 1.9
    assert amplifying.setup(system_in_space(a)).positive is None


def system_in_space(a):
    return diffusion_system(Grid.unit(tuple(a.shape[2:])), a[0, 0], torch.ones_like(a[0, 0]))


def test_in_space_transfers_are_adjoint_and_coarse_operators_rediscretised():
    cycle = space_cycle()
    stencil = cycle.transfer.detach().double()[cycle.fold]
    r = torch.randn(1, 1, 8, 4, 12, dtype=torch.float64, generator=seeded())
    e = torch.randn(1, 1, 4, 2, 6, dtype=torch.float64, generator=seeded(1))
    assert (restrict(r, stencil) * e).sum() == pytest.approx(float((r * prolong(e, stencil)).sum()), rel=1e-12)
    faces = operators.face_conductances(torch.full((1, 1, 8, 4, 12), 3.0), (1.0, 2.0, 0.5))
    expected = operators.face_conductances(torch.full((1, 1, 4, 2, 6), 3.0), (2.0, 4.0, 1.0))
    for coarse, face in zip(coarsen(faces), expected, strict=True):
        torch.testing.assert_close(coarse, face)
    exact = setup_levels(layered(8, 8, 8), (1.0, 1.0, 1.0), 512)[0]
    u = torch.randn(1, 1, 8, 8, 8, dtype=torch.float64, generator=seeded())
    again = (exact.inverse @ operators.apply(u, exact.faces).flatten(2).mT).mT.reshape(u.shape)
    torch.testing.assert_close(again, u, rtol=0, atol=1e-10)


def test_in_space_iterations_hardly_grow_with_the_grid_and_many_right_hand_sides_share_a_cycle():
    counts = [
        solve(system_in_space(layered(n, n, n)), preconditioner=LearnedVCycle(dim=3), rtol=1e-6).iterations for n in (16, 32)
    ]
    assert max(counts) <= 14
    assert counts[1] <= counts[0] + 3
    system, a = system_in_space(layered(16, 16, 16)), layered(16, 16, 16)
    M = LearnedVCycle(dim=3).on_device(a, Grid.unit((16, 16, 16)).spacing())
    b = torch.randn(3, 16, 16, 16, dtype=torch.float64, generator=seeded())
    faces = operators.face_conductances(a[0], (1 / 16,) * 3)
    found = dcdm(lambda v: operators.apply(v, faces), b, M.directions, guard=None, rtol=1e-8)
    assert found.converged.all()
    half = LearnedVCycle(dim=3).on_device(a, Grid.unit((16, 16, 16)).spacing(), torch.bfloat16)
    sixteen = dcdm(lambda v: operators.apply(v, faces), b, half.directions, guard=None, rtol=1e-8)
    assert sixteen.converged.all()  # far below what 16 bits resolve, in at most a fifth more steps
    assert sixteen.iterations.max() <= 1.2 * found.iterations.max()
    for row, x in zip(b.reshape(3, -1).numpy(), found.x.reshape(3, -1).numpy(), strict=True):
        assert np.linalg.norm(row - system.A @ x) <= 1.01e-8 * np.linalg.norm(row)
