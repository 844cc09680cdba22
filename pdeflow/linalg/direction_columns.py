"""The iteration of deep conjugate directions for a batch of right-hand sides, each with its own verdict.

Kaneda et al., A Deep Conjugate Direction Method for Iteratively Solving Linear Systems, arXiv 2205.10763 (ICML 2023).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from pdeflow.linalg.column_events import (
    ANSWER,
    ENERGY,
    INDEFINITE,
    NO_DIRECTION,
    RESIDUAL,
    ROUNDING,
    SLOW,
    Cause,
    Events,
)
from pdeflow.linalg.conjugate_window import Apply, Window, inner, magnitude, norm, over, times
from pdeflow.linalg.direction_input import operator_size
from pdeflow.linalg.gradients_beside import Beside
from pdeflow.linalg.iteration import DRIFTS
from pdeflow.linalg.solution import Reason
from pdeflow.linalg.solutions import Solutions

CONTRACTION, SLOW_STEPS = 0.98, 5
"""The guard leaves a network whose residuals fall by less than this factor a step, measured over 5 steps, 5 times in a row."""
PROOF = 4.0
"""Rounding of d·Ad over eps √n ‖A‖ ‖d‖² at most; below its negative, A is proved not to be positive definite."""
Stop = Callable[[int, Tensor], Reason | None]


class Columns:
    """State of the iteration, one entry for each right-hand side.

    Nothing in a step waits for the device, but for one look at the residuals where they are not recomputed in every step.
    Each column is solved in its own unit, the magnitude of b, so that any finite b does: b, x, r and their norms are in units.

    Args:
        apply: The operator A on batches (R, *shape).
        b: Right-hand sides.
        x0: Initial guesses or None.
        propose: The network.
        classical: The guard's preconditioner.
        project: Projection onto the complement of the null space, or None.
        window: Steps whose directions are kept.
        guard: "switch", "multi" or None.
        rtol: Tolerance relative to ‖b‖.
        atol: Absolute tolerance.
    """

    def __init__(
        self, apply: Apply, b: Tensor, x0: Tensor | None, propose: Apply, classical: Apply, project: Apply | None, window: int,
        guard: str | None, rtol: float, atol: float,
    ) -> None:  # fmt: skip
        self.apply, self.propose, self.classical, self.guard = apply, propose, classical, guard
        self.project: Apply = project or (lambda v: v)
        self.unit = magnitude(b)
        self.b = self.project(over(b, self.unit))
        self.x = torch.zeros_like(b) if x0 is None else times(norm(self.b) > 0, over(x0.to(b), self.unit))
        self.window = Window(window, 2 if guard == "multi" else 1)
        self.matvecs, self.steps_done = 2, 0  # the size of A takes two
        self.size, self.scale = norm(self.b), operator_size(apply, b)
        self.target = torch.maximum(rtol * self.size, atol / self.unit.double())
        self.r = self._true_residual()
        self.norms = [norm(self.r)]
        self.active = self.norms[0] > self.target
        self.iterations = torch.zeros_like(self.size, dtype=torch.int64)
        self.left, self.ended = Events(self.size), Events(self.size)  # the network; before the tolerance was reached
        self.trusted = torch.ones_like(self.active)
        self.slow, self.floored, self.gain, self.fall, self.path = (torch.zeros_like(self.size) for _ in range(5))
        self.energy = self._energy()
        self.beside = Beside(apply, lambda r: self.project(classical(r)), self.x, self.r) if guard == "multi" else None
        self.learned, self.any_switched = True, False

    def run(self, maxiter: int, recompute_every: int, check_every: int, stop: Stop | None) -> None:
        """Iterate until every column has ended.

        Args:
            maxiter: Steps at most.
            recompute_every: Steps between b - A x and the next.
            check_every: Steps between two looks at most; before, half as many as were done, so that no more than these are idle.
            stop: As in dcdm.
        """
        due = 0
        for k in range(1, maxiter + 1):
            if k - 1 == due:
                if not self._look(k - 1, stop):
                    return
                due += min(check_every, max(1, due // 2))
            self.step(k, recompute_every)
        self._look(maxiter, stop)

    def _look(self, k: int, stop: Stop | None) -> bool:
        """Read the state from the device; whether to go on."""
        self.learned = bool((self.active & (self.left.step < 0)).any())
        self.any_switched = bool((self.left.step >= 0).any())
        if self.any_switched:
            self.window.at_least(1)
        reason = stop(k, self.norms[-1] * self.unit.double()) if stop is not None else None
        if reason is not None and reason is not Reason.converged:
            self._end(self.active, Cause(reason))
        return bool(self.active.any())

    def step(self, k: int, recompute_every: int) -> None:
        """Take one step in every active column."""
        before, self.steps_done, self.trusted = self.r, k, self.left.step < 0
        served = torch.zeros_like(self.active)
        if self.learned:
            size = torch.where(self.norms[-1] > 0, self.norms[-1], 1.0)
            z = self.project(self.propose(times(1 / size, before)))
            served = self._search(z, self.trusted, "network")
        if self.beside is not None:
            served |= self._search(self.project(self.classical(before)), torch.ones_like(served), "classical")
            served |= self._not_behind(self.beside)
        elif self.any_switched:
            served |= self._search(self.project(self.classical(before)), ~self.trusted, "classical")
        self.window.close()
        waits = ~self.trusted & (not self.any_switched)  # left the network since the last look
        self.iterations += self.active & ~waits
        self._residual(k, recompute_every)
        self._judge(k, served | waits)

    def _search(self, z: Tensor, chosen: Tensor, whose: str) -> Tensor:
        """Conjugate and normalise proposals, move along them by exact line search; which columns were served."""
        finite = torch.isfinite(z).flatten(1).all(1)
        if whose == "network" and self.guard != "multi":
            self._fail(self.active & chosen & ~finite, ANSWER, self.norms[-1] * self.unit.double())
        use = finite & chosen & self.active
        z = torch.where(use.reshape(-1, *[1] * (z.ndim - 1)), z, 0.0)
        z = over(z, magnitude(z))  # the length of a proposal means nothing
        d, Ad, curvature = self.window.conjugate(z, self.apply)
        self.matvecs += 1
        length, image, eps = norm(d), norm(Ad), torch.finfo(d.dtype).eps
        good = use & (curvature > 10 * eps * length * image)
        rayleigh, uncertain = curvature / length**2, PROOF * eps * math.sqrt(d[0].numel()) * self.scale
        self._end(use & (rayleigh < -uncertain), INDEFINITE, rayleigh)
        square = torch.where(good, curvature, 1.0)
        where = good.reshape(-1, *[1] * (d.ndim - 1))
        d, Ad = torch.where(where, d, 0.0), torch.where(where, Ad, 0.0)
        slope = inner(self.r, d)
        alpha = torch.where(good, slope / square, 0.0)
        self.fall += alpha * slope / 2
        self.path += (alpha * length).abs()
        self.x, self.r = self.x + times(alpha, d), self.r - times(alpha, Ad)
        self.gain = torch.where(good, torch.maximum(self.gain, image / length), self.gain)
        self.window.push(d, Ad, square)
        return good

    def _not_behind(self, cg: Beside) -> Tensor:
        """Go where conjugate gradients have come beside, in the columns where they are ahead; which these are."""
        cg.step()
        self.matvecs += 1
        gain = cg.gain(self.x, self.r)
        ahead = self.active & (gain > 0)
        where = ahead.reshape(-1, *[1] * (self.x.ndim - 1))
        self.path += torch.where(ahead, norm(cg.x - self.x), 0.0)
        self.x, self.r = torch.where(where, cg.x, self.x), torch.where(where, cg.r, self.r)
        self.fall += torch.where(ahead, gain, 0.0)
        self.window.restart(ahead, cg.p, cg.Ap, cg.curvature)  # to the others r is not orthogonal any more
        return ahead

    def _residual(self, k: int, recompute_every: int) -> None:
        """Recompute b - A x when it is due, or when the recurrence claims a convergence that must be checked."""
        claimed = recompute_every > 1 and bool((self.active & (norm(self.r) <= self.target)).any())
        if k % recompute_every == 0 or claimed:
            self.r = self._true_residual()
            self._check_energy()
        self.norms.append(torch.where(self.active, norm(self.r), self.norms[-1]))

    def _true_residual(self) -> Tensor:
        self.matvecs += 1
        return self.project(self.b - self.apply(self.x))

    def _energy(self) -> Tensor:
        """x·Ax / 2 - b·x for r = b - A x, which is ‖e‖²_A / 2 up to a constant."""
        return -inner(self.x, self.b + self.r) / 2

    def _check_energy(self) -> None:
        """Distrust columns whose energy did not fall by (r·d)² / (2 d·Ad) a step, as it must for a symmetric A (eq. 2.4)."""
        eps, energy = torch.finfo(self.b.dtype).eps, self._energy()
        reach = norm(self.x) + self.path  # no x since the last check was longer: eps ‖A‖ reach bounds the rounding of their r
        rounding = 100 * eps * reach * (self.size + self.scale * reach) + eps**0.5 * self.fall
        excess = energy - self.energy + self.fall
        self._fail(self.active & (excess.abs() > rounding), ENERGY, excess / self.fall)
        self.energy, self.fall, self.path = energy, torch.zeros_like(self.fall), torch.zeros_like(self.path)

    def _judge(self, k: int, served: Tensor) -> None:
        """End columns that are done or cannot go on, and switch those whose network fails."""
        now = self.norms[-1]
        units = now * self.unit.double()
        self._end(self.active & ~torch.isfinite(now), RESIDUAL, units)
        self.active = self.active & ~(now <= self.target)
        floor = torch.finfo(self.b.dtype).eps * torch.fmax(10 * self.gain, self.scale) * norm(self.x)  # what b - A x is uncertain by
        self.floored = torch.where(now <= floor, self.floored + 1, 0.0)
        self._end(self.active & (self.floored >= DRIFTS), ROUNDING, units)
        left_now = self.trusted & (self.left.step >= 0)
        self._fail(self.active & ~served & ~left_now, NO_DIRECTION)
        if self.guard == "switch" and k >= SLOW_STEPS:
            slow = now > CONTRACTION**SLOW_STEPS * self.norms[-1 - SLOW_STEPS]
            self.slow = torch.where(slow, self.slow + 1, 0.0)
            self._fail(self.active & self.trusted & (self.slow >= SLOW_STEPS), SLOW, units)

    def _fail(self, which: Tensor, cause: Cause, value: Tensor | None = None) -> None:
        """Let columns leave their network, where the guard is "switch" and they had not before this step; end the others."""
        leave = which & self.trusted & (self.guard == "switch")
        self.left.note(leave, cause, self.steps_done, value)
        self._end(which & ~leave, cause, value)

    def _end(self, which: Tensor, cause: Cause, value: Tensor | None = None) -> None:
        """Freeze columns and note why."""
        self.ended.note(which, cause, self.steps_done, value)
        self.active = self.active & ~which

    def solutions(self) -> Solutions:
        """Recompute b - A x for the x that is returned, rounded as its unit makes it; this alone decides what has converged."""
        x = times(self.unit, self.x)
        self.x = over(x, self.unit)
        final = torch.where(torch.isfinite(x).flatten(1).all(1), norm(self._true_residual()), torch.inf)  # an empty column of A hides an infinite x
        converged = (final <= self.target) & torch.isfinite(final)
        relative = final * torch.where(self.size > 0, 1 / self.size, self.unit.double())
        rows = zip(*(v.tolist() for v in (converged, self.left.step, self.size, self.active, final)), strict=True)
        reasons = tuple(_reason(cause, *row) for cause, row in zip(self.ended.causes(), rows, strict=True))
        switched_at = tuple(k if k >= 0 else None for k in self.left.step.tolist())
        why = zip(self.left.texts(), self.ended.texts(), strict=True)
        details = tuple("; ".join(text for text in texts if text) for texts in why)
        norms = torch.stack(self.norms) * self.unit.double()
        return Solutions(x, converged, reasons, relative, norms, self.iterations, self.matvecs, switched_at, details)


def _reason(cause: Cause | None, converged: bool, switched: int, size: float, active: bool, final: float) -> Reason:
    if converged:
        if size == 0:
            return Reason.zero_rhs
        return Reason.converged_fallback if switched >= 0 else Reason.converged
    if cause is not None:
        return cause.reason
    if not math.isfinite(final):
        return Reason.nonfinite
    return Reason.maxiter if active else Reason.stagnated
