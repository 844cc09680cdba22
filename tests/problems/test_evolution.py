import itertools
import math
from dataclasses import dataclass, replace

import pytest
import torch

from pdeflow import seeds
from pdeflow.discretization.fourier import FourierGrid
from pdeflow.discretization.time_stepping import ARS222, ARS443, ETDRK4, IFRK4, ImexEuler, march
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid
from pdeflow.problems.burgers import Burgers
from pdeflow.problems.heat import Heat
from pdeflow.problems.instance import Instance, StoredField
from pdeflow.problems.navier_stokes import NavierStokes
from pdeflow.problems.spaces import PointSpace
from pdeflow.problems.spectral_equation import SpectralEquation

PROBLEMS = [
    (Heat(final_time=0.5, frames=3, modes=12), (24, 20)),
    (Burgers(final_time=0.3, frames=3, viscosity=0.03, modes=24), (96,)),
    (NavierStokes(final_time=1.0, frames=3, viscosity=5e-3, drag=0.1, modes=12), (32, 36)),
]
CASES = pytest.mark.parametrize(("problem", "shape"), PROBLEMS, ids=lambda value: type(value).__name__)


def draw(problem, index=0, root=0):
    return problem.sample(seeds.generator(root, seeds.INPUTS, index))


def last_frame(problem, shape, index=0):
    return torch.from_numpy(
        problem.compute(draw(problem, index), problem.grid(shape), None).fields[problem.outputs[0]][-1]
    )


def polynomial(axes):
    """A smooth periodic function of space whose amplitudes move with time, and its derivative in time at t."""

    def u(x):
        t, wave = x[:, -1], 2 * math.pi * x[:, :-1]
        return torch.sin(wave.sum(1) + 0.3) * torch.exp(-t) + 0.5 * torch.cos(
            2 * wave[:, 0] - wave[:, axes - 1] + t
        )

    def stream(x):  # -Δψ = u mode by mode
        t, wave = x[:, -1], 2 * math.pi * x[:, :-1]
        first = torch.sin(wave.sum(1) + 0.3) * torch.exp(-t) / (8 * math.pi**2)
        return first + 0.5 * torch.cos(2 * wave[:, 0] - wave[:, 1] + t) / (20 * math.pi**2)

    return u, stream


@CASES
def test_answer_starts_with_the_input_and_carries_its_verdict(problem, shape):
    instance, grid = draw(problem), problem.layout(None, shape)
    answer = problem.compute(instance, grid, None)
    frames = answer.fields[problem.outputs[0]]
    assert frames.shape == (3, *shape)
    assert grid.periodic == (True,) * len(shape)
    assert grid.location == "node"
    assert (frames[0] == instance.fields[problem.inputs[0]].on(grid).numpy()).all()
    assert answer.residual <= problem.tolerance
    assert answer.iterations >= 2 * 3  # two runs, of one or more steps per interval


@CASES
def test_marching_a_batch_equals_marching_its_samples(problem, shape):
    grid, instances = problem.grid(shape), [draw(problem, i) for i in range(3)]
    together = problem.march(instances, grid, substeps=[64, 64])
    assert together.shape == (3, 3, *shape)
    for i, instance in enumerate(instances):
        alone = problem.march(instance.fields[problem.inputs[0]].on(grid), grid, substeps=[64, 64])
        torch.testing.assert_close(together[i], alone, atol=1e-14, rtol=1e-13)


@pytest.mark.parametrize(("problem", "shape"), PROBLEMS[1:], ids=lambda value: type(value).__name__)
def test_the_verdict_falls_like_the_fourth_power_of_the_step(problem, shape):
    start = draw(problem).fields[problem.inputs[0]].on(problem.grid(shape))
    runs = [problem.march(start, problem.grid(shape), substeps=[n, n])[-1] for n in (32, 64, 128, 256)]
    verdicts = [float((b - a).norm() / b.norm()) for a, b in itertools.pairwise(runs)]
    rates = [math.log2(a / b) for a, b in itertools.pairwise(verdicts)]
    assert rates[-1] == pytest.approx(4.0, abs=0.2)
    errors = [float((run - runs[-1]).norm() / runs[-1].norm()) for run in runs[:-1]]
    assert all(
        error < 1.1 * verdict for error, verdict in zip(errors, verdicts, strict=True)
    )  # it bounds the error


