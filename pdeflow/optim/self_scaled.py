"""Dense quasi-Newton methods: BFGS, and the self-scaled members of Broyden's family.

Al-Baali, Spedicato and Maggioni, Optim. Methods Softw. 29 (2014) 937; for physics-informed networks: Urbán, Stefanou and Pons,
J. Comput. Phys. 523 (2025) 113656; Nocedal and Wright, Numerical Optimization, 2nd ed. (2006), section 6.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

from pdeflow.optim.flat_parameters import assign, flatten, gradient_vector, trainable, warn_if_single
from pdeflow.optim.wolfe import Trial, strong_wolfe

Variant = Literal["bfgs", "ssbfgs_ol", "ssbfgs", "ssbroyden1", "ssbroyden2"]
Transform = Literal["none", "sqrt", "log"]
CURVATURE = 1e-12
"""Pairs with yᵀs at most this share of ‖y‖‖s‖ are left out."""
FLAT = 1e-14
"""|a| below which s and y are parallel in the metric of H, where all members coincide with BFGS."""


class SelfScaledQN(Optimizer):
    """θ ← θ - α H g with a strong Wolfe step α and H ≈ (∇²L)⁻¹ dense, kept from step to step.

    `step(closure)` evaluates the closure, which must return the same loss for the same parameters, several times.

    Args:
        params: Real parameters of one type; groups are joined.
        lr: Most that the first trial step of a line search may be.
        variant: "bfgs"; "ssbfgs_ol" (scaled after Oren and Luenberger); "ssbfgs" (after Al-Baali); "ssbroyden1";
            "ssbroyden2".
        max_iter: Iterations of one call of `step`, as in torch.optim.LBFGS.
        c1: Sufficient decrease of the line search.
        c2: Curvature of the line search.
        initial_scale: Whether H = yᵀs/yᵀy · I before the first update, instead of I.
        transform: What is minimised instead of L > 0: "sqrt" or "log" of it, or "none".
        max_dim: Parameters above which the dense H is refused.

    Attributes:
        needs_exact_gradients: True; tasks refuse gradient clipping, accumulation and mixed precision.

    Raises:
        ValueError: If a setting is out of range, there are too many parameters, or they are complex or of several types.
    """

    needs_exact_gradients = True

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1.0,
        variant: Variant = "ssbroyden2",
        max_iter: int = 20,
        c1: float = 1e-4,
        c2: float = 0.9,
        initial_scale: bool = False,
        transform: Transform = "none",
        max_dim: int = 8000,
    ) -> None:
        settings = {
            "lr": lr, "variant": variant, "max_iter": max_iter, "c1": c1, "c2": c2,
            "initial_scale": initial_scale, "transform": transform, "max_dim": max_dim,
        }  # fmt: skip
        _check(settings)
        super().__init__(params, settings)
        self.params = trainable(self.param_groups, type(self).__name__)
        warn_if_single(self.params, type(self).__name__)
        count = sum(p.numel() for p in self.params)
        if count > max_dim:
            raise ValueError(
                f"{count} parameters make a dense inverse Hessian of {count**2 * self.params[0].element_size() / 1e9:.1f} GB, "
                f"more than max_dim={max_dim} allows; use torch.optim.LBFGS"
            )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Run max_iter iterations; fewer where the gradient vanishes or no step lowers the loss.

        Args:
            closure: Clears the gradients, evaluates the loss and its gradients, and returns the loss.

        Returns:
            The loss before the first iteration.

        Raises:
            ValueError: If there is no closure, or the loss is not finite.
        """
        if closure is None:
            raise ValueError(f"{type(self).__name__} searches along lines, so step needs a closure")
        loss = torch.enable_grad()(closure)()
        if not math.isfinite(float(loss)):
            raise ValueError(f"the loss is {float(loss)} before the first step of a line search; check data and initial weights")
        group, state = self.param_groups[0], self.state[self.params[0]]
        value, gradient = self._transformed(float(loss))
        for _ in range(group["max_iter"]):
            found = self._iterate(closure, value, gradient, state) if bool(gradient.any()) else None
            if found is None:
                break
            value, gradient = found
        return loss

    def _transformed(self, loss: float) -> tuple[float, Tensor]:
        """Return the value and the gradient of the transformed loss."""
        gradient, transform = gradient_vector(self.params), self.param_groups[0]["transform"]
        if transform == "none":
            return loss, gradient
        if loss <= 0:
            return (0.0 if transform == "sqrt" else -math.inf), torch.zeros_like(gradient)
        if transform == "sqrt":
            return math.sqrt(loss), gradient / (2 * math.sqrt(loss))
        return math.log(loss), gradient / loss

    def _iterate(
        self, closure: Callable[[], Any], value: float, gradient: Tensor, state: dict[str, Any]
    ) -> tuple[float, Tensor] | None:
        """Search along -H g, from H = I once more if that fails; return value and gradient there, or None."""
        for fresh in (False, True):
            if fresh or "inverse" not in state:
                state.update(inverse=torch.eye(len(gradient), dtype=gradient.dtype, device=gradient.device), updates=0)
            p = -(state["inverse"] @ gradient)
            slope = float(p @ gradient)
            found = self._search(closure, value, gradient, p, state) if slope < 0 else None
            if found is not None:
                break
            if state["updates"] == 0:
                return None
        assert found is not None
        trial, after = found
        state["previous"] = value
        s, y = trial.alpha * p, after - gradient
        if float(y @ s) > CURVATURE * float(y.norm() * s.norm()):
            self._update(state, s, y, -trial.alpha**2 * slope)
        state["iterations"] = state.get("iterations", 0) + 1
        return trial.value, after

    def _search(
        self, closure: Callable[[], Any], value: float, gradient: Tensor, p: Tensor, state: dict[str, Any]
    ) -> tuple[Trial, Tensor] | None:
        """Return the accepted trial with its gradient, or None with the parameters as they were."""
        theta, group, last, slope = flatten(self.params), self.param_groups[0], [gradient], float(gradient @ p)

        def function(alpha: float) -> tuple[float, float]:
            assign(self.params, theta + alpha * p)
            height, last[0] = self._transformed(float(torch.enable_grad()(closure)()))
            return height, float(last[0] @ p)

        drop = value - state.get("previous", value + float(gradient.norm()) / 2)
        first = group["lr"] * (min(1.0, 2.02 * drop / slope) if drop < 0 else 1.0)  # Nocedal and Wright, eq. (3.60)
        trial = strong_wolfe(function, Trial(0.0, value, slope), first, group["c1"], group["c2"])
        if trial is None:
            assign(self.params, theta)
            return None
        return trial, last[0]

    def _update(self, state: dict[str, Any], s: Tensor, y: Tensor, curvature: float) -> None:
        group, first = self.param_groups[0], state["updates"] == 0
        if first and group["initial_scale"]:
            factor = float(y @ s) / float(y @ y)
            state["inverse"].mul_(factor)
            curvature /= factor
        update_inverse(state["inverse"], s, y, curvature, group["variant"], first)
        state["updates"] += 1


