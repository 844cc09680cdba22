"""Whether a periodic grid holds the fields of an evolution: what is lost of the start, and what piles up at the last modes.

Halving the time step says nothing about the grid. Two shares of the energy Σ |û|² do: that of the initial field beyond the modes of
the grid, which is folded back into them, and that of the outer third of the modes that products keep, where it grows when fronts
become thinner than the grid. The relative L2 error is about the root of either.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pdeflow.discretization.fourier import FourierGrid
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid
from pdeflow.problems.instance import FieldLike

MOST_LOST = 0.01
"""Largest share of the energy. Measured: Burgers' equation on 7 nodes loses 0.02 of its start, on 32 nodes 2e-4 (0.003 in the worst of
200 draws), Navier-Stokes on 32 x 32 4e-4; the sharp Burgers data gain 0.02 to 0.25 in the outer modes on 32 nodes, 0.002 and less on 256."""
MOST_DOUBLINGS = 5


def lost_share(start: FieldLike, grid: Grid) -> float:
    """Return the share of a field's energy in modes that a grid does not have.

    Args:
        start: The field; it is evaluated on a grid twice as fine.
        grid: Periodic node grid.

    Raises:
        UsageError: If the field is stored on one grid only.
    """
    fine = Grid(tuple(2 * n for n in grid.shape), grid.bounds, grid.periodic, grid.location)
    energy, modes = _energy(start.on(fine), fine)
    beyond = torch.zeros_like(energy, dtype=torch.bool)
    for m, n in zip(modes, grid.shape, strict=True):
        beyond = beyond | (m > n / 2)
    total = float(energy.sum())
    return float(energy[beyond].sum()) / total if total else 0.0


def gained_share(frames: Tensor, grid: Grid) -> float:
    """Return how much the energy in the outer third of the kept modes grows after the start, over the largest energy of a frame.

    Args:
        frames: Values, shape (frames, *grid.shape), the first the start.
        grid: Periodic node grid; products keep the modes with 3|m| < n on every axis.
    """
    energy, modes = _energy(frames, grid)
    outer = torch.zeros_like(energy[0], dtype=torch.bool)
    for m, n in zip(modes, grid.shape, strict=True):
        outer = outer | (m > 2 * n / 9)
    total, share = float(energy.flatten(1).sum(1).max()), energy[:, outer].sum(1)
    return float((share - share[0]).max()) / total if total else 0.0


def check_start_fits(name: str, start: FieldLike, grid: Grid) -> None:
    """Refuse a grid that is too coarse for an initial field; one that is known on its grid only is not checked.

    Args:
        name: Name of the problem.
        start: The initial field.
        grid: Periodic node grid.

    Raises:
        UsageError: With a grid that would do, if more than a hundredth of the energy is lost.
    """
    try:
        lost = lost_share(start, grid)
    except UsageError:  # a stored field
        return
    if lost <= MOST_LOST:
        return
    finer = grid
    for _ in range(MOST_DOUBLINGS):  # with room for other draws
        finer = Grid(tuple(2 * n for n in finer.shape), finer.bounds, finer.periodic, finer.location)
        if lost_share(start, finer) <= MOST_LOST / 10:
            break
    raise UsageError(
        f"{name} on a grid of {_shape(grid)}: {lost:.0%} of the energy of an initial field lie in modes that the grid does not have (at most "
        f"{MOST_LOST:.0%}); take grid: {list(finer.shape)}, or a smoother start"
    )


def check_frames_fit(name: str, frames: Tensor, grid: Grid) -> None:
    """Refuse a solution whose fronts have become thinner than the grid.

    Args:
        name: Name of the problem.
        frames: Values, shape (frames, *grid.shape).
        grid: Periodic node grid.

    Raises:
        UsageError: With a finer grid, if more than a hundredth of the energy has come to the outer third of the kept modes.
    """
    gained = gained_share(frames, grid)
    if gained <= MOST_LOST:
        return
    # the share falls at least like 1/n² where fronts appear; with a factor of two for other draws
    factor = 2 ** math.ceil(math.log2(2 * math.sqrt(gained / MOST_LOST)))
    raise UsageError(
        f"{name} on a grid of {_shape(grid)}: {gained:.0%} of the energy come to the outer third of the modes (at most {MOST_LOST:.0%}), so fronts "
        f"are thinner than the grid; take grid: {[factor * n for n in grid.shape]}, or more viscosity"
    )


def _energy(values: Tensor, grid: Grid) -> tuple[Tensor, list[Tensor]]:
    """Return the energy of every mode, shape (..., *spectrum), and |m| along each axis, broadcastable to the spectrum."""
    space = FourierGrid.of(grid)
    sides = [high - low for low, high in grid.bounds]
    modes = [k.abs() * side / (2 * math.pi) for k, side in zip(space.k, sides, strict=True)]
    return space.weight * space.forward(values.double()).abs() ** 2, [m.round() for m in modes]


def _shape(grid: Grid) -> str:
    return " x ".join(map(str, grid.shape))
