"""Sample weights instead of one best fit, for error bars of an operator trained on few data: Langevin steps and their mean.

Welling and Teh, ICML 2011, eq. (4), in the form θ ← θ - η g + √(2 η T) ξ; running mean: Polyak and Juditsky, SIAM J. Control Optim. 30
(1992) 838, eq. (2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

from pdeflow import seeds


class Langevin(Optimizer):
    """θ ← θ - η g + √(2 η T) ξ with normal ξ; samples exp(-L/T) as η falls to zero, and keeps the mean of what it visits.

    For L = ½ h θ² the stationary variance is T / (h (1 - η h / 2)) exactly. With the sum of squared errors over twice the
    variance of the noise of the data as L, T = 1 gives the posterior of a flat prior; weight decay is a normal prior. T = 0 is SGD.

    Args:
        params: Parameters or groups; complex ones get complex noise, of variance 2 T η per part.
        lr: η; a stable one is below 2 over the largest curvature.
        temperature: T, in units of the loss.
        weight_decay: λ of an extra ½ λ ‖θ‖² in the loss.
        burn_in: Steps that the mean leaves out.
        seed: Of the noise, which depends on seed and step alone, so that a resumed run is the same.

    Raises:
        ValueError: If a setting is negative.
    """

    def __init__(
        self, params: ParamsT, lr: float = 1e-3, temperature: float = 1e-6, weight_decay: float = 0.0, burn_in: int = 0, seed: int = 0
    ) -> None:  # fmt: skip
        options = {"lr": lr, "temperature": temperature, "weight_decay": weight_decay, "burn_in": burn_in, "seed": seed}
        if min(options.values()) < 0:
            raise ValueError(f"Langevin needs settings >= 0, got {options}")
        super().__init__(params, {**options, "steps": 0})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient, and update the means.

        Args:
            closure: Re-evaluates the loss, with gradients.

        Returns:
            The closure's loss, or None.
        """
        loss = None if closure is None else torch.enable_grad()(closure)()
        for place, group in enumerate(self.param_groups):
            group["steps"] += 1
            generator = seeds.generator(group["seed"] + place, seeds.NOISE, group["steps"])
            for p in group["params"]:
                if p.grad is not None:
                    p.sub_(p.grad + group["weight_decay"] * p, alpha=group["lr"])
                    real = torch.view_as_real(p) if p.is_complex() else p
                    noise = torch.randn(real.shape, generator=generator, dtype=real.dtype).to(real.device)
                    real.add_(noise, alpha=math.sqrt(2 * group["lr"] * group["temperature"]))
                    self._average(p, group["steps"] - group["burn_in"])
        return loss

    def _average(self, p: Tensor, count: int) -> None:
        if count == 1:
            self.state[p]["mean"] = p.clone()
        elif count > 1:
            self.state[p]["mean"].lerp_(p, 1 / count)

    @torch.no_grad()
    def swap_mean(self) -> None:
        """Exchange the parameters with the means of their visits; a second call exchanges them back.

        Raises:
            ValueError: If no step has been taken since the burn-in.
        """
        if not any("mean" in state for state in self.state.values()):
            raise ValueError("there is no mean yet; take more steps than burn_in")
        for p, state in self.state.items():
            if "mean" in state:
                mean = state["mean"].clone()
                state["mean"].copy_(p)
                p.copy_(mean)
