"""Errors per sample: identities between the norms, and the estimate against the error it estimates."""

import numpy as np
import pytest
import torch

from pdeflow.errors import DataError
from pdeflow.problems import Darcy, Poisson
from pdeflow.tasks import accuracy
from pdeflow.tasks.accuracy import frame_errors, system_errors

GRID = Darcy().grid((16, 16))
BASIC = {"rel_l2", "rel_h1", "max_error"}


@pytest.fixture
def data(solved):
    a, u = solved(4, 16)
    x = GRID.coordinates()
    bump = torch.sin(np.pi * x[..., 0]) * torch.sin(2 * np.pi * x[..., 1])
    return a, u, 0.02 * u.std() * bump


def test_a_scaled_solution_has_the_same_error_in_every_norm(data):
    a, u, _ = data
    table = accuracy(Darcy(), GRID, a, u, 1.05 * u)
    for name in ("rel_l2", "rel_h1", "residual", "energy_error"):
        np.testing.assert_allclose(table[name], 0.05, rtol=1e-6)
    np.testing.assert_allclose(table["max_error"], 0.05 * u.flatten(1).amax(1), rtol=1e-12)


def test_the_exact_solution_has_no_error_up_to_rounding(data):
    a, u, _ = data
    table = accuracy(Darcy(), GRID, a, u, u)
    assert all(table[name].max() < 1e-10 for name in BASIC | {"residual", "energy_error", "estimated_error"})


def test_estimate_agrees_with_the_energy_error_of_smooth_errors(data):
    a, u, bump = data
    table = accuracy(Darcy(), GRID, a, u, u + bump)
    np.testing.assert_allclose(table["effectivity"], 1.0, atol=0.1)
    np.testing.assert_allclose(table["estimated_error"], table["effectivity"] * table["energy_error"])


def test_an_exact_inverse_as_estimator_has_effectivity_one(data):
    a, u, bump = data
    system = Darcy().system(Darcy().stored_instance({"a": a[0, 0]}, {}, GRID), GRID)

    def exact(system, x):
        r = system.b - system.A @ x
        return np.sqrt(r @ np.linalg.solve(system.A.toarray(), r))

    row = system_errors(system, u[0].flatten().numpy(), (u + bump)[0].flatten().numpy(), exact)
    assert row["effectivity"] == pytest.approx(1.0, abs=1e-8)


def test_rows_do_not_depend_on_their_neighbours(data):
    a, u, bump = data
    p = u + bump
    whole = accuracy(Darcy(), GRID, a, u, p)
    for i in range(4):
        alone = accuracy(Darcy(), GRID, a[i : i + 1], u[i : i + 1], p[i : i + 1])
        assert all(alone[name][0] == pytest.approx(values[i], rel=1e-12) for name, values in whole.items())


def test_without_a_problem_only_the_field_errors_are_measured(data):
    a, u, bump = data
    assert set(accuracy(None, GRID, a, u, u + bump)) == BASIC


def test_poisson_reads_its_source_from_the_input_channel():
    problem = Poisson()
    f = torch.ones(1, 1, 16, 16, dtype=torch.float64)
    system = problem.system(problem.stored_instance({"f": f[0, 0]}, {}, GRID), GRID)
    u = torch.from_numpy(np.linalg.solve(system.A.toarray(), system.b)).reshape(1, 1, 16, 16)
    assert accuracy(problem, GRID, f, u, u)["residual"][0] < 1e-12


def test_fields_that_do_not_belong_together_are_refused(data):
    a, u, _ = data
    for wrong in ((a, u, u[:, :, :8]), (a[:2], u, u), (a[..., :8], u, u), (a.repeat(1, 2, 1, 1), u, u)):
        with pytest.raises(DataError, match="got a"):
            accuracy(Darcy(), GRID, *wrong)


def test_the_error_of_a_frame_is_that_of_the_outputs_at_its_time():
    u = torch.randn(3, 2, 5, 8, 8, dtype=torch.float64)  # samples, outputs, frames, grid
    growing = 0.1 * torch.arange(5).double().reshape(5, 1, 1)
    found = frame_errors(((1 + growing) * u).flatten(1, 2), u.flatten(1, 2), 5)
    torch.testing.assert_close(found, 0.1 * torch.arange(5).double().expand(3, 5), rtol=1e-12, atol=1e-15)


def test_the_error_of_all_frames_is_the_mean_of_their_squares_weighted_by_the_energy_of_each():
    u, p = torch.randn(2, 4, 6, 16, dtype=torch.float64).unbind(0)
    energy = u.square().sum(2)
    whole = (frame_errors(p, u, 6).square() * energy).sum(1) / energy.sum(1)
    torch.testing.assert_close(whole.sqrt(), frame_errors(p, u, 1)[:, 0])


def test_the_error_of_a_frame_at_rest_is_not_a_number_and_leaves_the_others():
    u = torch.ones(2, 3, 4)
    u[:, 0] = 0
    found = frame_errors(u + 1, u, 3)
    assert found.isnan().tolist() == [[True, False, False]] * 2
    assert found[:, 1:].eq(1).all()


def test_channels_that_are_no_whole_outputs_are_refused():
    with pytest.raises(DataError, match="one shape with 3 frames"):
        frame_errors(torch.ones(2, 4, 8), torch.ones(2, 4, 8), 3)
