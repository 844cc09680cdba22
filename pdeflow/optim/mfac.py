"""M-FAC: the inverse of an empirical Fisher matrix of the last m gradients, never formed, applied to the gradient.

Frantar, Kurtic and Alistarh, M-FAC: Efficient matrix-free approximations of second-order information, NeurIPS 2021
(arXiv 2107.03356). Not a trainer for full-batch physics-informed networks: consecutive full-batch gradients span
few directions, and it does worse there than Adam (our benchmark); it is meant for minibatches, and for F⁻¹v in pruning.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

from pdeflow.optim.flat_parameters import assign, flatten, gradient_vector, trainable
from pdeflow.optim.skipped_steps import report_skipped


class MFAC(Optimizer):
    """θ ← θ - lr (F⁻¹g + wd θ), F = λI + (1/k) Σ g_i g_iᵀ over the last k ≤ m gradients, the current one among them.

    Args:
        params: Real parameters of one type; groups are joined.
        lr: Learning rate.
        window: Gradients m that are kept, (m, P) numbers.
        damping: λ.
        weight_decay: Decay wd, added to the preconditioned gradient.

    Raises:
        ValueError: If a setting is out of range, or parameters are complex or of several types.
    """

    def __init__(
        self, params: ParamsT, lr: float = 1e-3, window: int = 64, damping: float = 1e-5, weight_decay: float = 0.0
    ) -> None:
        if window < 1:
            raise ValueError(f"window must be at least 1 gradient, got {window}")
        if not 0 < damping < math.inf:
            raise ValueError(f"damping must be a finite number > 0, got {damping}")
        if not (0 <= lr < math.inf and 0 <= weight_decay < math.inf):
            raise ValueError(f"lr and weight_decay must be finite numbers >= 0, got {lr} and {weight_decay}")
        super().__init__(params, {"lr": lr, "window": window, "damping": damping, "weight_decay": weight_decay})
        self.params = trainable(self.param_groups, type(self).__name__)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Put the gradient into the window and take a step; a gradient that is not finite is left out, with a warning.

        Args:
            closure: Re-evaluates the loss, with gradients.

        Returns:
            The closure's loss, or None.

        Raises:
            ValueError: If the gradient has not been finite for MAX_SKIPPED steps in a row.
        """
        loss = None if closure is None else torch.enable_grad()(closure)()
        group, gradient = self.param_groups[0], gradient_vector(self.params)
        state, finite = self.state[self.params[0]], bool(torch.isfinite(gradient).all())
        state["skipped"] = 0 if finite else state.get("skipped", 0) + 1
        if not finite:
            report_skipped("the network", state["skipped"])
            return loss
        self._insert(gradient, group["window"])
        theta = flatten(self.params)
        update = self.inverse_times(gradient) + group["weight_decay"] * theta
        assign(self.params, theta - group["lr"] * update)
        return loss

    def inverse_times(self, x: Tensor) -> Tensor:
        """Return F⁻¹x = [x - Gᵀ(kλI + GGᵀ)⁻¹Gx]/λ, or x/λ before the first step.

        Args:
            x: Shape (P,).

        Reference: arXiv 2107.03356; here by Woodbury's identity and one Cholesky factor.
        """
        state, damping = self.state[self.params[0]], self.param_groups[0]["damping"]
        if "count" not in state:
            return x / damping
        k = min(state["count"], len(state["window"]))
        g, gram = state["window"][:k], state["gram"][:k, :k]
        factor = torch.linalg.cholesky(gram + k * damping * torch.eye(k, dtype=x.dtype, device=x.device))
        return (x - g.T @ torch.cholesky_solve((g @ x)[:, None], factor)[:, 0]) / damping

    def _insert(self, gradient: Tensor, window: int) -> None:
        """Replace the oldest gradient, and its row and column of GGᵀ."""
        state = self.state[self.params[0]]
        if "count" not in state:
            state.update(count=0, window=gradient.new_zeros(window, len(gradient)), gram=gradient.new_zeros(window, window))
        place = state["count"] % window
        state["window"][place] = gradient
        row = state["window"] @ gradient
        state["gram"][place], state["gram"][:, place] = row, row
        state["count"] += 1