@CASES
def test_the_answer_is_as_close_to_the_truth_as_its_verdict_says(problem, shape):
    answer = problem.compute(draw(problem), problem.grid(shape), None)
    start = draw(problem).fields[problem.inputs[0]].on(problem.grid(shape))
    truth = problem.march(start, problem.grid(shape), substeps=[512, 512])[-1]
    error = float((torch.from_numpy(answer.fields[problem.outputs[0]][-1]) - truth).norm() / truth.norm())
    assert error <= max(answer.residual, 1e-12)


@CASES
@pytest.mark.parametrize(
    ("method", "tolerance"), [(IFRK4, 1e-6), (ARS443, 3e-5), (ARS222, 2e-3), (ImexEuler, 0.05)]
)
def test_all_methods_agree(problem, shape, method, tolerance):
    start = draw(problem).fields[problem.inputs[0]].on(problem.grid(shape))
    found = problem.march(start, problem.grid(shape), substeps=[64, 64], method=method)[-1]
    expected = problem.march(start, problem.grid(shape), substeps=[64, 64], method=ETDRK4)[-1]
    assert float((found - expected).norm() / expected.norm()) < tolerance


@CASES
def test_spectral_terms_and_pointwise_residual_are_the_same_equation(problem, shape):
    u, stream = polynomial(len(shape))
    grid, t = problem.grid(shape), 0.4
    x = grid.coordinates().reshape(-1, grid.ndim)
    x = torch.cat([x, torch.full((len(x), 1), t, dtype=torch.float64)], dim=1)
    vorticity = isinstance(problem, NavierStokes)
    found = problem.residual(
        (lambda p: torch.stack([u(p), stream(p)], 1)) if vorticity else u, x, draw(problem)
    )
    y = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(u(y).sum(), y)
    equation = SpectralEquation.of(problem, grid, x)
    u_hat = equation.space.forward(u(x).reshape(shape))
    rate = equation.space.inverse(equation.explicit(u_hat, t) + equation.implicit(u_hat))
    expected = slope[:, -1] - rate.reshape(-1)
    if vorticity:
        torch.testing.assert_close(found[:, 1], torch.zeros_like(found[:, 1]), atol=1e-11, rtol=0)
        found = found[:, 0]
    torch.testing.assert_close(found.detach(), expected, atol=1e-10, rtol=0)


@CASES
def test_implicit_solve_inverts_the_implicit_part(problem, shape):
    grid = problem.grid(shape)
    start = draw(problem).fields[problem.inputs[0]].on(grid)
    equation = SpectralEquation.of(problem, grid, start)
    u_hat = equation.space.forward(start)
    v_hat = equation.solve_implicit(u_hat, 0.3)
    torch.testing.assert_close(v_hat - 0.3 * equation.implicit(v_hat), u_hat, atol=1e-14, rtol=1e-12)
    torch.testing.assert_close(equation.implicit(u_hat), equation.symbol * u_hat, atol=1e-14, rtol=1e-12)


@CASES
def test_every_parameter_changes_the_solution(problem, shape):
    base = problem.compute(draw(problem), problem.grid(shape), None).fields[problem.outputs[0]]
    for name in problem.settings()["init_args"]:
        value = getattr(problem, name)
        changed = replace(problem, **{name: value + 1 if isinstance(value, int) else value * 1.01})
        other = changed.compute(draw(changed), changed.grid(shape), None).fields[problem.outputs[0]]
        assert other.shape != base.shape or abs(other[-1] - base[-1]).max() > 1e-6, name


@CASES
def test_large_steps_of_stiff_diffusion_stay_bounded(problem, shape):
    names = {Heat: "diffusivity"}
    stiff = replace(problem, **{names.get(type(problem), "viscosity"): 1e4})  # ν k² dt above 1e6
    found = stiff.march([draw(stiff)], stiff.grid(shape))[0]
    bound = float(found[0].abs().max()) + (stiff.amplitude if isinstance(stiff, NavierStokes) else 0.0)
    assert float(found.abs().max()) <= bound
    assert float((found[-1] - found[-1].mean()).abs().max()) < 1e-3


