"""What every Krylov loop shares: its stopping rule, its state for callbacks, and what it returns."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pdeflow.linalg.solution import Reason

RECOMPUTE = 50
"""Steps between recomputations of b - A x: the short recurrence drifts (Greenbaum, SIAM J. Matrix Anal. Appl. 18, 1997)."""
DRIFTS = 5
"""Recomputations in a row at which rounding makes up the residual before the loop ends as stagnated."""

DIVERGED = 1e5
"""Growth of the residual, over its start and over b, at which a loop has diverged; it may pass there on its way, so it is looked at now and then."""


@dataclass(frozen=True)
class State:
    """What a callback sees after a step.

    Attributes:
        iteration: Number of the step.
        residual_norm: ||b - A x|| as the method knows it.
        relative: The same over ||b||, dimensionless.
        seconds: Since the start of the loop.
    """

    iteration: int
    residual_norm: float
    relative: float
    seconds: float


Callback = Callable[[State], Any]


@dataclass
class Outcome:
    """Result of a loop, not yet verified.

    Attributes:
        x: Last iterate.
        reason: Why the loop ended.
        residual_norms: ||b - A x_k|| for k = 0 .. iterations.
        matvecs: Products with A.
        detail: Numbers behind the reason, or "".
        recycle: What a recycling method hands to the next system.
    """

    x: np.ndarray
    reason: Reason
    residual_norms: list[float]
    matvecs: int
    detail: str = ""
    recycle: Any = None

    @property
    def iterations(self) -> int:
        """Number of steps."""
        return len(self.residual_norms) - 1


@dataclass
class Limits:
    """Stopping rule of a loop.

    Attributes:
        target: Residual norm to reach.
        size: ||b||, for relative numbers.
        maxiter: Steps at most.
        deadline: Value of time.perf_counter() at which to stop, or None.
        callback: Called after each step; a true answer stops.
        guard: Whether to stop as stagnated when the residual falls too slowly.
        drifts: Recomputations in a row at which rounding made up the residual.
        gain: Largest ||A p|| / ||p|| seen at a recomputation, a lower bound of ||A||.
        told: Last step that the callback was told of.
    """

    target: float
    size: float
    maxiter: int
    deadline: float | None = None
    callback: Callback | None = None
    guard: bool = False
    start: float = field(default_factory=time.perf_counter)
    drifts: int = 0
    gain: float = 0.0
    told: int = 0

    def recomputed(self, true: np.ndarray, recurred: np.ndarray, x: np.ndarray, gain: float) -> None:
        """Count how often in a row rounding makes up the residual: it is drift, or as small as b - A x is uncertain.

        Args:
            true: b - A x, shape (n,).
            recurred: What the short recurrence believed.
            x: Iterate.
            gain: ||A p|| / ||p|| of the last direction.

        Reference: Greenbaum (1997) (attainable accuracy eps ||A|| ||x||).
        """
        self.gain = max(self.gain, gain)
        size = float(np.linalg.norm(true))
        floor = 10 * float(np.finfo(true.dtype).eps) * self.gain * float(np.linalg.norm(x))
        rounding = size <= floor or float(np.linalg.norm(true - recurred)) > 0.5 * size
        self.drifts = self.drifts + 1 if rounding else 0

    def verdict(self, norms: list[float]) -> Reason | None:
        """Return why to stop after the newest norm, or None to go on; `converged` is a claim to be verified.

        Args:
            norms: Residual norms so far.
        """
        k, norm = len(norms) - 1, norms[-1]
        wanted = self._tell(k, norm)
        if not np.isfinite(norm):
            return Reason.nonfinite
        if norm <= self.target:
            return Reason.converged
        if wanted:
            return Reason.stopped
        if k >= self.maxiter:
            return Reason.maxiter
        if self.deadline is not None and time.perf_counter() > self.deadline:
            return Reason.timeout
        grown = k % RECOMPUTE == 0 and norm > DIVERGED * max(norms[0], self.size)
        if self.drifts >= DRIFTS or grown or (self.guard and stagnates(norms)):
            return Reason.stagnated
        return None

    def _tell(self, k: int, norm: float) -> bool:
        """Call the callback once for step k, and return whether it wants to stop."""
        if self.callback is None or k <= self.told:
            return False
        self.told = k
        return bool(self.callback(State(k, norm, norm / (self.size or 1.0), time.perf_counter() - self.start)))


def default_maxiter(n: int) -> int:
    """Return the steps of one attempt where a user says nothing: ten for each unknown, 10,000 at most.

    Args:
        n: Number of unknowns.
    """
    return min(10 * n, 10_000)


def stagnates(norms: list[float], window: int = 5, factor: float = 0.98) -> bool:
    """Whether the residual fell by less than 2 % a step, measured over 5 steps, at each of the last 5 steps.

    Args:
        norms: Residual norms so far.
        window: Steps over which to measure, and number of measurements.
        factor: Contraction per step that is too slow.
    """
    if len(norms) <= 2 * window:
        return False
    slow = factor**window
    return all(norms[-i] > slow * norms[-i - window] for i in range(1, window + 1))
