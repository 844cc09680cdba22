"""Halve the time step until the result no longer changes: a step chosen and checked by two runs.

Hairer, Nørsett and Wanner, Solving Ordinary Differential Equations I, 2nd ed. (1993), section II.4 (step doubling).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pdeflow.discretization.time_stepping.equation import SemilinearEquation
from pdeflow.discretization.time_stepping.march import COURANT, Method, march

HALVINGS = 8
"""How often the step is halved at most."""


def march_to_tolerance(
    equation: SemilinearEquation,
    start: Tensor,
    times: Sequence[float],
    *,
    method: Method,
    tolerance: float,
    norm: Callable[[Tensor], Tensor],
) -> tuple[Tensor, float, int]:
    """March with halved steps until two runs agree at every time.

    Early frames are compared too: a flow that forgets its start can end well after a poor beginning.

    Args:
        equation: What to integrate.
        start: Spectrum at times[0].
        times: Times of the frames.
        method: One-step method.
        tolerance: Relative change of all frames that ends the halving.
        norm: Norm in which the change is measured: takes (frames, *batch, *symbol.shape) to (frames, *batch).

    Returns:
        Frames of the finest run, relative change of the last one against the run with twice the step (the largest of a
        batch), steps of all runs.

    Raises:
        FloatingPointError: If no run stays finite.
    """
    substeps: list[int] | None = None
    coarse, change, taken, courant = None, math.inf, 0, COURANT
    for halving in range(HALVINGS + 1):
        try:
            run = march(equation, start, times, method=method, substeps=substeps, courant=courant)
        except FloatingPointError:
            if halving == HALVINGS:
                raise
            coarse, courant = None, courant / 2
            substeps = None if substeps is None else [2 * n for n in substeps]
            continue
        taken += sum(run.substeps)
        if coarse is not None:
            changes = _changes(run.frames, coarse, norm)
            change = float(changes.max())
            if bool((changes <= tolerance).all()):
                break
        coarse, substeps = run.frames, [2 * n for n in run.substeps]
    return run.frames, change, taken


def _changes(fine: Tensor, coarse: Tensor, norm: Callable[[Tensor], Tensor]) -> Tensor:
    """Relative changes of frames, absolute where a frame is zero."""
    size = norm(fine)
    return norm(fine - coarse) / torch.where(size > 0, size, 1.0)
