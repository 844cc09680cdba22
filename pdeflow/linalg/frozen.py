"""A preconditioner of an earlier matrix, kept as long as it helps and rebuilt as soon as it does not.

A frozen preconditioner is fine while the coefficients are alike and catastrophic after a jump, so the growth of
the iterations decides. The same rule serves MOOSE (issue 21868) and hypre (1565).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pdeflow.linalg.iteration import Outcome
from pdeflow.linalg.solution import Reason

GROWTH = 2
"""Iterations over those right after the build at which the preconditioner is rebuilt for the next system."""
LEAST = 4
"""Iterations that count as none: growth is measured from here at least."""
UNKNOWN_CAP = 50
"""Iterations allowed on the first other matrix, when there is nothing yet to compare with."""

Build = Callable[[], Any]
Iterate = Callable[[Any, int | None], Outcome]


@dataclass(frozen=True, eq=False)
class Frozen:
    """A preconditioner and how well it did.

    Attributes:
        M: The preconditioner, with `@`.
        key: What a system must have in common with the one it was built for: size and type.
        base: Iterations right after the build; None while only its own matrix was solved.
        due: Whether to rebuild for the next system.
        builds: How often it was built.
    """

    M: Any
    key: tuple[int, str]
    base: int | None = None
    due: bool = False
    builds: int = 1

    @property
    def cap(self) -> int:
        """Iterations after which a solve is given up and the preconditioner rebuilt at once."""
        return UNKNOWN_CAP if self.base is None else 2 * GROWTH * max(self.base, LEAST)


def grown(iterations: int, base: int) -> bool:
    """Whether the iterations have more than doubled since the build.

    Args:
        iterations: Of the newest system.
        base: Right after the build.
    """
    return iterations > GROWTH * max(base, LEAST)


def solve_frozen(
    state: Any, key: tuple[int, str], build: Build, iterate: Iterate, exact: bool
) -> tuple[Outcome, Frozen]:
    """Solve one system of a sequence with the preconditioner of an earlier one, or a new one where that fails.

    Args:
        state: The Frozen of the system before, or anything else to begin anew.
        key: Size and type of this system.
        build: Makes the preconditioner of this system.
        iterate: Function of (M, steps at most or None) that runs the Krylov method.
        exact: Whether M inverts its own matrix, so that the iterations on that one say nothing about the next.

    Returns:
        (outcome, state for the next system). A rebuild within the solve adds its products to the outcome.
    """
    wasted = None
    if isinstance(state, Frozen) and state.key == key and not state.due:
        outcome = iterate(state.M, state.cap)
        if outcome.reason is Reason.converged:
            return outcome, _watched(state, outcome.iterations)
        if outcome.reason in (Reason.timeout, Reason.stopped):
            return outcome, replace(state, due=True)
        wasted = outcome
    builds = state.builds + 1 if isinstance(state, Frozen) else 1
    M = build()
    outcome = iterate(M, None)
    if wasted is not None:
        detail = f"rebuilt after {wasted.iterations} iterations ({wasted.reason.name})"
        norms = [*wasted.residual_norms, *outcome.residual_norms[1:]]
        outcome = Outcome(outcome.x, outcome.reason, norms, wasted.matvecs + outcome.matvecs, detail)
        base = None if exact else outcome.iterations - wasted.iterations
    else:
        base = None if exact else outcome.iterations
    return outcome, Frozen(M, key, base, outcome.reason is not Reason.converged, builds)


def _watched(state: Frozen, iterations: int) -> Frozen:
    """The state after a success: the first one sets the base, later ones are compared with it."""
    if state.base is None:
        return replace(state, base=iterations)
    return replace(state, due=grown(iterations, state.base))


def key_of(n: int, dtype: np.dtype) -> tuple[int, str]:
    """Key under which a preconditioner may serve another system.

    Args:
        n: Number of unknowns.
        dtype: Type in which the system is solved.
    """
    return n, str(dtype)
