"""An error estimate uses everything that is stored with a sample, and where there is none the reason is the true one."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from pdeflow import seeds, solve
from pdeflow.errors import UsageError
from pdeflow.problems import Darcy, Elliptic, Heat, Helmholtz, Instance, Poisson
from pdeflow.random_fields import gaussian_random_field
from pdeflow.run_folder import Trained
from pdeflow.tasks import accuracy
from pdeflow.tasks.accuracy import no_estimate


@dataclass(frozen=True)
class Screened(Elliptic):
    """-Δu + c u = f with a random number c."""

    inputs: ClassVar[tuple[str, ...]] = ("f",)

    def sample(self, generator):
        f = gaussian_random_field(self.domain, 3.0, 3.0, generator=generator, modes=4)
        return Instance({"f": f}, {"c": 50 * float(torch.rand((), generator=generator))})

    def coefficient(self, instance, at):
        return torch.tensor(1.0)

    def reaction(self, instance, at):
        return torch.tensor(instance.scalars["c"])


@dataclass(frozen=True)
class Forgotten(Screened):
    """The same with a field c that is not stored."""

    def reaction(self, instance, at):
        return at("c")


class Zero(nn.Module):
    """A network that predicts zero, so that its error is minus the solution."""

    def forward(self, a):
        return torch.zeros_like(a[:, :1])


GRID = Screened().grid((12, 12))


@pytest.fixture(scope="module")
def stored():
    """Sources, solutions and numbers of two instances."""
    drawn = [Screened().sample(seeds.generator(0, seeds.INPUTS, i)) for i in range(2)]
    f = torch.stack([instance.fields["f"].on(GRID)[None] for instance in drawn])
    u = [solve(Screened().system(instance, GRID), method="direct").x for instance in drawn]
    return f, torch.from_numpy(np.stack(u)).reshape(f.shape), {"c": np.array([instance.scalars["c"] for instance in drawn])}


def loaded(problem):
    return Trained(Zero(), {"grid": [12, 12]}, problem, Path("stage"))


def test_the_numbers_of_a_sample_belong_to_its_system(stored):
    f, u, scalars = stored
    table = accuracy(Screened(), GRID, f, u, u, scalars)
    assert table["residual"].max() < 1e-12
    np.testing.assert_allclose(accuracy(Screened(), GRID, f, u, 0.9 * u, scalars)["residual"], 0.1)
    assert no_estimate(Screened(), GRID, f, scalars) == ""


def test_a_prediction_with_the_numbers_of_its_equation_has_an_error_estimate(stored):
    f, u, scalars = stored
    prediction, error = loaded(Screened()).predict(f, error=True, scalars=scalars)
    assert not prediction.any()
    assert (error + u).norm() < 0.05 * u.norm()  # u_h - u = -u of the zero prediction
    _, one = loaded(Screened()).predict(f[1], error=True, scalars={"c": scalars["c"][1]})
    torch.testing.assert_close(one[0], error[1, 0])


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (Forgotten(), "no field 'c'; it has f; of a stored sample these are the fields named in `inputs`"),
        (Heat(), "Heat is not one linear system"),
        (None, "imported"),
    ],
)
def test_the_reason_for_no_estimate_is_named(problem, reason, stored):
    f, _, scalars = stored
    assert reason in no_estimate(problem, GRID, f, scalars)


def test_an_indefinite_system_has_no_energy_norm():
    problem = Helmholtz(wave_number=6.0)
    instance = problem.sample(seeds.generator(0, seeds.INPUTS, 0))
    grid = problem.grid((16, 16))
    a = torch.stack([instance.fields[name].on(grid) for name in problem.inputs])[None]
    assert "not symmetric positive definite" in no_estimate(problem, grid, a)


def test_a_number_that_is_missing_and_a_coefficient_that_is_not_positive_are_named(stored):
    f, _, _ = stored
    with pytest.raises(UsageError, match=r"no scalar 'c'; it has none; .*scalars=\{name: value\}"):
        loaded(Screened()).predict(f, error=True)
    with pytest.raises(UsageError, match=r"Darcy: a must be positive everywhere|Darcy: .*must be positive"):
        loaded(Darcy()).predict(-torch.ones(12, 12), error=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_inputs_that_are_not_finite_are_refused_by_name(value, stored):
    a = torch.ones(2, 1, 12, 12)
    a[1, 0, 3, 4:6] = value
    with pytest.raises(UsageError, match="input f must be finite, found 2 values"):
        loaded(Poisson()).predict(a)
    with pytest.raises(UsageError, match="channel 0 must be finite, found 2 values"):
        loaded(None).predict(a)
