"""Fine-tune by low-rank adapters whose step follows the weight rather than its factors, so that one rate serves every rank.

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


def balanced_step(
    a: Tensor, b: Tensor, step: Tensor, rows: Tensor, columns: Tensor, damping: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Split a step D of the product A B into steps of its factors.

    Minimises Σ_ij p_i q_j |(dA B + A dB - D)_ij|², with the same share of the step for both factors where both can carry it.

    Args:
        a: A, shape (..., m, r), real or complex.
        b: B, shape (..., r, n).
        step: D, shape (..., m, n).
        rows: p > 0, shape (..., m), real.
        columns: q > 0, shape (..., n), real.
        damping: Keeps a factor that is small beside the other from leaping: share of the mean squared singular value
            of the larger that is added to squared singular values before they are inverted.

    Returns:
        dA and dB.
    """
    p, q = rows.sqrt().unsqueeze(-1), columns.sqrt().unsqueeze(-2)
    a, b, step = p * a, b * q, p * step * q
    gram_a, gram_b = a.mH @ a, b @ b.mH  # (..., r, r)
    size = torch.maximum(_mean_eigenvalue(gram_a), _mean_eigenvalue(gram_b))
    inverse_a, inverse_b = _inverse(gram_a, damping * size) @ a.mH, b.mH @ _inverse(gram_b, damping * size)
    to_a, to_b = step @ inverse_b, inverse_a @ step
    to_a = to_a - a @ (inverse_a @ to_a) / 2
    to_b = to_b - (to_b @ inverse_b) @ b / 2
    return to_a / p, to_b / q


def _mean_eigenvalue(gram: Tensor) -> Tensor:
    return gram.diagonal(dim1=-2, dim2=-1).real.mean(-1)[..., None, None]


def _inverse(gram: Tensor, shift: Tensor) -> Tensor:
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    return torch.linalg.pinv(gram + shift * eye, hermitian=True)


class AdaPreLoRA(Optimizer):
    """W ← W - lr D as nearly as the ranks allow, D = G / √(p qᵀ) with running means p, q of the rows and columns of |G|².

    Args:
        network: Network with adapters (`attach_adapters`), whose factors are trained; no other parameter is.
        lr: Size of the change of the weights' entries per step, before it is restricted to the rank.
        beta2: Decay of the running means.
        damping: As in balanced_step.
        eps: Added to the running means, relative to their mean.

    Raises:
        ValueError: If the network has no adapter, a setting is out of range, or a gradient is not finite.
    """

    def __init__(
        self, network: nn.Module, lr: float = 1e-3, beta2: float = 0.99, damping: float = 1e-3, eps: float = 1e-6
    ) -> None:
        found = adapters(network)
        if not found:
            raise ValueError(f"{type(network).__name__} has no adapter; call attach_adapters first")
        if lr < 0 or not 0 <= beta2 < 1 or damping < 0 or eps <= 0:
            raise ValueError(f"AdaPreLoRA needs lr, damping >= 0, eps > 0 and 0 <= beta2 < 1, got lr {lr}, damping {damping}, eps {eps}, "
                             f"beta2 {beta2}")  # fmt: skip
        self.updates = [update for _, update in found]
        for update in self.updates:
            update.keeps_gradient, update.product_gradient = True, torch.zeros(())
        groups = [{"params": [update.A, update.B], "name": name} for name, update in found]
        super().__init__(groups, {"lr": lr, "beta2": beta2, "damping": damping, "eps": eps})

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
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for update, group in zip(self.updates, self.param_groups, strict=True):
            gradient = update.product_gradient
            if gradient.ndim == 0:
                continue
            if not gradient.isfinite().all():
                raise ValueError(f"the gradient of the adapter of {group['name']!r} is not finite; lower the learning rate")
            a, b = update.factors()
            rows, columns = self._moments(self.state[update.A], gradient, group)
            direction = gradient / (rows.sqrt().unsqueeze(-1) * columns.sqrt().unsqueeze(-2))
            for factor, change in zip((a, b), balanced_step(a, b, direction, rows, columns, group["damping"]), strict=True):
                factor.sub_(change, alpha=group["lr"] / update.scale)
        return loss

    @staticmethod
    def _moments(state: dict[str, Any], gradient: Tensor, group: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return p and q, running means of |G|² over rows and columns without their bias, so that p qᵀ estimates |G|²."""
        square = gradient.abs().square()
        state["step"] = state.get("step", 0) + 1
        unbiased = 1 - group["beta2"] ** state["step"]
        means = []
        for key, axis in (("rows", -1), ("columns", -2)):
            mean = square.mean(axis)
            state[key] = state.get(key, torch.zeros_like(mean)).lerp(mean, 1 - group["beta2"])
            means.append(state[key] / unbiased)
        rows, columns = means
        total = rows.mean(-1, keepdim=True).clamp_min(torch.finfo(rows.dtype).tiny)
        return rows + group["eps"] * total, columns / total + group["eps"]
