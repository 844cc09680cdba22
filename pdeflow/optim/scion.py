"""Scion: stochastic conditional gradients, steps to the corner of a ball of the layer's norm.

Pethick et al., Training deep learning models with norm-constrained LMOs, arXiv 2502.07529.
"""

from __future__ import annotations

from torch.optim.optimizer import ParamsT

from pdeflow.optim.chain import MatrixOptimizer
from pdeflow.optim.matrix_maps import largest_step_in_ball, unit_rms_step
from pdeflow.optim.momentum import ema
from pdeflow.optim.polar import PolarDtype, PolarMethod
from pdeflow.optim.settings import Ball, options


class Scion(MatrixOptimizer):
    """W ← (1 - lr) W + lr ρ argmin over the unit ball of ⟨D, ·⟩, D averaging gradients; or without (1 - lr).

    Balls: "spectral" sqrt(m/n) polar (k × k convolutions: over k² too), "sign" 1/n, "column" and "row" lengths; elementwise
    parameters take steps of root mean square one.

    Args:
        params: Parameters or groups; a group may set any of the options below and `matrix_view`.
        lr: Step towards the corner, in [0, 1]; decay it to zero.
        momentum: Decay β of the averaged gradient B ← β B + (1 - β) G.
        radius: Radius ρ of the balls of matrices.
        elementwise_radius: Radius of elementwise parameters.
        ball: Norm of matrices; a group may set its own, as "sign" for the last layer.
        constrained: Whether weights shrink towards the ball of radius ρ.
        polar: How the polar factor is computed, as in pdeflow.optim.polar.
        polar_steps: Iterations, where the method does not fix them.
        polar_dtype: Working precision of the polar factor; "bfloat16" is for networks without complex weights.

    Raises:
        ValueError: If a setting is out of range, or a view is unknown or does not fit its parameters.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 0.02,
        momentum: float = 0.9,
        radius: float = 1.0,
        elementwise_radius: float = 1.0,
        ball: Ball = "spectral",
        constrained: bool = True,
        polar: PolarMethod = "auto",
        polar_steps: int = 8,
        polar_dtype: PolarDtype = "same",
    ) -> None:
        settings = options(locals()) | {"weight_decay": 1.0 if constrained else 0.0, "adamw_lr_ratio": 1.0}
        super().__init__(params, settings, (ema, largest_step_in_ball), (ema, unit_rms_step), entrywise=False)