@CASES
def test_float32_batches_stay_float32_and_agree_with_float64(problem, shape):
    grid = problem.grid(shape)
    start = draw(problem).fields[problem.inputs[0]].on(grid)
    single, double = (
        problem.march(start.to(kind), grid, substeps=[32, 32]) for kind in (torch.float32, torch.float64)
    )
    assert single.dtype == torch.float32
    assert float((single - double).norm() / double.norm()) < 3e-6


@CASES
def test_a_stored_instance_gives_the_same_frames(problem, shape):
    grid, name = problem.grid(shape), problem.inputs[0]
    stored = Instance({name: StoredField(draw(problem).fields[name].on(grid), grid)})
    found = problem.compute(stored, grid, None).fields[problem.outputs[0]]
    assert (found == problem.compute(draw(problem), grid, None).fields[problem.outputs[0]]).all()


@CASES
def test_one_draw_converges_on_finer_grids(problem, shape):
    coarse, fine = (last_frame(problem, tuple(factor * n for n in shape)) for factor in (1, 2))
    nested = fine[tuple(slice(None, None, 2) for _ in shape)]
    assert float((coarse - nested).norm() / nested.norm()) < 1e-4


def test_gradients_of_the_marched_field_reach_the_initial_values():
    problem, grid = Burgers(viscosity=0.05, modes=8), Burgers().grid((32,))
    start = draw(problem).fields["u0"].on(grid).requires_grad_()
    direction = torch.randn(32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def energy(values):
        return (problem.march(values, grid, times=(0.0, 0.1), substeps=[16])[-1] ** 2).sum()

    (slope,) = torch.autograd.grad(energy(start), start)
    h = 1e-5
    difference = (energy(start.detach() + h * direction) - energy(start.detach() - h * direction)) / (2 * h)
    assert float(slope @ direction) == pytest.approx(float(difference), rel=1e-7)


def test_point_derivatives_of_constants_are_zero():
    x = torch.rand(5, 3, dtype=torch.float64, requires_grad=True)
    space = PointSpace(x)
    assert float(space.laplacian(torch.ones(5, dtype=torch.float64)).abs().max()) == 0
    with pytest.raises(UsageError, match="stream function"):
        space.advection(x[:, 0])


def test_wrong_grids_and_values_are_refused():
    problem = Burgers()
    grid = problem.grid((32,))
    with pytest.raises(UsageError, match=r"do not end in the grid's \(32,\)"):
        problem.march(torch.zeros(4, 31, dtype=torch.float64), grid)
    with pytest.raises(UsageError, match="not finite"):
        problem.march(torch.full((32,), math.nan, dtype=torch.float64), grid)
    with pytest.raises(UsageError, match="float64 or float32"):
        problem.march(torch.zeros(32, dtype=torch.float16), grid)
    with pytest.raises(UsageError, match="node grid with periodic axes"):
        problem.compute(Burgers.wave(), Grid.unit((32,)), None)
    with pytest.raises(UsageError, match="at least 2 frames"):
        Burgers(frames=1)
    with pytest.raises(UsageError, match="zero mean on a torus"):
        NavierStokes().march(torch.ones(16, 16, dtype=torch.float64), NavierStokes().grid((16, 16)))


@pytest.mark.parametrize(
    ("problem", "name"), [(Heat, "diffusivity"), (Burgers, "viscosity"), (NavierStokes, "viscosity")]
)
def test_diffusion_must_be_positive(problem, name):
    with pytest.raises(UsageError, match=f"{name} > 0"):
        problem(**{name: 0.0})


@dataclass(frozen=True)
class KuramotoSivashinsky(Burgers):
    """A user's equation in a few lines: u_t + u u_x + u_xx + u_xxxx = 0, here on the unit interval."""

    def implicit(self, u, space):
        return -self.viscosity * (space.laplacian(u) / 1000 + space.derivative(u, 0, 4) / 1e6)


def test_a_new_equation_is_marched_at_fourth_order():
    problem = KuramotoSivashinsky(modes=16)
    grid = problem.grid((64,))
    space = FourierGrid.of(grid)
    equation = SpectralEquation.of(problem, grid, space.squared)
    start = space.forward(draw(problem).fields["u0"].on(grid))
    runs = [march(equation, start, (0.0, 0.1), substeps=[n]).frames[-1] for n in (32, 64, 128, 256)]
    errors = [float((run - runs[-1]).norm()) for run in runs[:-1]]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(4.0, abs=0.3)
