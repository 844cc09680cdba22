"""Learning rate as a function of training progress: warm-up, then half a cosine, or a plateau and a decay.

Loshchilov and Hutter, SGDR, ICLR 2017, eq. (5), without restarts; warm-up: Goyal et al., arXiv 1706.02677, section 2.2; plateau:
Hu et al., MiniCPM, arXiv 2404.06395; square-root decay: Hägele et al., arXiv 2405.18392.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, Literal, get_args

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

DecayShape = Literal["linear", "1-sqrt"]


class ProgressSchedule(LRScheduler, ABC):
    """Step once per optimizer step; only the step is saved, so a resumed run may have another budget."""

    def __init__(self, optimizer: Optimizer, total_steps: int | None) -> None:
        """Set the rates of step 0.

        Args:
            optimizer: Optimizer whose groups hold the peak rates.
            total_steps: Length of the training in optimizer steps.

        Raises:
            ValueError: If total_steps is None or less than one.
        """
        if total_steps is None or total_steps < 1:
            raise ValueError(
                f"{type(self).__name__} needs total_steps >= 1, got {total_steps}; "
                "pass the trainer's estimated_stepping_batches or epochs * batches"
            )
        self.total_steps = total_steps
        super().__init__(optimizer)

    @abstractmethod
    def factor(self, progress: float) -> float:
        """Return rate over peak rate at a share of the training, which may exceed one."""

    def get_lr(self) -> list[float | Tensor]:
        """Compute the rates of the current step.

        Returns:
            One rate per parameter group.
        """
        factor = self.factor(self.last_epoch / self.total_steps)
        return [base * factor for base in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run must know: the step number and the peak rates.

        Returns:
            Plain numbers and lists; the budget and the shape stay with the constructor.
        """
        return {"last_epoch": self.last_epoch, "base_lrs": [float(rate) for rate in self.base_lrs]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue at a saved step, on this run's budget.

        Args:
            state_dict: What state_dict returned.

        Raises:
            ValueError: If the number of parameter groups differs.
        """
        if len(state_dict["base_lrs"]) != len(self.optimizer.param_groups):
            raise ValueError(
                f"saved schedule has {len(state_dict['base_lrs'])} parameter groups, the optimizer "
                f"{len(self.optimizer.param_groups)}; resume with the same network and optimizer"
            )
        super().load_state_dict(dict(state_dict))
        for group, rate in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = rate
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]


class WarmupCosine(ProgressSchedule):
    """Linear warm-up to the peak rate, then half a cosine."""

    def __init__(
        self, optimizer: Optimizer, total_steps: int | None = None, warmup: float = 0.05, final: float = 0.01
    ) -> None:
        """Set the rates of step 0.

        Args:
            optimizer: Optimizer whose groups hold the peak rates.
            total_steps: Length of the training in optimizer steps; the task fills in None.
            warmup: Share of the steps with rising rate, in [0, 1).
            final: Last rate over peak rate, in [0, 1]; the warm-up starts there too.

        Raises:
            ValueError: If a value is out of range or total_steps is None.
        """
        if not (0 <= warmup < 1 and 0 <= final <= 1):
            raise ValueError(f"warmup must lie in [0, 1) and final in [0, 1], got {warmup} and {final}")
        self.warmup, self.final = warmup, final
        super().__init__(optimizer, total_steps)

    def factor(self, progress: float) -> float:
        """Return rate over peak rate at a share of the training."""
        return warmup_cosine(progress, self.warmup, self.final)


class WSD(ProgressSchedule):
    """Warm-up, stable, decay: the plateau may be prolonged at will, as a run resumed on it never saw its end."""

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int | None = None,
        warmup: float = 0.05,
        decay: float = 0.2,
        final: float = 0.01,
        shape: DecayShape = "linear",
    ) -> None:
        """Set the rates of step 0.

        Args:
            optimizer: Optimizer whose groups hold the peak rates.
            total_steps: Length of the training in optimizer steps; the task fills in None.
            warmup: Share of the steps with rising rate.
            decay: Share of the steps with falling rate; the two together are at most one.
            final: First and last rate over peak rate, in [0, 1].
            shape: Fall by "linear" progress or by the square root of it, "1-sqrt".

        Raises:
            ValueError: If a value is out of range or total_steps is None.
        """
        if not (warmup >= 0 and decay >= 0 and warmup + decay <= 1 and 0 <= final <= 1):
            raise ValueError(
                f"warmup + decay must lie in [0, 1], both >= 0, and final in [0, 1], got {warmup}, {decay} and {final}"
            )
        if shape not in get_args(DecayShape):
            raise ValueError(f"shape must be one of {', '.join(get_args(DecayShape))}, got {shape!r}")
        self.warmup, self.decay, self.final, self.shape = warmup, decay, final, shape
        super().__init__(optimizer, total_steps)

    def factor(self, progress: float) -> float:
        """Return rate over peak rate at a share of the training."""
        return warmup_stable_decay(progress, self.warmup, self.decay, self.final, self.shape)


def warmup_cosine(progress: float, warmup: float, final: float) -> float:
    """Return rate over peak rate.

    Args:
        progress: Share of the training done; beyond one the rate stays at its last value.
        warmup: Share of the training with rising rate.
        final: First and last value.

    Returns:
        A number between final and 1.

    Reference: SGDR, eq. (5).
    """
    if progress < warmup:
        return final + (1 - final) * progress / warmup
    angle = math.pi * min(1.0, (progress - warmup) / (1 - warmup))
    return final + (1 - final) * 0.5 * (1 + math.cos(angle))


def warmup_stable_decay(progress: float, warmup: float, decay: float, final: float, shape: DecayShape) -> float:
    """Return rate over peak rate.

    Args:
        progress: Share of the training done; beyond one the rate stays at its last value.
        warmup: Share of the training with rising rate.
        decay: Share of the training with falling rate.
        final: First and last value.
        shape: "linear" or "1-sqrt".

    Returns:
        A number between final and 1.

    Reference: arXiv 2404.06395; arXiv 2405.18392 for "1-sqrt".
    """
    if progress < warmup:
        return final + (1 - final) * progress / warmup
    if progress <= 1 - decay:
        return 1.0
    fallen = min(1.0, (progress - (1 - decay)) / decay) if decay else 1.0
    return final + (1 - final) * (1 - (fallen if shape == "linear" else math.sqrt(fallen)))
