"""Gauss-Newton in the space of residuals: natural gradients, SPRING, Sven and Levenberg-Marquardt are settings of it.

Müller and Zeinhofer, ICML 2023 (arXiv 2302.13163); Guzmán-Cordero, Dangel, Goldshlager and Zeinhofer, arXiv 2505.12149;
geodesic acceleration: Transtrum and Sethna, arXiv 1201.5885.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, get_args

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

from pdeflow.optim.damped_least_squares import DampedLeastSquares, Solver
from pdeflow.optim.damping_rules import RULES, DampingRule, LineSearch, Model, finite_loss
from pdeflow.optim.flat_parameters import assign, flatten, trainable, warn_if_single

PROBE = 0.1
"""Relative step of the difference that measures the curvature of the residuals."""


class Residuals(Protocol):
    """What the closure returns: r at the current values of the parameters."""

    def residual(self) -> Tensor:
        """Return r, shape (N,), differentiable in the parameters."""
        ...

    def jacobian(self, params: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return r, shape (N,), and J, shape (N, P), with columns in the order of `params`."""
        ...


class GaussNewton(Optimizer):
    """Minimise L = ½‖r(θ)‖² by θ ← θ - η d, d = argmin ‖J d - r‖² + λ‖d‖²; `step` wants a closure that returns `Residuals`.

    Args:
        params: Real parameters of one type; groups are joined.
        lr: Factor of every step.
        damping: λ of the rule "fixed", the first λ of "lm", the first γ of "gns".
        solver: How d is computed: "auto", "kernel", "normal", "qr" or "svd"; see DampedLeastSquares.
        damping_rule: "fixed", with a line search; "lm", λ/3 after a step that lowers L and 4λ after one that does
            not; "gns", λ = ‖g‖/γ with γ doubled after a step that lowers L by ‖g⁺‖²/(8λ) and halved after one that does not.
        momentum: μ of SPRING: of the solutions of the linearised equations, take the nearest to μ times the last step.
        rcond: Relative size up to which "svd" drops singular values.
        rank: Most singular values that "svd" keeps; None keeps all.
        line_search: "grid", the best of 1, ½, …, 2⁻³⁰; "backtracking", the first of them that lowers L enough; "none".
        geodesic: Whether the step also follows the curvature of the residuals along d.

    Attributes:
        requires_residual: True; the tasks that have residuals pass them.

    Raises:
        ValueError: If a setting is out of range, or parameters are complex or of several types.
    """

    requires_residual = True

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1.0,
        damping: float = 1e-8,
        solver: Solver = "auto",
        damping_rule: DampingRule = "fixed",
        momentum: float = 0.0,
        rcond: float = 1e-6,
        rank: int | None = None,
        line_search: LineSearch = "grid",
        geodesic: bool = False,
    ) -> None:
        settings = {
            "lr": lr, "damping": damping, "solver": solver, "damping_rule": damping_rule, "momentum": momentum,
            "rcond": rcond, "rank": rank, "line_search": line_search, "geodesic": geodesic,
        }  # fmt: skip
        _check(settings)
        super().__init__(params, settings)
        self.params = trainable(self.param_groups, type(self).__name__)
        warn_if_single(self.params, type(self).__name__)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Take one step; at a stationary point, or where no trial lowers L, the parameters stay.

        Args:
            closure: Returns the residuals.

        Returns:
            L before the step, 0-d.

        Raises:
            ValueError: If the closure returns no residuals.
        """
        system = residuals_of(closure, type(self).__name__)
        group, state = self.param_groups[0], self.state[self.params[0]]
        r, jacobian = system.jacobian(self.params)
        gradient, theta = jacobian.T @ r, flatten(self.params)
        state["step"] = state.get("step", 0) + 1
        if bool(gradient.any()):
            model = self._model(system, theta, r, jacobian, gradient)
            step = RULES[group["damping_rule"]](model, group, state)
            assign(self.params, theta if step is None else theta - step)
        return 0.5 * r.square().sum()

    def _model(self, system: Residuals, theta: Tensor, r: Tensor, jacobian: Tensor, gradient: Tensor) -> Model:
        group, state = self.param_groups[0], self.state[self.params[0]]
        equations = DampedLeastSquares(jacobian, group["solver"], group["rcond"], group["rank"])

        def residual_at(step: Tensor) -> Tensor:
            assign(self.params, theta - step)
            return system.residual().detach()

        def gradient_at(step: Tensor) -> Tensor:
            assign(self.params, theta - step)
            with torch.enable_grad():
                loss = 0.5 * system.residual().square().sum()
                return flatten(torch.autograd.grad(loss, self.params, allow_unused=True, materialize_grads=True))

        velocity, age = state.get("velocity"), state.get("age", 0)

        def direction(damping: float) -> Tensor:
            if group["momentum"]:
                phi, state["age"] = _spring(equations, r, gradient, damping, group["momentum"], velocity, age)
                state["velocity"] = phi
                d = phi / math.sqrt(1 - group["momentum"] ** (2 * state["age"]))
            else:
                d = equations.solve(r, damping)
            return d + _acceleration(equations, r, d, damping, residual_at) if group["geodesic"] else d

        loss = finite_loss(r)
        return Model(loss, gradient, direction, lambda step: finite_loss(residual_at(step)), gradient_at)


def residuals_of(closure: Callable[[], Any] | None, name: str) -> Residuals:
    """Call a closure and check that it returned residuals.

    Args:
        closure: The argument of an optimizer's step.
        name: The optimizer's name, for the message.

    Returns:
        The residuals.

    Raises:
        ValueError: If there is no closure, or it returned something else.
    """
    found: Any = closure() if closure is not None else None
    if not (hasattr(found, "residual") and hasattr(found, "jacobian")):
        raise ValueError(
            f"{name} needs a closure that returns residuals, got {type(found).__name__}; "
            "use it with a task that has them, such as pdeflow.tasks.PhysicsInformed"
        )
    return found


def _spring(
    equations: DampedLeastSquares, r: Tensor, gradient: Tensor, damping: float, momentum: float, last: Tensor | None, age: int
) -> tuple[Tensor, int]:
    """Return φ = μφ₋ + solve(r - μJφ₋) and its age k; without φ₋, or where φ is no descent, solve(r) and 1.

    Reference: SPRING as in arXiv 2505.12149; the restart is ours.
    """
    if last is not None:
        base = momentum * last
        phi = base + equations.solve(r - equations.jacobian @ base, damping)
        if float(phi @ gradient) > 0:
            return phi, age + 1
    return equations.solve(r, damping), 1


def _acceleration(
    equations: DampedLeastSquares, r: Tensor, d: Tensor, damping: float, residual_at: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return ½ solve(r''[d, d]), zero where it is not small beside d; arXiv 1201.5885."""
    curvature = 2 / PROBE**2 * (residual_at(PROBE * d) - r + PROBE * (equations.jacobian @ d))
    a = 0.5 * equations.solve(curvature, damping)
    small = bool(torch.isfinite(a).all()) and float(a.norm()) <= 0.375 * float(d.norm())
    return a if small else torch.zeros_like(d)


def _check(settings: dict[str, Any]) -> None:
    """Refuse settings that would run and do nothing sensible."""
    choices = {"solver": Solver, "damping_rule": DampingRule, "line_search": LineSearch}
    for key, kind in choices.items():
        if settings[key] not in get_args(kind):
            raise ValueError(f"{key} must be one of {', '.join(get_args(kind))}, got {settings[key]!r}")
    for key, low in (("lr", 0.0), ("damping", 0.0), ("rcond", 0.0)):
        if not low <= settings[key] < math.inf:
            raise ValueError(f"{key} must be a finite number >= 0, got {settings[key]}")
    if not 0 <= settings["momentum"] < 1:
        raise ValueError(f"momentum must lie in [0, 1), got {settings['momentum']}")
    if settings["rank"] is not None and settings["rank"] < 1:
        raise ValueError(f"rank must be at least 1 or None, got {settings['rank']}")
    if settings["damping_rule"] != "fixed" and not settings["damping"]:
        raise ValueError(f"the damping rule {settings['damping_rule']!r} needs a first damping > 0, got 0")