def update_inverse(inverse: Tensor, s: Tensor, y: Tensor, curvature: float, variant: Variant, first: bool = False) -> None:
    """Replace H by [H - Hy(Hy)ᵀ/(yᵀHy) + φ (yᵀHy) v vᵀ]/τ + s sᵀ/(yᵀs), v = s/(yᵀs) - Hy/(yᵀHy), which satisfies H⁺y = s.

    Args:
        inverse: H, symmetric positive definite, shape (P, P); changed in place.
        s: Difference of the parameters, shape (P,).
        y: Difference of the gradients, shape (P,), yᵀs > 0.
        curvature: sᵀH⁻¹s, which is -α sᵀg for s = -α H g.
        variant: Which member of the family.
        first: Whether this is the first update.

    Reference: Broyden's family, Nocedal and Wright (2006), section 6.3, with the scaling of Urbán, Stefanou and Pons (2025).
    """
    ys, hy = float(y @ s), inverse @ y
    yhy = float(y @ hy)
    tau, phi = scaling(yhy / ys, curvature / ys, len(s), variant, first)
    v = s / ys - hy / yhy
    inverse.addr_(hy, hy, alpha=-1 / yhy).addr_(v, v, alpha=phi * yhy).div_(tau).addr_(s, s, alpha=1 / ys)


def scaling(h: float, b: float, dim: int, variant: Variant, first: bool) -> tuple[float, float]:
    """Return τ, by which H is divided, and φ, the member of Broyden's family (1 is BFGS, 0 is DFP).

    Args:
        h: yᵀHy/yᵀs.
        b: sᵀH⁻¹s/yᵀs; hb ≥ 1.
        dim: Number of parameters.
        variant: Which rule.
        first: Whether this is the first update.

    Reference: Urbán, Stefanou and Pons (2025); Al-Baali, Spedicato and Maggioni (2014).
    """
    a = h * b - 1
    if variant == "bfgs" or a < FLAT:
        return 1.0, 1.0
    if variant in ("ssbfgs", "ssbfgs_ol"):
        return (1 / b if variant == "ssbfgs_ol" else min(1.0, 1 / b)), 1.0
    c = math.sqrt(a / (1 + a))
    small = min(1.0, h * (1 - c))
    lower, upper = (small - 1) / a, 1 / small
    if variant == "ssbroyden2" or first:
        theta = max(lower, min(upper, (1 - b) / b))
    else:
        upper = max(1.0, b * (1 + c))
        rank_one = 1 / (1 - b) if b != 1 else -math.inf
        theta = min(upper, rank_one) if b < 1 else max(lower, rank_one)
    sigma = 1 + theta * a
    phi = (1 - theta) / sigma
    if first:
        return h / sigma, phi
    power = sigma ** (1 / (1 - dim)) if dim > 1 else 1.0
    scale = min(1.0, 1 / b)
    return (min(scale * power, sigma) if theta <= 0 else scale * min(power, 1 / theta)), phi


def _check(settings: dict[str, Any]) -> None:
    """Refuse settings that would run and do nothing sensible."""
    for key, kind in (("variant", Variant), ("transform", Transform)):
        if settings[key] not in get_args(kind):
            raise ValueError(f"{key} must be one of {', '.join(get_args(kind))}, got {settings[key]!r}")
    if not 0 < settings["lr"] < math.inf:
        raise ValueError(f"lr must be a finite number > 0, got {settings['lr']}")
    if not 0 < settings["c1"] < settings["c2"] < 1:
        raise ValueError(f"a Wolfe line search needs 0 < c1 < c2 < 1, got c1={settings['c1']} and c2={settings['c2']}")
    if settings["max_iter"] < 1:
        raise ValueError(f"max_iter must be at least 1, got {settings['max_iter']}")
