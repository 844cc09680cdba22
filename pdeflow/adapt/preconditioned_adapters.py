"""Fine-tune by low-rank adapters whose step follows the weight rather than its factors, which makes the learning rate matter less.

AdaPreLoRA, arXiv 2605.08734: of all steps of the factors that which changes the weight most like Adafactor would (Shazeer
and Stern, ICML 2018, algorithm 4, without its clipping). Of the many that do, the balanced one is our derivation; gradients of
the product A B are taken as they are, not estimated from those of the factors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer

from pdeflow.adapt.low_rank_adapters import adapters


def balanced_step(a: Tensor, b: Tensor, step: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Split a step D of the product A B into steps of its factors.

    Minimises Σ_ij p_i q_j |(dA B + A dB - D)_ij|², with the same share of the step for both factors where both can carry it.

    Args:
        a: A, shape (..., m, r), real or complex.
        b: B, shape (..., r, n).
        step: D, shape (..., m, n).
        rows: p > 0, shape (..., m), real.
        columns: q > 0, shape (..., n), real.

    Returns:
        dA and dB.
    """
    p, q = rows.sqrt().unsqueeze(-1), columns.sqrt().unsqueeze(-2)
    a, b, step = p * a, b * q, p * step * q
    inverse_a = torch.linalg.pinv(a.mH @ a, hermitian=True) @ a.mH
    inverse_b = b.mH @ torch.linalg.pinv(b @ b.mH, hermitian=True)
    to_a, to_b = step @ inverse_b, inverse_a @ step
    to_a = to_a - a @ (inverse_a @ to_a) / 2
    to_b = to_b - (to_b @ inverse_b) @ b / 2
    return to_a / p, to_b / q


def within(change: Tensor, bound: Tensor) -> Tensor:
    """Shorten matrices, shape (..., m, n), to a Frobenius norm of at most bound, shape (..., 1, 1)."""
    length = torch.linalg.matrix_norm(change, keepdim=True)
    return change * (bound / torch.where(length == 0, 1.0, length)).clamp_max(1.0)


class AdaPreLoRA(Optimizer):
    """W ← W - lr D as nearly as the ranks allow, D = Ḡ / √(p qᵀ) with Ḡ a running mean of the gradient G, running means p, q of the rows and columns of |G|².

    Args:
        network: Network with adapters (`attach_adapters`), whose factors are trained; no other parameter is.
        lr: Size of the change of the weights' entries per step, before it is restricted to the rank.
        momentum: Decay of a running mean of G, which is as large as the adapted weights; zero keeps none.
        beta2: Decay of the running means of squares.
        trust: Most that a factor moves per step, as a share of the norm of the larger factor. B starts at zero, and while it is
            small a small change of the weight needs a huge one of A: without the bound a rising rate loses all that was trained.
        eps: Added to the running means, relative to their mean.

    Raises:
        ValueError: If the network has no adapter, a setting is out of range, or a gradient is not finite.
    """

    def __init__(
        self, network: nn.Module, lr: float = 1e-3, momentum: float = 0.9, beta2: float = 0.99, trust: float = 0.1, eps: float = 1e-6
    ) -> None:
        found = adapters(network)
        if not found:
            raise ValueError(f"{type(network).__name__} has no adapter; call attach_adapters first")
        options = {"lr": lr, "momentum": momentum, "beta2": beta2, "trust": trust, "eps": eps}
        if lr < 0 or not 0 <= beta2 < 1 or not 0 <= momentum < 1 or trust <= 0 or eps <= 0:
            raise ValueError(f"AdaPreLoRA needs lr >= 0, trust, eps > 0 and 0 <= momentum, beta2 < 1, got {options}")
        self.updates = [update for _, update in found]
        for update in self.updates:
            update.keeps_gradient, update.product_gradient = True, torch.zeros(())
        groups = [{"params": [update.A, update.B], "name": name} for name, update in found]
        super().__init__(groups, options)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, those of the products too."""
        super().zero_grad(set_to_none)
        for update in self.updates:
            update.product_gradient = torch.zeros(())

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every adapter that has a gradient.

        Args:
            closure: Re-evaluates the loss, with gradients.

        Returns:
            The closure's loss, or None.

        Raises:
            ValueError: If a gradient is not finite.
        """
        loss = None if closure is None else torch.enable_grad()(closure)()
        for update, group in zip(self.updates, self.param_groups, strict=True):
            gradient = update.product_gradient
            if gradient.ndim == 0:
                continue
            if not gradient.isfinite().all():
                raise ValueError(f"the gradient of the adapter of {group['name']!r} is not finite; lower the learning rate")
            a, b = update.factors()
            rows, columns, mean = self._moments(self.state[update.A], gradient, group)
            direction = mean / (rows.sqrt().unsqueeze(-1) * columns.sqrt().unsqueeze(-2))
            bound = group["trust"] * torch.maximum(*(torch.linalg.matrix_norm(f, keepdim=True) for f in (a, b)))
            for factor, change in zip((a, b), balanced_step(a, b, direction, rows, columns), strict=True):
                factor.sub_(within(group["lr"] / update.scale * change, bound))
        return loss

    @staticmethod
    def _moments(state: dict[str, Any], gradient: Tensor, group: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
        """Return p, q and the mean of G without their bias; p qᵀ estimates |G|²."""
        square = gradient.abs().square()
        state["step"] = state.get("step", 0) + 1
        means = []
        for key, value, beta in (
            ("rows", square.mean(-1), group["beta2"]), ("columns", square.mean(-2), group["beta2"]), ("mean", gradient, group["momentum"]),
        ):  # fmt: skip
            if beta:
                state[key] = state.get(key, torch.zeros_like(value)).lerp(value, 1 - beta)
                value = state[key] / (1 - beta ** state["step"])
            means.append(value)
        rows, columns, mean = means
        total = rows.mean(-1, keepdim=True).clamp_min(torch.finfo(rows.dtype).tiny)
        return rows + group["eps"] * total, columns / total + group["eps"], mean
