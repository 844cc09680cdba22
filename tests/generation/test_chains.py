from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from pdeflow import seeds
from pdeflow.data.reading import read_shard
from pdeflow.errors import DataError, UsageError
from pdeflow.generation import Recipe, solvers
from pdeflow.generation.chains import as_shard, finished, write_chain
from pdeflow.generation.race import fastest_solver
from pdeflow.generation.samples import attempt, draw, solve_sample, solvers_of
from pdeflow.generation.solvers import ChainSolver, Unsolved, raced
from pdeflow.geometry import Grid
from pdeflow.linalg import LinearSystem, linear_system, solve
from pdeflow.problems import Darcy, Instance, LogNormalDarcy, Poisson, Problem, StoredField

GRID = Grid.unit((6, 6))


def recipe(problem, count=None, **changes):
    settings = {"seed": 5, "method": "direct", "rtol": 1e-8, "chain_length": 4} | changes
    return Recipe.of(problem, "any", count or {"train": 5, "test": 2}, [6, 6], **settings)


@dataclass(frozen=True)
class Reaction(Darcy):
    """-∇·(a∇u) + k u = 1 with a random number k."""

    def sample(self, generator):
        instance = super().sample(generator)
        return Instance(
            instance.fields, {"k": float(torch.rand((), generator=generator, dtype=torch.float64))}
        )

    def system(self, instance, grid):
        system = super().system(instance, grid)
        A = system.A + instance.scalars["k"] * grid.cell_measure * sp.eye_array(grid.size, format="csr")
        return LinearSystem(A, system.b, symmetric=True, positive_definite=True)


@dataclass(frozen=True)
class Advection(Problem):
    """A non-symmetric system: CG must be passed over."""

    @property
    def domain(self):
        return Darcy().domain

    def sample(self, generator):
        return Instance(
            {"a": StoredField(torch.rand(GRID.shape, generator=generator, dtype=torch.float64), GRID)}
        )

    def system(self, instance, grid):
        a = instance.fields["a"].on(grid).numpy().ravel()
        n = grid.size
        return linear_system(
            sp.diags_array([2 + a, -np.ones(n - 1), -0.1 * np.ones(n - 1)], offsets=[0, -1, 1], format="csr"),
            a,
        )


@pytest.mark.parametrize(
    "problem", [Darcy(), LogNormalDarcy(), Poisson()], ids=lambda problem: type(problem).__name__
)
def test_a_sample_depends_on_the_seed_and_its_number_only(problem, tmp_path):
    one, two = recipe(problem, {"train": 7}), recipe(problem, chain_length=3)
    found = []
    for which, plan in enumerate((one, two)):
        for chain in plan.chains():
            write_chain(tmp_path / str(which), plan, chain, "direct", lambda iterations: None)
        shards = [read_shard(tmp_path / str(which) / chain.file) for chain in plan.chains()]
        found.append({int(i): (s, k) for s in shards for k, i in enumerate(s.samples["sample_id"])})
    assert found[0].keys() == found[1].keys() == set(range(7))
    for i in range(7):
        (first, k), (second, m) = found[0][i], found[1][i]
        for name in first.fields:
            np.testing.assert_array_equal(first.fields[name][k], second.fields[name][m])
    instance = problem.sample(seeds.generator(5, seeds.INPUTS, 6))
    shard, k = found[0][6]
    np.testing.assert_array_equal(
        shard.inputs[problem.inputs[0]][k], instance.fields[problem.inputs[0]].on(GRID)
    )


def test_every_parameter_and_every_input_changes_the_solution():
    sizes = []
    for problem in (
        Darcy(),
        Darcy(low=2.0),
        Darcy(high=20.0),
        Darcy(alpha=2.5),
        Darcy(tau=5.0),
        LogNormalDarcy(),
        LogNormalDarcy(sigma=2.0),
    ):
        sizes.append(
            np.stack(
                [
                    solve_sample(
                        problem, recipe(problem), solvers_of(problem, recipe(problem), "direct"), i
                    ).outputs["u"]
                    for i in range(3)
                ]
            )
        )
    for i, one in enumerate(sizes):
        assert all(np.abs(one - two).max() > 1e-6 for two in sizes[:i])


