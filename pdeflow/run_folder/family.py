"""Whether a trained preconditioner was made for a linear system: its dimension, its cells, its equation.

A network that was trained for another matrix is refused, not tried.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch

from pdeflow import seeds
from pdeflow.errors import UsageError
from pdeflow.linalg import operators
from pdeflow.linalg.obstacles import Obstacles, obstacle_faces
from pdeflow.problems import Problem

SAME = 1e-6
"""Relative difference below which two matrices, or two ratios of cell widths, count as the same."""
DRAWS, TAIL = 16, 1.5
"""Draws of the training's problem whose largest contrast stands for all, and the power of it to which others may reach: random fields have tails."""


def check_family(network: Any, problem: Problem | None, system: Any) -> None:
    """Refuse a system that the network was not trained for.

    The matrix must be a multiple of that of -∇·(a∇u) with u = 0 on the walls of a box. A network that does not read a
    needs more: cells of the proportions it was trained on, and an a that varies no more than those it was trained on. It serves one that
    varies less: trained on two phases of contrast 4 it takes 8 iterations for Poisson's equation, trained on that 7; and 40 to 160 where
    the contrast is 25 to 260, nearly as many as conjugate gradients.

    Args:
        network: Trained network, with `dim` and maybe `reads_coefficient`.
        problem: What it was trained on; None, where that is not known, leaves only the first check.
        system: The LinearSystem to solve.

    Raises:
        UsageError: In one line, with what was expected, what came, and what to do.

    Warns:
        UserWarning: If a network that reads a has seen constant ones only, and this one varies.
    """
    name, grid = type(network).__name__, system.grid
    if hasattr(network, "check_system"):  # it was trained for one matrix
        try:
            return network.check_system(system)
        except ValueError as error:
            raise UsageError(str(error)) from error
    if grid is None:
        raise UsageError(
            f"{name} was trained for -div(a grad u) = f on {network.dim}-D grids with u = 0 on the walls, and this system is no such one "
            "(a file, a mesh, other terms or other walls); use --preconditioner amg or ilu"
        )
    if grid.ndim != network.dim:
        raise UsageError(f"{name} was trained on {network.dim}-D grids, this one is {grid.ndim}-D, {grid.shape}; use --preconditioner amg")
    if _is_other_operator(system):
        raise UsageError(
            f"{name} was trained for -div(a grad u) = f with u = 0 on the walls, and this matrix is no multiple of that one; use "
            "--preconditioner amg or ilu"
        )
    if problem is not None and getattr(network, "reads_coefficient", False):
        return _say_other_coefficients(name, problem, system)
    if problem is None:
        return None
    if system.mask is not None:
        raise UsageError(f"{name} was trained on whole boxes and does not see obstacles; use LearnedVCycle, which reads them, or --preconditioner amg")
    try:
        network.check_grid(grid.shape, grid.spacing())
    except ValueError as error:
        raise UsageError(f"{name} does not fit the grid {grid.shape}: {error}") from error
    seen = [_seen(problem, index) for index in range(DRAWS)]
    trained, here = (np.divide(g.spacing(), g.spacing()[0]) for g in (seen[0].grid, grid))
    if np.abs(trained / here - 1).max() > SAME:
        raise UsageError(
            f"{name} was trained on cells of proportions {_ratio(trained)}, these are {_ratio(here)}; take a grid of the same proportions, "
            "or LearnedVCycle, which reads them"
        )
    known, contrast = max(_contrast(one) for one in seen), _contrast(system)
    if contrast > known**TAIL * (1 + SAME):
        trained_on = "is constant" if known <= 1 + SAME else f"varies by a factor of about {known:.3g}"
        raise UsageError(
            f"{name} was trained on {type(problem).__name__}, whose coefficient {trained_on}, and does not read the one given here, which "
            f"varies by a factor of {contrast:.3g}; train it on this problem, or use LearnedVCycle or --preconditioner amg"
        )


def _say_other_coefficients(name: str, problem: Problem, system: Any) -> None:
    """Warn where a network that reads the coefficient has only seen constant ones and meets one that varies."""
    trained, here = _contrast(_seen(problem, 0)), _contrast(system)
    if trained <= 1 + SAME < here:
        warnings.warn(
            f"{name} was trained on {type(problem).__name__}, whose coefficient is constant, and the one given here varies by a factor of "
            f"{here:.3g}: it may be no better than untrained; train it on this problem",
            stacklevel=3,
        )


def _seen(problem: Problem, index: int) -> Any:
    """Return a small system of the problem that the network was trained on, draw number `index`."""
    return problem.system(problem.sample(seeds.generator(0, seeds.SOLVE, index)), problem.grid((16,) * problem.domain.dim))


def _contrast(system: Any) -> float:
    return float(np.max(system.coefficient) / np.min(system.coefficient))


def _is_other_operator(system: Any) -> bool:
    """Whether A is no multiple of the finite-volume matrix of its coefficient, seen on one random vector."""
    if system.coefficient is None:
        return True
    a = torch.as_tensor(system.coefficient)
    if a.is_complex() or not bool((a > 0).all()):
        return True
    v = torch.randn(system.grid.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    faces, inside = operators.face_conductances(a.double(), system.grid.spacing()), torch.ones_like(v, dtype=torch.bool)
    if isinstance(system.mask, Obstacles):
        faces, inside = obstacle_faces(a.double(), system.grid.spacing(), system.mask), system.mask.active
    v = torch.where(inside, v, 0.0)
    ours = torch.where(inside, operators.apply(v, faces), 0.0).flatten().numpy()
    theirs = np.asarray(system.A @ v.flatten().numpy())
    if theirs.shape != ours.shape:
        return True
    scale = np.vdot(ours, theirs) / np.vdot(ours, ours)
    return not (scale.real > 0 and np.linalg.norm(theirs - scale * ours) <= SAME * np.linalg.norm(theirs))


def _ratio(widths: np.ndarray) -> str:
    return " : ".join(f"{width:.3g}" for width in widths)
