"""Learning rate as a function of training progress: linear warm-up, then half a cosine.

Loshchilov and Hutter, SGDR, ICLR 2017, eq. (5), without restarts; warm-up: Goyal et al., arXiv 1706.02677,
section 2.2.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class WarmupCosine(LRScheduler):
    """Step once per optimizer step; only the step is saved, so a resumed run may have another budget."""

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
        if total_steps is None or total_steps < 1:
            raise ValueError(
                f"WarmupCosine needs total_steps >= 1, got {total_steps}; "
                "pass the trainer's estimated_stepping_batches or epochs * batches"
            )
        if not (0 <= warmup < 1 and 0 <= final <= 1):
            raise ValueError(f"warmup must lie in [0, 1) and final in [0, 1], got {warmup} and {final}")
        self.total_steps, self.warmup, self.final = total_steps, warmup, final
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """Compute the rates of the current step.

        Returns:
            One rate per parameter group.
        """
        factor = warmup_cosine(self.last_epoch / self.total_steps, self.warmup, self.final)
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
