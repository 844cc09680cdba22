"""The picture of a solved instance shows its inputs and every component of the solution, on grids and meshes."""

import csv
from dataclasses import dataclass
from typing import ClassVar
from unittest import mock

import numpy as np
import pytest
import torch

import pdeflow
from pdeflow import seeds
from pdeflow.problems import (
    Darcy,
    Elasticity,
    Elliptic,
    Helmholtz,
    Instance,
    PlumePressure,
    SpongeHelmholtz,
    StarPoisson,
)
from pdeflow.report import solution as module
from pdeflow.report.solution import plot_instance


@dataclass(frozen=True)
class Plain(Elliptic):
    """-Δu + c u = 1 with a number c, real or complex."""

    c: complex = 1.0
    inputs: ClassVar[tuple[str, ...]] = ("a",)  # declared, but not drawn

    def sample(self, generator):
        return Instance({})

    def coefficient(self, instance, at):
        return torch.tensor(1.0)

    def source(self, instance, at):
        return torch.tensor(1.0)

    def reaction(self, instance, at):
        return torch.tensor(self.c)


CASES = [
    (Helmholtz(wave_number=5.0), (16, 16), ["input k", "input f", "solution u"]),
    (SpongeHelmholtz(wave_number=5.0), (16, 16), ["input k", "input f", "solution u_re", "solution u_im"]),
    (Elasticity(), (8, 2), ["solution stress", "solution u_x", "solution u_y"]),
    (PlumePressure(), (16, 16), ["input f", "solution p"]),
    (Darcy(modes=8), (16, 16), ["input a", "solution u"]),
    (Darcy(modes=8), 0.2, ["input a", "solution u"]),
    (StarPoisson(), 0.25, ["input f", "input g", "solution u"]),
    (Plain(), (8, 8), ["solution u"]),
    (Plain(), 0.25, ["solution u"]),
    (Plain(c=1j), (8, 8), ["solution u, real part", "solution u, imaginary part"]),
]


@pytest.mark.parametrize(("problem", "resolution", "titles"), CASES)
def test_every_input_and_every_component_has_a_panel_and_its_range_beside_it(problem, resolution, titles, tmp_path):
    instance = problem.sample(seeds.generator(0, seeds.SOLVE, 0))
    layout = problem.layout(instance, resolution)
    x = pdeflow.solve(problem.system(instance, layout), method="direct").x
    path = tmp_path / "solution.png"
    with mock.patch.object(module, "save_figure", side_effect=lambda figure, path: figure):
        figure = plot_instance(path, problem, instance, layout, x)
    assert [axes.get_title() for axes in figure.axes if axes.get_title()] == titles
    rows = list(csv.DictReader(path.with_suffix(".csv").open()))
    assert [row["field"] for row in rows] == [title.split(" ", 1)[1] for title in titles]
    if isinstance(problem, Plain):
        u = np.concatenate([x.real, x.imag]) if np.iscomplexobj(x) else x
        assert max(float(row["max"]) for row in rows) == pytest.approx(u.max())
    assert plot_instance(path, problem, instance, layout, x) == path


def test_obstacles_are_grey_which_the_title_says(tmp_path):
    problem = PlumePressure()
    instance = problem.sample(seeds.generator(0, seeds.SOLVE, 0))
    grid = problem.grid((16, 16))
    with mock.patch.object(module, "save_figure", side_effect=lambda figure, path: figure):
        figure = plot_instance(tmp_path / "s.png", problem, instance, grid, np.zeros(256))
    assert figure.get_suptitle() == "grey: obstacles"


def test_what_is_not_in_the_plane_has_no_picture(tmp_path):
    problem = PlumePressure(dim=3)
    instance = problem.sample(seeds.generator(0, seeds.SOLVE, 0))
    assert plot_instance(tmp_path / "s.png", problem, instance, problem.grid((8, 8, 8)), np.zeros(512)) is None
    assert not list(tmp_path.iterdir())
