"""March a batch of states through given times with a step that fits each interval a whole number of times.

Courant, Friedrichs and Lewy, Math. Ann. 100 (1928), 32; the bound on the imaginary axis is that of classical
Runge-Kutta, 2.83 (Hairer and Wanner, Solving Ordinary Differential Equations II, section IV.2).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeflow.discretization.time_stepping.equation import OneStep, SemilinearEquation
from pdeflow.discretization.time_stepping.exponential import ETDRK4
from pdeflow.errors import UsageError

Method = type[OneStep]
"""A class such as ETDRK4: called with an equation and a step it gives a one-step method."""

COURANT = 1.0
"""Default bound on dt times the largest advective frequency: a Courant number of about 1/2 under the 2/3 mask."""
COURANT_LIMIT = 1.7
"""Steps beyond this are refused: 60 % of the bound 2.83 of fourth-order Runge-Kutta."""
CHECK_EVERY = 16
"""Steps between two looks for NaN and infinity."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """States at the asked times.

    Attributes:
        frames: Shape (len(times), *batch, *symbol.shape).
        substeps: Steps taken in each interval between two frames.
    """

    frames: Tensor
    substeps: tuple[int, ...]


def march(
    equation: SemilinearEquation,
    start: Tensor,
    times: Sequence[float],
    *,
    method: Method = ETDRK4,
    substeps: Sequence[int] | None = None,
    courant: float = COURANT,
) -> Trajectory:
    """Integrate from the first time to the last and keep the state at each.

    Args:
        equation: What to integrate.
        start: State at times[0], shape (*batch, *symbol.shape).
        times: Increasing times of the frames.
        method: Class of the one-step method.
        substeps: Steps per interval, len(times) - 1 entries; by default powers of two that keep dt times the
            advective frequency at the start of each interval at most `courant`.
        courant: That bound, dimensionless.

    Returns:
        The frames and the steps taken.

    Raises:
        UsageError: If times do not increase, substeps do not fit or a step is beyond COURANT_LIMIT.
        FloatingPointError: If a state is no longer finite.
    """
    gaps = [after - before for before, after in itertools.pairwise(times)]
    _check(times, gaps, substeps)
    prepared: dict[float, OneStep] = {}
    u_hat, frames, taken = start, [start], []
    for index, gap in enumerate(gaps):
        rate = equation.rate(u_hat)
        count = courant_substeps(gap, rate, courant) if substeps is None else substeps[index]
        dt = gap / count
        if dt * rate > COURANT_LIMIT:
            raise UsageError(_too_long(times[index], gap, dt, rate))
        key = float(f"{dt:.12e}")  # equal gaps of computed times differ in their last digits
        if key not in prepared:
            prepared[key] = method(equation, dt)
        u_hat = _advance(prepared[key], u_hat, times[index], dt, count, equation.symbol.ndim)
        frames.append(u_hat)
        taken.append(count)
    return Trajectory(torch.stack(frames), tuple(taken))


def courant_substeps(gap: float, rate: float, courant: float = COURANT) -> int:
    """Return the smallest power of two of steps in an interval that keeps dt times the rate at most `courant`.

    Args:
        gap: Length of the interval, in time units.
        rate: Largest advective frequency, in one over time.
        courant: The bound, dimensionless.

    Raises:
        FloatingPointError: If the rate is not finite.
    """
    if not math.isfinite(rate):
        raise FloatingPointError(f"the advective frequency is {rate}; the state has overflowed")
    needed = gap * rate / courant
    return 1 if needed <= 1 else 2 ** math.ceil(math.log2(needed))


def _check(times: Sequence[float], gaps: Sequence[float], substeps: Sequence[int] | None) -> None:
    if not times or any(not gap > 0 for gap in gaps):
        raise UsageError(f"the times of the frames must increase, got {tuple(times)}")
    if substeps is not None and (len(substeps) != len(gaps) or any(n < 1 or int(n) != n for n in substeps)):
        raise UsageError(
            f"substeps must be {len(gaps)} whole numbers >= 1, one per interval, got {tuple(substeps)}"
        )


def _too_long(t: float, gap: float, dt: float, rate: float) -> str:
    return (
        f"a step of {dt:.3g} from t = {t:.6g} gives dt·|u|·k = {dt * rate:.3g}, above the stable "
        f"{COURANT_LIMIT}; take at least {courant_substeps(gap, rate)} steps in this interval"
    )


def _advance(stepper: OneStep, u_hat: Tensor, t: float, dt: float, count: int, ndim: int) -> Tensor:
    """Take `count` steps from time t; a state has `ndim` axes behind those of the batch."""
    for i in range(count):
        u_hat = stepper.step(u_hat, t + i * dt)
        if (i + 1) % CHECK_EVERY == 0 or i + 1 == count:
            _require_finite(u_hat, ndim, t + (i + 1) * dt, dt)
    return u_hat


def _require_finite(u_hat: Tensor, ndim: int, t: float, dt: float) -> None:
    good = torch.isfinite(u_hat.abs())  # of a complex number: both parts
    if bool(good.all()):
        return
    per_sample = good.reshape(-1, math.prod(good.shape[good.ndim - ndim :])).all(-1)
    bad = torch.nonzero(~per_sample).reshape(-1).tolist()
    raise FloatingPointError(
        f"the state is not finite at t = {t:.6g} with dt = {dt:.3g} (sample {bad[0]}, {len(bad)} of {len(per_sample)}): "
        "take more steps per interval, a finer grid, or a larger viscosity"
    )
