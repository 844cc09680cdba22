"""The table of problems: how each is checked; a test sees to it that none is missing."""

import itertools
import math
from dataclasses import dataclass

import torch

from pdeflow import problems
from pdeflow.problems import Manufactured


def wave(x):
    """A smooth function with no symmetry and no zero boundary values."""
    return torch.sin(2.1 * x[:, 0] + 0.3) * torch.exp(0.7 * x[:, 1]) + 0.5 * x[:, 0] * x[:, 1]


def complex_wave(x):
    return torch.polar(1 + 0.3 * x[:, 1], 5 * x[:, 0] + 2 * x[:, 1])


@dataclass(frozen=True)
class Case:
    """An elliptic problem with a manufactured solution, the resolutions of its convergence test and its order."""

    problem: object
    resolutions: tuple
    order: float = 2.0
    solution: object = wave
    tolerance: float = 0.15

    @property
    def manufactured(self):
        return Manufactured(self.problem, self.solution)

    @property
    def name(self):
        kind = "grid" if isinstance(self.resolutions[0], tuple) else "mesh"
        return f"{type(self.problem).__name__}-{kind}"


def squares(*sizes):
    return tuple((n, n) for n in sizes)


ELLIPTIC = [
    Case(problems.LogNormalDarcy(sigma=0.4, alpha=3.0, modes=4), squares(16, 32, 64)),
    Case(problems.LogNormalDarcy(sigma=0.4, alpha=3.0, modes=4), (1 / 8, 1 / 16, 1 / 32)),
    Case(problems.Poisson(modes=4), squares(16, 32, 64)),
    Case(problems.Poisson(modes=4), (1 / 8, 1 / 16, 1 / 32)),
    Case(problems.ChebyshevPoisson(), squares(16, 32, 64)),
    Case(problems.ChebyshevPoisson(), (1 / 8, 1 / 16, 1 / 32)),
    Case(problems.StarPoisson(modes=3, roughness=0.15), (0.2, 0.1, 0.05)),
    Case(problems.Helmholtz(wave_number=7.0, modes=4), squares(32, 64, 128)),
    Case(problems.SpongeHelmholtz(wave_number=7.0, modes=4, layer=0.4), squares(32, 64, 128), solution=complex_wave),
    Case(problems.ConvectionDiffusion(diffusivity=0.2, modes=4), squares(32, 64, 128)),
    Case(problems.SlottedPlate(), (0.1, 0.05, 0.025), order=3.0),
    Case(problems.PolygonHeat(modes=4), (0.2, 0.1, 0.05), tolerance=0.35),  # meshes are not nested
]

JUMPING = {problems.Darcy: "its coefficient jumps, so no smooth function is a solution"}
ABSTRACT = {problems.Elliptic, problems.Problem, problems.Manufactured}


def all_problems():
    """Every problem of the package with its default parameters."""
    kinds = [getattr(problems, name) for name in problems.__all__]
    kinds = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, problems.Problem)]
    abstract = ABSTRACT | {getattr(problems, "Evolution", None)}
    return [kind() for kind in kinds if kind not in abstract]


def slopes(errors):
    return [math.log2(a / b) for a, b in itertools.pairwise(errors)]