def test_parameters_are_stored_and_rebuild_the_system():
    problem = Reaction()
    (chain, *_), plan = recipe(problem).chains(), recipe(problem)
    shard = as_shard(
        problem,
        plan,
        chain,
        chain.places,
        [solve_sample(problem, plan, solvers_of(problem, plan, "cg"), i) for i in range(4)],
    )
    for i in range(4):
        scalars = {name: float(values[i]) for name, values in shard.scalars.items()}
        fields = {name: torch.from_numpy(values[i]) for name, values in shard.inputs.items()}
        system = problem.system(problem.stored_instance(fields, scalars, GRID), GRID)
        u = shard.outputs["u"][i].ravel()
        residual = np.linalg.norm(system.b - system.A @ u) / np.linalg.norm(system.b)
        assert residual == pytest.approx(shard.samples["residual_rel"][i], abs=1e-10)
        assert residual <= plan.rtol


def test_where_one_solver_fails_the_other_one_solves_and_the_row_says_so():
    plan = recipe(Advection())
    sample = solve_sample(Advection(), plan, solvers_of(Advection(), plan, "cg"), 0)
    instance, grid = draw(Advection(), plan, 0)
    system = Advection().system(instance, grid)
    with pytest.raises(Unsolved):
        attempt(Advection(), instance, grid, ChainSolver("cg", 1e-8))
    assert sample.status == 1
    np.testing.assert_allclose(system.A @ sample.outputs["u"].ravel(), system.b, rtol=0, atol=1e-8)
    assert solve_sample(Advection(), plan, solvers_of(Advection(), plan, "direct"), 0).status == 0


def test_an_unsolvable_sample_stops_the_run_and_is_named(tmp_path, monkeypatch):
    def solve_badly(system, **settings):
        return solve(system, method="cg", preconditioner="none", maxiter=2, rtol=settings["rtol"])

    monkeypatch.setattr(solvers, "solve", solve_badly)
    plan = recipe(Darcy())
    message = r"sample 0 of any was not solved to rtol 1e-08 \(direct: maxiter.*cg: maxiter.*\); raise rtol"
    with pytest.raises(DataError, match=message):
        write_chain(tmp_path, plan, plan.chains()[0], "direct", lambda iterations: None)
    assert not list(tmp_path.rglob("*.hdf5"))
    monkeypatch.setattr("pdeflow.linalg.race.default_candidates", tuple)
    with pytest.raises(DataError, match="no candidate solves these systems to rtol 1e-08"):
        fastest_solver(plan, range(4))


def test_the_race_names_the_solvers_that_work_fastest_first():
    found = fastest_solver(recipe(Darcy()), range(4))
    seconds = found["seconds_per_sample"]
    assert list(seconds.values()) == sorted(seconds.values())
    assert found["solver"] == next(iter(seconds))
    assert set(seconds) <= set(raced())
    general = fastest_solver(recipe(Advection()), range(4))
    assert not any(
        word.startswith("cg") or word.startswith("cholmod") for word in general["seconds_per_sample"]
    )
    assert all("\n" not in reason for reason in general["reasons"].values())


def test_a_chain_that_is_stopped_leaves_nothing(tmp_path, monkeypatch):
    def stop(iterations):
        raise KeyboardInterrupt

    plan = recipe(Darcy())
    with pytest.raises(KeyboardInterrupt):
        write_chain(tmp_path, plan, plan.chains()[0], "direct", stop)
    assert not finished(tmp_path, plan.chains()[0])
    assert not list(tmp_path.rglob("*.*"))


def test_both_solvers_agree_to_the_tolerance():
    one, two = (
        solve_sample(Darcy(), recipe(Darcy()), solvers_of(Darcy(), recipe(Darcy()), word), 0)
        for word in ("direct", "cg")
    )
    np.testing.assert_allclose(one.outputs["u"], two.outputs["u"], rtol=1e-6)


def test_a_problem_that_its_settings_do_not_give_back_is_refused():
    @dataclass(frozen=True)
    class Hidden(Darcy):
        pass

    with pytest.raises(UsageError, match="Hidden cannot be generated"):
        recipe(Hidden())
