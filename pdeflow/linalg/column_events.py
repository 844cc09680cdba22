"""What happened to the columns of a batch: noted on the device as it happens, put into words at the end."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pdeflow.linalg.solution import Reason


@dataclass(frozen=True)
class Cause:
    """Why a column ended, or left its network.

    Attributes:
        reason: The verdict.
        text: The same with its number, {value}, or "".
    """

    reason: Reason
    text: str = ""


INDEFINITE = Cause(Reason.indefinite, "the operator is not positive definite: d^T A d = {value:.2e} for a direction of length one")
ANSWER = Cause(Reason.nonfinite, "the network returned non-finite values for residual norm {value:.2e}")
RESIDUAL = Cause(Reason.nonfinite, "the residual norm is {value}")
NO_DIRECTION = Cause(Reason.breakdown, "the proposed direction is zero, or lies in the span of the last ones")
ENERGY = Cause(Reason.breakdown, "the energy of the error fell otherwise than for a symmetric A, by {value:.2e} of what the line search took")
SLOW = Cause(Reason.stagnated, "the residual falls too slowly, its norm is {value:.2e}")
ROUNDING = Cause(Reason.stagnated, "the residual norm {value:.2e} is rounding of b - A x")
CAUSES = [INDEFINITE, ANSWER, RESIDUAL, NO_DIRECTION, ENERGY, SLOW, ROUNDING, *map(Cause, Reason)]


class Events:
    """The first event of each column.

    Args:
        like: Tensor of shape (R,), whose device the notes have.

    Attributes:
        step: Step of the event, shape (R,), -1 where there was none.
    """

    def __init__(self, like: Tensor) -> None:
        self.step = torch.full_like(like, -1, dtype=torch.int64)
        self.cause, self.value = self.step, torch.zeros_like(like, dtype=torch.float64)

    def note(self, which: Tensor, cause: Cause, step: int, value: Tensor | None = None) -> None:
        """Note an event of some columns; those that had one keep it.

        Args:
            which: The columns, shape (R,).
            cause: What happened.
            step: When.
            value: Number of its text, shape (R,).
        """
        if which.device.type == "cpu" and not bool(which.any()):
            return
        new = which & (self.step < 0)
        self.step = torch.where(new, step, self.step)
        self.cause = torch.where(new, CAUSES.index(cause), self.cause)
        if value is not None:
            self.value = torch.where(new, value, self.value)

    def causes(self) -> list[Cause | None]:
        """Return what happened to each column; waits for the device."""
        return [CAUSES[k] if k >= 0 else None for k in self.cause.tolist()]

    def texts(self) -> list[str]:
        """Return a sentence for each column, "" where nothing happened; waits for the device."""
        rows = zip(self.causes(), self.step.tolist(), self.value.tolist(), strict=True)
        return [f"{cause.text.format(value=value)} at iteration {step}" if cause and cause.text else "" for cause, step, value in rows]
