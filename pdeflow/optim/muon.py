"""Muon: momentum replaced by its polar factor, per matrix, and per Fourier mode for spectral weights.

Jordan, Muon: an optimizer for hidden layers (2024); scale: Liu et al., Muon is scalable, arXiv 2502.16982,
eq. (4); elementwise parameters: Loshchilov and Hutter, Decoupled weight decay, ICLR 2019, algorithm 2
(AdamW).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

from pdeflow.optim.matrix_views import check_view, from_matrix, to_matrix
from pdeflow.optim.polar import PolarMethod, polar

Scale = Literal["rms", "kj", "spectral", "none"]
MAX_SKIPPED = 10
"""Steps in a row that a parameter may be left out for a gradient that is not finite."""


class Muon(Optimizer):
    """Matrix-aware momentum: W ← (1 - lr λ) W - lr s polar(N), N the Nesterov mix of gradient and momentum.

    A parameter group may carry `matrix_view`, a name of pdeflow.optim.matrix_views; without it parameters
    of two or more axes are matrices (fan-out first) and the others elementwise, which get AdamW steps.

    Args:
        params: Parameters or groups; a group may set any of the options below and `matrix_view`.
        lr: Learning rate; with scale "rms" about that of AdamW, times one to ten for operators.
        momentum: Decay β of the averaged gradient B ← β B + (1 - β) G.
        nesterov: Whether the polar factor is taken of β B + (1 - β) G instead of B.
        weight_decay: Decoupled decay λ, for every kind of parameter.
        polar: How the polar factor is computed, as in pdeflow.optim.polar.
        polar_steps: Iterations when polar is "polar_express".
        scale: Factor s of an (m, n) update: "rms" 0.2 sqrt(max(m, n)), so that its entries have root mean
            square 0.2 as AdamW's; "kj" sqrt(max(1, m/n)); "spectral" sqrt(m/n); "none" 1.
        adamw_lr_ratio: Learning rate of elementwise parameters over lr.
        adamw_betas: Decay rates of AdamW's two moments.
        adamw_eps: AdamW's ε.

    Raises:
        ValueError: If a setting is out of range, or a view is unknown or does not fit its parameters.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 0.02,
        momentum: float = 0.95,
        nesterov: bool = True,
        weight_decay: float = 0.0,
        polar: PolarMethod = "auto",
        polar_steps: int = 8,
        scale: Scale = "rms",
        adamw_lr_ratio: float = 1.0,
        adamw_betas: tuple[float, float] = (0.9, 0.999),
        adamw_eps: float = 1e-8,
    ) -> None:
        defaults = {
            "lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay,
            "polar": polar, "polar_steps": polar_steps, "scale": scale, "adamw_lr_ratio": adamw_lr_ratio,
            "adamw_betas": tuple(adamw_betas), "adamw_eps": adamw_eps,
        }  # fmt: skip
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, after checking its settings and its view.

        Args:
            param_group: Dictionary with `params` and any option of the constructor, or `matrix_view`.

        Raises:
            ValueError: If a setting is out of range, or the view is unknown or does not fit.
        """
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
            _check_group(group)
            for p in group["params"]:
                check_view(p, view_of(p, group))
        except ValueError:
            self.param_groups.pop()
            raise

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Args:
            closure: Re-evaluates the loss, with gradients.

        Returns:
            The closure's loss, or None.

        Raises:
            ValueError: If a gradient is sparse, or has not been finite for MAX_SKIPPED steps in a row.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None and self._usable(p, p.grad):
                    view = view_of(p, group)
                    update = _adamw_step if view == "elementwise" else _muon_step
                    update(p, p.grad, self.state[p], group, view)
        return loss

    def _usable(self, p: Tensor, grad: Tensor) -> bool:
        """Skip a gradient that is not finite; give up after MAX_SKIPPED in a row."""
        if grad.is_sparse:
            raise ValueError(f"Muon needs dense gradients, got a sparse {tuple(p.shape)}; set sparse=False")
        state = self.state[p]
        finite = bool(torch.isfinite(grad).all())
        state["skipped"] = 0 if finite else state.get("skipped", 0) + 1
        if state["skipped"] >= MAX_SKIPPED:
            raise ValueError(
                f"gradient of a parameter of shape {tuple(p.shape)} is not finite for {MAX_SKIPPED} steps; "
                "lower lr or clip gradients"
            )
        return finite


def view_of(parameter: Tensor, group: dict[str, Any]) -> str:
    """Return the view that a group gives to a parameter.

    Args:
        parameter: The parameter.
        group: Its group, with or without the key `matrix_view`.

    Returns:
        The group's view, else "matrix" for two or more axes and "elementwise" for fewer.
    """
    return group.get("matrix_view") or ("matrix" if parameter.ndim >= 2 else "elementwise")


def update_scale(m: int, n: int, scale: Scale) -> float:
    """Return the factor of an orthogonal update of an (m, n) matrix.

    Args:
        m: Fan-out.
        n: Fan-in.
        scale: "rms", "kj", "spectral" or "none", as in Muon.

    Returns:
        The factor s.

    Reference: arXiv 2502.16982, eq. (4), for "rms".
    """
    return {
        "rms": 0.2 * math.sqrt(max(m, n)),
        "kj": math.sqrt(max(1, m / n)),
        "spectral": math.sqrt(m / n),
        "none": 1.0,
    }[scale]


def _muon_step(p: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any], view: str) -> None:
    if "momentum" not in state:
        state["momentum"] = torch.zeros_like(p)
    buffer = state["momentum"].lerp_(grad, 1 - group["momentum"])
    direction = grad.lerp(buffer, group["momentum"]) if group["nesterov"] else buffer
    matrix = to_matrix(direction, view)
    factor = update_scale(matrix.shape[-2], matrix.shape[-1], group["scale"])
    update = from_matrix(polar(matrix, group["polar"], group["polar_steps"]), view, p)
    p.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"] * factor)


def _adamw_step(p: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any], view: str) -> None:
    if p.is_complex():
        p, grad = torch.view_as_real(p), torch.view_as_real(grad)  # Re and Im apart, as in torch
    if "step" not in state:
        state.update(step=0, mean=torch.zeros_like(p), square=torch.zeros_like(p))
    state["step"] += 1
    beta, beta2 = group["adamw_betas"]
    state["mean"].lerp_(grad, 1 - beta)
    state["square"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    lr = group["lr"] * group["adamw_lr_ratio"]
    root = (state["square"] / (1 - beta2 ** state["step"])).sqrt_().add_(group["adamw_eps"])
    p.mul_(1 - lr * group["weight_decay"])
    p.addcdiv_(state["mean"], root, value=-lr / (1 - beta ** state["step"]))


def _check_group(group: dict[str, Any]) -> None:
    """Refuse settings that would run and do nothing sensible."""
    choices = {"polar": get_args(PolarMethod), "scale": get_args(Scale)}
    for key, allowed in choices.items():
        if group[key] not in allowed:
            raise ValueError(f"{key} must be one of {', '.join(allowed)}, got {group[key]!r}")
    for key in ("lr", "weight_decay", "adamw_lr_ratio", "adamw_eps"):
        if not 0 <= group[key] < math.inf:
            raise ValueError(f"{key} must be a finite number >= 0, got {group[key]}")
    for key, values in (("momentum", (group["momentum"],)), ("adamw_betas", group["adamw_betas"])):
        if not all(0 <= value < 1 for value in values):
            raise ValueError(f"{key} must lie in [0, 1), got {group[key]}")
    if group["polar_steps"] < 1:
        raise ValueError(f"polar_steps must be at least 1, got {group['polar_steps']}")
